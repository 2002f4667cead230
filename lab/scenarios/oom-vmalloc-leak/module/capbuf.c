// SPDX-License-Identifier: GPL-2.0
/* Captures packets into buffers. */
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "control.h"

struct capb_buffer {
	unsigned long used;
	char data[];
};

static struct capb_buffer *capb_last;

/* The mistake: the buffer before is forgotten. */
static noinline int capb_snap(unsigned long size)
{
	struct capb_buffer *buffer = vmalloc(sizeof(*buffer) + size);

	if (!buffer)
		return -ENOMEM;
	buffer->used = 0;
	capb_last = buffer;
	return 0;
}

static void capb_tick(struct work_struct *work)
{
	capb_snap(480 << 10);
	schedule_delayed_work(to_delayed_work(work), 1);
}

static DECLARE_DELAYED_WORK(capb_work, capb_tick);

static int capb_command(char *text)
{
	schedule_delayed_work(&capb_work, 1);
	return 0;
}

CONTROL_FILE(capb, capb_command);

static int __init capb_init(void)
{
	return CONTROL_CREATE(capb, "capbuf");
}

static void __exit capb_exit(void)
{
	CONTROL_REMOVE("capbuf");
	cancel_delayed_work_sync(&capb_work);
	vfree(capb_last);
}

module_init(capb_init);
module_exit(capb_exit);
MODULE_DESCRIPTION("Capture buffers");
MODULE_LICENSE("GPL");
