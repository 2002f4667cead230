// SPDX-License-Identifier: GPL-2.0
/* Frames with a header, sent and dropped. */
#include "control.h"

struct frm_frame {
	u8 *data;
	u32 length;
};

static struct frm_frame frm_current;
static u32 frm_checksum;

static noinline void frm_drop(struct frm_frame *frame)
{
	kfree(frame->data);
	frame->data = NULL;
}

/* The mistake: data is what is freed later. */
static noinline int frm_send(struct frm_frame *frame)
{
	frame->data += 16;
	frame->length -= 16;
	while (frame->length >= 8) {
		frm_checksum += frame->data[0];
		frame->length -= 8;
	}
	frm_drop(frame);
	pr_debug("framer: sent\n");
	return 0;
}

static noinline int frm_make(u32 length)
{
	if (length < 16 || length > 4096)
		return -EINVAL;
	frm_current.data = kzalloc(length, GFP_KERNEL);
	frm_current.length = length;
	return frm_current.data ? frm_send(&frm_current) : -ENOMEM;
}

static int frm_command(char *text)
{
	u32 length;

	return sscanf(text, "frame %u", &length) == 1 ? frm_make(length) : -EINVAL;
}

CONTROL_FILE(frm, frm_command);

static int __init frm_init(void)
{
	return CONTROL_CREATE(frm, "framer");
}

static void __exit frm_exit(void)
{
	CONTROL_REMOVE("framer");
}

module_init(frm_init);
module_exit(frm_exit);
MODULE_DESCRIPTION("Frames");
MODULE_LICENSE("GPL");
