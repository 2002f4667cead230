// SPDX-License-Identifier: GPL-2.0
/* A table of aliases of host names. "a=b" adds one, "?a" resolves it. */
#include "control.h"

struct alias_entry {
	char name[16];
	char target[16];
};

static struct alias_entry alias_table[16];
static unsigned int alias_count;
static char alias_last[32];

/* The mistake: a cycle has no end. */
static noinline int alias_resolve(const char *name)
{
	char wanted[24];
	unsigned int i;
	int hops = 0;

	snprintf(wanted, sizeof(wanted), "%s", name);
	for (i = 0; i < alias_count; i++)
		if (!strcmp(alias_table[i].name, wanted))
			hops += 1 + alias_resolve(alias_table[i].target);
	if (!hops)
		strscpy(alias_last, wanted, sizeof(alias_last));
	return hops;
}

static int alias_command(char *text)
{
	struct alias_entry *entry = &alias_table[alias_count];

	if (text[0] == '?')
		return alias_resolve(text + 1);
	if (alias_count == ARRAY_SIZE(alias_table) ||
	    sscanf(text, "%15[^=]=%15s", entry->name, entry->target) != 2)
		return -EINVAL;
	alias_count++;
	return 0;
}

CONTROL_FILE(alias, alias_command);

static int __init alias_init(void)
{
	return CONTROL_CREATE(alias, "nsalias");
}

static void __exit alias_exit(void)
{
	CONTROL_REMOVE("nsalias");
}

module_init(alias_init);
module_exit(alias_exit);
MODULE_DESCRIPTION("Host name aliases");
MODULE_LICENSE("GPL");
