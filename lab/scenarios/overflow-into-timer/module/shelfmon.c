// SPDX-License-Identifier: GPL-2.0
/* Watches the slots of a drive shelf; each slot is polled by a timer and has a name. */
#include "control.h"

struct shelf_slot {
	struct timer_list timer;
	unsigned long polls;
	unsigned int number;
	unsigned int fault;
	char name[24];
};

static struct kmem_cache *shelf_cache;
static struct shelf_slot *shelf_slots[60];

static void shelf_poll(struct timer_list *timer)
{
	struct shelf_slot *slot = timer_owner(slot, timer, timer);

	slot->polls++;
	mod_timer(&slot->timer, jiffies + msecs_to_jiffies(700));
}

/* The mistake: the length is the user's. */
static noinline void shelf_rename(struct shelf_slot *slot, const char *text, size_t length)
{
	char *name = slot->name;

	OPTIMIZER_HIDE_VAR(name);
	memcpy(name, text, length);
}

static int shelf_command(char *text)
{
	unsigned int number;
	int skip;

	if (sscanf(text, "%u %n", &number, &skip) != 1 || number >= ARRAY_SIZE(shelf_slots))
		return -EINVAL;
	shelf_rename(shelf_slots[number], text + skip, strlen(text + skip) + 1);
	return 0;
}

CONTROL_FILE(shelf, shelf_command);

static int __init shelf_init(void)
{
	int i;

	shelf_cache = kmem_cache_create("shelf_slot", sizeof(struct shelf_slot), 0, SLAB_PANIC, NULL);
	for (i = 0; i < ARRAY_SIZE(shelf_slots); i++) {
		struct shelf_slot *slot = kmem_cache_zalloc(shelf_cache, GFP_KERNEL);

		if (!slot)
			return -ENOMEM;
		slot->number = i;
		shelf_slots[i] = slot;
		timer_setup(&slot->timer, shelf_poll, 0);
		mod_timer(&slot->timer, jiffies + msecs_to_jiffies(700));
	}
	return CONTROL_CREATE(shelf, "shelf_names");
}

static void __exit shelf_exit(void)
{
	int i;

	CONTROL_REMOVE("shelf_names");
	for (i = 0; i < ARRAY_SIZE(shelf_slots); i++) {
		timer_delete_sync(&shelf_slots[i]->timer);
		kmem_cache_free(shelf_cache, shelf_slots[i]);
	}
	kmem_cache_destroy(shelf_cache);
}

module_init(shelf_init);
module_exit(shelf_exit);
MODULE_DESCRIPTION("Drive shelf monitor");
MODULE_LICENSE("GPL");
