// SPDX-License-Identifier: GPL-2.0
/* Calibration of flash channels: one at a time, guarded by a bit. */
#include <linux/wait_bit.h>
#include <linux/sched.h>
#include "control.h"

#define FCAL_BUSY 3

struct fcal_chip {
	unsigned long flags;
	unsigned int channel;
};
static struct fcal_chip fcal_chip;

/* The mistake: a bad channel leaves the chip marked as busy. */
static noinline int fcal_begin(struct fcal_chip *chip, unsigned int channel)
{
	wait_on_bit_lock(&chip->flags, FCAL_BUSY, TASK_UNINTERRUPTIBLE);
	if (channel > 64)
		return -EINVAL;
	chip->channel = channel;
	clear_bit_unlock(FCAL_BUSY, &chip->flags);
	smp_mb__after_atomic();
	wake_up_bit(&chip->flags, FCAL_BUSY);
	return 0;
}

static int fcal_command(char *text)
{
	unsigned int channel;

	if (sscanf(text, "begin %u", &channel) != 1)
		return -EINVAL;
	return fcal_begin(&fcal_chip, channel);
}

CONTROL_FILE(fcal, fcal_command);

static int __init fcal_init(void)
{

	return CONTROL_CREATE(fcal, "flashcal");
}

static void __exit fcal_exit(void)
{
	CONTROL_REMOVE("flashcal");
}

module_init(fcal_init);
module_exit(fcal_exit);
MODULE_DESCRIPTION("Flash calibration");
MODULE_LICENSE("GPL");
