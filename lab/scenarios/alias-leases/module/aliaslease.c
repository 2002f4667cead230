// SPDX-License-Identifier: GPL-2.0
/* Leases of addresses, found by their number and by an alias. */
#include <linux/xarray.h>
#include <linux/seq_file.h>
#include "control.h"

struct aliaslease_pool {
	const char *name;
	unsigned int used;
};

struct aliaslease {
	struct aliaslease_pool *pool;
	u32 number, alias;
	u32 address;
	unsigned long until;
};

static struct aliaslease_pool aliaslease_pools[] = { { "office" }, { "guests" } };
static DEFINE_XARRAY(aliaslease_by_number);
static DEFINE_XARRAY(aliaslease_by_alias);
static DEFINE_MUTEX(aliaslease_lock);

static noinline int aliaslease_grant(u32 number, u32 alias)
{
	struct aliaslease *lease = kzalloc(sizeof(*lease), GFP_KERNEL);
	int err;

	if (!lease)
		return -ENOMEM;
	lease->pool = &aliaslease_pools[number & 1];
	lease->number = number;
	lease->alias = alias;
	lease->address = 0x0a000000 + number;
	lease->until = jiffies + 60 * HZ;
	err = xa_insert(&aliaslease_by_number, number, lease, GFP_KERNEL);
	if (err)
		goto free;
	err = xa_insert(&aliaslease_by_alias, alias, lease, GFP_KERNEL);
	if (err) {
		xa_erase(&aliaslease_by_number, number);
		goto free;
	}
	lease->pool->used++;
	return 0;
free:
	kfree(lease);
	return err;
}

static noinline int aliaslease_revoke(u32 number)
{
	struct aliaslease *lease = xa_erase(&aliaslease_by_number, number);

	if (!lease)
		return -ENOENT;
	xa_erase(&aliaslease_by_alias, lease->alias);
	lease->pool->used--;
	kfree(lease);
	return 0;
}

static noinline int aliaslease_expire(unsigned long now)
{
	struct aliaslease *lease;
	unsigned long number;
	int count = 0;

	xa_for_each(&aliaslease_by_number, number, lease) {
		if (time_before(now, lease->until))
			continue;
		xa_erase(&aliaslease_by_number, number);
		lease->pool->used--;
		kfree(lease);
		count++;
	}
	return count;
}

static int aliaslease_command(char *text)
{
	u32 number, alias;
	int err = -EINVAL;

	mutex_lock(&aliaslease_lock);
	if (sscanf(text, "grant %u %u", &number, &alias) == 2)
		err = aliaslease_grant(number, alias);
	else if (sscanf(text, "revoke %u", &number) == 1)
		err = aliaslease_revoke(number);
	else if (sscanf(text, "expire %u", &number) == 1)
		err = aliaslease_expire(jiffies + number * HZ);
	mutex_unlock(&aliaslease_lock);
	return err;
}

CONTROL_FILE(aliaslease, aliaslease_command);

static int aliaslease_list(struct seq_file *seq, void *v)
{
	struct aliaslease *lease;
	unsigned long alias;

	mutex_lock(&aliaslease_lock);
	xa_for_each(&aliaslease_by_alias, alias, lease)
		seq_printf(seq, "%lu %u %08x %s\n", alias, lease->number, lease->address,
			   lease->pool->name);
	mutex_unlock(&aliaslease_lock);
	return 0;
}

static int aliaslease_open(struct inode *inode, struct file *file)
{
	return single_open(file, aliaslease_list, NULL);
}

static const struct proc_ops aliaslease_list_ops = {
	.proc_open = aliaslease_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init aliaslease_init(void)
{
	proc_create("leases", 0400, NULL, &aliaslease_list_ops);
	return CONTROL_CREATE(aliaslease, "leasectl");
}

static void __exit aliaslease_exit(void)
{
	CONTROL_REMOVE("leasectl");
	remove_proc_entry("leases", NULL);
	aliaslease_expire(jiffies + 3600 * HZ);
}

module_init(aliaslease_init);
module_exit(aliaslease_exit);
MODULE_DESCRIPTION("Leases");
MODULE_LICENSE("GPL");
