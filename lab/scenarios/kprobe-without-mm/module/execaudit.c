// SPDX-License-Identifier: GPL-2.0
/* Notes the command lines of tasks which end. */
#include <linux/kprobes.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include "compat.h"

static unsigned long execaudit_bytes;
static unsigned long execaudit_tasks;

/* The mistake: only user tasks have an mm. */
static noinline void execaudit_note(struct mm_struct *mm)
{
	execaudit_bytes += mm->arg_end - mm->arg_start;
	execaudit_tasks++;
}

static int execaudit_on_exit(struct kprobe *probe, struct pt_regs *regs)
{
	execaudit_note(current->mm);
	return 0;
}

static struct kprobe execaudit_probe = {
	.symbol_name = "do_exit",
	.pre_handler = execaudit_on_exit,
};

static int __init execaudit_init(void)
{
	return register_kprobe(&execaudit_probe);
}

static void __exit execaudit_exit(void)
{
	unregister_kprobe(&execaudit_probe);
}

module_init(execaudit_init);
module_exit(execaudit_exit);
MODULE_DESCRIPTION("Process end audit");
MODULE_LICENSE("GPL");
