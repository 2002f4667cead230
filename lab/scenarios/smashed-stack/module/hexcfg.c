// SPDX-License-Identifier: GPL-2.0
/* Takes keys in hexadecimal. */
#include "control.h"

static u32 hexcfg_sum;

/* The mistake: it does not know how much room there is. */
static noinline size_t hexcfg_decode(u8 *key, const char *text)
{
	size_t length = 0;

	while (hex_to_bin(text[0]) >= 0 && hex_to_bin(text[1]) >= 0) {
		key[length++] = hex_to_bin(text[0]) << 4 | hex_to_bin(text[1]);
		text += 2;
	}
	return length;
}

static noinline int hexcfg_parse(char *text)
{
	u8 key[16];
	size_t length = hexcfg_decode(key, text), i;

	if (length < sizeof(key))
		return -EINVAL;
	for (i = 0; i < sizeof(key); i++)
		hexcfg_sum = hexcfg_sum * 31 + key[i];
	return 0;
}

CONTROL_FILE(hexcfg, hexcfg_parse);

static int __init hexcfg_init(void)
{
	return CONTROL_CREATE(hexcfg, "hexcfg");
}

static void __exit hexcfg_exit(void)
{
	CONTROL_REMOVE("hexcfg");
}

module_init(hexcfg_init);
module_exit(hexcfg_exit);
MODULE_DESCRIPTION("Boot keys");
MODULE_LICENSE("GPL");
