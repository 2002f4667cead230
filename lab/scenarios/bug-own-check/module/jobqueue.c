// SPDX-License-Identifier: GPL-2.0
/* A queue of print jobs, emptied by a timer. */
#include "control.h"

struct jobq_queue {
	struct timer_list drain;
	unsigned int used;
	unsigned int room;
};

static struct jobq_queue jobq_queue = { .room = 8 };

static noinline void jobq_check(struct jobq_queue *queue)
{
	BUG_ON(queue->used > queue->room);
}

static void jobq_drain(struct timer_list *timer)
{
	struct jobq_queue *queue = timer_owner(queue, timer, drain);

	jobq_check(queue);
	queue->used = 0;
}

/* The mistake: it adds without looking at the room. */
static noinline int jobq_add(struct jobq_queue *queue, unsigned int count)
{
	queue->used += count;
	mod_timer(&queue->drain, jiffies + HZ / 5);
	return 0;
}

static int jobq_command(char *text)
{
	unsigned int count;

	return kstrtouint(text, 10, &count) ? -EINVAL : jobq_add(&jobq_queue, count);
}

CONTROL_FILE(jobq, jobq_command);

static int __init jobq_init(void)
{
	timer_setup(&jobq_queue.drain, jobq_drain, 0);
	return CONTROL_CREATE(jobq, "jobqueue");
}

static void __exit jobq_exit(void)
{
	CONTROL_REMOVE("jobqueue");
	timer_delete_sync(&jobq_queue.drain);
}

module_init(jobq_init);
module_exit(jobq_exit);
MODULE_DESCRIPTION("Job queue");
MODULE_LICENSE("GPL");
