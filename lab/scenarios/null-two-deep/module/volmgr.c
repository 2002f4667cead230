// SPDX-License-Identifier: GPL-2.0
/* Lists volumes, with their group and its snapshot policy. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "compat.h"

struct volume_policy {
	unsigned long keep;
	unsigned long interval;
	char label[24];
};

struct volume_group {
	char name[16];
	unsigned int members;
	struct volume_policy *policy;
};

struct volume {
	struct list_head entry;
	char name[20];
	unsigned int sectors;
	struct volume_group *group;
};

static LIST_HEAD(volmgr_list);
static struct volume_policy volmgr_daily = { .keep = 7, .interval = 86400, .label = "daily" };
static struct volume_group volmgr_groups[] = {
	{ .name = "system", .policy = &volmgr_daily },
	{ .name = "scratch" },
};

static noinline int volmgr_add(const char *name, unsigned int group, unsigned int sectors)
{
	struct volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);

	if (!volume)
		return -ENOMEM;
	strscpy(volume->name, name, sizeof(volume->name));
	volume->sectors = sectors;
	volume->group = &volmgr_groups[group];
	volume->group->members++;
	list_add_tail(&volume->entry, &volmgr_list);
	return 0;
}

/* The mistake: not each group has a policy. */
static noinline void volmgr_show_policy(struct seq_file *seq, struct volume *volume)
{
	seq_puts(seq, volume->group->policy->label);
	seq_putc(seq, '\n');
}

static int volmgr_show(struct seq_file *seq, void *unused)
{
	struct volume *volume;

	list_for_each_entry(volume, &volmgr_list, entry) {
		seq_printf(seq, "%-20s %10u %-16s ", volume->name, volume->sectors,
			   volume->group->name);
		volmgr_show_policy(seq, volume);
	}
	return 0;
}

static int __init volmgr_init(void)
{
	int status = volmgr_add("root", 0, 83886080) ?: volmgr_add("var", 0, 41943040);

	status = status ?: volmgr_add("build", 1, 209715200);
	if (status)
		return status;
	return proc_create_single("volmgr", 0444, NULL, volmgr_show) ? 0 : -ENOMEM;
}

static void __exit volmgr_exit(void)
{
	struct volume *volume, *next;

	remove_proc_entry("volmgr", NULL);
	list_for_each_entry_safe(volume, next, &volmgr_list, entry)
		kfree(volume);
}

module_init(volmgr_init);
module_exit(volmgr_exit);
MODULE_DESCRIPTION("Volume list");
MODULE_LICENSE("GPL");
