// SPDX-License-Identifier: GPL-2.0
/* Background memory scrubber. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include "compat.h"

static struct task_struct *scrub_task;
static unsigned long scrub_rounds;

static int scrub_thread(void *data)
{
	while (!kthread_should_stop()) {
		msleep(1500);
		scrub_rounds++;
	}
	return 0;
}

static int __init scrub_init(void)
{
	scrub_task = kthread_run(scrub_thread, NULL, "scrubd");
	return PTR_ERR_OR_ZERO(scrub_task);
}

/* The mistake: the thread is not stopped. */
static void __exit scrub_exit(void)
{
	pr_info("scrubber: unloaded after %lu rounds\n", scrub_rounds);
}

module_init(scrub_init);
module_exit(scrub_exit);
MODULE_DESCRIPTION("Memory scrubber");
MODULE_LICENSE("GPL");
