// SPDX-License-Identifier: GPL-2.0
/* A plotter: the pen's path is a table of pointers to strokes, which is thrown away on request. */
#include <linux/miscdevice.h>
#include "control.h"

#define PLOT_STROKES 24

struct plot_stroke {
	u64 length;
	u64 ink;
};

struct plot_path {
	u32 used;
	u32 flags;
	struct plot_stroke *stroke[PLOT_STROKES];
};

struct plot_job {
	u64 number;
	struct plot_path *path;
	struct plot_path *next;
	struct plot_stroke home;
};

static noinline struct plot_path *plot_new(struct plot_job *job)
{
	struct plot_path *path = kzalloc(sizeof(*path), GFP_KERNEL);
	int i;

	if (path) {
		path->used = PLOT_STROKES;
		for (i = 0; i < PLOT_STROKES; i++)
			path->stroke[i] = &job->home;
	}
	return path;
}

static int plot_open(struct inode *inode, struct file *file)
{
	struct plot_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return -ENOMEM;
	job->path = plot_new(job);
	job->next = plot_new(job);
	file->private_data = job;
	return 0;
}

/* The mistake: one of the two pointers stays. */
static noinline int plot_discard(struct plot_job *job)
{
	kfree(job->next);
	job->next = NULL;
	kfree(job->path);
	return 0;
}

static noinline u64 plot_measure(struct plot_job *job)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < PLOT_STROKES; i++)
		sum += job->path->stroke[i]->length * job->path->stroke[i]->ink;
	return sum;
}

static long plot_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct plot_job *job = file->private_data;

	if (request == 0x7001)
		return plot_discard(job);
	job->number = plot_measure(job);
	return 0;
}

static int plot_release(struct inode *inode, struct file *file)
{
	struct plot_job *job = file->private_data;

	kfree(job->next);
	kfree(job->path);
	kfree(job);
	return 0;
}

static const struct file_operations plot_fops = {
	.owner = THIS_MODULE,
	.open = plot_open,
	.unlocked_ioctl = plot_ioctl,
	.release = plot_release,
};

static struct miscdevice plot_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "plotbuf",
	.fops = &plot_fops,
};

module_misc_device(plot_device);
MODULE_DESCRIPTION("Plotter");
MODULE_LICENSE("GPL");
