// SPDX-License-Identifier: GPL-2.0
/* A table of neighbours on the wire. */
#include <linux/list.h>
#include "control.h"

struct nbrtab_entry {
	unsigned long seen;
	struct list_head entry;
	unsigned int port;
};

static LIST_HEAD(nbrtab_list);

static noinline int nbrtab_add(unsigned int port)
{
	struct nbrtab_entry *neighbour = kzalloc(sizeof(*neighbour), GFP_KERNEL);

	if (!neighbour)
		return -ENOMEM;
	neighbour->port = port;
	neighbour->seen = jiffies;
	list_add_tail(&neighbour->entry, &nbrtab_list);
	return 0;
}

/* The mistake: the entry stays on the list. */
static noinline int nbrtab_expire(unsigned int port)
{
	struct nbrtab_entry *neighbour;

	list_for_each_entry(neighbour, &nbrtab_list, entry) {
		if (neighbour->port != port)
			continue;
		kfree(neighbour);
		return 0;
	}
	return -ENOENT;
}

static int nbrtab_command(char *text)
{
	unsigned int port;

	if (sscanf(text, "add %u", &port) == 1)
		return nbrtab_add(port);
	if (sscanf(text, "expire %u", &port) == 1)
		return nbrtab_expire(port);
	return -EINVAL;
}

CONTROL_FILE(nbrtab, nbrtab_command);

static int __init nbrtab_init(void)
{
	return CONTROL_CREATE(nbrtab, "nbrtab");
}

static void __exit nbrtab_exit(void)
{
	CONTROL_REMOVE("nbrtab");
}

module_init(nbrtab_init);
module_exit(nbrtab_exit);
MODULE_DESCRIPTION("Neighbour table");
MODULE_LICENSE("GPL");
