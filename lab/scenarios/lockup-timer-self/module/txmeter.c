// SPDX-License-Identifier: GPL-2.0
/* Meters what is sent, in a timer; reports on demand. */
#include <linux/crc32.h>
#include <linux/spinlock.h>
#include "control.h"

struct txm_meter {
	struct timer_list tick;
	spinlock_t lock;
	u32 samples[4096];
	u32 digest;
};

static struct txm_meter *txm_meter;

static noinline void txm_sample(struct txm_meter *meter)
{
	spin_lock(&meter->lock);
	meter->samples[jiffies & 4095]++;
	spin_unlock(&meter->lock);
}

static void txm_tick(struct timer_list *timer)
{
	struct txm_meter *meter = timer_owner(meter, timer, tick);

	txm_sample(meter);
	mod_timer(&meter->tick, jiffies + 1);
}

/* The mistake: spin_lock() where spin_lock_bh() is needed. */
static noinline int txm_report(struct txm_meter *meter)
{
	int round;

	spin_lock(&meter->lock);
	for (round = 0; round < 20000; round++)
		meter->digest = crc32(meter->digest, meter->samples, sizeof(meter->samples));
	spin_unlock(&meter->lock);
	return 0;
}

static int txm_command(char *text)
{
	mod_timer(&txm_meter->tick, jiffies + 1);
	return txm_report(txm_meter);
}

CONTROL_FILE(txm, txm_command);

static int __init txm_init(void)
{
	txm_meter = kzalloc(sizeof(*txm_meter), GFP_KERNEL);
	if (!txm_meter)
		return -ENOMEM;
	spin_lock_init(&txm_meter->lock);
	timer_setup(&txm_meter->tick, txm_tick, 0);
	return CONTROL_CREATE(txm, "txmeter");
}

static void __exit txm_exit(void)
{
	CONTROL_REMOVE("txmeter");
	timer_delete_sync(&txm_meter->tick);
	kfree(txm_meter);
}

module_init(txm_init);
module_exit(txm_exit);
MODULE_DESCRIPTION("Transmission meter");
MODULE_LICENSE("GPL");
