// SPDX-License-Identifier: GPL-2.0
/* The heartbeat of a cluster's node on a shared disk. */
#include "compat.h"

static unsigned int dead_after = 5;
module_param(dead_after, uint, 0444);
MODULE_PARM_DESC(dead_after, "missed beats until the node gives up");

static struct timer_list hbdisk_timer;
static unsigned int hbdisk_missed;

static noinline void hbdisk_fence(unsigned int missed)
{
	panic("fencing this node: %u heartbeats missed", missed);
}

static void hbdisk_beat(struct timer_list *timer)
{
	if (++hbdisk_missed >= dead_after)
		hbdisk_fence(hbdisk_missed);
	mod_timer(&hbdisk_timer, jiffies + HZ / 3);
}

static int __init hbdisk_init(void)
{
	timer_setup(&hbdisk_timer, hbdisk_beat, 0);
	mod_timer(&hbdisk_timer, jiffies + HZ);
	return 0;
}

static void __exit hbdisk_exit(void)
{
	timer_delete_sync(&hbdisk_timer);
}

module_init(hbdisk_init);
module_exit(hbdisk_exit);
MODULE_DESCRIPTION("Heartbeat disk");
MODULE_LICENSE("GPL");
