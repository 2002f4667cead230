// SPDX-License-Identifier: GPL-2.0
/* Views of a map: each has its tiles, and one can be made like another. */
#include "control.h"

struct tile_set {
	u64 tile[120];
};

struct map_view {
	struct tile_set *tiles;
	u64 x;
	u64 y;
	u64 zoom;
	u64 drawn;
};

static struct map_view *map_views[8];

static noinline int map_open(unsigned int number)
{
	struct map_view *view = kzalloc(sizeof(*view), GFP_KERNEL);

	if (!view)
		return -ENOMEM;
	view->tiles = kzalloc(sizeof(*view->tiles), GFP_KERNEL);
	view->zoom = 3;
	map_views[number] = view;
	return 0;
}

/* The mistake: both views have the same tiles then. */
static noinline int map_duplicate(unsigned int number, unsigned int from)
{
	struct map_view *view = kmemdup(map_views[from], sizeof(*view), GFP_KERNEL);

	if (!view)
		return -ENOMEM;
	view->drawn = 0;
	map_views[number] = view;
	return 0;
}

static noinline int map_close(unsigned int number)
{
	struct map_view *view = map_views[number];

	map_views[number] = NULL;
	kfree(view->tiles);
	kfree(view);
	return 0;
}

static int map_command(char *text)
{
	unsigned int number, from = 0;
	char verb[8];

	if (sscanf(text, "%7s %u %u", verb, &number, &from) < 2)
		return -EINVAL;
	if (number >= ARRAY_SIZE(map_views) || from >= ARRAY_SIZE(map_views))
		return -EINVAL;
	if (!strcmp(verb, "open"))
		return map_open(number);
	if (!strcmp(verb, "like") && map_views[from])
		return map_duplicate(number, from);
	return map_views[number] ? map_close(number) : -ENOENT;
}

CONTROL_FILE(map, map_command);

static int __init map_init(void)
{
	return CONTROL_CREATE(map, "tilemap");
}

static void __exit map_exit(void)
{
	CONTROL_REMOVE("tilemap");
}

module_init(map_init);
module_exit(map_exit);
MODULE_DESCRIPTION("Map views");
MODULE_LICENSE("GPL");
