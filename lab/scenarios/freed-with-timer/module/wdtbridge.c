// SPDX-License-Identifier: GPL-2.0
/* Software watchdog: each client has a timer, which it must push ahead. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct wdtbr_client {
	char owner[TASK_COMM_LEN];
	struct timer_list timer;
	unsigned int expired;
	unsigned int interval;
};

static void wdtbr_expire(struct timer_list *timer)
{
	struct wdtbr_client *client = timer_owner(client, timer, timer);

	client->expired++;
	pr_warn("wdtbridge: %s is late, %u times\n", client->owner, client->expired);
}

static int wdtbr_open(struct inode *inode, struct file *file)
{
	struct wdtbr_client *client = kzalloc(sizeof(*client), GFP_KERNEL);

	if (!client)
		return -ENOMEM;
	get_task_comm(client->owner, current);
	timer_setup(&client->timer, wdtbr_expire, 0);
	file->private_data = client;
	return 0;
}

static ssize_t wdtbr_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	struct wdtbr_client *client = file->private_data;
	int status = kstrtouint_from_user(buffer, count, 0, &client->interval);

	if (status)
		return status;
	mod_timer(&client->timer, jiffies + msecs_to_jiffies(client->interval));
	return count;
}

/* The mistake: the timer may be pending. */
static int wdtbr_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations wdtbr_fops = {
	.owner = THIS_MODULE,
	.open = wdtbr_open,
	.write = wdtbr_write,
	.release = wdtbr_release,
};

static struct miscdevice wdtbr_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "wdtbridge",
	.fops = &wdtbr_fops,
};

module_misc_device(wdtbr_device);
MODULE_DESCRIPTION("Watchdog bridge");
MODULE_LICENSE("GPL");
