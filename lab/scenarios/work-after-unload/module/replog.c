// SPDX-License-Identifier: GPL-2.0
/* Writes the replication log out from a work queue. */
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"

struct replog_set {
	struct delayed_work flush;
	unsigned long flushed;
	char name[16];
};

static struct replog_set *replog_active;

static void replog_flush(struct work_struct *work)
{
	struct replog_set *set = container_of(to_delayed_work(work), struct replog_set, flush);

	set->flushed++;
	schedule_delayed_work(&set->flush, msecs_to_jiffies(1200));
}

static int __init replog_init(void)
{
	replog_active = kzalloc(sizeof(*replog_active), GFP_KERNEL);
	if (!replog_active)
		return -ENOMEM;
	strcpy(replog_active->name, "rs0");
	INIT_DELAYED_WORK(&replog_active->flush, replog_flush);
	schedule_delayed_work(&replog_active->flush, msecs_to_jiffies(400));
	pr_info("replog: %s attached\n", replog_active->name);
	return 0;
}

/* The mistake: flush_delayed_work() waits for one run, but that run queues the next. */
static void __exit replog_exit(void)
{
	flush_delayed_work(&replog_active->flush);
	pr_info("replog: detached after %lu flushes\n", replog_active->flushed);
}

module_init(replog_init);
module_exit(replog_exit);
MODULE_DESCRIPTION("Replication log");
MODULE_LICENSE("GPL");
