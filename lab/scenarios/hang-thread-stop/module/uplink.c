// SPDX-License-Identifier: GPL-2.0
/* Sends what is queued from a thread. */
#include <linux/kthread.h>
#include <linux/wait.h>
#include "compat.h"

static DECLARE_WAIT_QUEUE_HEAD(uplk_wait);
static struct task_struct *uplk_thread;
static unsigned int uplk_queued;
static unsigned long uplk_sent;

/* The mistake: kthread_stop() wakes it, and it goes on waiting for data. */
static noinline void uplk_next(void)
{
	wait_event_idle(uplk_wait, uplk_queued > 0);
	uplk_queued--;
}

static int uplk_loop(void *unused)
{
	while (!kthread_should_stop()) {
		uplk_next();
		uplk_sent++;
	}
	return 0;
}

static noinline void uplk_shutdown(void)
{
	kthread_stop(uplk_thread);
	pr_info("uplink: %lu sent\n", uplk_sent);
}

static int __init uplk_init(void)
{
	uplk_thread = kthread_run(uplk_loop, NULL, "uplk_tx");
	return PTR_ERR_OR_ZERO(uplk_thread);
}

static void __exit uplk_exit(void)
{
	uplk_shutdown();
}

module_init(uplk_init);
module_exit(uplk_exit);
MODULE_DESCRIPTION("Uplink");
MODULE_LICENSE("GPL");
