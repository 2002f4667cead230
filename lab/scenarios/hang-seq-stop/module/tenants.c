// SPDX-License-Identifier: GPL-2.0
/* Tenants of a storage pool and what they use, listed in /proc. */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include "control.h"

struct tenant {
	struct list_head node;
	u32 number;
	u64 used;
};

static LIST_HEAD(tenants);
static DEFINE_MUTEX(tenants_lock);

static void *tenants_start(struct seq_file *file, loff_t *pos)
{
	mutex_lock(&tenants_lock);
	return seq_list_start(&tenants, *pos);
}

static void *tenants_next(struct seq_file *file, void *v, loff_t *pos)
{
	return seq_list_next(v, &tenants, pos);
}

/* The mistake: behind the last one, and where there is none, it returns without unlocking. */
static void tenants_stop(struct seq_file *file, void *v)
{
	if (v)
		mutex_unlock(&tenants_lock);
}

static int tenants_show(struct seq_file *file, void *v)
{
	struct tenant *tenant = list_entry(v, struct tenant, node);

	seq_printf(file, "%u %llu\n", tenant->number, tenant->used);
	return 0;
}

static const struct seq_operations tenants_seq = {
	.start = tenants_start,
	.next = tenants_next,
	.stop = tenants_stop,
	.show = tenants_show,
};

static int tenants_command(char *text)
{
	struct tenant *tenant;
	u32 number;

	if (sscanf(text, "add %u", &number) != 1)
		return -EINVAL;
	tenant = kzalloc(sizeof(*tenant), GFP_KERNEL);
	if (!tenant)
		return -ENOMEM;
	tenant->number = number;
	mutex_lock(&tenants_lock);
	list_add_tail(&tenant->node, &tenants);
	mutex_unlock(&tenants_lock);
	return 0;
}

CONTROL_FILE(tenants, tenants_command);

static int __init tenants_init(void)
{
	if (!proc_create_seq("tenants", 0444, NULL, &tenants_seq))
		return -ENOMEM;
	return CONTROL_CREATE(tenants, "tenants-add");
}

static void __exit tenants_exit(void)
{
	struct tenant *tenant, *next;

	CONTROL_REMOVE("tenants-add");
	remove_proc_entry("tenants", NULL);
	list_for_each_entry_safe(tenant, next, &tenants, node)
		kfree(tenant);
}

module_init(tenants_init);
module_exit(tenants_exit);
MODULE_DESCRIPTION("Tenants of a pool");
MODULE_LICENSE("GPL");
