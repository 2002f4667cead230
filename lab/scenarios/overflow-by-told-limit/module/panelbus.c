// SPDX-License-Identifier: GPL-2.0
/* Slots of a departure board, each with a title and an icon. */
#include "control.h"

struct pnl_driver {
	int (*draw)(int brightness);
};

struct pnl_slot {
	const struct pnl_driver *driver;
	u32 number;
	u32 brightness;
	char icon[8];
	char title[24];
};

static struct kmem_cache *pnl_cache;
static struct pnl_slot *pnl_slots[32];

static int pnl_dim(int brightness)
{
	return brightness / 2;
}

static const struct pnl_driver pnl_driver = { .draw = pnl_dim };

/* Puts a text in, cut off where there is no more room. */
static noinline void pnl_put(char *to, size_t room, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < room && text[i] && text[i] != '\n'; i++)
		to[i] = text[i];
	to[i] = 0;
}

/* The mistake: a title has less room. */
static noinline int pnl_set_title(struct pnl_slot *slot, const char *text)
{
	pnl_put(slot->title, 64, text);
	slot->brightness = 80;
	return 0;
}

static noinline int pnl_set_icon(struct pnl_slot *slot, const char *text)
{
	pnl_put(slot->icon, sizeof(slot->icon), text);
	slot->brightness = 60;
	return 0;
}

static noinline int pnl_draw(void)
{
	int i, sum = 0;

	for (i = 0; i < ARRAY_SIZE(pnl_slots); i++)
		sum += pnl_slots[i]->driver->draw(pnl_slots[i]->brightness);
	return sum & 1;
}

static int pnl_command(char *text)
{
	unsigned int number;
	int at = 0;

	if (sscanf(text, "title %u %n", &number, &at) >= 1 && at && number < 32)
		return pnl_set_title(pnl_slots[number], text + at);
	if (sscanf(text, "icon %u %n", &number, &at) >= 1 && at && number < 32)
		return pnl_set_icon(pnl_slots[number], text + at);
	return strncmp(text, "draw", 4) ? -EINVAL : pnl_draw();
}

CONTROL_FILE(pnl, pnl_command);

static int __init pnl_init(void)
{
	int i;

	pnl_cache = kmem_cache_create("pnl_slot", sizeof(struct pnl_slot), 0, SLAB_PANIC, NULL);
	for (i = 0; i < 32; i++) {
		pnl_slots[i] = kmem_cache_zalloc(pnl_cache, GFP_KERNEL);
		if (!pnl_slots[i])
			return -ENOMEM;
		pnl_slots[i]->number = i;
		pnl_slots[i]->driver = &pnl_driver;
	}
	return CONTROL_CREATE(pnl, "panelbus");
}

static void __exit pnl_exit(void)
{
	CONTROL_REMOVE("panelbus");
}

module_init(pnl_init);
module_exit(pnl_exit);
MODULE_DESCRIPTION("Departure board");
MODULE_LICENSE("GPL");
