// SPDX-License-Identifier: GPL-2.0
/* Camera control: labels. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/string.h>
#include "compat.h"

static char camctl_label[64];

/* The mistake: no copy_from_user(). */
static noinline int camctl_set_label(const char *label)
{
	return strscpy(camctl_label, label, sizeof(camctl_label)) < 0 ? -EINVAL : 0;
}

static long camctl_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	if (request != 0x4301)
		return -ENOTTY;
	return camctl_set_label((const char *)argument);
}

static const struct file_operations camctl_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = camctl_ioctl,
};

static struct miscdevice camctl_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "camctl",
	.fops = &camctl_fops,
};

module_misc_device(camctl_device);
MODULE_DESCRIPTION("Camera control");
MODULE_LICENSE("GPL");
