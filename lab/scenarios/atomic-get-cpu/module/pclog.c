// SPDX-License-Identifier: GPL-2.0
/* A log for each CPU. */
#include <linux/delay.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include "control.h"

static DEFINE_PER_CPU(unsigned long, pclog_lines);
static unsigned long pclog_flushed;

static noinline void pclog_write_out(unsigned long lines)
{
	pclog_flushed += lines;
	usleep_range(2000, 4000);
}

/* The mistake: the device is written to with preemption disabled. */
static noinline int pclog_flush(void)
{
	int cpu = get_cpu();

	pclog_write_out(per_cpu(pclog_lines, cpu));
	per_cpu(pclog_lines, cpu) = 0;
	put_cpu();
	return 0;
}

static int pclog_command(char *text)
{
	return pclog_flush();
}

CONTROL_FILE(pclog, pclog_command);

static int __init pclog_init(void)
{
	return CONTROL_CREATE(pclog, "pclog");
}

static void __exit pclog_exit(void)
{
	CONTROL_REMOVE("pclog");
}

module_init(pclog_init);
module_exit(pclog_exit);
MODULE_DESCRIPTION("Per-CPU log");
MODULE_LICENSE("GPL");
