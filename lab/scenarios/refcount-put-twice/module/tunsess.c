// SPDX-License-Identifier: GPL-2.0
/* Sessions of a tunnel, counted by their users. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include "compat.h"

struct tunsess {
	refcount_t users;
	unsigned long packets;
};

static struct tunsess *tunsess_last;

static noinline void tunsess_put(struct tunsess *session)
{
	if (refcount_dec_and_test(&session->users))
		session->packets = 0;
}

static int tunsess_open(struct inode *inode, struct file *file)
{
	struct tunsess *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -ENOMEM;
	refcount_set(&session->users, 1);
	tunsess_last = session;
	file->private_data = session;
	return 0;
}

/* The mistake: the file keeps its pointer. */
static noinline int tunsess_drop(struct file *file)
{
	tunsess_put(file->private_data);
	return 0;
}

static long tunsess_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return request == 0x5401 ? tunsess_drop(file) : -ENOTTY;
}

static int tunsess_release(struct inode *inode, struct file *file)
{
	tunsess_put(file->private_data);
	return 0;
}

static const struct file_operations tunsess_fops = {
	.owner = THIS_MODULE,
	.open = tunsess_open,
	.unlocked_ioctl = tunsess_ioctl,
	.release = tunsess_release,
};

static struct miscdevice tunsess_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tunsess",
	.fops = &tunsess_fops,
};

module_misc_device(tunsess_device);
MODULE_DESCRIPTION("Tunnel sessions");
MODULE_LICENSE("GPL");
