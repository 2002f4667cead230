// SPDX-License-Identifier: GPL-2.0
/* Telemetry control file: "start" opens a session, "rate N" sets its sampling rate. */
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct telem_session {
	char label[48];
	unsigned long started;
	unsigned int rate;
	unsigned int dropped;
};

static struct telem_session *telem_current;
static struct proc_dir_entry *telem_entry;

static noinline int telem_start(void)
{
	telem_current = kzalloc(sizeof(*telem_current), GFP_KERNEL);
	if (!telem_current)
		return -ENOMEM;
	telem_current->started = jiffies;
	return 0;
}

/* The mistake: "rate" before "start" finds no session. */
static noinline int telem_set_rate(struct telem_session *session, unsigned int rate)
{
	if (rate == session->rate)
		return 0;
	session->rate = rate;
	return 1;
}

static ssize_t telem_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	char text[32];
	unsigned int rate;
	int status = -EINVAL;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, count))
		return -EFAULT;
	text[count] = 0;
	if (!strncmp(text, "start", 5))
		status = telem_start();
	else if (sscanf(text, "rate %u", &rate) == 1)
		status = telem_set_rate(telem_current, rate);
	return status < 0 ? status : count;
}

static const struct proc_ops telem_ops = {
	.proc_write = telem_write,
};

static int __init telem_init(void)
{
	telem_entry = proc_create("telem_ctl", 0600, NULL, &telem_ops);
	if (!telem_entry)
		return -ENOMEM;
	pr_info("telemdrv: control file ready\n");
	return 0;
}

static void __exit telem_exit(void)
{
	proc_remove(telem_entry);
	kfree(telem_current);
}

module_init(telem_init);
module_exit(telem_exit);
MODULE_DESCRIPTION("Telemetry sampling control");
MODULE_LICENSE("GPL");
