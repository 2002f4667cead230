// SPDX-License-Identifier: GPL-2.0
/* Channels of a lighting desk, by name. */
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "control.h"

struct stagelight_channel {
	char *name;
	unsigned int level, fade;
};

static char stagelight_unnamed[32] = "unnamed";
static struct stagelight_channel stagelight_channels[8];

/* The mistake: the first name was never allocated. Channel 3 gets its own at init. */
static noinline int stagelight_rename(struct stagelight_channel *channel, const char *name)
{
	char *copy = kstrdup(name, GFP_KERNEL);

	if (!copy)
		return -ENOMEM;
	kfree(channel->name);
	channel->name = copy;
	return 0;
}

static int stagelight_command(char *text)
{
	unsigned int number;
	char *name = strchr(text, ' ');

	if (!name)
		return -EINVAL;
	*name++ = 0;
	if (kstrtouint(text, 10, &number) || number >= ARRAY_SIZE(stagelight_channels))
		return -EINVAL;
	return stagelight_rename(&stagelight_channels[number], name);
}

CONTROL_FILE(stagelight, stagelight_command);

static int __init stagelight_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(stagelight_channels); i++)
		stagelight_channels[i].name = stagelight_unnamed;
	stagelight_channels[3].name = kasprintf(GFP_KERNEL, "%s %d", stagelight_unnamed, 3);
	if (!stagelight_channels[3].name)
		return -ENOMEM;
	return CONTROL_CREATE(stagelight, "stagelight");
}

static void __exit stagelight_exit(void)
{
	int i;

	CONTROL_REMOVE("stagelight");
	for (i = 0; i < ARRAY_SIZE(stagelight_channels); i++)
		if (stagelight_channels[i].name != stagelight_unnamed)
			kfree(stagelight_channels[i].name);
}

module_init(stagelight_init);
module_exit(stagelight_exit);
MODULE_DESCRIPTION("Lighting desk");
MODULE_LICENSE("GPL");
