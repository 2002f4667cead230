// SPDX-License-Identifier: GPL-2.0
/* A small routing table under RCU. */
#include <linux/delay.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include "compat.h"

struct rtable_entry {
	struct rcu_head rcu;
	u32 prefix;
	u32 gateway;
};

static struct rtable_entry *rtable_default;

static void rtable_free(struct rcu_head *head)
{
	kfree(container_of(head, struct rtable_entry, rcu));
}

static int __init rtable_init(void)
{
	rtable_default = kzalloc(sizeof(*rtable_default), GFP_KERNEL);
	if (!rtable_default)
		return -ENOMEM;
	rtable_default->gateway = 0x0a000001;
	return 0;
}

/* The mistake: no rcu_barrier() after the last call_rcu(). */
static void __exit rtable_exit(void)
{
	int i;

	/* Enough callbacks that a batch is left over when the module's memory goes. */
	for (i = 0; i < 20000; i++) {
		struct rtable_entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

		if (entry)
			call_rcu(&entry->rcu, rtable_free);
	}
	call_rcu(&rtable_default->rcu, rtable_free);
	pr_info("rtable: unloaded\n");
}

module_init(rtable_init);
module_exit(rtable_exit);
MODULE_DESCRIPTION("Routing table");
MODULE_LICENSE("GPL");
