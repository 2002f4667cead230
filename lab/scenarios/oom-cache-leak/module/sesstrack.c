// SPDX-License-Identifier: GPL-2.0
/* Tracks sessions: one object each, opened and closed by a work item. */
#include <linux/workqueue.h>
#include "control.h"

struct sess_entry {
	struct list_head link;
	unsigned long id;
	char peer[200];
};

static struct kmem_cache *sess_cache;
static LIST_HEAD(sess_open);
static unsigned long sess_ids;
static unsigned int sess_rate;

/* The mistake: a closed session is taken off the list, but not freed. */
static noinline void sess_close(struct sess_entry *entry)
{
	list_del_init(&entry->link);
}

static void sess_cycle(struct work_struct *work)
{
	unsigned int i;

	for (i = 0; i < sess_rate; i++) {
		struct sess_entry *entry = kmem_cache_alloc(sess_cache, GFP_KERNEL);

		if (!entry)
			break;
		entry->id = sess_ids++;
		list_add(&entry->link, &sess_open);
		sess_close(entry);
	}
	schedule_delayed_work(to_delayed_work(work), 1);
}

static DECLARE_DELAYED_WORK(sess_work, sess_cycle);

static int sess_command(char *text)
{
	if (sscanf(text, "rate %u", &sess_rate) != 1)
		return -EINVAL;
	schedule_delayed_work(&sess_work, 1);
	return 0;
}

CONTROL_FILE(sess, sess_command);

static void sess_construct(void *object)
{
	struct sess_entry *entry = object;

	INIT_LIST_HEAD(&entry->link);
}

static int __init sess_init(void)
{
	sess_cache = kmem_cache_create("sess_entry", sizeof(struct sess_entry), 0,
				       SLAB_HWCACHE_ALIGN, sess_construct);
	if (!sess_cache)
		return -ENOMEM;
	return CONTROL_CREATE(sess, "sesstrack");
}

static void __exit sess_exit(void)
{
	CONTROL_REMOVE("sesstrack");
	cancel_delayed_work_sync(&sess_work);
	kmem_cache_destroy(sess_cache);
}

module_init(sess_init);
module_exit(sess_exit);
MODULE_DESCRIPTION("Session tracker");
MODULE_LICENSE("GPL");
