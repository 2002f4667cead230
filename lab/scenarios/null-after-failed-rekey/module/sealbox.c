// SPDX-License-Identifier: GPL-2.0
/* Seals records with a digest: each session has its algorithm, which it may change. */
#include <crypto/hash.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct sealbox {
	struct mutex lock;
	struct crypto_shash *tfm;
	char algorithm[32];
	u8 seal[64];
	u64 records;
	u64 bytes;
};

static struct dentry *sealbox_dir;

static int sealbox_rekey(struct sealbox *box, const char *algorithm)
{
	struct crypto_shash *tfm;

	if (box->tfm) {
		crypto_free_shash(box->tfm);
		box->tfm = NULL;
	}
	tfm = crypto_alloc_shash(algorithm, 0, 0);
	if (IS_ERR(tfm)) {
		pr_info("sealbox: algorithm %s is not offered\n", algorithm);
		return PTR_ERR(tfm);
	}
	if (crypto_shash_digestsize(tfm) > sizeof(box->seal)) {
		crypto_free_shash(tfm);
		return -EINVAL;
	}
	box->tfm = tfm;
	strscpy(box->algorithm, algorithm, sizeof(box->algorithm));
	return 0;
}

static int sealbox_record(struct sealbox *box, const u8 *data, size_t length)
{
	int status = crypto_shash_tfm_digest(box->tfm, data, length, box->seal);

	if (status)
		return status;
	box->records++;
	box->bytes += length;
	return 0;
}

static int sealbox_open(struct inode *inode, struct file *file)
{
	struct sealbox *box = kzalloc(sizeof(*box), GFP_KERNEL);
	int status;

	if (!box)
		return -ENOMEM;
	mutex_init(&box->lock);
	status = sealbox_rekey(box, "sha256");
	if (status) {
		kfree(box);
		return status;
	}
	file->private_data = box;
	return 0;
}

static ssize_t sealbox_write(struct file *file, const char __user *buffer, size_t count,
			     loff_t *pos)
{
	struct sealbox *box = file->private_data;
	char *data;
	int status;

	if (count > PAGE_SIZE)
		return -EMSGSIZE;
	data = memdup_user_nul(buffer, count);
	if (IS_ERR(data))
		return PTR_ERR(data);
	mutex_lock(&box->lock);
	if (!strncmp(data, "algorithm=", 10))
		status = sealbox_rekey(box, data + 10);
	else
		status = sealbox_record(box, data, count);
	mutex_unlock(&box->lock);
	kfree(data);
	return status ? status : count;
}

static ssize_t sealbox_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	struct sealbox *box = file->private_data;

	return simple_read_from_buffer(buffer, count, pos, box->seal, sizeof(box->seal));
}

static int sealbox_release(struct inode *inode, struct file *file)
{
	struct sealbox *box = file->private_data;

	if (box->tfm)
		crypto_free_shash(box->tfm);
	kfree(box);
	return 0;
}

static const struct file_operations sealbox_fops = {
	.owner = THIS_MODULE,
	.open = sealbox_open,
	.read = sealbox_read,
	.write = sealbox_write,
	.release = sealbox_release,
};

static int __init sealbox_init(void)
{
	sealbox_dir = debugfs_create_dir("sealbox", NULL);
	debugfs_create_file("records", 0600, sealbox_dir, NULL, &sealbox_fops);
	return 0;
}

static void __exit sealbox_exit(void)
{
	debugfs_remove_recursive(sealbox_dir);
}

module_init(sealbox_init);
module_exit(sealbox_exit);
MODULE_DESCRIPTION("Seals records");
MODULE_LICENSE("GPL");
