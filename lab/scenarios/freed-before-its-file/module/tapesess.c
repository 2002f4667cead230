// SPDX-License-Identifier: GPL-2.0
/* Sessions of a tape library: each open drive has a folder under debugfs. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include "compat.h"

#define TAPES_LOAD _IO('T', 1)
#define TAPES_UNLOAD _IO('T', 2)
#define TAPES_EJECT _IO('T', 3)
#define TAPES_SEEK _IO('T', 4)

struct tapes_medium {
	u64 blocks;
	char barcode[24];
};

struct tapes_session {
	unsigned int drive;
	u64 written;
	struct dentry *folder;
	struct dentry *file;
	struct tapes_medium *medium;
	u64 position;
	u64 errors;
	u64 retries;
};

static DEFINE_XARRAY(tapes_sessions);
static DEFINE_MUTEX(tapes_mutex);
static struct dentry *tapes_root;
static struct kmem_cache *tapes_cache;

static int tapes_position_show(struct seq_file *seq, void *unused)
{
	struct tapes_session *session = seq->private;
	struct tapes_medium *medium = session->medium;

	seq_printf(seq, "%s: block %llu of %llu, %llu errors\n", medium->barcode, session->position,
		   medium->blocks, session->errors);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tapes_position);

static struct tapes_session *tapes_alloc(unsigned int drive)
{
	struct tapes_session *session = kmem_cache_zalloc(tapes_cache, GFP_KERNEL);

	if (!session)
		return NULL;
	session->medium = kzalloc(sizeof(*session->medium), GFP_KERNEL);
	if (!session->medium) {
		kmem_cache_free(tapes_cache, session);
		return NULL;
	}
	session->drive = drive;
	session->medium->blocks = 1 << 20;
	snprintf(session->medium->barcode, sizeof(session->medium->barcode), "LTO%05u", drive * 17);
	return session;
}

static void tapes_expose(struct tapes_session *session)
{
	char name[16];

	snprintf(name, sizeof(name), "drive-%u", session->drive);
	session->folder = debugfs_create_dir(name, tapes_root);
	session->file = debugfs_create_file("position", 0400, session->folder, session,
					    &tapes_position_fops);
}

static noinline long tapes_load(unsigned int drive)
{
	struct tapes_session *session = tapes_alloc(drive);
	int status;

	if (!session)
		return -ENOMEM;
	status = xa_insert(&tapes_sessions, drive, session, GFP_KERNEL);
	if (status) {
		kfree(session->medium);
		kmem_cache_free(tapes_cache, session);
		return status;
	}
	tapes_expose(session);
	return 0;
}

static noinline long tapes_unload(unsigned int drive)
{
	struct tapes_session *session = xa_erase(&tapes_sessions, drive);

	if (!session)
		return -ENOENT;
	debugfs_remove_recursive(session->folder);
	kfree(session->medium);
	kmem_cache_free(tapes_cache, session);
	return 0;
}

/* The medium leaves the library, too: its barcode is told once more. */
static noinline long tapes_eject(unsigned int drive)
{
	struct tapes_session *session = xa_erase(&tapes_sessions, drive);

	if (!session)
		return -ENOENT;
	pr_info("tapesess: %s ejected after %llu blocks\n", session->medium->barcode,
		session->position);
	kfree(session->medium);
	kmem_cache_free(tapes_cache, session);
	return 0;
}

static long tapes_seek(unsigned int drive, unsigned long block)
{
	struct tapes_session *session = xa_load(&tapes_sessions, drive);

	if (!session || block >= session->medium->blocks)
		return -EINVAL;
	session->position = block;
	return 0;
}

static long tapes_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	unsigned int drive = argument & 15;
	long status = -ENOTTY;

	mutex_lock(&tapes_mutex);
	switch (request) {
	case TAPES_LOAD:
		status = tapes_load(drive);
		break;
	case TAPES_UNLOAD:
		status = tapes_unload(drive);
		break;
	case TAPES_EJECT:
		status = tapes_eject(drive);
		break;
	case TAPES_SEEK:
		status = tapes_seek(drive, argument >> 4);
		break;
	}
	mutex_unlock(&tapes_mutex);
	return status;
}

static const struct file_operations tapes_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = tapes_ioctl,
};

static struct miscdevice tapes_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tapelib",
	.fops = &tapes_fops,
};

static int __init tapes_init(void)
{
	tapes_cache = kmem_cache_create_usercopy("tapes_session", sizeof(struct tapes_session), 0, 0,
						 offsetof(struct tapes_session, position),
						 3 * sizeof(u64), NULL);
	if (!tapes_cache)
		return -ENOMEM;
	tapes_root = debugfs_create_dir("tapesess", NULL);
	return misc_register(&tapes_device);
}

static void __exit tapes_exit(void)
{
	struct tapes_session *session;
	unsigned long drive;

	misc_deregister(&tapes_device);
	debugfs_remove_recursive(tapes_root);
	xa_for_each(&tapes_sessions, drive, session) {
		kfree(session->medium);
		kmem_cache_free(tapes_cache, session);
	}
	xa_destroy(&tapes_sessions);
	kmem_cache_destroy(tapes_cache);
}

module_init(tapes_init);
module_exit(tapes_exit);
MODULE_DESCRIPTION("Tape library sessions");
MODULE_LICENSE("GPL");
