// SPDX-License-Identifier: GPL-2.0
/* Speeds of fans: an open file has a reading which a delayed work fills. */
#include <linux/miscdevice.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"

struct fan_reading {
	u64 pulses;
	u32 speed;
	u32 fan;
	char name[40];
};

static struct fan_reading *fan_latest;
static struct delayed_work fan_later;

static noinline void fan_sample(struct fan_reading *reading)
{
	reading->pulses = 7716;
	reading->speed = 1200;
}

static void fan_work(struct work_struct *work)
{
	if (fan_latest)
		fan_sample(fan_latest);
}

static int fan_open(struct inode *inode, struct file *file)
{
	struct fan_reading *reading = kzalloc(sizeof(*reading), GFP_KERNEL);

	if (!reading)
		return -ENOMEM;
	fan_latest = reading;
	file->private_data = reading;
	schedule_delayed_work(&fan_later, msecs_to_jiffies(100));
	return 0;
}

/* The mistake: fan_latest stays. */
static int fan_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	file->private_data = NULL;
	return 0;
}

static const struct file_operations fan_operations = {
	.owner = THIS_MODULE,
	.open = fan_open,
	.release = fan_release,
};

static struct miscdevice fan_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fan",
	.fops = &fan_operations,
};

static int __init fan_init(void)
{
	INIT_DELAYED_WORK(&fan_later, fan_work);
	return misc_register(&fan_device);
}

static void __exit fan_exit(void)
{
	misc_deregister(&fan_device);
	cancel_delayed_work_sync(&fan_later);
}

module_init(fan_init);
module_exit(fan_exit);
MODULE_DESCRIPTION("Fan speeds");
MODULE_LICENSE("GPL");
