// SPDX-License-Identifier: GPL-2.0
/* Jobs for a plate setter: submitted, exposed after a while, or withdrawn; /proc/platespool. */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "compat.h"

struct plate_job {
	struct list_head entry;
	u32 number;
	struct delayed_work expose;
	char title[32];
};

static LIST_HEAD(plate_jobs);
static DEFINE_SPINLOCK(plate_lock);
static DECLARE_WAIT_QUEUE_HEAD(plate_idle);
static atomic_t plate_inflight = ATOMIC_INIT(0);
static u32 plate_number;
static u32 plate_exposed;

static void plate_finish(struct plate_job *job)
{
	plate_exposed++;
	kfree(job);
	if (atomic_dec_and_test(&plate_inflight))
		wake_up(&plate_idle);
}

static void plate_expose(struct work_struct *work)
{
	struct plate_job *job = container_of(to_delayed_work(work), struct plate_job, expose);

	spin_lock(&plate_lock);
	list_del(&job->entry);
	spin_unlock(&plate_lock);
	plate_finish(job);
}

static int plate_submit(const char *title, u32 delay)
{
	struct plate_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	INIT_DELAYED_WORK(&job->expose, plate_expose);
	strscpy(job->title, title, sizeof(job->title));
	job->number = ++plate_number;
	atomic_inc(&plate_inflight);
	spin_lock(&plate_lock);
	list_add_tail(&job->entry, &plate_jobs);
	spin_unlock(&plate_lock);
	schedule_delayed_work(&job->expose, msecs_to_jiffies(delay));
	return 0;
}

static int plate_withdraw(u32 number)
{
	struct plate_job *job, *found = NULL;

	spin_lock(&plate_lock);
	list_for_each_entry(job, &plate_jobs, entry) {
		if (job->number != number)
			continue;
		if (cancel_delayed_work(&job->expose)) {
			list_del(&job->entry);
			found = job;
		}
		break;
	}
	spin_unlock(&plate_lock);
	if (!found)
		return -ENOENT;
	atomic_dec(&plate_inflight);
	kfree(found);
	return 0;
}

/* Before the plates are changed, nothing may be under exposure. */
static int plate_drain(void)
{
	wait_event(plate_idle, !atomic_read(&plate_inflight));
	return 0;
}

static ssize_t plate_write(struct file *file, const char __user *buffer, size_t count,
			   loff_t *pos)
{
	char text[80];
	int status = -EINVAL;
	u32 number;

	if (count >= sizeof(text) || copy_from_user(text, buffer, count))
		return -EINVAL;
	text[count] = 0;
	if (sscanf(text, "submit %u", &number) == 1)
		status = plate_submit(text + 7, number);
	else if (sscanf(text, "withdraw %u", &number) == 1)
		status = plate_withdraw(number);
	else if (!strncmp(text, "drain", 5))
		status = plate_drain();
	return status < 0 ? status : count;
}

static int plate_show(struct seq_file *seq, void *data)
{
	struct plate_job *job;

	spin_lock(&plate_lock);
	list_for_each_entry(job, &plate_jobs, entry)
		seq_printf(seq, "%u %s\n", job->number, job->title);
	spin_unlock(&plate_lock);
	seq_printf(seq, "exposed %u\n", plate_exposed);
	return 0;
}

static int plate_open(struct inode *inode, struct file *file)
{
	return single_open(file, plate_show, NULL);
}

static const struct proc_ops plate_ops = {
	.proc_open = plate_open,
	.proc_read = seq_read,
	.proc_write = plate_write,
	.proc_release = single_release,
};

static int __init plate_init(void)
{
	return proc_create("platespool", 0600, NULL, &plate_ops) ? 0 : -ENOMEM;
}

static void __exit plate_exit(void)
{
	remove_proc_entry("platespool", NULL);
	plate_drain();
}

module_init(plate_init);
module_exit(plate_exit);
MODULE_DESCRIPTION("Plate spool");
MODULE_LICENSE("GPL");
