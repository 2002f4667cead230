// SPDX-License-Identifier: GPL-2.0
/* A copy engine: requests go into a ring, and a tasklet finishes them. */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include "control.h"

struct dmaring_request {
	size_t length;
	struct completion done;
};

struct dmaring_slot {
	u32 cookie;
	u32 flags;
};

static struct dmaring_slot dmaring_slots[32];
static unsigned int dmaring_head, dmaring_tail;
static struct timer_list dmaring_timer;

static noinline void dmaring_finish(struct dmaring_slot *slot)
{
	struct dmaring_request *request = (void *)(unsigned long)slot->cookie;

	slot->flags = 0;
	complete(&request->done);
}

static void dmaring_tasklet(struct tasklet_struct *tasklet)
{
	while (dmaring_tail != dmaring_head)
		dmaring_finish(&dmaring_slots[dmaring_tail++ % ARRAY_SIZE(dmaring_slots)]);
}

static DECLARE_TASKLET(dmaring_bottom, dmaring_tasklet);

static void dmaring_interrupt(struct timer_list *timer)
{
	tasklet_schedule(&dmaring_bottom);
}

/* The mistake: an address does not fit. */
static noinline int dmaring_submit(struct dmaring_request *request)
{
	struct dmaring_slot *slot = &dmaring_slots[dmaring_head % ARRAY_SIZE(dmaring_slots)];

	slot->cookie = (unsigned long)request;
	slot->flags = 1;
	dmaring_head++;
	mod_timer(&dmaring_timer, jiffies + msecs_to_jiffies(60));
	return 0;
}

static int dmaring_command(char *text)
{
	struct dmaring_request *request = kzalloc(sizeof(*request), GFP_KERNEL);

	if (!request)
		return -ENOMEM;
	init_completion(&request->done);
	request->length = simple_strtoul(text, NULL, 0);
	dmaring_submit(request);
	wait_for_completion_timeout(&request->done, 5 * HZ);
	kfree(request);
	return 0;
}

CONTROL_FILE(dmaring, dmaring_command);

static int __init dmaring_init(void)
{
	timer_setup(&dmaring_timer, dmaring_interrupt, 0);
	return CONTROL_CREATE(dmaring, "dmaring");
}

static void __exit dmaring_exit(void)
{
	CONTROL_REMOVE("dmaring");
	timer_delete_sync(&dmaring_timer);
	tasklet_kill(&dmaring_bottom);
}

module_init(dmaring_init);
module_exit(dmaring_exit);
MODULE_DESCRIPTION("Copy engine");
MODULE_LICENSE("GPL");
