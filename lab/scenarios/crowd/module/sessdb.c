// SPDX-License-Identifier: GPL-2.0
/* A table of a million sessions. Writing a number logs its session out; reading shows it. */
#include <linux/mm.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "compat.h"

#define SESSDB_COUNT 1000000

struct sessdb_owner {
	unsigned long quota;
	char name[24];
};

struct sessdb_session {
	unsigned int number;
	unsigned int state;
	struct sessdb_owner *owner;
	unsigned long started;
	unsigned long spare[3];
};

static struct sessdb_owner sessdb_nobody = { .quota = 1, .name = "nobody" };
static struct kmem_cache *sessdb_cache;
static struct sessdb_session **sessdb_table;
static unsigned int sessdb_chosen;

/* The mistake: the session stays in the table. */
static noinline void sessdb_logout(struct sessdb_session *session)
{
	session->state = 0;
	session->owner = NULL;
}

static noinline void sessdb_describe(struct seq_file *seq, struct sessdb_session *session)
{
	seq_printf(seq, "%u %lu ", session->number, session->started);
	seq_puts(seq, session->owner->name);
}

static int sessdb_show(struct seq_file *seq, void *unused)
{
	sessdb_describe(seq, sessdb_table[sessdb_chosen]);
	return 0;
}

static int sessdb_open(struct inode *inode, struct file *file)
{
	return single_open(file, sessdb_show, NULL);
}

static ssize_t sessdb_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	int status = kstrtouint_from_user(buffer, count, 0, &sessdb_chosen);

	if (status)
		return status;
	sessdb_chosen %= SESSDB_COUNT;
	sessdb_logout(sessdb_table[sessdb_chosen]);
	return count;
}

static const struct proc_ops sessdb_ops = {
	.proc_open = sessdb_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_write = sessdb_write,
	.proc_release = single_release,
};

static int __init sessdb_init(void)
{
	unsigned int i;

	sessdb_cache = kmem_cache_create("sessdb_session", sizeof(struct sessdb_session), 0, 0, NULL);
	sessdb_table = vzalloc(array_size(SESSDB_COUNT, sizeof(*sessdb_table)));
	if (!sessdb_cache || !sessdb_table)
		return -ENOMEM;
	for (i = 0; i < SESSDB_COUNT; i++) {
		struct sessdb_session *session = kmem_cache_zalloc(sessdb_cache, GFP_KERNEL);

		if (!session)
			return -ENOMEM;
		session->number = i;
		session->state = 1;
		session->owner = &sessdb_nobody;
		session->started = jiffies;
		sessdb_table[i] = session;
		if (!(i % 1024))
			cond_resched();
	}
	pr_info("sessdb: %u sessions\n", i);
	return proc_create("sessdb", 0600, NULL, &sessdb_ops) ? 0 : -ENOMEM;
}

static void __exit sessdb_exit(void)
{
	unsigned int i;

	remove_proc_entry("sessdb", NULL);
	for (i = 0; i < SESSDB_COUNT; i++)
		kmem_cache_free(sessdb_cache, sessdb_table[i]);
	vfree(sessdb_table);
	kmem_cache_destroy(sessdb_cache);
}

module_init(sessdb_init);
module_exit(sessdb_exit);
MODULE_DESCRIPTION("Session table");
MODULE_LICENSE("GPL");
