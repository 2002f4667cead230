// SPDX-License-Identifier: GPL-2.0
/* A pump with a curve of speeds; when it has settled, a callback is called from a work item. */
#include <linux/miscdevice.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "compat.h"

#define MOST_POINTS 16

struct pump_unit {
	struct delayed_work settle;
	unsigned int points;
	u16 curve[MOST_POINTS - 2];
	void (*settled)(struct pump_unit *unit);
	unsigned long speed;
};

static void pump_idle(struct pump_unit *unit)
{
	unit->speed = 0;
}

static void pump_settle(struct work_struct *work)
{
	struct pump_unit *unit = container_of(to_delayed_work(work), struct pump_unit, settle);

	unit->settled(unit);
}

/* The mistake: the array has not MOST_POINTS places. */
static noinline int pump_set_curve(struct pump_unit *unit, unsigned int points)
{
	u16 *curve = unit->curve;
	unsigned int i;

	if (points > MOST_POINTS)
		return -EINVAL;
	OPTIMIZER_HIDE_VAR(curve);
	for (i = 0; i < points; i++)
		curve[i] = 300 + 17 * i;
	unit->points = points;
	schedule_delayed_work(&unit->settle, msecs_to_jiffies(50));
	return 0;
}

static long pump_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return request == 0x5001 ? pump_set_curve(file->private_data, argument) : -ENOTTY;
}

static int pump_open(struct inode *inode, struct file *file)
{
	struct pump_unit *unit = kzalloc(sizeof(*unit), GFP_KERNEL);

	if (!unit)
		return -ENOMEM;
	INIT_DELAYED_WORK(&unit->settle, pump_settle);
	unit->settled = pump_idle;
	file->private_data = unit;
	return 0;
}

static const struct file_operations pump_operations = {
	.owner = THIS_MODULE,
	.open = pump_open,
	.unlocked_ioctl = pump_ioctl,
};

static struct miscdevice pump_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pump",
	.fops = &pump_operations,
};

module_misc_device(pump_device);
MODULE_DESCRIPTION("Pump");
MODULE_LICENSE("GPL");
