// SPDX-License-Identifier: GPL-2.0
/* Read-only archives as a file system. */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include "compat.h"

static int archfs_init_context(struct fs_context *context)
{
	return -EOPNOTSUPP;
}

static struct file_system_type archfs_type = {
	.owner = THIS_MODULE,
	.name = "archfs",
	.init_fs_context = archfs_init_context,
	.fs_flags = FS_REQUIRES_DEV,
};

static int __init archfs_init(void)
{
	return register_filesystem(&archfs_type);
}

/* The mistake: no unregister_filesystem(). */
static void __exit archfs_exit(void)
{
	pr_info("archfs: unloaded\n");
}

module_init(archfs_init);
module_exit(archfs_exit);
MODULE_DESCRIPTION("Archive file system");
MODULE_LICENSE("GPL");
