// SPDX-License-Identifier: GPL-2.0
/* Samples of an analogue converter: a timer puts them into a ring for each channel. */
#include <linux/hrtimer.h>
#include <linux/random.h>
#include "control.h"

#define RING 20

struct adcr_channel;

struct adcr_ops {
	u32 (*convert)(struct adcr_channel *channel, u32 raw);
};

struct adcr_channel {
	const struct adcr_ops *ops;
	u32 head;
	u32 gain;
	u32 samples[RING];
};

static struct kmem_cache *adcr_cache;
static struct adcr_channel *adcr_channels[32];
static unsigned int adcr_on;
static struct timer_list adcr_timer;

static u32 adcr_scale(struct adcr_channel *channel, u32 raw)
{
	return raw * channel->gain;
}

static const struct adcr_ops adcr_plain = { .convert = adcr_scale };

/* The mistake: the ring has RING places, and the last is RING - 1. */
static noinline void adcr_store(struct adcr_channel *channel, u32 sample)
{
	u32 *samples = channel->samples;

	OPTIMIZER_HIDE_VAR(samples);
	samples[channel->head] = sample;
	if (++channel->head > RING)
		channel->head = 0;
}

static void adcr_tick(struct timer_list *timer)
{
	int i;

	for (i = 0; i < adcr_on; i++) {
		struct adcr_channel *channel = adcr_channels[i];

		adcr_store(channel, channel->ops->convert(channel, 0x40 + i));
	}
	mod_timer(&adcr_timer, jiffies + msecs_to_jiffies(20));
}

static int adcr_command(char *text)
{
	unsigned int number;

	if (sscanf(text, "channels %u", &number) != 1 || number > ARRAY_SIZE(adcr_channels))
		return -EINVAL;
	adcr_on = number;
	mod_timer(&adcr_timer, jiffies + 1);
	return 0;
}

CONTROL_FILE(adcr, adcr_command);

static int __init adcr_init(void)
{
	int i;

	adcr_cache = kmem_cache_create("adcr_channel", sizeof(struct adcr_channel), 0, SLAB_PANIC, NULL);
	for (i = 0; i < ARRAY_SIZE(adcr_channels); i++) {
		adcr_channels[i] = kmem_cache_zalloc(adcr_cache, GFP_KERNEL);
		if (!adcr_channels[i])
			return -ENOMEM;
		adcr_channels[i]->ops = &adcr_plain;
		adcr_channels[i]->gain = 3;
	}
	timer_setup(&adcr_timer, adcr_tick, 0);
	return CONTROL_CREATE(adcr, "adcring");
}

static void __exit adcr_exit(void)
{
	CONTROL_REMOVE("adcring");
	timer_delete_sync(&adcr_timer);
}

module_init(adcr_init);
module_exit(adcr_exit);
MODULE_DESCRIPTION("Analogue samples");
MODULE_LICENSE("GPL");
