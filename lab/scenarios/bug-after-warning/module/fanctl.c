// SPDX-License-Identifier: GPL-2.0
/* Fan controller: a timer reads the speed; each profile has a file. */
#include <linux/timer.h>
#include "control.h"

#define FAN_PROFILES 2
#define FAN_PERIOD (30 * HZ)

struct fan_controller {
	struct timer_list poll;
	unsigned int speed;
	unsigned int profiles;
};

static struct fan_controller fan;
static unsigned int fan_curve[FAN_PROFILES];

static void fan_poll(struct timer_list *timer)
{
	fan.speed = 900 + fan.speed % 100;
	mod_timer(timer, jiffies + FAN_PERIOD);
}

static int fan_command(char *text)
{
	return kstrtouint(strim(text), 10, &fan.speed);
}

CONTROL_FILE(fan, fan_command);

static void fan_add_profile(const char *path)
{
	if (!CONTROL_CREATE(fan, path))
		fan.profiles++;
}

/* The controller has room for one curve of each profile. */
static noinline void fan_set_curve(unsigned int profile)
{
	BUG_ON(profile >= fan.profiles);
	fan_curve[profile] = 900 + 100 * profile;
}

static int __init fan_init(void)
{
	unsigned int profile;

	timer_setup(&fan.poll, fan_poll, 0);
	mod_timer(&fan.poll, jiffies + FAN_PERIOD);
	/* The mistake: that the second profile cannot be added is not looked at. */
	fan_add_profile("fan-quiet");
	fan_add_profile("fan-quiet");
	for (profile = 0; profile < FAN_PROFILES; profile++)
		fan_set_curve(profile);
	return 0;
}

static void __exit fan_exit(void)
{
	CONTROL_REMOVE("fan-quiet");
	timer_delete_sync(&fan.poll);
}

module_init(fan_init);
module_exit(fan_exit);
MODULE_DESCRIPTION("Fan controller");
MODULE_LICENSE("GPL");
