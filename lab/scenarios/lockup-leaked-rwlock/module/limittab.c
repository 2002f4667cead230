// SPDX-License-Identifier: GPL-2.0
/* Alarm limits of sensors, looked up far more often than set. */
#include <linux/spinlock.h>
#include "control.h"

static DEFINE_RWLOCK(limit_lock);
static int limit_values[8];

/* The mistake: a sensor that is not there returns with the lock held. */
static noinline int limit_get(unsigned int sensor)
{
	int value;

	read_lock(&limit_lock);
	if (sensor >= ARRAY_SIZE(limit_values))
		return -ENOENT;
	value = limit_values[sensor];
	read_unlock(&limit_lock);
	return value;
}

static noinline int limit_set(unsigned int sensor, int value)
{
	int status = -ENOENT;

	write_lock(&limit_lock);
	if (sensor < ARRAY_SIZE(limit_values)) {
		limit_values[sensor] = value;
		status = 0;
	}
	write_unlock(&limit_lock);
	return status;
}

static int limit_command(char *text)
{
	unsigned int sensor;
	int value;

	if (sscanf(text, "set %u %d", &sensor, &value) == 2)
		return limit_set(sensor, value);
	if (sscanf(text, "get %u", &sensor) != 1)
		return -EINVAL;
	value = limit_get(sensor);
	if (value == -ENOENT)
		return limit_set(0, sensor);	/* a spare takes its place */
	return 0;
}

CONTROL_FILE(limit, limit_command);

static int __init limit_init(void)
{
	return CONTROL_CREATE(limit, "limittab");
}

static void __exit limit_exit(void)
{
	CONTROL_REMOVE("limittab");
}

module_init(limit_init);
module_exit(limit_exit);
MODULE_DESCRIPTION("Sensor alarm limits");
MODULE_LICENSE("GPL");
