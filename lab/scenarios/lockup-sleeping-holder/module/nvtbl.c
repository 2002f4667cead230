// SPDX-License-Identifier: GPL-2.0
/* A table in slow memory. */
#include <linux/spinlock.h>
#include <linux/wait.h>
#include "control.h"

struct nvt_table {
	spinlock_t lock;
	wait_queue_head_t ready;
	bool is_ready;
	int value;
};
static struct nvt_table *nvt_table;

static noinline void nvt_commit(struct nvt_table *table)
{
	wait_event(table->ready, READ_ONCE(table->is_ready));
}

/* The mistake: it sleeps with the spinlock held. */
static noinline int nvt_set(struct nvt_table *table)
{
	spin_lock(&table->lock);
	table->value++;
	nvt_commit(table);
	spin_unlock(&table->lock);
	return 0;
}

static noinline int nvt_get(struct nvt_table *table)
{
	int value;

	spin_lock(&table->lock);
	value = table->value;
	spin_unlock(&table->lock);
	return value;
}

static int nvt_command(char *text)
{
	return !strncmp(text, "set", 3) ? nvt_set(nvt_table) : nvt_get(nvt_table);
}

CONTROL_FILE(nvt, nvt_command);

static int __init nvt_init(void)
{
	nvt_table = kzalloc(sizeof(*nvt_table), GFP_KERNEL);
	if (!nvt_table)
		return -ENOMEM;
	spin_lock_init(&nvt_table->lock);
	init_waitqueue_head(&nvt_table->ready);

	return CONTROL_CREATE(nvt, "nvtbl");
}

static void __exit nvt_exit(void)
{
	CONTROL_REMOVE("nvtbl");
}

module_init(nvt_init);
module_exit(nvt_exit);
MODULE_DESCRIPTION("Table in slow memory");
MODULE_LICENSE("GPL");
