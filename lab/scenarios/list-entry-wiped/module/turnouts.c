// SPDX-License-Identifier: GPL-2.0
/* Turnouts of a railway: those to be thrown are queued and thrown one after another. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "compat.h"

#define TURNOUTS 48

struct turnout {
	u16 position;
	u16 wanted;
	u32 thrown;
	struct list_head queued;
	u64 last;
	char route[16];
};

static struct turnout *turnouts;
static LIST_HEAD(turnout_queue);
static DEFINE_SPINLOCK(turnout_lock);
static struct dentry *turnout_dir;
static u32 turnout_pause = 40;

static void turnout_throw(struct work_struct *work);
static DECLARE_DELAYED_WORK(turnout_work, turnout_throw);

static void turnout_throw(struct work_struct *work)
{
	struct turnout *turnout;
	bool more;

	spin_lock(&turnout_lock);
	turnout = list_first_entry_or_null(&turnout_queue, struct turnout, queued);
	if (turnout) {
		list_del_init(&turnout->queued);
		turnout->position = turnout->wanted;
		turnout->thrown++;
		turnout->last = jiffies;
	}
	more = !list_empty(&turnout_queue);
	spin_unlock(&turnout_lock);
	if (more)
		schedule_delayed_work(&turnout_work, msecs_to_jiffies(turnout_pause));
}

static int turnout_request(u32 number, u32 position, const char *route)
{
	struct turnout *turnout = &turnouts[number];

	spin_lock(&turnout_lock);
	turnout->wanted = position;
	strscpy(turnout->route, route, sizeof(turnout->route));
	if (list_empty(&turnout->queued))
		list_add_tail(&turnout->queued, &turnout_queue);
	spin_unlock(&turnout_lock);
	schedule_delayed_work(&turnout_work, msecs_to_jiffies(turnout_pause));
	return 0;
}

/* After maintenance, a turnout begins anew. */
static int turnout_renew(u32 number)
{
	struct turnout *turnout = &turnouts[number];

	spin_lock(&turnout_lock);
	memset(turnout, 0, sizeof(*turnout));
	turnout->last = jiffies;
	spin_unlock(&turnout_lock);
	return 0;
}

static ssize_t turnout_write(struct file *file, const char __user *buffer, size_t count,
			     loff_t *pos)
{
	u32 number, position;
	char text[64], route[16] = "";
	int status = -EINVAL;

	if (count >= sizeof(text) || copy_from_user(text, buffer, count))
		return -EINVAL;
	text[count] = 0;
	if (sscanf(text, "throw %u %u %15s", &number, &position, route) >= 2)
		status = number < TURNOUTS ? turnout_request(number, position, route) : -ENOENT;
	else if (sscanf(text, "renew %u", &number) == 1)
		status = number < TURNOUTS ? turnout_renew(number) : -ENOENT;
	return status ? status : count;
}

static int turnout_show(struct seq_file *seq, void *data)
{
	int number;

	for (number = 0; number < TURNOUTS; number++)
		seq_printf(seq, "%d %u %u %s\n", number, turnouts[number].position,
			   turnouts[number].thrown, turnouts[number].route);
	return 0;
}

static int turnout_open(struct inode *inode, struct file *file)
{
	return single_open(file, turnout_show, NULL);
}

static const struct file_operations turnout_fops = {
	.owner = THIS_MODULE,
	.open = turnout_open,
	.read = seq_read,
	.write = turnout_write,
	.release = single_release,
};

static int __init turnout_init(void)
{
	int number;

	turnouts = kcalloc(TURNOUTS, sizeof(*turnouts), GFP_KERNEL);
	if (!turnouts)
		return -ENOMEM;
	for (number = 0; number < TURNOUTS; number++)
		INIT_LIST_HEAD(&turnouts[number].queued);
	turnout_dir = debugfs_create_dir("turnouts", NULL);
	debugfs_create_file("control", 0600, turnout_dir, NULL, &turnout_fops);
	debugfs_create_u32("pause", 0600, turnout_dir, &turnout_pause);
	return 0;
}

static void __exit turnout_exit(void)
{
	debugfs_remove_recursive(turnout_dir);
	cancel_delayed_work_sync(&turnout_work);
	kfree(turnouts);
}

module_init(turnout_init);
module_exit(turnout_exit);
MODULE_DESCRIPTION("Turnouts");
MODULE_LICENSE("GPL");
