// SPDX-License-Identifier: GPL-2.0
/* Labels of volumes; a label is set and dropped through a file. */
#include <linux/mutex.h>
#include "control.h"

static DEFINE_MUTEX(lbl_lock);
static char *lbl_label;

/* The mistake: no room for the end. */
static noinline char *lbl_copy(const char *text)
{
	size_t length = strlen(text);
	char *label = kmalloc(length, GFP_KERNEL), *target = label;

	if (!label)
		return NULL;
	OPTIMIZER_HIDE_VAR(target);
	memcpy(target, text, length + 1);
	return label;
}

static noinline void lbl_drop(void)
{
	char *label = lbl_label;

	lbl_label = NULL;
	kfree(label);
	pr_debug("labelfs: dropped\n");
}

static noinline int lbl_set(const char *text)
{
	lbl_drop();
	lbl_label = lbl_copy(text);
	return lbl_label ? 0 : -ENOMEM;
}

static int lbl_command(char *text)
{
	int status = 0;

	mutex_lock(&lbl_lock);
	if (!strncmp(text, "set ", 4))
		status = lbl_set(text + 4);
	else
		lbl_drop();
	mutex_unlock(&lbl_lock);
	return status;
}

CONTROL_FILE(lbl, lbl_command);

static int __init lbl_init(void)
{
	return CONTROL_CREATE(lbl, "labelfs");
}

static void __exit lbl_exit(void)
{
	CONTROL_REMOVE("labelfs");
	lbl_drop();
}

module_init(lbl_init);
module_exit(lbl_exit);
MODULE_DESCRIPTION("Labels of volumes");
MODULE_LICENSE("GPL");
