// SPDX-License-Identifier: GPL-2.0
/* Polls the fans of the chassis. */
#include "compat.h"

static unsigned int interval = 1000;
module_param(interval, uint, 0444);
MODULE_PARM_DESC(interval, "milliseconds between two polls");

static struct timer_list chassis_timer;
static unsigned long chassis_polls;

static void chassis_poll(struct timer_list *timer)
{
	chassis_polls++;
	mod_timer(&chassis_timer, jiffies + msecs_to_jiffies(interval));
}

static int __init chassis_init(void)
{
	timer_setup(&chassis_timer, chassis_poll, 0);
	mod_timer(&chassis_timer, jiffies + msecs_to_jiffies(interval));
	pr_info("chassis_mon: polling every %u ms\n", interval);
	return 0;
}

/* The mistake: the timer is not deleted. */
static void __exit chassis_exit(void)
{
	pr_info("chassis_mon: stopped after %lu polls\n", chassis_polls);
}

module_init(chassis_init);
module_exit(chassis_exit);
MODULE_DESCRIPTION("Chassis fan monitor");
MODULE_LICENSE("GPL");
