// SPDX-License-Identifier: GPL-2.0
/* Quotas of groups. */
#include <linux/spinlock.h>
#include "control.h"

struct quota_group {
	spinlock_t lock;
	unsigned long used;
	unsigned long limit;
};

static struct quota_group quota_group = { .limit = 1000 };

static noinline unsigned long quota_used(struct quota_group *group)
{
	unsigned long used;

	spin_lock(&group->lock);
	used = group->used;
	spin_unlock(&group->lock);
	return used;
}

/* The mistake: over the limit, the lock is kept. */
static noinline int quota_grant(struct quota_group *group, unsigned long size)
{
	spin_lock(&group->lock);
	if (group->used + size > group->limit)
		return -EDQUOT;
	group->used += size;
	spin_unlock(&group->lock);
	return 0;
}

static int quota_command(char *text)
{
	unsigned long size;

	if (sscanf(text, "grant %lu", &size) == 1)
		return quota_grant(&quota_group, size);
	return quota_used(&quota_group) > 0;
}

CONTROL_FILE(quota, quota_command);

static int __init quota_init(void)
{
	spin_lock_init(&quota_group.lock);
	return CONTROL_CREATE(quota, "quotas");
}

static void __exit quota_exit(void)
{
	CONTROL_REMOVE("quotas");
}

module_init(quota_init);
module_exit(quota_exit);
MODULE_DESCRIPTION("Group quotas");
MODULE_LICENSE("GPL");
