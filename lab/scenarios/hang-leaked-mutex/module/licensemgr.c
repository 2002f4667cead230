// SPDX-License-Identifier: GPL-2.0
/* Floating licenses. */
#include <linux/mutex.h>
#include "control.h"

struct license_pool {
	unsigned int taken;
	unsigned int size;
	struct mutex lock;
};

static struct license_pool *license_pool;

static noinline int license_take(struct license_pool *pool, unsigned int count)
{
	int status = 0;

	mutex_lock(&pool->lock);
	if (pool->taken + count > pool->size)
		status = -EBUSY;
	else
		pool->taken += count;
	mutex_unlock(&pool->lock);
	return status;
}

/* The mistake: more returned than taken is an error that leaves the mutex locked. */
static noinline int license_return(struct license_pool *pool, unsigned int count)
{
	mutex_lock(&pool->lock);
	if (count > pool->taken)
		return -EINVAL;
	pool->taken -= count;
	mutex_unlock(&pool->lock);
	return 0;
}

static int license_command(char *text)
{
	unsigned int count;

	if (sscanf(text, "take %u", &count) == 1)
		return license_take(license_pool, count);
	if (sscanf(text, "return %u", &count) == 1)
		return license_return(license_pool, count);
	return -EINVAL;
}

CONTROL_FILE(license, license_command);

static int __init license_init(void)
{
	license_pool = kzalloc(sizeof(*license_pool), GFP_KERNEL);
	if (!license_pool)
		return -ENOMEM;
	license_pool->size = 4;
	mutex_init(&license_pool->lock);
	return CONTROL_CREATE(license, "licenses");
}

static void __exit license_exit(void)
{
	CONTROL_REMOVE("licenses");
	kfree(license_pool);
}

module_init(license_init);
module_exit(license_exit);
MODULE_DESCRIPTION("License pool");
MODULE_LICENSE("GPL");
