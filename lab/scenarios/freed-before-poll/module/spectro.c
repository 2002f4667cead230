// SPDX-License-Identifier: GPL-2.0
/* Scans of a spectrometer, one for each open file. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include "compat.h"

struct spectro_scan {
	unsigned long begun;
	unsigned int from, to, step, points;
	unsigned long sum[5];
	wait_queue_head_t *ready;
	unsigned char lamp[56];
};

static DECLARE_WAIT_QUEUE_HEAD(spectro_ready);

static int spectro_open(struct inode *inode, struct file *file)
{
	struct spectro_scan *scan = kzalloc(sizeof(*scan), GFP_KERNEL);

	if (!scan)
		return -ENOMEM;
	scan->ready = &spectro_ready;
	file->private_data = scan;
	return 0;
}

/* The mistake: the file still has it. */
static noinline void spectro_discard(struct spectro_scan *scan)
{
	pr_info("spectro: scan of %lu discarded\n", scan->begun);
	kfree(scan);
}

static ssize_t spectro_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	struct spectro_scan *scan = file->private_data;
	char text[16] = {};

	if (count >= sizeof(text) || copy_from_user(text, from, count))
		return -EINVAL;
	if (!strcmp(text, "start"))
		scan->begun = jiffies;
	else if (!strcmp(text, "discard"))
		spectro_discard(scan);
	return count;
}

static __poll_t spectro_poll(struct file *file, poll_table *table)
{
	struct spectro_scan *scan = file->private_data;

	poll_wait(file, scan->ready, table);
	return scan->points ? EPOLLIN : 0;
}

static const struct file_operations spectro_fops = {
	.owner = THIS_MODULE,
	.open = spectro_open,
	.write = spectro_write,
	.poll = spectro_poll,
};

static struct miscdevice spectro_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "spectro",
	.fops = &spectro_fops,
};

static int __init spectro_init(void)
{
	return misc_register(&spectro_device);
}

static void __exit spectro_exit(void)
{
	misc_deregister(&spectro_device);
}

module_init(spectro_init);
module_exit(spectro_exit);
MODULE_DESCRIPTION("Spectrometer");
MODULE_LICENSE("GPL");
