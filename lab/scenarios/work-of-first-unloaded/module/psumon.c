// SPDX-License-Identifier: GPL-2.0
/* Polls the power supplies. */
#include <linux/workqueue.h>
#include "compat.h"

static unsigned int psumon_faults;
static void psumon_poll(struct work_struct *work);
static DECLARE_DELAYED_WORK(psumon_work, psumon_poll);

static void psumon_poll(struct work_struct *work)
{
	if (psumon_faults > 3)
		pr_warn("psumon: %u faults\n", psumon_faults);
	schedule_delayed_work(&psumon_work, msecs_to_jiffies(1500));
}

static int __init psumon_init(void)
{
	schedule_delayed_work(&psumon_work, msecs_to_jiffies(1500));
	return 0;
}

/* The mistake: no cancel_delayed_work_sync(). */
static void __exit psumon_exit(void)
{
	pr_info("psumon: %u faults\n", psumon_faults);
}

module_init(psumon_init);
module_exit(psumon_exit);
MODULE_DESCRIPTION("Power supply monitor");
MODULE_LICENSE("GPL");
