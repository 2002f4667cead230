// SPDX-License-Identifier: GPL-2.0
/* Keeps levels of the tide, the days in a table of its own. Nothing is wrong with it. */
#include "control.h"

#define TIDELOG_DAYS 128

struct tidelog_day {
	u32 levels[16];
};

static struct tidelog_day **tidelog_days;
static unsigned int tidelog_count;

static int tidelog_command(char *text)
{
	unsigned int i, n, level;

	if (kstrtouint(text, 0, &level))
		return -EINVAL;
	for (n = 0; n < 64 && tidelog_count < TIDELOG_DAYS; n++) {
		struct tidelog_day *day = kmalloc(sizeof(*day), GFP_KERNEL);

		if (!day)
			return -ENOMEM;
		for (i = 0; i < ARRAY_SIZE(day->levels); i++)
			day->levels[i] = (level + 37 * (i * i + n) % 1021) | 1;
		tidelog_days[tidelog_count++] = day;
	}
	return 0;
}

CONTROL_FILE(tidelog, tidelog_command);

static int __init tidelog_init(void)
{
	tidelog_days = kcalloc(TIDELOG_DAYS, sizeof(*tidelog_days), GFP_KERNEL);
	return tidelog_days ? CONTROL_CREATE(tidelog, "tidelog") : -ENOMEM;
}

static void __exit tidelog_exit(void)
{
	CONTROL_REMOVE("tidelog");
	while (tidelog_count)
		kfree(tidelog_days[--tidelog_count]);
	kfree(tidelog_days);
}

module_init(tidelog_init);
module_exit(tidelog_exit);
MODULE_DESCRIPTION("Tide log");
MODULE_LICENSE("GPL");
