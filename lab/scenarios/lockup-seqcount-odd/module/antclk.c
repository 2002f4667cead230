// SPDX-License-Identifier: GPL-2.0
/*
 * Clock of an antenna site: the site's time is computed from the kernel's by a base and a rate,
 * which are trimmed when a reference comes in. Samples of the receiver are stamped with it.
 */
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/platform_device.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "compat.h"

#define ANTCLK_SHIFT 24
#define ANTCLK_MAX_PPB 500000
#define ANTCLK_SAMPLES 64
#define ANTCLK_PERIOD msecs_to_jiffies(30)

struct antclk_base {
	u64 raw;
	u64 site;
	u32 mult;
	s32 ppb;
};

struct antclk_sample {
	u64 stamp;
	u32 level;
};

struct antclk {
	spinlock_t lock; /* of those who trim */
	seqcount_spinlock_t seq;
	struct antclk_base base;
	struct timer_list receiver;
	struct antclk_sample samples[ANTCLK_SAMPLES];
	unsigned int taken;
	unsigned int trims;
};

static struct platform_device *antclk_platform;

static u64 antclk_scaled(const struct antclk_base *base, u64 raw)
{
	return base->site + mul_u64_u32_shr(raw - base->raw, base->mult, ANTCLK_SHIFT);
}

static noinline u64 antclk_now(struct antclk *clock)
{
	unsigned int seq;
	u64 site;

	do {
		seq = read_seqcount_begin(&clock->seq);
		site = antclk_scaled(&clock->base, ktime_get_raw_fast_ns());
	} while (read_seqcount_retry(&clock->seq, seq));
	return site;
}

static void antclk_receive(struct timer_list *timer)
{
	struct antclk *clock = timer_owner(clock, timer, receiver);
	struct antclk_sample *sample = &clock->samples[clock->taken % ANTCLK_SAMPLES];

	sample->stamp = antclk_now(clock);
	sample->level = 400 + clock->taken * 37 % 90;
	clock->taken++;
	mod_timer(&clock->receiver, jiffies + ANTCLK_PERIOD);
}

static void antclk_rebase(struct antclk *clock, u64 raw)
{
	clock->base.site = antclk_scaled(&clock->base, raw);
	clock->base.raw = raw;
}

/* The mistake: where the rate is refused the sequence count stays odd. */
static noinline int antclk_trim(struct antclk *clock, s32 ppb)
{
	unsigned long flags;
	s64 total, mult;
	int status = 0;

	spin_lock_irqsave(&clock->lock, flags);
	write_seqcount_begin(&clock->seq);
	antclk_rebase(clock, ktime_get_raw_fast_ns());
	total = (s64)clock->base.ppb + ppb;
	if (abs(total) > ANTCLK_MAX_PPB) {
		status = -ERANGE;
		goto unlock;
	}
	mult = (1 << ANTCLK_SHIFT) + div_s64(total << ANTCLK_SHIFT, NSEC_PER_SEC);
	clock->base.mult = mult;
	clock->base.ppb = total;
	clock->trims++;
	write_seqcount_end(&clock->seq);
unlock:
	spin_unlock_irqrestore(&clock->lock, flags);
	return status;
}

static ssize_t site_time_show(struct device *device, struct device_attribute *attribute, char *page)
{
	return sysfs_emit(page, "%llu\n", antclk_now(dev_get_drvdata(device)));
}
static DEVICE_ATTR_RO(site_time);

static ssize_t trim_show(struct device *device, struct device_attribute *attribute, char *page)
{
	struct antclk *clock = dev_get_drvdata(device);

	return sysfs_emit(page, "%d %u\n", clock->base.ppb, clock->trims);
}

static ssize_t trim_store(struct device *device, struct device_attribute *attribute,
			  const char *text, size_t count)
{
	int status, ppb;

	status = kstrtoint(text, 0, &ppb);
	if (!status)
		status = antclk_trim(dev_get_drvdata(device), ppb);
	return status ?: count;
}
static DEVICE_ATTR_RW(trim);

static struct attribute *antclk_attrs[] = {
	&dev_attr_site_time.attr,
	&dev_attr_trim.attr,
	NULL,
};
ATTRIBUTE_GROUPS(antclk);

static int antclk_probe(struct platform_device *platform)
{
	struct antclk *clock = devm_kzalloc(&platform->dev, sizeof(*clock), GFP_KERNEL);

	if (!clock)
		return -ENOMEM;
	spin_lock_init(&clock->lock);
	seqcount_spinlock_init(&clock->seq, &clock->lock);
	clock->base.raw = ktime_get_raw_fast_ns();
	clock->base.site = ktime_get_real_ns();
	clock->base.mult = 1 << ANTCLK_SHIFT;
	platform_set_drvdata(platform, clock);
	timer_setup(&clock->receiver, antclk_receive, 0);
	mod_timer(&clock->receiver, jiffies + ANTCLK_PERIOD);
	return 0;
}

static void antclk_remove(struct platform_device *platform)
{
	struct antclk *clock = platform_get_drvdata(platform);

	timer_delete_sync(&clock->receiver);
}

static struct platform_driver antclk_driver = {
	.probe = antclk_probe,
	.remove = antclk_remove,
	.driver = { .name = "antclk", .dev_groups = antclk_groups },
};

static int __init antclk_init(void)
{
	int status = platform_driver_register(&antclk_driver);

	if (status)
		return status;
	antclk_platform = platform_device_register_simple("antclk", 0, NULL, 0);
	if (IS_ERR(antclk_platform)) {
		platform_driver_unregister(&antclk_driver);
		return PTR_ERR(antclk_platform);
	}
	return 0;
}

static void __exit antclk_exit(void)
{
	platform_device_unregister(antclk_platform);
	platform_driver_unregister(&antclk_driver);
}

module_init(antclk_init);
module_exit(antclk_exit);
MODULE_DESCRIPTION("Antenna site clock");
MODULE_LICENSE("GPL");
