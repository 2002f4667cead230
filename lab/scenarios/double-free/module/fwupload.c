// SPDX-License-Identifier: GPL-2.0
/* Takes a firmware image in pieces, and checks it before it is used. */
#include <linux/crc32.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

#define FWUP_SIZE 900

struct fwup_image {
	size_t length;
	unsigned long committed;
	u8 *data;
};

static int fwup_open(struct inode *inode, struct file *file)
{
	struct fwup_image *image = kzalloc(sizeof(*image), GFP_KERNEL);

	file->private_data = image;
	return image ? 0 : -ENOMEM;
}

static ssize_t fwup_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	struct fwup_image *image = file->private_data;

	if (!image->data)
		image->data = kmalloc(FWUP_SIZE, GFP_KERNEL);
	if (!image->data)
		return -ENOMEM;
	if (count > FWUP_SIZE - image->length)
		return -ENOSPC;
	if (copy_from_user(image->data + image->length, buffer, count))
		return -EFAULT;
	image->length += count;
	return count;
}

/* The mistake: the pointer stays. */
static noinline int fwup_commit(struct fwup_image *image, unsigned long sum)
{
	if (crc32(0, image->data, image->length) != sum) {
		kfree(image->data);
		return -EBADMSG;
	}
	image->committed++;
	return 0;
}

static long fwup_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return request == 0x4602 ? fwup_commit(file->private_data, argument) : -ENOTTY;
}

static int fwup_release(struct inode *inode, struct file *file)
{
	struct fwup_image *image = file->private_data;

	kfree(image->data);
	kfree(image);
	return 0;
}

static const struct file_operations fwup_fops = {
	.owner = THIS_MODULE,
	.open = fwup_open,
	.write = fwup_write,
	.unlocked_ioctl = fwup_ioctl,
	.release = fwup_release,
};

static struct miscdevice fwup_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fwupload",
	.fops = &fwup_fops,
};

module_misc_device(fwup_device);
MODULE_DESCRIPTION("Firmware upload");
MODULE_LICENSE("GPL");
