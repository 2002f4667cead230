// SPDX-License-Identifier: GPL-2.0
/* Writes down when network devices come and go. */
#include <linux/netdevice.h>
#include "compat.h"

static unsigned long netaudit_events;

static int netaudit_event(struct notifier_block *block, unsigned long event, void *data)
{
	if (event == NETDEV_UP || event == NETDEV_DOWN)
		netaudit_events++;
	return NOTIFY_DONE;
}

static struct notifier_block netaudit_block = { .notifier_call = netaudit_event };

static int __init netaudit_init(void)
{
	return register_netdevice_notifier(&netaudit_block);
}

/* The mistake: the notifier stays registered. */
static void __exit netaudit_exit(void)
{
	pr_info("netaudit: %lu events\n", netaudit_events);
}

module_init(netaudit_init);
module_exit(netaudit_exit);
MODULE_DESCRIPTION("Network audit");
MODULE_LICENSE("GPL");
