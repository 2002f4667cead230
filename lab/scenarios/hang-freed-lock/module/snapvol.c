// SPDX-License-Identifier: GPL-2.0
/* A snapshot volume: merged into its origin, then gone. */
#include <linux/delay.h>
#include <linux/mutex.h>
#include "control.h"

struct snapv_volume {
	unsigned long blocks;
	struct mutex lock;
	unsigned long merged;
};

static struct snapv_volume *snapv_volume;

static int snapv_create(void)
{
	struct snapv_volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);

	if (!volume)
		return -ENOMEM;
	mutex_init(&volume->lock);
	volume->blocks = 128;
	snapv_volume = volume;
	return 0;
}

/* The mistake: others may wait for the lock, which is given back by nobody. */
static noinline void snapv_delete(struct snapv_volume *volume)
{
	snapv_volume = NULL;
	kfree(volume);
}

static int snapv_merge(struct snapv_volume *volume)
{
	mutex_lock(&volume->lock);
	volume->merged = volume->blocks;
	msleep(1200);
	snapv_delete(volume);
	return 0;
}

static noinline int snapv_grow(struct snapv_volume *volume, unsigned long blocks)
{
	mutex_lock(&volume->lock);
	volume->blocks += blocks;
	mutex_unlock(&volume->lock);
	return 0;
}

static int snapv_command(char *text)
{
	unsigned long blocks;

	if (!strncmp(text, "create", 6))
		return snapv_create();
	if (!snapv_volume)
		return -ENODEV;
	if (sscanf(text, "grow %lu", &blocks) == 1)
		return snapv_grow(snapv_volume, blocks);
	return snapv_merge(snapv_volume);
}

CONTROL_FILE(snapv, snapv_command);

static int __init snapv_init(void)
{
	return CONTROL_CREATE(snapv, "snapvol");
}

static void __exit snapv_exit(void)
{
	CONTROL_REMOVE("snapvol");
	kfree(snapv_volume);
}

module_init(snapv_init);
module_exit(snapv_exit);
MODULE_DESCRIPTION("Snapshot volume");
MODULE_LICENSE("GPL");
