// SPDX-License-Identifier: GPL-2.0
/* Berths of a harbour: a list of ships, each with its name, shown in /proc. */
#include <linux/list.h>
#include <linux/seq_file.h>
#include "control.h"

struct berth {
	struct list_head node;
	u32 number;
	u32 length;
	char ship[40];
};

static LIST_HEAD(berth_list);
static struct kmem_cache *berth_cache;

static noinline struct berth *berth_find(unsigned int number)
{
	struct berth *berth;

	list_for_each_entry(berth, &berth_list, node)
		if (berth->number == number)
			return berth;
	return NULL;
}

static noinline int berth_add(unsigned int number)
{
	struct berth *berth = kmem_cache_zalloc(berth_cache, GFP_KERNEL);

	if (!berth)
		return -ENOMEM;
	berth->number = number;
	list_add_tail(&berth->node, &berth_list);
	return 0;
}

/* The mistake: it copies as much as it is given. */
static noinline int berth_moor(unsigned int number, const char *ship)
{
	struct berth *berth = berth_find(number);
	int i;

	if (!berth)
		return -ENOENT;
	for (i = 0; ship[i]; i++)
		berth->ship[i] = ship[i];
	berth->length = i;
	return 0;
}

static int berth_command(char *text)
{
	unsigned int number;
	int at = 0;

	if (sscanf(text, "add %u", &number) == 1)
		return berth_add(number);
	if (sscanf(text, "moor %u %n", &number, &at) == 1 && at)
		return berth_moor(number, text + at);
	return -EINVAL;
}

CONTROL_FILE(berth, berth_command);

static int berth_show(struct seq_file *seq, void *v)
{
	struct berth *berth;

	list_for_each_entry(berth, &berth_list, node)
		seq_printf(seq, "%u %u %.40s\n", berth->number, berth->length, berth->ship);
	return 0;
}

static int __init berth_init(void)
{
	berth_cache = kmem_cache_create("berth", sizeof(struct berth), 0, 0, NULL);
	if (!berth_cache)
		return -ENOMEM;
	proc_create_single("berths", 0444, NULL, berth_show);
	return CONTROL_CREATE(berth, "berthlog");
}

static void __exit berth_exit(void)
{
	CONTROL_REMOVE("berthlog");
	remove_proc_entry("berths", NULL);
	kmem_cache_destroy(berth_cache);
}

module_init(berth_init);
module_exit(berth_exit);
MODULE_DESCRIPTION("Berths");
MODULE_LICENSE("GPL");
