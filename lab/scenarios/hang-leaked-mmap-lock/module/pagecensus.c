// SPDX-License-Identifier: GPL-2.0
/* Counts the pages of the mapping at an address. */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include "control.h"

static unsigned long census_pages;

/* The mistake: an address that is not mapped is an error that leaves the address space locked. */
static noinline int census_count(struct mm_struct *mm, unsigned long address)
{
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = find_vma(mm, address);
	if (!vma || vma->vm_start > address)
		return -ENOMEM;
	census_pages += vma_pages(vma);
	mmap_read_unlock(mm);
	return 0;
}

static noinline void census_reset(struct mm_struct *mm)
{
	mmap_read_lock(mm);
	census_pages = 0;
	mmap_read_unlock(mm);
}

static int census_command(char *text)
{
	unsigned long address;

	if (!current->mm)
		return -EINVAL;
	if (sscanf(text, "at %lx", &address) == 1)
		return census_count(current->mm, address);
	census_reset(current->mm);
	return 0;
}

CONTROL_FILE(census, census_command);

static int __init census_init(void)
{
	return CONTROL_CREATE(census, "pagecensus");
}

static void __exit census_exit(void)
{
	CONTROL_REMOVE("pagecensus");
}

module_init(census_init);
module_exit(census_exit);
MODULE_DESCRIPTION("Page census");
MODULE_LICENSE("GPL");
