// SPDX-License-Identifier: GPL-2.0
/* A ferry terminal's manifests: a small file system in memory, one file a crossing. */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

#define MANIFEST_MAGIC 0x6d616e69
#define MANIFEST_MAX 4096

struct manifest_record {
	struct list_head list;
	unsigned long crossing;
	size_t length;
	char text[MANIFEST_MAX];
};

struct manifest_port {
	struct mutex lock;
	struct list_head records;
	unsigned long next_crossing;
	size_t bytes;
};

static const struct inode_operations manifest_dir_ops;
static const struct inode_operations manifest_file_ops;
static const struct file_operations manifest_file_fops;

static struct manifest_port *manifest_port_of(struct inode *inode)
{
	return inode->i_sb->s_fs_info;
}

/* The record of a file, made when it is first written. */
static struct manifest_record *manifest_record_of(struct inode *inode)
{
	struct manifest_port *port = manifest_port_of(inode);
	struct manifest_record *record = inode->i_private;

	if (record)
		return record;
	record = kzalloc(sizeof(*record), GFP_KERNEL);
	if (!record)
		return NULL;
	record->crossing = port->next_crossing++;
	list_add_tail(&record->list, &port->records);
	inode->i_private = record;
	return record;
}

static ssize_t manifest_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	struct inode *inode = file_inode(file);
	struct manifest_record *record;
	ssize_t done = 0;

	inode_lock_shared(inode);
	record = inode->i_private;
	if (record)
		done = simple_read_from_buffer(buffer, count, pos, record->text, record->length);
	inode_unlock_shared(inode);
	return done;
}

static ssize_t manifest_write(struct file *file, const char __user *buffer, size_t count,
			      loff_t *pos)
{
	struct inode *inode = file_inode(file);
	struct manifest_port *port = manifest_port_of(inode);
	struct manifest_record *record;
	ssize_t done = -ENOMEM;

	inode_lock(inode);
	mutex_lock(&port->lock);
	record = manifest_record_of(inode);
	if (record)
		done = simple_write_to_buffer(record->text, MANIFEST_MAX, pos, buffer, count);
	if (done > 0 && *pos > record->length) {
		port->bytes += *pos - record->length;
		record->length = *pos;
		i_size_write(inode, *pos);
	}
	mutex_unlock(&port->lock);
	inode_unlock(inode);
	return done;
}

static struct inode *manifest_new_inode(struct super_block *sb, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = mode;
	simple_inode_init_ts(inode);
	if (S_ISDIR(mode)) {
		inode->i_op = &manifest_dir_ops;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
	} else {
		inode->i_op = &manifest_file_ops;
		inode->i_fop = &manifest_file_fops;
	}
	return inode;
}

static int manifest_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			   umode_t mode, bool exclusive)
{
	struct inode *inode = manifest_new_inode(dir->i_sb, S_IFREG | (mode & 0777));

	if (!inode)
		return -ENOSPC;
	d_instantiate(dentry, inode);
	dget(dentry);
	return 0;
}

static void manifest_drop_record(struct manifest_port *port, struct manifest_record *record)
{
	mutex_lock(&port->lock);
	list_del(&record->list);
	port->bytes -= record->length;
	mutex_unlock(&port->lock);
	kfree(record);
}

static void manifest_evict_inode(struct inode *inode)
{
	struct manifest_record *record = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	if (!record)
		return;
	clear_inode(inode);
	inode->i_private = NULL;
	manifest_drop_record(manifest_port_of(inode), record);
}

static const struct inode_operations manifest_dir_ops = {
	.lookup = simple_lookup,
	.create = manifest_create,
	.unlink = simple_unlink,
};

static const struct inode_operations manifest_file_ops = {
	.getattr = simple_getattr,
	.setattr = simple_setattr,
};

static const struct file_operations manifest_file_fops = {
	.owner = THIS_MODULE,
	.read = manifest_read,
	.write = manifest_write,
	.llseek = default_llseek,
};

static const struct super_operations manifest_super_ops = {
	.statfs = simple_statfs,
	.drop_inode = generic_delete_inode,
	.evict_inode = manifest_evict_inode,
};

static int manifest_fill_super(struct super_block *sb, struct fs_context *context)
{
	struct manifest_port *port = kzalloc(sizeof(*port), GFP_KERNEL);
	struct inode *root;

	if (!port)
		return -ENOMEM;
	mutex_init(&port->lock);
	INIT_LIST_HEAD(&port->records);
	port->next_crossing = 1;
	sb->s_fs_info = port;
	sb->s_magic = MANIFEST_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_op = &manifest_super_ops;
	root = manifest_new_inode(sb, S_IFDIR | 0755);
	sb->s_root = root ? d_make_root(root) : NULL;
	return sb->s_root ? 0 : -ENOMEM;
}

static int manifest_get_tree(struct fs_context *context)
{
	return get_tree_nodev(context, manifest_fill_super);
}

static const struct fs_context_operations manifest_context_ops = {
	.get_tree = manifest_get_tree,
};

static int manifest_init_context(struct fs_context *context)
{
	context->ops = &manifest_context_ops;
	return 0;
}

static void manifest_kill_sb(struct super_block *sb)
{
	struct manifest_port *port = sb->s_fs_info;

	kill_litter_super(sb);
	kfree(port);
}

static struct file_system_type manifest_type = {
	.owner = THIS_MODULE,
	.name = "manifestfs",
	.init_fs_context = manifest_init_context,
	.kill_sb = manifest_kill_sb,
};
MODULE_ALIAS_FS("manifestfs");

static int __init manifest_init(void)
{
	return register_filesystem(&manifest_type);
}

static void __exit manifest_exit(void)
{
	unregister_filesystem(&manifest_type);
}

module_init(manifest_init);
module_exit(manifest_exit);
MODULE_DESCRIPTION("Ferry manifests");
MODULE_LICENSE("GPL");
