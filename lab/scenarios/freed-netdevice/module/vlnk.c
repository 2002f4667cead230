// SPDX-License-Identifier: GPL-2.0
/* A virtual link, whose carrier is watched by a work item. */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/workqueue.h>
#include "control.h"

struct vlnk_private {
	struct net_device *device;
	unsigned long checks;
	struct delayed_work watch;
};

static struct net_device *vlnk_device;

static netdev_tx_t vlnk_transmit(struct sk_buff *skb, struct net_device *device)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops vlnk_ops = { .ndo_start_xmit = vlnk_transmit };

static void vlnk_watch(struct work_struct *work)
{
	struct vlnk_private *private = container_of(work, struct vlnk_private, watch.work);

	private->checks++;
	netif_carrier_on(private->device);
	schedule_delayed_work(&private->watch, msecs_to_jiffies(400));
}

static noinline int vlnk_up(void)
{
	struct vlnk_private *private = netdev_priv(vlnk_device);

	private->device = vlnk_device;
	INIT_DELAYED_WORK(&private->watch, vlnk_watch);
	schedule_delayed_work(&private->watch, msecs_to_jiffies(400));
	return 0;
}

/* The mistake: the work may be queued. */
static noinline int vlnk_remove(void)
{
	struct net_device *device = vlnk_device;

	vlnk_device = NULL;
	unregister_netdev(device);
	free_netdev(device);
	return 0;
}

static int vlnk_command(char *text)
{
	if (!vlnk_device)
		return -ENODEV;
	if (!strcmp(text, "up"))
		return vlnk_up();
	if (!strcmp(text, "remove"))
		return vlnk_remove();
	return -EINVAL;
}

CONTROL_FILE(vlnk, vlnk_command);

static void vlnk_setup(struct net_device *device)
{
	ether_setup(device);
	device->netdev_ops = &vlnk_ops;
}

static int __init vlnk_init(void)
{
	vlnk_device = alloc_netdev(sizeof(struct vlnk_private), "vlnk%d", NET_NAME_ENUM, vlnk_setup);
	if (!vlnk_device)
		return -ENOMEM;
	eth_hw_addr_random(vlnk_device);
	return register_netdev(vlnk_device) ?: CONTROL_CREATE(vlnk, "vlnk");
}

static void __exit vlnk_exit(void)
{
	CONTROL_REMOVE("vlnk");
	if (vlnk_device)
		vlnk_remove();
}

module_init(vlnk_init);
module_exit(vlnk_exit);
MODULE_DESCRIPTION("Virtual link");
MODULE_LICENSE("GPL");
