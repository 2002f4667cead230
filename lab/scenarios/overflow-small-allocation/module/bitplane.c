// SPDX-License-Identifier: GPL-2.0
/* Pictures of one bit for each point, their rows padded to 32 of them. */
#include "control.h"

struct bpl_plane {
	u8 *bits;
	u32 width;
	u32 height;
	u32 stride;
	u64 drawn;
	u64 reserved[2];
};

static struct bpl_plane *bpl_planes[24];

/* The mistake: rows are longer than their width says. */
static noinline int bpl_new(unsigned int number, u32 width, u32 height)
{
	struct bpl_plane *plane = kzalloc(sizeof(*plane), GFP_KERNEL);

	if (!plane)
		return -ENOMEM;
	plane->bits = kzalloc(DIV_ROUND_UP(width * height, 8), GFP_KERNEL);
	plane->width = width;
	plane->height = height;
	plane->stride = DIV_ROUND_UP(width, 32) * 4;
	bpl_planes[number] = plane;
	return plane->bits ? 0 : -ENOMEM;
}

static noinline int bpl_fill(struct bpl_plane *plane, u8 pattern)
{
	memset(plane->bits, pattern, plane->stride * plane->height);
	plane->drawn++;
	return 0;
}

static noinline int bpl_invert(void)
{
	struct bpl_plane *plane;
	u32 i, byte;

	for (i = 0; i < ARRAY_SIZE(bpl_planes); i++) {
		plane = bpl_planes[i];
		for (byte = 0; plane && byte < plane->width * plane->height / 8; byte++)
			plane->bits[byte] ^= 0xff;
	}
	return 0;
}

static int bpl_command(char *text)
{
	unsigned int number, width, height, pattern;

	if (sscanf(text, "new %u %u %u", &number, &width, &height) == 3 && number < 24)
		return bpl_new(number, width, height);
	if (sscanf(text, "fill %u %x", &number, &pattern) == 2 && number < 24 && bpl_planes[number])
		return bpl_fill(bpl_planes[number], pattern);
	return strncmp(text, "invert", 6) ? -EINVAL : bpl_invert();
}

CONTROL_FILE(bpl, bpl_command);

static int __init bpl_init(void)
{
	return CONTROL_CREATE(bpl, "bitplane");
}

static void __exit bpl_exit(void)
{
	CONTROL_REMOVE("bitplane");
}

module_init(bpl_init);
module_exit(bpl_exit);
MODULE_DESCRIPTION("Pictures");
MODULE_LICENSE("GPL");
