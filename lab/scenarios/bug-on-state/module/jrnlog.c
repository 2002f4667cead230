// SPDX-License-Identifier: GPL-2.0
/* A write-ahead journal whose blocks are committed by a work item a while later. */
#include <linux/bug.h>
#include <linux/debugfs.h>
#include <linux/workqueue.h>
#include "compat.h"

enum jrnl_state { JRNL_EMPTY, JRNL_OPEN, JRNL_FULL };

struct jrnl {
	enum jrnl_state state;
	unsigned int head;
	unsigned int blocks[64];
	struct delayed_work commit;
};

static struct jrnl jrnl_main = { .state = JRNL_OPEN };
static struct dentry *jrnl_files[2];

static noinline void jrnl_write_block(struct jrnl *jrnl, unsigned int number)
{
	BUG_ON(jrnl->state != JRNL_OPEN);
	jrnl->blocks[jrnl->head++ % ARRAY_SIZE(jrnl->blocks)] = number;
}

static void jrnl_commit(struct work_struct *work)
{
	struct jrnl *jrnl = container_of(to_delayed_work(work), struct jrnl, commit);
	unsigned int i;

	for (i = 0; i < 4; i++)
		jrnl_write_block(jrnl, 1000 + i);
}

/* The mistake: a commit may be queued. */
static noinline void jrnl_reset(struct jrnl *jrnl)
{
	jrnl->state = JRNL_EMPTY;
	jrnl->head = 0;
}

static int jrnl_set_queue(void *data, u64 value)
{
	schedule_delayed_work(&jrnl_main.commit, msecs_to_jiffies(400));
	return 0;
}

static int jrnl_set_reset(void *data, u64 value)
{
	jrnl_reset(&jrnl_main);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(jrnl_queue_ops, NULL, jrnl_set_queue, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(jrnl_reset_ops, NULL, jrnl_set_reset, "%llu\n");

static int __init jrnl_init(void)
{
	INIT_DELAYED_WORK(&jrnl_main.commit, jrnl_commit);
	jrnl_files[0] = debugfs_create_file_unsafe("jrnlog_queue", 0200, NULL, NULL, &jrnl_queue_ops);
	jrnl_files[1] = debugfs_create_file_unsafe("jrnlog_reset", 0200, NULL, NULL, &jrnl_reset_ops);
	return 0;
}

static void __exit jrnl_exit(void)
{
	debugfs_remove(jrnl_files[0]);
	debugfs_remove(jrnl_files[1]);
	cancel_delayed_work_sync(&jrnl_main.commit);
}

module_init(jrnl_init);
module_exit(jrnl_exit);
MODULE_DESCRIPTION("Write-ahead journal");
MODULE_LICENSE("GPL");
