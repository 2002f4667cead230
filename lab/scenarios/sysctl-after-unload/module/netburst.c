// SPDX-License-Identifier: GPL-2.0
/* Limits bursts. */
#include <linux/sysctl.h>
#include "compat.h"

static int netburst_limit = 64;

static struct ctl_table netburst_table[] = {
	{
		.procname = "limit",
		.data = &netburst_limit,
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec,
	},
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	{ }
#endif
};

static int __init netburst_init(void)
{
	return register_sysctl("net/netburst", netburst_table) ? 0 : -ENOMEM;
}

/* The mistake: no unregister_sysctl_table(). */
static void __exit netburst_exit(void)
{
	pr_info("netburst: unloaded\n");
}

module_init(netburst_init);
module_exit(netburst_exit);
MODULE_DESCRIPTION("Burst limit");
MODULE_LICENSE("GPL");
