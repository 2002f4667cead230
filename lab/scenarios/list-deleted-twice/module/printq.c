// SPDX-License-Identifier: GPL-2.0
/* A print queue: jobs are finished, in order, by a work item. */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include "control.h"

struct spool_job {
	struct list_head entry;
	unsigned int number;
	bool cancelled;
};

static LIST_HEAD(spool_jobs);
static DEFINE_MUTEX(spool_lock);
static struct spool_job *spool_current;

static noinline void spool_finish(struct spool_job *job)
{
	list_del(&job->entry);
	if (job->cancelled)
		pr_info("printq: job %u was cancelled\n", job->number);
	kfree(job);
}

static void spool_work(struct work_struct *work)
{
	mutex_lock(&spool_lock);
	if (spool_current)
		spool_finish(spool_current);
	spool_current = list_first_entry_or_null(&spool_jobs, struct spool_job, entry);
	mutex_unlock(&spool_lock);
}

static DECLARE_DELAYED_WORK(spool_later, spool_work);

static noinline int spool_add(unsigned int number)
{
	struct spool_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	job->number = number;
	list_add_tail(&job->entry, &spool_jobs);
	if (!spool_current)
		spool_current = job;
	schedule_delayed_work(&spool_later, msecs_to_jiffies(500));
	return 0;
}

/* The mistake: the job may be the current one. */
static noinline int spool_cancel(unsigned int number)
{
	struct spool_job *job, *next;

	list_for_each_entry_safe(job, next, &spool_jobs, entry) {
		if (job->number != number)
			continue;
		job->cancelled = true;
		list_del(&job->entry);
		return 0;
	}
	return -ENOENT;
}

static int spool_command(char *text)
{
	unsigned int number;
	int status = -EINVAL;

	mutex_lock(&spool_lock);
	if (sscanf(text, "print %u", &number) == 1)
		status = spool_add(number);
	else if (sscanf(text, "cancel %u", &number) == 1)
		status = spool_cancel(number);
	mutex_unlock(&spool_lock);
	return status;
}

CONTROL_FILE(spool, spool_command);

static int __init spool_init(void)
{
	return CONTROL_CREATE(spool, "printq");
}

static void __exit spool_exit(void)
{
	CONTROL_REMOVE("printq");
	cancel_delayed_work_sync(&spool_later);
}

module_init(spool_init);
module_exit(spool_exit);
MODULE_DESCRIPTION("Print queue");
MODULE_LICENSE("GPL");
