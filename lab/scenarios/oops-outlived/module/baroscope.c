// SPDX-License-Identifier: GPL-2.0
/* A barometer whose readings are corrected by a calibration, if one was loaded. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct baroscope_calibration {
	unsigned int serial;
	int offset;
	int slope;
	unsigned int points;
};

struct baroscope {
	struct mutex lock;
	unsigned int raw;
	unsigned long samples;
	struct baroscope_calibration *calibration;
};

static struct baroscope *baroscope;

static noinline int baroscope_correct(const struct baroscope *baro)
{
	return baro->calibration->offset + baro->raw * baro->calibration->slope / 1024;
}

static ssize_t baroscope_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	char text[24];
	int value;

	baroscope->samples++;
	value = baroscope_correct(baroscope);
	scnprintf(text, sizeof(text), "%d\n", value);
	return simple_read_from_buffer(to, size, at, text, strlen(text));
}

static ssize_t baroscope_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct baroscope_calibration *new;
	int slope;
	int error = kstrtoint_from_user(from, size, 0, &slope);

	if (error)
		return error;
	new = slope ? kzalloc(sizeof(*new), GFP_KERNEL) : NULL;
	if (slope && !new)
		return -ENOMEM;
	if (new)
		new->slope = slope;
	mutex_lock(&baroscope->lock);
	kfree(baroscope->calibration);
	baroscope->calibration = new;
	mutex_unlock(&baroscope->lock);
	return size;
}

static const struct proc_ops baroscope_ops = {
	.proc_read = baroscope_read,
	.proc_write = baroscope_write,
};

static int __init baroscope_init(void)
{
	baroscope = kzalloc(sizeof(*baroscope), GFP_KERNEL);
	if (!baroscope)
		return -ENOMEM;
	mutex_init(&baroscope->lock);
	baroscope->raw = 1013;
	if (!proc_create("baroscope", 0600, NULL, &baroscope_ops)) {
		kfree(baroscope);
		return -ENOMEM;
	}
	return 0;
}

static void __exit baroscope_exit(void)
{
	remove_proc_entry("baroscope", NULL);
	kfree(baroscope->calibration);
	kfree(baroscope);
}

module_init(baroscope_init);
module_exit(baroscope_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Barometer");
