// SPDX-License-Identifier: GPL-2.0
/* Counts what comes and goes of network devices by their queue lengths. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/netdevice.h>

static struct dentry *airprobe_dir;
static u32 airprobe_ups, airprobe_downs, airprobe_longest;

static int airprobe_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);

	if (event == NETDEV_UP)
		airprobe_ups++;
	else if (event == NETDEV_DOWN)
		airprobe_downs++;
	airprobe_longest = max(airprobe_longest, dev->tx_queue_len);
	return NOTIFY_DONE;
}

static struct notifier_block airprobe_nb = { .notifier_call = airprobe_event };

static int __init airprobe_init(void)
{
	airprobe_dir = debugfs_create_dir("airprobe", NULL);
	debugfs_create_u32("ups", 0400, airprobe_dir, &airprobe_ups);
	debugfs_create_u32("downs", 0400, airprobe_dir, &airprobe_downs);
	debugfs_create_u32("longest", 0400, airprobe_dir, &airprobe_longest);
	return register_netdevice_notifier(&airprobe_nb);
}

static void __exit airprobe_exit(void)
{
	unregister_netdevice_notifier(&airprobe_nb);
	debugfs_remove_recursive(airprobe_dir);
}

module_init(airprobe_init);
module_exit(airprobe_exit);
MODULE_DESCRIPTION("Network device counters");
MODULE_LICENSE("GPL");
