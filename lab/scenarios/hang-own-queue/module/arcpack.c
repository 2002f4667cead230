// SPDX-License-Identifier: GPL-2.0
/* Packs archives in the background. */
#include <linux/workqueue.h>
#include <linux/delay.h>
#include "control.h"

static struct workqueue_struct *arc_queue;
static struct work_struct arc_work, arc_other;
static unsigned long arc_packed;

static noinline void arc_settle(void)
{
	flush_workqueue(arc_queue);
}

/* The mistake: a work item waits until its own queue is empty. */
static void arc_pack(struct work_struct *work)
{
	arc_packed++;
	arc_settle();
}

static void arc_nothing(struct work_struct *work)
{
	arc_packed++;
}

static int arc_command(char *text)
{
	if (!strncmp(text, "pack", 4)) {
		queue_work(arc_queue, &arc_work);
		return 0;
	}
	queue_work(arc_queue, &arc_other);
	flush_work(&arc_other);
	return 0;
}

CONTROL_FILE(arc, arc_command);

static int __init arc_init(void)
{
	INIT_WORK(&arc_work, arc_pack);
	INIT_WORK(&arc_other, arc_nothing);
	arc_queue = alloc_ordered_workqueue("arcpack", 0);
	if (!arc_queue)
		return -ENOMEM;

	return CONTROL_CREATE(arc, "arcpack");
}

static void __exit arc_exit(void)
{
	CONTROL_REMOVE("arcpack");
}

module_init(arc_init);
module_exit(arc_exit);
MODULE_DESCRIPTION("Archive packer");
MODULE_LICENSE("GPL");
