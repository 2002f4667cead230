// SPDX-License-Identifier: GPL-2.0
/* Staged requests of a block device, completed by a work item. */
#include <linux/workqueue.h>
#include "control.h"

struct stg_request {
	u64 sector;
	u32 length;
	u32 state;
	char tag[24];
};

struct stg_queue {
	struct delayed_work completion;
	struct stg_request *pending;
	struct stg_request *spare;
};

static struct kmem_cache *stg_cache;
static struct stg_queue stg_queue;

static noinline void stg_complete(struct stg_queue *queue)
{
	struct stg_request *request = queue->pending;

	queue->pending = NULL;
	kmem_cache_free(stg_cache, request);
}

static void stg_work(struct work_struct *work)
{
	stg_complete(&stg_queue);
	pr_info("blkstage: request completed\n");
}

static noinline int stg_submit(u64 sector)
{
	struct stg_request *request = kmem_cache_zalloc(stg_cache, GFP_KERNEL);

	if (!request)
		return -ENOMEM;
	request->sector = sector;
	stg_queue.spare = kmem_cache_zalloc(stg_cache, GFP_KERNEL);
	stg_queue.pending = request;
	schedule_delayed_work(&stg_queue.completion, msecs_to_jiffies(400));
	return 0;
}

/* The mistake: the completion still has it. */
static noinline int stg_abort(void)
{
	if (!stg_queue.pending)
		return -ENOENT;
	kmem_cache_free(stg_cache, stg_queue.pending);
	return 0;
}

static int stg_command(char *text)
{
	unsigned long long sector;

	if (sscanf(text, "submit %llu", &sector) == 1)
		return stg_submit(sector);
	return strncmp(text, "abort", 5) ? -EINVAL : stg_abort();
}

CONTROL_FILE(stg, stg_command);

static int __init stg_init(void)
{
	stg_cache = kmem_cache_create("stg_request", sizeof(struct stg_request), 0, SLAB_PANIC, NULL);
	INIT_DELAYED_WORK(&stg_queue.completion, stg_work);
	return CONTROL_CREATE(stg, "blkstage");
}

static void __exit stg_exit(void)
{
	CONTROL_REMOVE("blkstage");
	cancel_delayed_work_sync(&stg_queue.completion);
}

module_init(stg_init);
module_exit(stg_exit);
MODULE_DESCRIPTION("Staged requests");
MODULE_LICENSE("GPL");
