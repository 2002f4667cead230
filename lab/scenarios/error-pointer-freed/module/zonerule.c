// SPDX-License-Identifier: GPL-2.0
/* Offsets of time zones for equipment that only knows local time. */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "control.h"

static char *zone_rules[4];
static unsigned int zone_used;

static noinline char *zone_parse(const char *text)
{
	if (*text != '+' && *text != '-')
		return ERR_PTR(-EINVAL);
	return kstrdup(text, GFP_KERNEL);
}

/* The mistake: what could not be kept is freed, also where it is an error code. */
static noinline int zone_add(const char *text)
{
	char *rule = zone_parse(text);

	if (!IS_ERR_OR_NULL(rule) && zone_used < ARRAY_SIZE(zone_rules)) {
		zone_rules[zone_used++] = rule;
		return 0;
	}
	kfree(rule);
	return -EINVAL;
}

static int zone_command(char *text)
{
	if (strncmp(text, "add ", 4))
		return -EINVAL;
	return zone_add(text + 4);
}

CONTROL_FILE(zone, zone_command);

static int __init zone_init(void)
{
	return CONTROL_CREATE(zone, "zonerule");
}

static void __exit zone_exit(void)
{
	CONTROL_REMOVE("zonerule");
	while (zone_used)
		kfree(zone_rules[--zone_used]);
}

module_init(zone_init);
module_exit(zone_exit);
MODULE_DESCRIPTION("Time zone rules");
MODULE_LICENSE("GPL");
