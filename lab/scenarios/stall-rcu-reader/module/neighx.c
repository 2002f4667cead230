// SPDX-License-Identifier: GPL-2.0
/* Neighbours by hash, with open addressing. */
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/rcupdate.h>
#include "control.h"

#define NEIGHX_SLOTS 16

static unsigned int __rcu *neighx_table;

static noinline unsigned int neighx_slot(unsigned int key, unsigned int round)
{
	return jhash_2words(key, round & 1, 7) % NEIGHX_SLOTS;
}

static int neighx_add(unsigned int key)
{
	unsigned int *table = rcu_dereference_protected(neighx_table, 1);
	unsigned int i;

	for (i = 0; i < NEIGHX_SLOTS; i++)
		if (!table[i])
			table[i] = key;
	return 0;
}

/* The mistake: with no empty slot left, a key that is not there is looked for without end. */
static noinline int neighx_find(unsigned int key)
{
	unsigned int *table, slot, round = 0;

	rcu_read_lock();
	table = rcu_dereference(neighx_table);
	do {
		slot = READ_ONCE(table[neighx_slot(key, round++)]);
	} while (slot && slot != key);
	rcu_read_unlock();
	return slot == key;
}

static int neighx_command(char *text)
{
	unsigned int key;

	if (kstrtouint(text, 10, &key))
		return -EINVAL;
	return key ? neighx_add(key) : neighx_find(99);
}

CONTROL_FILE(neighx, neighx_command);

static int __init neighx_init(void)
{
	unsigned int *table = kcalloc(NEIGHX_SLOTS, sizeof(*table), GFP_KERNEL);

	if (!table)
		return -ENOMEM;
	rcu_assign_pointer(neighx_table, table);
	return CONTROL_CREATE(neighx, "neighx");
}

static void __exit neighx_exit(void)
{
	CONTROL_REMOVE("neighx");
	kfree(rcu_dereference_protected(neighx_table, 1));
}

module_init(neighx_init);
module_exit(neighx_exit);
MODULE_DESCRIPTION("Neighbour hash");
MODULE_LICENSE("GPL");
