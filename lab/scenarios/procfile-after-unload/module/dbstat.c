// SPDX-License-Identifier: GPL-2.0
/* Counters of the database engine, for monitoring. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "compat.h"

static unsigned long dbstat_reads = 42;

static int dbstat_show(struct seq_file *seq, void *data)
{
	seq_printf(seq, "reads %lu\n", dbstat_reads++);
	return 0;
}

static int dbstat_open(struct inode *inode, struct file *file)
{
	return single_open(file, dbstat_show, NULL);
}

static const struct proc_ops dbstat_ops = {
	.proc_open = dbstat_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init dbstat_init(void)
{
	return proc_create("dbstat", 0444, NULL, &dbstat_ops) ? 0 : -ENOMEM;
}

/* The mistake: no remove_proc_entry(). */
static void __exit dbstat_exit(void)
{
}

module_init(dbstat_init);
module_exit(dbstat_exit);
MODULE_DESCRIPTION("Database statistics");
MODULE_LICENSE("GPL");
