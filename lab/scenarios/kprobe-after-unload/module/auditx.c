// SPDX-License-Identifier: GPL-2.0
/* Records who makes directories. */
#include <linux/kprobes.h>
#include "compat.h"

static unsigned long auditx_count;

static int auditx_pre(struct kprobe *probe, struct pt_regs *regs)
{
	auditx_count++;
	return 0;
}

static struct kprobe auditx_probe = {
	.symbol_name = "vfs_mkdir",
	.pre_handler = auditx_pre,
};

static int __init auditx_init(void)
{
	return register_kprobe(&auditx_probe);
}

/* The mistake: no unregister_kprobe(). */
static void __exit auditx_exit(void)
{
	pr_info("auditx: unloaded, %lu directories\n", auditx_count);
}

module_init(auditx_init);
module_exit(auditx_exit);
MODULE_DESCRIPTION("Directory audit");
MODULE_LICENSE("GPL");
