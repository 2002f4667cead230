// SPDX-License-Identifier: GPL-2.0
/* Crypto offload: jobs are done by a work item; whoever resets the engine waits for all of them. */
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "control.h"

struct crypt_job {
	struct list_head node;
	u32 length;
	u32 key;
};

struct crypt_engine {
	spinlock_t lock;
	struct list_head jobs;
	u64 done;
	u64 refused;
	struct work_struct work;
	atomic_t pending;
	wait_queue_head_t drained;
};

static struct crypt_engine *crypt_engine;

static void crypt_finish(struct crypt_engine *engine)
{
	if (atomic_dec_and_test(&engine->pending))
		wake_up(&engine->drained);
}

/* The mistake: a job that is refused stays counted. */
static void crypt_work(struct work_struct *work)
{
	struct crypt_engine *engine = container_of(work, struct crypt_engine, work);
	struct crypt_job *job, *next;
	LIST_HEAD(jobs);

	spin_lock(&engine->lock);
	list_splice_init(&engine->jobs, &jobs);
	spin_unlock(&engine->lock);
	list_for_each_entry_safe(job, next, &jobs, node) {
		if (job->length % 16) {
			engine->refused++;
			kfree(job);
			continue;
		}
		engine->done++;
		kfree(job);
		crypt_finish(engine);
	}
}

static int crypt_submit(struct crypt_engine *engine, u32 length)
{
	struct crypt_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	job->length = length;
	atomic_inc(&engine->pending);
	spin_lock(&engine->lock);
	list_add_tail(&job->node, &engine->jobs);
	spin_unlock(&engine->lock);
	schedule_work(&engine->work);
	return 0;
}

static noinline int crypt_reset(struct crypt_engine *engine)
{
	wait_event(engine->drained, !atomic_read(&engine->pending));
	engine->done = 0;
	return 0;
}

static int crypt_command(char *text)
{
	u32 length;

	if (sscanf(text, "job %u", &length) == 1)
		return crypt_submit(crypt_engine, length);
	if (!strncmp(text, "reset", 5))
		return crypt_reset(crypt_engine);
	return -EINVAL;
}

CONTROL_FILE(crypt, crypt_command);

static int __init crypt_init(void)
{
	crypt_engine = kzalloc(sizeof(*crypt_engine), GFP_KERNEL);
	if (!crypt_engine)
		return -ENOMEM;
	spin_lock_init(&crypt_engine->lock);
	INIT_LIST_HEAD(&crypt_engine->jobs);
	INIT_WORK(&crypt_engine->work, crypt_work);
	init_waitqueue_head(&crypt_engine->drained);
	return CONTROL_CREATE(crypt, "cryptoff");
}

static void __exit crypt_exit(void)
{
	CONTROL_REMOVE("cryptoff");
	cancel_work_sync(&crypt_engine->work);
	kfree(crypt_engine);
}

module_init(crypt_init);
module_exit(crypt_exit);
MODULE_DESCRIPTION("Crypto offload");
MODULE_LICENSE("GPL");
