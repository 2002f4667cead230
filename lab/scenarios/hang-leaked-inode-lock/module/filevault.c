// SPDX-License-Identifier: GPL-2.0
/* Seals files against further writes. */
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/path.h>
#include "control.h"

#define VAULT_LIMIT 8

static unsigned int vault_sealed;

static int vault_mark(struct inode *inode)
{
	if (!S_ISREG(inode->i_mode))
		return -EINVAL;
	inode->i_flags |= S_NOATIME;
	return 0;
}

/* The mistake: where nothing more can be sealed it returns with the inode locked. */
static noinline int vault_seal(struct inode *inode)
{
	int status;

	inode_lock(inode);
	if (vault_sealed >= VAULT_LIMIT || i_size_read(inode) > 4096)
		return -ENOSPC;
	status = vault_mark(inode);
	if (!status)
		vault_sealed++;
	inode_unlock(inode);
	return status;
}

static int vault_command(char *text)
{
	struct path path;
	int status = kern_path(strim(text), LOOKUP_FOLLOW, &path);

	if (status)
		return status;
	status = vault_seal(d_inode(path.dentry));
	path_put(&path);
	return status;
}

CONTROL_FILE(vault, vault_command);

static int __init vault_init(void)
{
	return CONTROL_CREATE(vault, "filevault");
}

static void __exit vault_exit(void)
{
	CONTROL_REMOVE("filevault");
}

module_init(vault_init);
module_exit(vault_exit);
MODULE_DESCRIPTION("File vault");
MODULE_LICENSE("GPL");
