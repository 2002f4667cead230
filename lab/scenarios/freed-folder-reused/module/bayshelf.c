// SPDX-License-Identifier: GPL-2.0
/* Shelves of drives as folders of sysfs, and a folder in them for each bay that is fitted. */
#include <linux/kobject.h>
#include "control.h"

static struct kobject *bayshelf_root;
static struct kobject *bayshelf_shelves[4];

static noinline int bayshelf_open(unsigned int shelf)
{
	char name[16];

	snprintf(name, sizeof(name), "shelf%u", shelf);
	bayshelf_shelves[shelf] = kobject_create_and_add(name, bayshelf_root);
	return bayshelf_shelves[shelf] ? 0 : -ENOMEM;
}

static noinline int bayshelf_fit(unsigned int shelf, unsigned int bay)
{
	char name[16];

	if (!bayshelf_shelves[shelf])
		return -ENOENT;
	snprintf(name, sizeof(name), "bay%u", bay);
	return kobject_create_and_add(name, bayshelf_shelves[shelf]) ? 0 : -ENOMEM;
}

/* The mistake: the shelf is still known. */
static noinline int bayshelf_close(unsigned int shelf)
{
	if (!bayshelf_shelves[shelf])
		return -ENOENT;
	kobject_put(bayshelf_shelves[shelf]);
	return 0;
}

static int bayshelf_command(char *text)
{
	unsigned int shelf, bay = 0;
	char verb[8];

	if (sscanf(text, "%7s %u %u", verb, &shelf, &bay) < 2 || shelf >= 4)
		return -EINVAL;
	if (!strcmp(verb, "open"))
		return bayshelf_open(shelf);
	return strcmp(verb, "fit") ? bayshelf_close(shelf) : bayshelf_fit(shelf, bay);
}

CONTROL_FILE(bayshelf, bayshelf_command);

static int __init bayshelf_init(void)
{
	bayshelf_root = kobject_create_and_add("bayshelf", kernel_kobj);
	return bayshelf_root ? CONTROL_CREATE(bayshelf, "bayshelf") : -ENOMEM;
}

static void __exit bayshelf_exit(void)
{
	CONTROL_REMOVE("bayshelf");
	kobject_put(bayshelf_root);
}

module_init(bayshelf_init);
module_exit(bayshelf_exit);
MODULE_DESCRIPTION("Shelves of drives");
MODULE_LICENSE("GPL");
