// SPDX-License-Identifier: GPL-2.0
/* Counts exiting processes through a kprobe. Nothing is wrong with it. */
#include <linux/kprobes.h>
#include "compat.h"

/* Exits by the low bits of the process ID. */
static atomic_t syshook_counts[16384];

static int syshook_on_exit(struct kprobe *probe, struct pt_regs *regs)
{
	atomic_inc(&syshook_counts[current->pid % ARRAY_SIZE(syshook_counts)]);
	return 0;
}

static struct kprobe syshook_probe = {
	.symbol_name = "do_exit",
	.pre_handler = syshook_on_exit,
};

static int __init syshook_init(void)
{
	int status = register_kprobe(&syshook_probe);

	pr_info("syshook_linux: hooks %s\n", status ? "failed" : "active");
	return status;
}

static void __exit syshook_exit(void)
{
	unregister_kprobe(&syshook_probe);
}

module_init(syshook_init);
module_exit(syshook_exit);
MODULE_DESCRIPTION("System call monitor");
MODULE_VERSION("2.1.0");
MODULE_LICENSE("GPL");
