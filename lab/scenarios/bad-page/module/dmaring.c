// SPDX-License-Identifier: GPL-2.0
/* A ring of pages for DMA. */
#include <linux/mm.h>
#include "control.h"

#define DMAR_PAGES 4
#define DMAR_ORDER 4

static struct page *dmar_pages[DMAR_PAGES];

static noinline int dmar_fill(void)
{
	int i;

	for (i = 0; i < DMAR_PAGES; i++) {
		dmar_pages[i] = alloc_pages(GFP_KERNEL, DMAR_ORDER);
		if (!dmar_pages[i])
			return -ENOMEM;
		dmar_pages[i]->mapping = (void *)&dmar_pages[i];
	}
	return 0;
}

/* The mistake: the mapping is not cleared before. */
static noinline int dmar_drain(void)
{
	int i;

	for (i = 0; i < DMAR_PAGES; i++) {
		if (dmar_pages[i])
			__free_pages(dmar_pages[i], DMAR_ORDER);
		dmar_pages[i] = NULL;
	}
	return 0;
}

static int dmar_command(char *text)
{
	return strncmp(text, "fill", 4) ? dmar_drain() : dmar_fill();
}

CONTROL_FILE(dmar, dmar_command);

static int __init dmar_init(void)
{
	return CONTROL_CREATE(dmar, "dmaring");
}

static void __exit dmar_exit(void)
{
	CONTROL_REMOVE("dmaring");
}

module_init(dmar_init);
module_exit(dmar_exit);
MODULE_DESCRIPTION("DMA ring");
MODULE_LICENSE("GPL");
