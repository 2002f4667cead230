// SPDX-License-Identifier: GPL-2.0
/* A radio link: a window of frames may be in the air until they are acknowledged. */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include "compat.h"

struct rlink {
	struct net_device *dev;
	struct timer_list ack;
	spinlock_t lock;
	unsigned int window;
	unsigned int credits;
	unsigned int in_air;
};

static struct net_device *rlink_dev;

/* One frame is acknowledged at a time. */
static void rlink_ack(struct timer_list *timer)
{
	struct rlink *link = timer_owner(link, timer, ack);

	spin_lock(&link->lock);
	BUG_ON(link->credits + link->in_air != link->window);
	if (link->in_air) {
		link->in_air--;
		link->credits++;
		link->dev->stats.tx_packets++;
	}
	if (link->in_air)
		mod_timer(timer, jiffies + HZ / 20);
	spin_unlock(&link->lock);
	netif_wake_queue(link->dev);
}

static netdev_tx_t rlink_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct rlink *link = netdev_priv(dev);

	spin_lock_bh(&link->lock);
	if (!link->credits) {
		netif_stop_queue(dev);
		spin_unlock_bh(&link->lock);
		return NETDEV_TX_BUSY;
	}
	link->credits--;
	link->in_air++;
	dev->stats.tx_bytes += skb->len;
	if (!timer_pending(&link->ack))
		mod_timer(&link->ack, jiffies + HZ / 20);
	spin_unlock_bh(&link->lock);
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static void rlink_fill(struct rlink *link, unsigned int window)
{
	link->window = window;
	link->credits = window;
	link->in_air = 0;
}

static int rlink_open(struct net_device *dev)
{
	struct rlink *link = netdev_priv(dev);

	rlink_fill(link, link->window);
	netif_start_queue(dev);
	return 0;
}

static int rlink_stop(struct net_device *dev)
{
	struct rlink *link = netdev_priv(dev);

	netif_stop_queue(dev);
	timer_delete_sync(&link->ack);
	return 0;
}

static const struct net_device_ops rlink_ops = {
	.ndo_open = rlink_open,
	.ndo_stop = rlink_stop,
	.ndo_start_xmit = rlink_xmit,
};

static ssize_t window_show(struct device *device, struct device_attribute *attr, char *buffer)
{
	struct rlink *link = netdev_priv(to_net_dev(device));

	return sysfs_emit(buffer, "%u\n", link->window);
}

static ssize_t window_store(struct device *device, struct device_attribute *attr,
			    const char *buffer, size_t count)
{
	struct rlink *link = netdev_priv(to_net_dev(device));
	unsigned int window;
	int status = kstrtouint(buffer, 0, &window);

	if (status)
		return status;
	if (!window || window > 64)
		return -ERANGE;
	spin_lock_bh(&link->lock);
	link->window = window;
	spin_unlock_bh(&link->lock);
	return count;
}
static DEVICE_ATTR_RW(window);

static ssize_t in_air_show(struct device *device, struct device_attribute *attr, char *buffer)
{
	struct rlink *link = netdev_priv(to_net_dev(device));

	return sysfs_emit(buffer, "%u\n", READ_ONCE(link->in_air));
}
static DEVICE_ATTR_RO(in_air);

static struct attribute *rlink_attrs[] = {
	&dev_attr_window.attr,
	&dev_attr_in_air.attr,
	NULL,
};

static const struct attribute_group rlink_group = {
	.name = "link",
	.attrs = rlink_attrs,
};

static void rlink_setup(struct net_device *dev)
{
	struct rlink *link = netdev_priv(dev);

	dev->netdev_ops = &rlink_ops;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_NOARP | IFF_POINTOPOINT;
	dev->mtu = 512;
	dev->tx_queue_len = 32;
	dev->needs_free_netdev = true;
	dev->sysfs_groups[0] = &rlink_group;
	link->dev = dev;
	spin_lock_init(&link->lock);
	timer_setup(&link->ack, rlink_ack, 0);
	rlink_fill(link, 4);
}

static int __init rlink_init(void)
{
	int status;

	rlink_dev = alloc_netdev(sizeof(struct rlink), "rlk%d", NET_NAME_ENUM, rlink_setup);
	if (!rlink_dev)
		return -ENOMEM;
	status = register_netdev(rlink_dev);
	if (status)
		free_netdev(rlink_dev);
	return status;
}

static void __exit rlink_exit(void)
{
	unregister_netdev(rlink_dev);
}

module_init(rlink_init);
module_exit(rlink_exit);
MODULE_DESCRIPTION("Radio link");
MODULE_LICENSE("GPL");
