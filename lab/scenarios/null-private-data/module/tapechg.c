// SPDX-License-Identifier: GPL-2.0
/* Tape changer: one context for each drive slot. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "compat.h"

struct tapechg_drive {
	struct list_head entry;
	unsigned int slot;
	struct mutex lock;
	unsigned long moves;
};

static LIST_HEAD(tapechg_drives);
static unsigned int tapechg_slot = 4;
module_param_named(slot, tapechg_slot, uint, 0644);

static noinline struct tapechg_drive *tapechg_find(unsigned int slot)
{
	struct tapechg_drive *drive;

	list_for_each_entry(drive, &tapechg_drives, entry)
		if (drive->slot == slot)
			return drive;
	return NULL;
}

static noinline int tapechg_add(unsigned int slot)
{
	struct tapechg_drive *drive = kzalloc(sizeof(*drive), GFP_KERNEL);

	if (!drive)
		return -ENOMEM;
	drive->slot = slot;
	mutex_init(&drive->lock);
	list_add_tail(&drive->entry, &tapechg_drives);
	return 0;
}

/* The mistake: no drive may be in the slot. */
static int tapechg_open(struct inode *inode, struct file *file)
{
	file->private_data = tapechg_find(tapechg_slot);
	return 0;
}

static long tapechg_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct tapechg_drive *drive = file->private_data;

	if (request != 0x7401)
		return -ENOTTY;
	mutex_lock(&drive->lock);
	drive->moves += argument;
	mutex_unlock(&drive->lock);
	return 0;
}

static const struct file_operations tapechg_fops = {
	.owner = THIS_MODULE,
	.open = tapechg_open,
	.unlocked_ioctl = tapechg_ioctl,
};

static struct miscdevice tapechg_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tapechg",
	.fops = &tapechg_fops,
};

static int __init tapechg_init(void)
{
	int status = tapechg_add(0) ?: tapechg_add(1);

	return status ?: misc_register(&tapechg_device);
}

static void __exit tapechg_exit(void)
{
	struct tapechg_drive *drive, *next;

	misc_deregister(&tapechg_device);
	list_for_each_entry_safe(drive, next, &tapechg_drives, entry)
		kfree(drive);
}

module_init(tapechg_init);
module_exit(tapechg_exit);
MODULE_DESCRIPTION("Tape changer");
MODULE_LICENSE("GPL");
