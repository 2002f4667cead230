// SPDX-License-Identifier: GPL-2.0
/* Watches which address belongs to which station; old ones are forgotten by a timer. */
#include <linux/spinlock.h>
#include "control.h"

struct arpw_entry {
	u32 address;
	unsigned int age;
	bool pinned;
};

static struct arpw_entry arpw_entries[8];
static DEFINE_SPINLOCK(arpw_lock);
static struct timer_list arpw_timer;

static bool arpw_old(struct arpw_entry *entry)
{
	return ++entry->age > 1000;
}

/* The mistake: the return at a pinned entry. */
static void arpw_age(struct timer_list *timer)
{
	unsigned int i;

	spin_lock(&arpw_lock);
	for (i = 0; i < ARRAY_SIZE(arpw_entries); i++) {
		if (arpw_entries[i].pinned)
			return;
		if (arpw_old(&arpw_entries[i]))
			arpw_entries[i].address = 0;
	}
	spin_unlock(&arpw_lock);
	mod_timer(timer, jiffies + msecs_to_jiffies(50));
}

static int arpw_command(char *text)
{
	unsigned int index;

	if (sscanf(text, "pin %u", &index) != 1 || index >= ARRAY_SIZE(arpw_entries))
		return -EINVAL;
	spin_lock_bh(&arpw_lock);
	arpw_entries[index].pinned = true;
	spin_unlock_bh(&arpw_lock);
	return 0;
}

CONTROL_FILE(arpw, arpw_command);

static int __init arpw_init(void)
{
	timer_setup(&arpw_timer, arpw_age, 0);
	mod_timer(&arpw_timer, jiffies + 1);
	return CONTROL_CREATE(arpw, "arpwatchk");
}

static void __exit arpw_exit(void)
{
	CONTROL_REMOVE("arpwatchk");
	timer_delete_sync(&arpw_timer);
}

module_init(arpw_init);
module_exit(arpw_exit);
MODULE_DESCRIPTION("Address watcher");
MODULE_LICENSE("GPL");
