// SPDX-License-Identifier: GPL-2.0
/* Sensor hub: a thread polls the channel and converts what it reads. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include "control.h"

struct senshub_calibration {
	int offset;
	int gain;
	long (*apply)(long raw);
};

struct senshub_channel {
	long raw;
	long value;
	long (*convert)(long raw);
};

static long senshub_plain(long raw)
{
	return raw;
}

static struct senshub_calibration senshub_calibrations[] = {
	{ .offset = 0, .gain = 1, .apply = senshub_plain },
	{ .offset = 273, .gain = 2, .apply = senshub_plain },
};
static struct senshub_channel senshub_channel = { .raw = 20, .convert = senshub_plain };
static struct task_struct *senshub_task;

static noinline void senshub_poll(struct senshub_channel *channel)
{
	channel->value = channel->convert(channel->raw);
	channel->raw++;
}

static int senshub_thread(void *unused)
{
	while (!kthread_should_stop()) {
		senshub_poll(&senshub_channel);
		msleep(150);
	}
	return 0;
}

/* The mistake: the table's address instead of its function, which the cast hides. */
static noinline int senshub_select(unsigned int number)
{
	void *calibration = &senshub_calibrations[number];

	WRITE_ONCE(senshub_channel.convert, (long (*)(long))calibration);
	return 0;
}

static int senshub_command(char *text)
{
	unsigned int number;

	if (kstrtouint(text, 0, &number) || number >= ARRAY_SIZE(senshub_calibrations))
		return -EINVAL;
	return senshub_select(number);
}

CONTROL_FILE(senshub, senshub_command);

static int __init senshub_init(void)
{
	senshub_task = kthread_run(senshub_thread, NULL, "senshub");
	if (IS_ERR(senshub_task))
		return PTR_ERR(senshub_task);
	return CONTROL_CREATE(senshub, "senshub");
}

static void __exit senshub_exit(void)
{
	CONTROL_REMOVE("senshub");
	kthread_stop(senshub_task);
}

module_init(senshub_init);
module_exit(senshub_exit);
MODULE_DESCRIPTION("Sensor hub");
MODULE_LICENSE("GPL");
