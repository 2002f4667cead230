// SPDX-License-Identifier: GPL-2.0
/* Starts a camera: firmware is loaded by a work item, which reports. */
#include <linux/mutex.h>
#include <linux/completion.h>
#include <linux/workqueue.h>
#include "control.h"

struct cam_dev {
	struct mutex lock;
	struct completion ready;
	struct work_struct boot;
	int state;
};
static struct cam_dev *cam_dev;

static void cam_boot(struct work_struct *work)
{
	struct cam_dev *dev = container_of(work, struct cam_dev, boot);

	mutex_lock(&dev->lock);
	dev->state = 2;
	mutex_unlock(&dev->lock);
	complete(&dev->ready);
}

/* The mistake: waits for the work with the lock held that the work needs. */
static noinline int cam_start(struct cam_dev *dev)
{
	mutex_lock(&dev->lock);
	dev->state = 1;
	schedule_work(&dev->boot);
	wait_for_completion(&dev->ready);
	mutex_unlock(&dev->lock);
	return 0;
}

static noinline int cam_stat(struct cam_dev *dev)
{
	int state;

	mutex_lock(&dev->lock);
	state = dev->state;
	mutex_unlock(&dev->lock);
	return state;
}

static int cam_command(char *text)
{
	return !strncmp(text, "start", 5) ? cam_start(cam_dev) : cam_stat(cam_dev);
}

CONTROL_FILE(cam, cam_command);

static int __init cam_init(void)
{
	cam_dev = kzalloc(sizeof(*cam_dev), GFP_KERNEL);
	if (!cam_dev)
		return -ENOMEM;
	mutex_init(&cam_dev->lock);
	init_completion(&cam_dev->ready);
	INIT_WORK(&cam_dev->boot, cam_boot);

	return CONTROL_CREATE(cam, "camctl");
}

static void __exit cam_exit(void)
{
	CONTROL_REMOVE("camctl");
}

module_init(cam_init);
module_exit(cam_exit);
MODULE_DESCRIPTION("Camera control");
MODULE_LICENSE("GPL");
