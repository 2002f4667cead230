// SPDX-License-Identifier: GPL-2.0
/* Table of network flows: a list of the current ones, and one of those to expire. */
#include <linux/list.h>
#include <linux/string.h>
#include "control.h"

struct flow_entry {
	struct list_head link;
	char name[24];
};

static LIST_HEAD(flow_current);
static LIST_HEAD(flow_expiring);

static int flow_add(const char *name)
{
	struct flow_entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return -ENOMEM;
	strscpy(entry->name, name, sizeof(entry->name));
	list_add_tail(&entry->link, &flow_expiring);
	return 0;
}

/* The mistake: list_splice() leaves flow_expiring pointing into the other list. */
static noinline int flow_rotate(void)
{
	list_splice(&flow_expiring, &flow_current);
	return 0;
}

static noinline int flow_find(const char *name)
{
	struct flow_entry *entry;

	list_for_each_entry(entry, &flow_expiring, link)
		if (strncmp(entry->name, name, sizeof(entry->name)) == 0)
			return 1;
	return -ENOENT;
}

static int flow_command(char *text)
{
	if (!strncmp(text, "add ", 4))
		return flow_add(text + 4);
	if (!strncmp(text, "find ", 5))
		return flow_find(text + 5);
	return flow_rotate();
}

CONTROL_FILE(flow, flow_command);

static int __init flow_init(void)
{
	return CONTROL_CREATE(flow, "flowtab");
}

static void __exit flow_exit(void)
{
	CONTROL_REMOVE("flowtab");
}

module_init(flow_init);
module_exit(flow_exit);
MODULE_DESCRIPTION("Flow table");
MODULE_LICENSE("GPL");
