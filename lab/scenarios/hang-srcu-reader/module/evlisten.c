// SPDX-License-Identifier: GPL-2.0
/* Event listeners, guarded by SRCU. */
#include <linux/srcu.h>
#include <linux/wait.h>
#include "control.h"

struct evl_bus {
	struct srcu_struct srcu;
	wait_queue_head_t acknowledged;
	bool acks;
};
static struct evl_bus *evl_bus;

/* The mistake: it waits for an answer inside the read section. */
static noinline int evl_post(struct evl_bus *bus, char what)
{
	int index = srcu_read_lock(&bus->srcu), status;

	status = wait_event_interruptible(bus->acknowledged, READ_ONCE(bus->acks));
	srcu_read_unlock(&bus->srcu, index);
	return status;
}

static noinline int evl_remove(struct evl_bus *bus)
{
	synchronize_srcu(&bus->srcu);
	return 0;
}

static int evl_command(char *text)
{
	return !strncmp(text, "post", 4) ? evl_post(evl_bus, text[5]) : evl_remove(evl_bus);
}

CONTROL_FILE(evl, evl_command);

static int __init evl_init(void)
{
	evl_bus = kzalloc(sizeof(*evl_bus), GFP_KERNEL);
	if (!evl_bus || init_srcu_struct(&evl_bus->srcu))
		return -ENOMEM;
	init_waitqueue_head(&evl_bus->acknowledged);

	return CONTROL_CREATE(evl, "evlisten");
}

static void __exit evl_exit(void)
{
	CONTROL_REMOVE("evlisten");
}

module_init(evl_init);
module_exit(evl_exit);
MODULE_DESCRIPTION("Event listeners");
MODULE_LICENSE("GPL");
