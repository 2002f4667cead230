// SPDX-License-Identifier: GPL-2.0
/* Which zone an address belongs to. */
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include "control.h"

struct zone_range {
	struct list_head entry;
	struct rcu_head rcu;
	unsigned int first;
	unsigned int last;
	unsigned int zone;
};

static LIST_HEAD(zone_ranges);
static DEFINE_SPINLOCK(zone_spin);
static unsigned int zone_last;

/* The mistake: an address in no range returns within the read section. */
static noinline int zone_lookup(unsigned int address)
{
	struct zone_range *range;

	rcu_read_lock();
	list_for_each_entry_rcu(range, &zone_ranges, entry)
		if (address >= range->first && address <= range->last)
			goto found;
	return -ENOENT;
found:
	zone_last = range->zone;
	rcu_read_unlock();
	return 0;
}

static noinline int zone_add(unsigned int first, unsigned int last)
{
	struct zone_range *range = kzalloc(sizeof(*range), GFP_KERNEL);

	if (!range)
		return -ENOMEM;
	range->first = first;
	range->last = last;
	spin_lock(&zone_spin);
	list_add_rcu(&range->entry, &zone_ranges);
	spin_unlock(&zone_spin);
	return 0;
}

static noinline void zone_clear(void)
{
	struct zone_range *range, *next;

	spin_lock(&zone_spin);
	list_for_each_entry_safe(range, next, &zone_ranges, entry) {
		list_del_rcu(&range->entry);
		kfree_rcu(range, rcu);
	}
	spin_unlock(&zone_spin);
}

static int zone_command(char *text)
{
	unsigned int first, last;

	if (sscanf(text, "add %u %u", &first, &last) == 2)
		return zone_add(first, last);
	if (sscanf(text, "find %u", &first) == 1)
		return zone_lookup(first);
	zone_clear();
	return 0;
}

CONTROL_FILE(zone, zone_command);

static int __init zone_init(void)
{
	return CONTROL_CREATE(zone, "zonemap");
}

static void __exit zone_exit(void)
{
	CONTROL_REMOVE("zonemap");
	zone_clear();
	rcu_barrier();
}

module_init(zone_init);
module_exit(zone_exit);
MODULE_DESCRIPTION("Zones of addresses");
MODULE_LICENSE("GPL");
