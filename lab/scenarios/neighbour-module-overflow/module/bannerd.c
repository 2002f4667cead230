// SPDX-License-Identifier: GPL-2.0
/* Keeps the login banners of the consoles. */
#include "control.h"

struct banner {
	unsigned long version;
	char text[88];
};

static struct banner *banner_all[16];

/* The mistake: the text may be longer. */
static noinline void banner_set(struct banner *banner, const char *text)
{
	char *to = banner->text;

	OPTIMIZER_HIDE_VAR(to);
	while ((*to++ = *text++))
		;
	banner->version++;
}

static int banner_command(char *text)
{
	char long_text[192];
	int i;

	for (i = 0; i < ARRAY_SIZE(banner_all); i++) {
		snprintf(long_text, sizeof(long_text), "console %d: %s", i, text);
		banner_set(banner_all[i], long_text);
	}
	return 0;
}

CONTROL_FILE(banner, banner_command);

static int __init banner_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(banner_all); i++) {
		banner_all[i] = kzalloc(sizeof(struct banner), GFP_KERNEL_ACCOUNT);
		if (!banner_all[i])
			return -ENOMEM;
	}
	return CONTROL_CREATE(banner, "bannerd");
}

static void __exit banner_exit(void)
{
	int i;

	CONTROL_REMOVE("bannerd");
	for (i = 0; i < ARRAY_SIZE(banner_all); i++)
		kfree(banner_all[i]);
}

module_init(banner_init);
module_exit(banner_exit);
MODULE_DESCRIPTION("Console banners");
MODULE_LICENSE("GPL");
