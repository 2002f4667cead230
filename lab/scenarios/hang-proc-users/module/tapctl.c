// SPDX-License-Identifier: GPL-2.0
/* A tap: a reader waits for data, and the file can be taken away. */
#include <linux/mutex.h>
#include <linux/wait.h>
#include "control.h"

static DECLARE_WAIT_QUEUE_HEAD(tap_data);
static bool tap_has_data;
static struct proc_dir_entry *tap_entry;

/* The mistake: nobody tells it that its file goes away. */
static noinline int tap_wait(void)
{
	return wait_event_interruptible(tap_data, READ_ONCE(tap_has_data));
}

static int tap_read(char *text)
{
	return tap_wait();
}

CONTROL_FILE(tapdata, tap_read);

static noinline int tap_remove(void)
{
	proc_remove(tap_entry);
	tap_entry = NULL;
	return 0;
}

static int tap_command(char *text)
{
	return !strncmp(text, "remove", 6) ? tap_remove() : -EINVAL;
}

CONTROL_FILE(tap, tap_command);

static int __init tap_init(void)
{
	tap_entry = proc_create("tapdata", 0600, NULL, &tapdata_file_ops);
	return tap_entry ? CONTROL_CREATE(tap, "tapctl") : -ENOMEM;
}

static void __exit tap_exit(void)
{
	CONTROL_REMOVE("tapctl");
	proc_remove(tap_entry);
}

module_init(tap_init);
module_exit(tap_exit);
MODULE_DESCRIPTION("Tap");
MODULE_LICENSE("GPL");
