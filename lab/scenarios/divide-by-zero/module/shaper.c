// SPDX-License-Identifier: GPL-2.0
/* Shapes traffic: bytes an interval, measured by a timer. */
#include <linux/math64.h>
#include "control.h"

struct shape_meter {
	struct timer_list tick;
	u64 bytes;
	u64 rate;
	unsigned int interval;
};

static struct shape_meter *shape_meter;

static noinline u64 shape_per_second(u64 bytes, unsigned int interval)
{
	return div_u64(bytes * MSEC_PER_SEC, interval);
}

static void shape_tick(struct timer_list *timer)
{
	struct shape_meter *meter = timer_owner(meter, timer, tick);

	meter->rate = shape_per_second(meter->bytes, meter->interval);
	mod_timer(&meter->tick, jiffies + HZ / 4);
}

/* The mistake: zero is not refused. */
static noinline int shape_set(struct shape_meter *meter, unsigned int interval)
{
	meter->interval = interval;
	return 0;
}

static int shape_command(char *text)
{
	unsigned int interval;

	if (sscanf(text, "interval %u", &interval) != 1)
		return -EINVAL;
	return shape_set(shape_meter, interval);
}

CONTROL_FILE(shape, shape_command);

static int __init shape_init(void)
{
	shape_meter = kzalloc(sizeof(*shape_meter), GFP_KERNEL);
	if (!shape_meter)
		return -ENOMEM;
	shape_meter->interval = 250;
	timer_setup(&shape_meter->tick, shape_tick, 0);
	mod_timer(&shape_meter->tick, jiffies + HZ / 4);
	return CONTROL_CREATE(shape, "shaper");
}

static void __exit shape_exit(void)
{
	CONTROL_REMOVE("shaper");
	timer_delete_sync(&shape_meter->tick);
	kfree(shape_meter);
}

module_init(shape_init);
module_exit(shape_exit);
MODULE_DESCRIPTION("Traffic shaper");
MODULE_LICENSE("GPL");
