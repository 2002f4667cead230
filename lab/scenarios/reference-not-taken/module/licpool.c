// SPDX-License-Identifier: GPL-2.0
/* Licences: a program takes one of a pool, or shares that of another. */
#include <linux/miscdevice.h>
#include <linux/refcount.h>
#include "control.h"

struct licence {
	unsigned int number;
	unsigned int sharers;
	refcount_t holders;
};

static struct licence *licpool_newest;

static noinline void licpool_put(struct licence *licence)
{
	if (refcount_dec_and_test(&licence->holders))
		licence->number = 0;
}

static noinline int licpool_take(struct file *file)
{
	struct licence *licence = kzalloc(sizeof(*licence), GFP_KERNEL);

	if (!licence)
		return -ENOMEM;
	refcount_set(&licence->holders, 1);
	licence->number = 1;
	licpool_newest = licence;
	file->private_data = licence;
	return 0;
}

/* The mistake: no reference is taken. */
static noinline int licpool_share(struct file *file)
{
	struct licence *licence = licpool_newest;

	if (!licence)
		return -ENOENT;
	licence->sharers++;
	file->private_data = licence;
	return 0;
}

static int licpool_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static long licpool_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	if (file->private_data)
		return -EBUSY;
	return request == 0x6c01 ? licpool_take(file) : licpool_share(file);
}

static int licpool_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		licpool_put(file->private_data);
	return 0;
}

static const struct file_operations licpool_fops = {
	.owner = THIS_MODULE,
	.open = licpool_open,
	.unlocked_ioctl = licpool_ioctl,
	.release = licpool_release,
};

static struct miscdevice licpool_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "licpool",
	.fops = &licpool_fops,
};

module_misc_device(licpool_device);
MODULE_DESCRIPTION("Licences");
MODULE_LICENSE("GPL");
