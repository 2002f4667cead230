// SPDX-License-Identifier: GPL-2.0
/* A cache of blocks with a clock hand. */
#include <linux/spinlock.h>
#include "control.h"

#define BLKC_SLOTS 64

struct blkc_slot {
	unsigned long block;
	unsigned int pins;
};

static struct blkc_slot blkc_slots[BLKC_SLOTS];
static DEFINE_SPINLOCK(blkc_lock);
static unsigned int blkc_hand;

static noinline bool blkc_evictable(struct blkc_slot *slot)
{
	return READ_ONCE(slot->pins) == 0;
}

/* The mistake: with every slot pinned the hand goes round for ever. */
static noinline int blkc_evict(void)
{
	spin_lock(&blkc_lock);
	while (!blkc_evictable(&blkc_slots[blkc_hand]))
		blkc_hand = (blkc_hand + 1) % BLKC_SLOTS;
	blkc_slots[blkc_hand].block = 0;
	spin_unlock(&blkc_lock);
	return 0;
}

static noinline int blkc_find(unsigned long block)
{
	unsigned int i;
	int found = 0;

	spin_lock(&blkc_lock);
	for (i = 0; i < BLKC_SLOTS; i++)
		found += blkc_slots[i].block == block;
	spin_unlock(&blkc_lock);
	return found;
}

static int blkc_command(char *text)
{
	unsigned long block;

	if (sscanf(text, "find %lu", &block) == 1)
		return blkc_find(block);
	return blkc_evict();
}

CONTROL_FILE(blkc, blkc_command);

static int __init blkc_init(void)
{
	unsigned int i;

	for (i = 0; i < BLKC_SLOTS; i++) {
		blkc_slots[i].block = i + 1;
		blkc_slots[i].pins = 1;
	}
	return CONTROL_CREATE(blkc, "blkcache");
}

static void __exit blkc_exit(void)
{
	CONTROL_REMOVE("blkcache");
}

module_init(blkc_init);
module_exit(blkc_exit);
MODULE_DESCRIPTION("Block cache");
MODULE_LICENSE("GPL");
