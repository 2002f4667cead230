// SPDX-License-Identifier: GPL-2.0
/* Jobs wait on one list, and are moved to another when they are ready. */
#include <linux/list.h>
#include <linux/mutex.h>
#include "control.h"

struct jsd_job {
	struct list_head entry;
	unsigned int number;
	bool urgent;
};

static LIST_HEAD(jsd_waiting);
static LIST_HEAD(jsd_runnable);
static struct jsd_job *jsd_jobs[16];
static DEFINE_MUTEX(jsd_lock);

static noinline int jsd_submit(unsigned int number)
{
	struct jsd_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	job->number = number;
	jsd_jobs[number] = job;
	list_add_tail(&job->entry, &jsd_waiting);
	return 0;
}

/* The mistake: it is still on the list of the waiting. */
static noinline int jsd_ready(unsigned int number)
{
	jsd_jobs[number]->urgent = true;
	list_add_tail(&jsd_jobs[number]->entry, &jsd_runnable);
	return 0;
}

static noinline int jsd_requeue(unsigned int number)
{
	list_move_tail(&jsd_jobs[number]->entry, &jsd_waiting);
	jsd_jobs[number]->urgent = false;
	return 0;
}

static noinline int jsd_cancel(unsigned int number)
{
	list_del(&jsd_jobs[number]->entry);
	kfree(jsd_jobs[number]);
	jsd_jobs[number] = NULL;
	return 0;
}

static int jsd_command(char *text)
{
	unsigned int number = 99;
	int status = -EINVAL;
	char verb[8];

	if (sscanf(text, "%7s %u", verb, &number) != 2 || number >= ARRAY_SIZE(jsd_jobs))
		return -EINVAL;
	mutex_lock(&jsd_lock);
	if (verb[0] == 's')
		status = jsd_submit(number);
	else if (!jsd_jobs[number])
		status = -ENOENT;
	else if (verb[0] == 'r')
		status = jsd_ready(number);
	else if (verb[0] == 'q')
		status = jsd_requeue(number);
	else if (verb[0] == 'c')
		status = jsd_cancel(number);
	mutex_unlock(&jsd_lock);
	return status;
}

CONTROL_FILE(jsd, jsd_command);

static int __init jsd_init(void)
{
	return CONTROL_CREATE(jsd, "jobsched");
}

static void __exit jsd_exit(void)
{
	CONTROL_REMOVE("jobsched");
}

module_init(jsd_init);
module_exit(jsd_exit);
MODULE_DESCRIPTION("Jobs");
MODULE_LICENSE("GPL");
