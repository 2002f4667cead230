// SPDX-License-Identifier: GPL-2.0
/* Feeds the random number generator from a slow device. */
#include <linux/completion.h>
#include <linux/workqueue.h>
#include "compat.h"

static DECLARE_COMPLETION(rngf_ready);
static struct timer_list rngf_timer;
static unsigned long rngf_fed;

static void rngf_fetch(struct work_struct *work)
{
	complete(&rngf_ready);
}

static DECLARE_WORK(rngf_work, rngf_fetch);

static noinline void rngf_wait(void)
{
	wait_for_completion(&rngf_ready);
}

/* The mistake: a timer must not wait. */
static void rngf_feed(struct timer_list *timer)
{
	reinit_completion(&rngf_ready);
	schedule_work(&rngf_work);
	rngf_wait();
	rngf_fed++;
	mod_timer(&rngf_timer, jiffies + HZ);
}

static int __init rngf_init(void)
{
	timer_setup(&rngf_timer, rngf_feed, 0);
	mod_timer(&rngf_timer, jiffies + HZ);
	return 0;
}

static void __exit rngf_exit(void)
{
	timer_delete_sync(&rngf_timer);
	cancel_work_sync(&rngf_work);
}

module_init(rngf_init);
module_exit(rngf_exit);
MODULE_DESCRIPTION("Random number feed");
MODULE_LICENSE("GPL");
