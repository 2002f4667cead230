// SPDX-License-Identifier: GPL-2.0
/* Leases of addresses: twenty thousand clients ask, and one store keeps them. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/wait.h>

static DEFINE_MUTEX(leasedb_lock);
static DECLARE_WAIT_QUEUE_HEAD(leasedb_stored);
static unsigned long leasedb_leases, leasedb_written;

/* The mistake: it waits for the store to catch up with the lock held that the store needs. */
static noinline void leasedb_sync(void)
{
	mutex_lock(&leasedb_lock);
	wait_event(leasedb_stored, leasedb_written == leasedb_leases);
	mutex_unlock(&leasedb_lock);
}

static noinline void leasedb_store(void)
{
	mutex_lock(&leasedb_lock);
	leasedb_written = leasedb_leases;
	mutex_unlock(&leasedb_lock);
	wake_up(&leasedb_stored);
}

static ssize_t leasedb_read(struct file *file, char __user *buffer, size_t size, loff_t *pos)
{
	leasedb_store();
	return 0;
}

static ssize_t leasedb_write(struct file *file, const char __user *buffer, size_t size, loff_t *pos)
{
	leasedb_leases++;
	leasedb_sync();
	return size;
}

static const struct file_operations leasedb_fops = {
	.owner = THIS_MODULE,
	.read = leasedb_read,
	.write = leasedb_write,
};

static struct miscdevice leasedb_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "leasedb",
	.fops = &leasedb_fops,
};

module_misc_device(leasedb_device);
MODULE_DESCRIPTION("Address leases");
MODULE_LICENSE("GPL");
