// SPDX-License-Identifier: GPL-2.0
/* Averages the power drawn over a window which can be set. */
#include <linux/kobject.h>
#include <linux/sysfs.h>
#include "compat.h"

static unsigned int pwrmeter_window = 8;
static unsigned int pwrmeter_sum = 3200;
static unsigned int pwrmeter_mean;
static struct timer_list pwrmeter_timer;
static struct kobject *pwrmeter_kobject;

static noinline unsigned int pwrmeter_average(unsigned int sum, unsigned int window)
{
	return sum / window;
}

static void pwrmeter_tick(struct timer_list *timer)
{
	pwrmeter_mean = pwrmeter_average(pwrmeter_sum, READ_ONCE(pwrmeter_window));
	pwrmeter_sum += 400 - pwrmeter_mean;
	mod_timer(&pwrmeter_timer, jiffies + msecs_to_jiffies(250));
}

static ssize_t pwrmeter_window_show(struct kobject *kobject, struct kobj_attribute *attribute,
				    char *text)
{
	return sysfs_emit(text, "%u\n", pwrmeter_window);
}

/* The mistake: 0 is accepted. */
static ssize_t pwrmeter_window_store(struct kobject *kobject, struct kobj_attribute *attribute,
				     const char *text, size_t count)
{
	unsigned int window;
	int status = kstrtouint(text, 0, &window);

	if (status)
		return status;
	WRITE_ONCE(pwrmeter_window, window);
	return count;
}

static struct kobj_attribute pwrmeter_attribute =
	__ATTR(window, 0600, pwrmeter_window_show, pwrmeter_window_store);

static int __init pwrmeter_init(void)
{
	pwrmeter_kobject = kobject_create_and_add("pwrmeter", kernel_kobj);
	if (!pwrmeter_kobject)
		return -ENOMEM;
	timer_setup(&pwrmeter_timer, pwrmeter_tick, 0);
	mod_timer(&pwrmeter_timer, jiffies + HZ);
	return sysfs_create_file(pwrmeter_kobject, &pwrmeter_attribute.attr);
}

static void __exit pwrmeter_exit(void)
{
	kobject_put(pwrmeter_kobject);
	timer_delete_sync(&pwrmeter_timer);
}

module_init(pwrmeter_init);
module_exit(pwrmeter_exit);
MODULE_DESCRIPTION("Power meter");
MODULE_LICENSE("GPL");
