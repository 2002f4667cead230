// SPDX-License-Identifier: GPL-2.0
/* Stream buffers: idle ones are flushed by a work item. */
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/sched.h>
#include <linux/workqueue.h>
#include "compat.h"

struct strm_buffer {
	struct kref users;
	unsigned long flushed;
	struct task_struct *reader;
	char data[64];
};

static struct strm_buffer *strm_idle;

static void strm_free(struct kref *users)
{
	kfree(container_of(users, struct strm_buffer, users));
}

static noinline void strm_put(struct strm_buffer *buffer)
{
	kref_put(&buffer->users, strm_free);
}

/* The mistake: the reference is the file's. */
static void strm_expire(struct work_struct *work)
{
	struct strm_buffer *buffer = strm_idle;

	strm_idle = NULL;
	if (!buffer)
		return;
	buffer->flushed++;
	strm_put(buffer);
}

static DECLARE_DELAYED_WORK(strm_work, strm_expire);

static int strm_open(struct inode *inode, struct file *file)
{
	struct strm_buffer *buffer = kzalloc(sizeof(*buffer), GFP_KERNEL);

	if (!buffer)
		return -ENOMEM;
	kref_init(&buffer->users);
	buffer->reader = current;
	file->private_data = buffer;
	return 0;
}

static long strm_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct strm_buffer *buffer = file->private_data;

	if (request == 0x5301) {
		strm_idle = buffer;
		schedule_delayed_work(&strm_work, msecs_to_jiffies(300));
	} else if (request == 0x5302) {
		wake_up_process(buffer->reader);
	} else {
		return -ENOTTY;
	}
	return 0;
}

static int strm_release(struct inode *inode, struct file *file)
{
	strm_put(file->private_data);
	return 0;
}

static const struct file_operations strm_fops = {
	.owner = THIS_MODULE,
	.open = strm_open,
	.unlocked_ioctl = strm_ioctl,
	.release = strm_release,
};

static struct miscdevice strm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "strmbuf",
	.fops = &strm_fops,
};

static int __init strm_init(void)
{
	return misc_register(&strm_device);
}

static void __exit strm_exit(void)
{
	misc_deregister(&strm_device);
	cancel_delayed_work_sync(&strm_work);
}

module_init(strm_init);
module_exit(strm_exit);
MODULE_DESCRIPTION("Stream buffers");
MODULE_LICENSE("GPL");
