// SPDX-License-Identifier: GPL-2.0
/* A shadow of the frame buffer, whose pages come into being when they are drawn to. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include "compat.h"

static struct page *fbshadow_pages[8];

/* The mistake: nothing may have been drawn there. */
static vm_fault_t fbshadow_fault(struct vm_fault *fault)
{
	struct page *page;

	if (fault->pgoff >= ARRAY_SIZE(fbshadow_pages))
		return VM_FAULT_SIGBUS;
	page = fbshadow_pages[fault->pgoff];
	if (page)
		get_page(page);
	fault->page = page;
	return 0;
}

static const struct vm_operations_struct fbshadow_vm_ops = { .fault = fbshadow_fault };

static int fbshadow_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &fbshadow_vm_ops;
	return 0;
}

static const struct file_operations fbshadow_fops = {
	.owner = THIS_MODULE,
	.mmap = fbshadow_mmap,
};

static struct miscdevice fbshadow_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fbshadow",
	.fops = &fbshadow_fops,
};

static int __init fbshadow_init(void)
{
	int i;

	for (i = 0; i < 3; i++)
		fbshadow_pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return misc_register(&fbshadow_device);
}

static void __exit fbshadow_exit(void)
{
	int i;

	misc_deregister(&fbshadow_device);
	for (i = 0; i < ARRAY_SIZE(fbshadow_pages); i++)
		if (fbshadow_pages[i])
			__free_page(fbshadow_pages[i]);
}

module_init(fbshadow_init);
module_exit(fbshadow_exit);
MODULE_DESCRIPTION("Frame buffer shadow");
MODULE_LICENSE("GPL");
