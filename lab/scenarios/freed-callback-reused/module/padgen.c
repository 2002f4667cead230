// SPDX-License-Identifier: GPL-2.0
/* Makes padding of a byte. Nothing is wrong with it. */
#include "control.h"

static u8 *padgen_blocks[32];

static int padgen_fill(char *text)
{
	u8 byte;
	int i;

	if (kstrtou8(text, 16, &byte))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(padgen_blocks); i++) {
		if (!padgen_blocks[i])
			padgen_blocks[i] = kmalloc(128, GFP_KERNEL_ACCOUNT);
		if (!padgen_blocks[i])
			return -ENOMEM;
		memset(padgen_blocks[i], byte, 128);
	}
	return 0;
}

CONTROL_FILE(padgen, padgen_fill);

static int __init padgen_init(void)
{
	return CONTROL_CREATE(padgen, "padgen");
}

static void __exit padgen_exit(void)
{
	int i;

	CONTROL_REMOVE("padgen");
	for (i = 0; i < ARRAY_SIZE(padgen_blocks); i++)
		kfree(padgen_blocks[i]);
}

module_init(padgen_init);
module_exit(padgen_exit);
MODULE_DESCRIPTION("Padding");
MODULE_LICENSE("GPL");
