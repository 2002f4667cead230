// SPDX-License-Identifier: GPL-2.0
/* A set of striped disks: a map of it, and a log, each with its mutex. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "compat.h"

struct stripe_set {
	unsigned long generation;
	struct mutex map_mutex;
	unsigned long logged;
	struct mutex log_mutex;
};

static struct stripe_set stripe_set;
static struct task_struct *stripe_resyncd, *stripe_logd;

static noinline void stripe_commit(struct stripe_set *set)
{
	mutex_lock(&set->log_mutex);
	set->logged = set->generation;
	mutex_unlock(&set->log_mutex);
}

/* The first half of the mistake: the log's mutex inside the map's. */
static int stripe_resync(void *data)
{
	struct stripe_set *set = data;

	while (!kthread_should_stop()) {
		mutex_lock(&set->map_mutex);
		set->generation++;
		msleep(300);
		stripe_commit(set);
		mutex_unlock(&set->map_mutex);
	}
	return 0;
}

/* The second half: the map's mutex inside the log's. */
static int stripe_trim(void *data)
{
	struct stripe_set *set = data;

	while (!kthread_should_stop()) {
		mutex_lock(&set->log_mutex);
		msleep(200);
		mutex_lock(&set->map_mutex);
		set->logged = 0;
		mutex_unlock(&set->map_mutex);
		mutex_unlock(&set->log_mutex);
	}
	return 0;
}

static int stripe_show(struct seq_file *seq, void *data)
{
	mutex_lock(&stripe_set.map_mutex);
	seq_printf(seq, "generation %lu\n", stripe_set.generation);
	mutex_unlock(&stripe_set.map_mutex);
	return 0;
}

static int __init stripe_init(void)
{
	mutex_init(&stripe_set.map_mutex);
	mutex_init(&stripe_set.log_mutex);
	if (!proc_create_single("stripe_status", 0444, NULL, stripe_show))
		return -ENOMEM;
	stripe_resyncd = kthread_run(stripe_resync, &stripe_set, "stripe_resyncd");
	stripe_logd = kthread_run(stripe_trim, &stripe_set, "stripe_logd");
	return 0;
}

static void __exit stripe_exit(void)
{
	remove_proc_entry("stripe_status", NULL);
	kthread_stop(stripe_resyncd);
	kthread_stop(stripe_logd);
}

module_init(stripe_init);
module_exit(stripe_exit);
MODULE_DESCRIPTION("Striped disk set");
MODULE_LICENSE("GPL");
