// SPDX-License-Identifier: GPL-2.0
/* Tags, read under RCU. */
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include "control.h"

struct tagm_entry {
	struct list_head link;
	unsigned int tag;
};

static LIST_HEAD(tagm_list);
static DEFINE_SPINLOCK(tagm_lock);

static noinline void tagm_drop(struct tagm_entry *entry)
{
	list_del_rcu(&entry->link);
	synchronize_rcu();
	kfree(entry);
}

/* The mistake: tagm_drop() sleeps. */
static noinline int tagm_clear(void)
{
	struct tagm_entry *entry, *next;
	int count = 0;

	spin_lock(&tagm_lock);
	list_for_each_entry_safe(entry, next, &tagm_list, link) {
		tagm_drop(entry);
		count++;
	}
	spin_unlock(&tagm_lock);
	return count;
}

static int tagm_command(char *text)
{
	struct tagm_entry *entry;
	unsigned int tag;

	if (kstrtouint(text, 10, &tag))
		return -EINVAL;
	if (!tag)
		return tagm_clear();
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->tag = tag;
	spin_lock(&tagm_lock);
	list_add_rcu(&entry->link, &tagm_list);
	spin_unlock(&tagm_lock);
	return 0;
}

CONTROL_FILE(tagm, tagm_command);

static int __init tagm_init(void)
{
	return CONTROL_CREATE(tagm, "tagmap");
}

static void __exit tagm_exit(void)
{
	CONTROL_REMOVE("tagmap");
}

module_init(tagm_init);
module_exit(tagm_exit);
MODULE_DESCRIPTION("Tag map");
MODULE_LICENSE("GPL");
