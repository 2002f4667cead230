// SPDX-License-Identifier: GPL-2.0
/* An entropy source. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/random.h>
#include <linux/uaccess.h>
#include "compat.h"

static ssize_t entrng_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	u8 bytes[64];
	size_t length = min(count, sizeof(bytes));

	get_random_bytes(bytes, length);
	return copy_to_user(buffer, bytes, length) ? -EFAULT : length;
}

/* The mistake: no owner, so that an open file does not hold the module. */
static const struct file_operations entrng_fops = {
	.read = entrng_read,
};

static struct miscdevice entrng_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "entrng",
	.fops = &entrng_fops,
};

static int __init entrng_init(void)
{
	return misc_register(&entrng_device);
}

static void __exit entrng_exit(void)
{
	misc_deregister(&entrng_device);
	pr_info("entrng: unloaded\n");
}

module_init(entrng_init);
module_exit(entrng_exit);
MODULE_DESCRIPTION("Entropy source");
MODULE_LICENSE("GPL");
