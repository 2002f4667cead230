// SPDX-License-Identifier: GPL-2.0
/* A hub of temperature probes on a slow bus. */
#include <linux/mutex.h>
#include <linux/wait.h>
#include "control.h"

struct probe_hub {
	struct mutex bus;
	wait_queue_head_t answers;
	unsigned int asked;
	unsigned int answered;
};

static struct probe_hub *probe_hub;

/* The mistake: no timeout; a probe that is unplugged never answers. */
static noinline int probe_query(struct probe_hub *hub, unsigned int number)
{
	int status;

	mutex_lock(&hub->bus);
	hub->asked = number;
	status = wait_event_interruptible(hub->answers, hub->answered == number);
	mutex_unlock(&hub->bus);
	return status;
}

static noinline int probe_reset(struct probe_hub *hub)
{
	mutex_lock(&hub->bus);
	hub->asked = hub->answered = 0;
	mutex_unlock(&hub->bus);
	return 0;
}

static int probe_command(char *text)
{
	unsigned int number;

	if (sscanf(text, "query %u", &number) == 1)
		return probe_query(probe_hub, number);
	return probe_reset(probe_hub);
}

CONTROL_FILE(probe, probe_command);

static int __init probe_init(void)
{
	probe_hub = kzalloc(sizeof(*probe_hub), GFP_KERNEL);
	if (!probe_hub)
		return -ENOMEM;
	mutex_init(&probe_hub->bus);
	init_waitqueue_head(&probe_hub->answers);
	return CONTROL_CREATE(probe, "probehub");
}

static void __exit probe_exit(void)
{
	CONTROL_REMOVE("probehub");
	kfree(probe_hub);
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("Temperature probe hub");
MODULE_LICENSE("GPL");
