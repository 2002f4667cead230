// SPDX-License-Identifier: GPL-2.0
/* Counts events of network interfaces. */
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include "compat.h"

static unsigned long linkwatch_events;

static int linkwatch_event(struct notifier_block *block, unsigned long event, void *data)
{
	linkwatch_events++;
	return NOTIFY_DONE;
}

static struct notifier_block linkwatch_block = { .notifier_call = linkwatch_event };

static int __init linkwatch_init(void)
{
	return register_netdevice_notifier(&linkwatch_block);
}

/* The mistake: no unregister_netdevice_notifier(). */
static void __exit linkwatch_exit(void)
{
	pr_info("linkwatchd: bye, %lu events\n", linkwatch_events);
}

module_init(linkwatch_init);
module_exit(linkwatch_exit);
MODULE_DESCRIPTION("Link watcher");
MODULE_LICENSE("GPL");
