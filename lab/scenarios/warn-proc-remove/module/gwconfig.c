// SPDX-License-Identifier: GPL-2.0
/* Configuration of a gateway. */
#include <linux/seq_file.h>
#include "control.h"

static int gwcon_show(struct seq_file *seq, void *data)
{
	seq_puts(seq, "mode bridge\n");
	return 0;
}

/* The mistake: another name than at creation. */
static noinline void gwcon_remove_files(void)
{
	remove_proc_entry("gwconfig_mode", NULL);
}

static int __init gwcon_init(void)
{
	return proc_create_single("gwmode", 0444, NULL, gwcon_show) ? 0 : -ENOMEM;
}

static void __exit gwcon_exit(void)
{
	gwcon_remove_files();
}

module_init(gwcon_init);
module_exit(gwcon_exit);
MODULE_DESCRIPTION("Gateway configuration");
MODULE_LICENSE("GPL");
