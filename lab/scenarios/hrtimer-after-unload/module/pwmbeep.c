// SPDX-License-Identifier: GPL-2.0
/* Beeps through a pin. */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include "compat.h"

static struct hrtimer pwmbeep_timer;
static unsigned long pwmbeep_edges;

static enum hrtimer_restart pwmbeep_tick(struct hrtimer *timer)
{
	pwmbeep_edges++;
	hrtimer_forward_now(timer, ms_to_ktime(2500));
	return HRTIMER_RESTART;
}

static int __init pwmbeep_init(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&pwmbeep_timer, pwmbeep_tick, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(&pwmbeep_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	pwmbeep_timer.function = pwmbeep_tick;
#endif
	hrtimer_start(&pwmbeep_timer, ms_to_ktime(3000), HRTIMER_MODE_REL);
	return 0;
}

/* The mistake: no hrtimer_cancel(). */
static void __exit pwmbeep_exit(void)
{
	pr_info("pwmbeep: stopped after %lu edges\n", pwmbeep_edges);
}

module_init(pwmbeep_init);
module_exit(pwmbeep_exit);
MODULE_DESCRIPTION("Beeper");
MODULE_LICENSE("GPL");
