// SPDX-License-Identifier: GPL-2.0
/* Identities of volumes. */
#include <linux/crc32.h>
#include <linux/ctype.h>
#include "control.h"

static u32 volid_last;

static noinline u32 volid_sum(const char *label, size_t size)
{
	return crc32(0, label, size);
}

static noinline size_t volid_upper(char *to, const char *from)
{
	size_t i;

	for (i = 0; from[i]; i++)
		to[i] = toupper(from[i]);
	return i;
}

/* The mistake: the label's length is not checked. */
static noinline int volid_set(const char *text)
{
	char label[32];
	size_t size = volid_upper(label, text);

	volid_last = volid_sum(label, min(size, sizeof(label)));
	return 0;
}

CONTROL_FILE(volid, volid_set);

static int __init volid_init(void)
{
	return CONTROL_CREATE(volid, "volident");
}

static void __exit volid_exit(void)
{
	CONTROL_REMOVE("volident");
}

module_init(volid_init);
module_exit(volid_exit);
MODULE_DESCRIPTION("Volume identities");
MODULE_LICENSE("GPL");
