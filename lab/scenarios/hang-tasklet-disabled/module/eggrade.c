// SPDX-License-Identifier: GPL-2.0
/* An egg grader: the scale's samples come by a timer, a tasklet sorts them into bands. */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "eggrade.h"

#define EGGRADE_FIFO 64
#define EGGRADE_PERIOD msecs_to_jiffies(20)

struct eggrade_line {
	struct miscdevice misc;
	struct mutex lock; /* of the configuration */
	bool running;
	struct timer_list scale;
	struct tasklet_struct sorter;
	spinlock_t fifo_lock;
	u32 fifo[EGGRADE_FIFO];
	unsigned int in, out;
	struct eggrade_bands bands;
	unsigned long graded[EGGRADE_BANDS + 1];
	unsigned long dropped;
};

static struct eggrade_line *eggrade_line;

static void eggrade_sample(struct timer_list *timer)
{
	struct eggrade_line *line = timer_owner(line, timer, scale);

	spin_lock(&line->fifo_lock);
	if (line->in - line->out < EGGRADE_FIFO)
		line->fifo[line->in++ % EGGRADE_FIFO] = 450 + jiffies % 500;
	else
		line->dropped++;
	spin_unlock(&line->fifo_lock);
	tasklet_schedule(&line->sorter);
	mod_timer(&line->scale, jiffies + EGGRADE_PERIOD);
}

static unsigned int eggrade_band(const struct eggrade_bands *bands, u32 weight)
{
	unsigned int i;

	for (i = 0; i < EGGRADE_BANDS; i++)
		if (weight <= bands->upper[i])
			break;
	return i;
}

static void eggrade_sort(struct tasklet_struct *tasklet)
{
	struct eggrade_line *line = from_tasklet(line, tasklet, sorter);
	u32 weight;

	spin_lock(&line->fifo_lock);
	while (line->out != line->in) {
		weight = line->fifo[line->out++ % EGGRADE_FIFO];
		line->graded[eggrade_band(&line->bands, weight)]++;
	}
	spin_unlock(&line->fifo_lock);
}

static noinline int eggrade_start(struct eggrade_line *line)
{
	if (line->running)
		return -EBUSY;
	line->in = 0;
	line->out = 0;
	line->running = true;
	mod_timer(&line->scale, jiffies + EGGRADE_PERIOD);
	return 0;
}

static noinline int eggrade_stop(struct eggrade_line *line)
{
	if (!line->running)
		return 0;
	timer_delete_sync(&line->scale);
	tasklet_kill(&line->sorter);
	line->running = false;
	return 0;
}

/* The sorter must not see half of a new table. */
static noinline int eggrade_set_bands(struct eggrade_line *line, const void __user *argument)
{
	struct eggrade_bands bands;
	int i;

	if (copy_from_user(&bands, argument, sizeof(bands)))
		return -EFAULT;
	tasklet_disable(&line->sorter);
	for (i = 1; i < EGGRADE_BANDS; i++)
		if (bands.upper[i] <= bands.upper[i - 1])
			return -EINVAL;
	line->bands = bands;
	memset(line->graded, 0, sizeof(line->graded));
	tasklet_enable(&line->sorter);
	return 0;
}

static long eggrade_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct eggrade_line *line = eggrade_line;
	int status;

	mutex_lock(&line->lock);
	switch (request) {
	case EGGRADE_START:
		status = eggrade_start(line);
		break;
	case EGGRADE_STOP:
		status = eggrade_stop(line);
		break;
	case EGGRADE_SET_BANDS:
		status = eggrade_set_bands(line, (const void __user *)argument);
		break;
	default:
		status = -ENOTTY;
	}
	mutex_unlock(&line->lock);
	return status;
}

static ssize_t eggrade_read(struct file *file, char __user *buffer, size_t count, loff_t *pos)
{
	struct eggrade_line *line = eggrade_line;
	char text[128];
	int i, length = 0;

	mutex_lock(&line->lock);
	for (i = 0; i <= EGGRADE_BANDS; i++)
		length += scnprintf(text + length, sizeof(text) - length, "%lu ", line->graded[i]);
	length += scnprintf(text + length, sizeof(text) - length, "(%lu)\n", line->dropped);
	mutex_unlock(&line->lock);
	return simple_read_from_buffer(buffer, count, pos, text, length);
}

static const struct file_operations eggrade_fops = {
	.owner = THIS_MODULE,
	.read = eggrade_read,
	.unlocked_ioctl = eggrade_ioctl,
};

static int __init eggrade_init(void)
{
	struct eggrade_line *line = kzalloc(sizeof(*line), GFP_KERNEL);
	int status;

	if (!line)
		return -ENOMEM;
	mutex_init(&line->lock);
	spin_lock_init(&line->fifo_lock);
	timer_setup(&line->scale, eggrade_sample, 0);
	tasklet_setup(&line->sorter, eggrade_sort);
	line->misc.minor = MISC_DYNAMIC_MINOR;
	line->misc.name = "eggrade0";
	line->misc.fops = &eggrade_fops;
	eggrade_line = line;
	status = misc_register(&line->misc);
	if (status)
		kfree(line);
	return status;
}

static void __exit eggrade_exit(void)
{
	misc_deregister(&eggrade_line->misc);
	eggrade_stop(eggrade_line);
	kfree(eggrade_line);
}

module_init(eggrade_init);
module_exit(eggrade_exit);
MODULE_DESCRIPTION("Egg grader");
MODULE_LICENSE("GPL");
