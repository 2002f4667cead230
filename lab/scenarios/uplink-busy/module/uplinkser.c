// SPDX-License-Identifier: GPL-2.0
/* A network over a slow serial line. */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include "compat.h"

#define UPLINKSER_BUFFER 2048

struct uplinkser {
	struct net_device *netdev;
	struct timer_list drain;
	u8 buffer[UPLINKSER_BUFFER];
	unsigned int filled;
	u64 frames, refused;
};

static struct net_device *uplinkser_netdev;

static void uplinkser_drain(struct timer_list *timer)
{
	struct uplinkser *line = timer_owner(line, timer, drain);

	line->filled = line->filled > 256 ? line->filled - 256 : 0;
	if (line->filled < UPLINKSER_BUFFER / 2 && netif_queue_stopped(line->netdev))
		netif_wake_queue(line->netdev);
	mod_timer(&line->drain, jiffies + HZ / 20);
}

static noinline int uplinkser_put(struct uplinkser *line, struct sk_buff *skb)
{
	if (line->filled + skb->len > UPLINKSER_BUFFER) {
		line->refused++;
		return -ENOSPC;
	}
	skb_copy_bits(skb, 0, line->buffer + line->filled, skb->len);
	line->filled += skb->len;
	line->frames++;
	return 0;
}

static noinline netdev_tx_t uplinkser_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct uplinkser *line = netdev_priv(netdev);
	netdev_tx_t status = NETDEV_TX_OK;

	if (uplinkser_put(line, skb)) {
		netif_stop_queue(netdev);
		netdev->stats.tx_dropped++;
		status = NETDEV_TX_BUSY;
	} else {
		netdev->stats.tx_packets++;
		netdev->stats.tx_bytes += skb->len;
	}
	dev_kfree_skb_any(skb);
	return status;
}

static int uplinkser_open(struct net_device *netdev)
{
	struct uplinkser *line = netdev_priv(netdev);

	mod_timer(&line->drain, jiffies + HZ / 20);
	netif_start_queue(netdev);
	return 0;
}

static int uplinkser_stop(struct net_device *netdev)
{
	struct uplinkser *line = netdev_priv(netdev);

	netif_stop_queue(netdev);
	timer_delete_sync(&line->drain);
	return 0;
}

static const struct net_device_ops uplinkser_ops = {
	.ndo_open = uplinkser_open,
	.ndo_stop = uplinkser_stop,
	.ndo_start_xmit = uplinkser_xmit,
};

static int __init uplinkser_init(void)
{
	struct net_device *netdev = alloc_etherdev(sizeof(struct uplinkser));
	struct uplinkser *line;
	int err;

	if (!netdev)
		return -ENOMEM;
	line = netdev_priv(netdev);
	line->netdev = netdev;
	timer_setup(&line->drain, uplinkser_drain, 0);
	netdev->netdev_ops = &uplinkser_ops;
	strscpy(netdev->name, "ser0", IFNAMSIZ);
	netdev->flags |= IFF_NOARP;
	eth_hw_addr_random(netdev);
	err = register_netdev(netdev);
	if (err)
		free_netdev(netdev);
	else
		uplinkser_netdev = netdev;
	return err;
}

static void __exit uplinkser_exit(void)
{
	unregister_netdev(uplinkser_netdev);
	free_netdev(uplinkser_netdev);
}

module_init(uplinkser_init);
module_exit(uplinkser_exit);
MODULE_DESCRIPTION("Serial line network");
MODULE_LICENSE("GPL");
