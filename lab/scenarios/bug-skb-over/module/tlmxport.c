// SPDX-License-Identifier: GPL-2.0
/* Exports telemetry in packets. */
#include <linux/skbuff.h>
#include "control.h"

#define TLMX_ROOM 256

static unsigned int tlmx_sent;

static noinline void tlmx_append(struct sk_buff *skb, unsigned int size)
{
	memset(skb_put(skb, size), 0x11, size);
}

/* The mistake: the size is not checked against the room. */
static noinline int tlmx_export(unsigned int size)
{
	struct sk_buff *skb = alloc_skb(TLMX_ROOM, GFP_KERNEL);

	if (!skb)
		return -ENOMEM;
	tlmx_append(skb, size);
	tlmx_sent += size;
	kfree_skb(skb);
	return 0;
}

static int tlmx_command(char *text)
{
	unsigned int size;

	return kstrtouint(text, 10, &size) ? -EINVAL : tlmx_export(size);
}

CONTROL_FILE(tlmx, tlmx_command);

static int __init tlmx_init(void)
{
	return CONTROL_CREATE(tlmx, "tlmxport");
}

static void __exit tlmx_exit(void)
{
	CONTROL_REMOVE("tlmxport");
}

module_init(tlmx_init);
module_exit(tlmx_exit);
MODULE_DESCRIPTION("Telemetry export");
MODULE_LICENSE("GPL");
