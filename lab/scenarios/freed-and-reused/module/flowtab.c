// SPDX-License-Identifier: GPL-2.0
/* A table of flows with their class. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct flowtab_class {
	unsigned long rate;
	char name[16];
};

struct flowtab_entry {
	unsigned long number;
	struct flowtab_class *class;
	unsigned long weight;
	unsigned long packets[9];
};

static struct flowtab_class flowtab_normal = { .rate = 100, .name = "normal" };
static struct flowtab_entry *flowtab_entries[16];
static unsigned int flowtab_count;

/* The mistake: the entry is in the table already. */
static noinline int flowtab_add(unsigned long number, unsigned long weight)
{
	struct flowtab_entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);

	if (!entry)
		return -ENOMEM;
	entry->number = number;
	entry->class = &flowtab_normal;
	flowtab_entries[flowtab_count++ % ARRAY_SIZE(flowtab_entries)] = entry;
	if (weight > 65535) {
		kfree(entry);
		return -ERANGE;
	}
	entry->weight = weight;
	return 0;
}

static ssize_t flowtab_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	unsigned long number, weight;
	char text[32];
	int status;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "%lu %lu", &number, &weight) != 2)
		return -EINVAL;
	status = flowtab_add(number, weight);
	return status ?: count;
}

static int flowtab_show(struct seq_file *seq, void *unused)
{
	unsigned int i;

	for (i = 0; i < min_t(unsigned int, flowtab_count, ARRAY_SIZE(flowtab_entries)); i++) {
		struct flowtab_entry *entry = flowtab_entries[i];

		seq_printf(seq, "%lu ", entry->number);
		seq_puts(seq, entry->class->name);
		seq_printf(seq, " %lu\n", entry->weight);
	}
	return 0;
}

static int flowtab_open(struct inode *inode, struct file *file)
{
	return single_open(file, flowtab_show, NULL);
}

static const struct proc_ops flowtab_ops = {
	.proc_open = flowtab_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_write = flowtab_write,
	.proc_release = single_release,
};

static int __init flowtab_init(void)
{
	return proc_create("flowtab", 0600, NULL, &flowtab_ops) ? 0 : -ENOMEM;
}

static void __exit flowtab_exit(void)
{
	remove_proc_entry("flowtab", NULL);
}

module_init(flowtab_init);
module_exit(flowtab_exit);
MODULE_DESCRIPTION("Flow table");
MODULE_LICENSE("GPL");
