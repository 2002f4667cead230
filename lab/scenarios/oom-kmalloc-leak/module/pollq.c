// SPDX-License-Identifier: GPL-2.0
/* Polls devices with requests of its own. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include "control.h"

struct pollq_request {
	struct list_head link;
	void (*done)(struct pollq_request *request);
	unsigned long number;
	char payload[400];
};

static struct task_struct *pollq_thread;
static LIST_HEAD(pollq_pending);
static unsigned long pollq_number;

/* The mistake: nobody frees the request. */
static void pollq_done(struct pollq_request *request)
{
	list_del(&request->link);
}

/* Every request that is pending has its answer. */
static noinline void pollq_poll(void)
{
	struct pollq_request *request, *next;

	list_for_each_entry_safe(request, next, &pollq_pending, link)
		request->done(request);
}

static noinline int pollq_send(void)
{
	struct pollq_request *request = kzalloc(sizeof(*request), GFP_KERNEL);

	if (!request)
		return -ENOMEM;
	request->done = pollq_done;
	request->number = pollq_number++;
	list_add_tail(&request->link, &pollq_pending);
	return 0;
}

static int pollq_loop(void *unused)
{
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < 2000; i++)
			pollq_send();
		pollq_poll();
		usleep_range(1000, 2000);
	}
	return 0;
}

static int pollq_command(char *text)
{
	if (!pollq_thread)
		pollq_thread = kthread_run(pollq_loop, NULL, "pollq");
	return PTR_ERR_OR_ZERO(pollq_thread);
}

CONTROL_FILE(pollq, pollq_command);

static int __init pollq_init(void)
{
	return CONTROL_CREATE(pollq, "pollq");
}

static void __exit pollq_exit(void)
{
	CONTROL_REMOVE("pollq");
	if (pollq_thread)
		kthread_stop(pollq_thread);
}

module_init(pollq_init);
module_exit(pollq_exit);
MODULE_DESCRIPTION("Device poller");
MODULE_LICENSE("GPL");
