// SPDX-License-Identifier: GPL-2.0
/* The lock of a cabinet's door. */
#include "control.h"

static unsigned int doorlock_state;

static int doorlock_command(char *text)
{
	return kstrtouint(strim(text), 10, &doorlock_state);
}

CONTROL_FILE(doorlock, doorlock_command);

static int __init doorlock_init(void)
{
	return CONTROL_CREATE(doorlock, "doorlock");
}

static void __exit doorlock_exit(void)
{
	CONTROL_REMOVE("doorlock");
}

module_init(doorlock_init);
module_exit(doorlock_exit);
MODULE_DESCRIPTION("Door lock");
MODULE_LICENSE("GPL");
