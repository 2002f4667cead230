// SPDX-License-Identifier: GPL-2.0
/* Rings the doorbell of an adapter. */
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include "control.h"

static bool collect = true;
module_param(collect, bool, 0444);
MODULE_PARM_DESC(collect, "count the bells on all CPUs");

struct doorbell_page {
	spinlock_t lock;
	u32 command;
	u32 status;
};

static struct doorbell_page *doorbell_page;
static DEFINE_PER_CPU(unsigned long, doorbell_seen);

static noinline u32 doorbell_status(struct doorbell_page *page)
{
	return READ_ONCE(page->status);
}

/* The mistake: the adapter's answer is awaited without limit, with interrupts off. */
static noinline int doorbell_ring(struct doorbell_page *page)
{
	unsigned long flags;

	spin_lock_irqsave(&page->lock, flags);
	WRITE_ONCE(page->command, 1);
	while (!(doorbell_status(page) & 1))
		cpu_relax();
	spin_unlock_irqrestore(&page->lock, flags);
	return 0;
}

static void doorbell_count(void *unused)
{
	this_cpu_inc(doorbell_seen);
}

static void doorbell_collect(struct work_struct *work)
{
	on_each_cpu(doorbell_count, NULL, 1);
}

static DECLARE_DELAYED_WORK(doorbell_work, doorbell_collect);

static int doorbell_command(char *text)
{
	if (strncmp(text, "ring", 4))
		return -EINVAL;
	/* Another CPU does the counting, so that the bell is not held up. */
	if (collect)
		schedule_delayed_work_on(cpumask_any_but(cpu_online_mask, raw_smp_processor_id()),
					 &doorbell_work, HZ / 2);
	return doorbell_ring(doorbell_page);
}

CONTROL_FILE(doorbell, doorbell_command);

static int __init doorbell_init(void)
{
	doorbell_page = kzalloc(sizeof(*doorbell_page), GFP_KERNEL);
	if (!doorbell_page)
		return -ENOMEM;
	spin_lock_init(&doorbell_page->lock);
	return CONTROL_CREATE(doorbell, "doorbell");
}

static void __exit doorbell_exit(void)
{
	CONTROL_REMOVE("doorbell");
	cancel_delayed_work_sync(&doorbell_work);
	kfree(doorbell_page);
}

module_init(doorbell_init);
module_exit(doorbell_exit);
MODULE_DESCRIPTION("Adapter doorbell");
MODULE_LICENSE("GPL");
