// SPDX-License-Identifier: GPL-2.0
/* A table of descriptors in whole pages. */
#include <linux/mm.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "compat.h"

struct desctab_owner {
	unsigned long id;
	char label[24];
};

struct desctab_slot {
	struct desctab_owner *owner;
	unsigned long flags;
};

static struct desctab_owner desctab_root = { .id = 1, .label = "root" };
static struct desctab_slot *desctab_page;
static struct desctab_slot *desctab_current;
static unsigned int desctab_order;

static noinline struct desctab_slot *desctab_open_slot(unsigned int number)
{
	struct desctab_slot *slot = &desctab_page[number];

	slot->owner = &desctab_root;
	slot->flags = 1;
	return slot;
}

/* The mistake: desctab_current stays. */
static noinline int desctab_resize(unsigned int order)
{
	struct desctab_slot *bigger = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, order);

	if (!bigger)
		return -ENOMEM;
	memcpy(bigger, desctab_page, PAGE_SIZE << min(order, desctab_order));
	free_pages((unsigned long)desctab_page, desctab_order);
	desctab_page = bigger;
	desctab_order = order;
	return 0;
}

static ssize_t desctab_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	unsigned int order;
	char text[32];
	int status;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "resize %u", &order) != 1 || order > 4)
		return -EINVAL;
	status = desctab_resize(order);
	return status ?: count;
}

static int desctab_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "%lu\n", desctab_current->owner->id);
	return 0;
}

static int desctab_open(struct inode *inode, struct file *file)
{
	return single_open(file, desctab_show, NULL);
}

static const struct proc_ops desctab_ops = {
	.proc_open = desctab_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_write = desctab_write,
	.proc_release = single_release,
};

static int __init desctab_init(void)
{
	desctab_page = (void *)get_zeroed_page(GFP_KERNEL);
	if (!desctab_page)
		return -ENOMEM;
	desctab_current = desctab_open_slot(7);
	return proc_create("desctab", 0600, NULL, &desctab_ops) ? 0 : -ENOMEM;
}

static void __exit desctab_exit(void)
{
	remove_proc_entry("desctab", NULL);
	free_pages((unsigned long)desctab_page, desctab_order);
}

module_init(desctab_init);
module_exit(desctab_exit);
MODULE_DESCRIPTION("Descriptor table");
MODULE_LICENSE("GPL");
