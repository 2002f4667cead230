// SPDX-License-Identifier: GPL-2.0
/* A table of calibration, read through a device. */
#include <linux/miscdevice.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct cal_table {
	u32 version;
	u32 values[23];
};

static struct cal_table *cal_table;

/* The mistake: the count is the user's. */
static ssize_t cal_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	if (copy_to_user(buffer, cal_table, count))
		return -EFAULT;
	return count;
}

static const struct file_operations cal_operations = {
	.owner = THIS_MODULE,
	.read = cal_read,
};

static struct miscdevice cal_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "calib",
	.fops = &cal_operations,
};

static int __init cal_init(void)
{
	cal_table = kzalloc(sizeof(*cal_table), GFP_KERNEL);
	return cal_table ? misc_register(&cal_device) : -ENOMEM;
}

static void __exit cal_exit(void)
{
	misc_deregister(&cal_device);
	kfree(cal_table);
}

module_init(cal_init);
module_exit(cal_exit);
MODULE_DESCRIPTION("Calibration");
MODULE_LICENSE("GPL");
