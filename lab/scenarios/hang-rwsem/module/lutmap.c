// SPDX-License-Identifier: GPL-2.0
/* A look-up table which a device fills in. */
#include <linux/delay.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include "control.h"

static DECLARE_RWSEM(lutm_sem);
static unsigned int lutm_size = 32;
static unsigned int lutm_ready;

/* The mistake: it waits for the device inside the read section, for as long as it takes. */
static noinline int lutm_lookup(unsigned int index)
{
	int status = 0;

	down_read(&lutm_sem);
	while (index < lutm_size && !READ_ONCE(lutm_ready)) {
		if (msleep_interruptible(50)) {
			status = -EINTR;
			break;
		}
	}
	up_read(&lutm_sem);
	return status;
}

static noinline int lutm_resize(unsigned int size)
{
	down_write(&lutm_sem);
	lutm_size = size;
	up_write(&lutm_sem);
	return 0;
}

static int lutm_command(char *text)
{
	unsigned int number;

	if (sscanf(text, "lookup %u", &number) == 1)
		return lutm_lookup(number);
	if (sscanf(text, "resize %u", &number) == 1)
		return lutm_resize(number);
	return -EINVAL;
}

CONTROL_FILE(lutm, lutm_command);

static int __init lutm_init(void)
{
	return CONTROL_CREATE(lutm, "lutmap");
}

static void __exit lutm_exit(void)
{
	CONTROL_REMOVE("lutmap");
}

module_init(lutm_init);
module_exit(lutm_exit);
MODULE_DESCRIPTION("Device look-up table");
MODULE_LICENSE("GPL");
