// SPDX-License-Identifier: GPL-2.0
/* Non-volatile cache; its counters are shown in debugfs. */
#include <linux/debugfs.h>
#include "compat.h"

static u32 nvcache_hits = 17;
static u32 nvcache_misses = 3;
static struct dentry *nvcache_folder;

static int __init nvcache_init(void)
{
	nvcache_folder = debugfs_create_dir("nvcache", NULL);
	debugfs_create_u32("hits", 0444, nvcache_folder, &nvcache_hits);
	debugfs_create_u32("misses", 0444, nvcache_folder, &nvcache_misses);
	return 0;
}

/* The mistake: no debugfs_remove_recursive(). */
static void __exit nvcache_exit(void)
{
	pr_info("nvcache: removed, %u hits\n", nvcache_hits++);
}

module_init(nvcache_init);
module_exit(nvcache_exit);
MODULE_DESCRIPTION("Non-volatile cache");
MODULE_LICENSE("GPL");
