// SPDX-License-Identifier: GPL-2.0
/* Captures packets into buffers. */
#include <linux/vmalloc.h>
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

static int capb_command(char *text)
{
	return capb_snap(480 << 10);
}

CONTROL_FILE(capb, capb_command);

static int __init capb_init(void)
{
	return CONTROL_CREATE(capb, "capbuf");
}

static void __exit capb_exit(void)
{
	CONTROL_REMOVE("capbuf");
	vfree(capb_last);
}

module_init(capb_init);
module_exit(capb_exit);
MODULE_DESCRIPTION("Capture buffers");
MODULE_LICENSE("GPL");
