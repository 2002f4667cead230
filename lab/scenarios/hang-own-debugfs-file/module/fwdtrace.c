// SPDX-License-Identifier: GPL-2.0
/* Sessions of a trace forwarder: each has a folder in debugfs, through which it is ended. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include "control.h"

struct fwd_session {
	struct list_head entry;
	struct dentry *folder;
	unsigned int id;
	u64 sent;
};

static LIST_HEAD(fwd_sessions);
static DEFINE_MUTEX(fwd_mutex);
static struct dentry *fwd_root;

/* The mistake: it is called from the folder's own file, and waits until nobody uses that. */
static noinline int fwd_end_session(struct fwd_session *session)
{
	mutex_lock(&fwd_mutex);
	list_del_init(&session->entry);
	mutex_unlock(&fwd_mutex);
	debugfs_remove_recursive(session->folder);
	kfree(session);
	return 0;
}

static ssize_t fwd_state_write(struct file *file, const char __user *buffer, size_t size, loff_t *at)
{
	struct fwd_session *session = file_inode(file)->i_private;
	char state;

	if (!size || get_user(state, buffer))
		return -EFAULT;
	if (state == 'e')
		fwd_end_session(session);
	else
		session->sent = 0;
	return size;
}

static const struct file_operations fwd_state_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fwd_state_write,
};

static int __init fwd_init(void)
{
	struct fwd_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -ENOMEM;
	fwd_root = debugfs_create_dir("fwdtrace", NULL);
	session->folder = debugfs_create_dir("session0", fwd_root);
	debugfs_create_file("state", 0200, session->folder, session, &fwd_state_fops);
	debugfs_create_u64("sent", 0400, session->folder, &session->sent);
	list_add(&session->entry, &fwd_sessions);
	return 0;
}

static void __exit fwd_exit(void)
{
	debugfs_remove_recursive(fwd_root);
}

module_init(fwd_init);
module_exit(fwd_exit);
MODULE_DESCRIPTION("Trace forwarder");
MODULE_LICENSE("GPL");
