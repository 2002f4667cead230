// SPDX-License-Identifier: GPL-2.0
/* Wear levels of a flash disk, the newest few of them. */
#include <linux/spinlock.h>
#include "control.h"

static unsigned int slots = 8;
module_param(slots, uint, 0444);
MODULE_PARM_DESC(slots, "entries kept");

static DEFINE_SPINLOCK(wear_lock);
static unsigned int wear_levels[8];
static unsigned int wear_used;

/* The mistake: a full log returns without unlocking. */
static noinline int wear_submit(unsigned int level)
{
	spin_lock(&wear_lock);
	if (wear_used >= slots)
		return -ENOSPC;
	wear_levels[wear_used++] = level;
	spin_unlock(&wear_lock);
	return 0;
}

static noinline int wear_total(void)
{
	unsigned int i;
	int total = 0;

	spin_lock(&wear_lock);
	for (i = 0; i < wear_used; i++)
		total += wear_levels[i];
	spin_unlock(&wear_lock);
	return total;
}

static int wear_command(char *text)
{
	unsigned int level;
	int status;

	if (sscanf(text, "submit %u", &level) != 1)
		return wear_total();
	status = wear_submit(level);
	if (status)
		pr_warn("wearlog: full, %d in total\n", wear_total());
	return status;
}

CONTROL_FILE(wear, wear_command);

static int __init wear_init(void)
{
	if (slots > ARRAY_SIZE(wear_levels))
		return -EINVAL;
	return CONTROL_CREATE(wear, "wearlog");
}

static void __exit wear_exit(void)
{
	CONTROL_REMOVE("wearlog");
}

module_init(wear_init);
module_exit(wear_exit);
MODULE_DESCRIPTION("Flash wear log");
MODULE_LICENSE("GPL");
