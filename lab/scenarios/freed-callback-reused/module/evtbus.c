// SPDX-License-Identifier: GPL-2.0
/* Tells subscribers of events, from a timer. */
#include "control.h"

struct evtbus_subscriber {
	unsigned long told;
	void (*callback)(struct evtbus_subscriber *subscriber);
	unsigned long mask;
	unsigned long filter[13];
};

static struct evtbus_subscriber *evtbus_subscribers[4];
static struct timer_list evtbus_timer;

static void evtbus_count(struct evtbus_subscriber *subscriber)
{
	subscriber->told++;
}

static noinline void evtbus_fire(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(evtbus_subscribers); i++)
		if (evtbus_subscribers[i])
			evtbus_subscribers[i]->callback(evtbus_subscribers[i]);
}

static void evtbus_tick(struct timer_list *timer)
{
	evtbus_fire();
	mod_timer(&evtbus_timer, jiffies + msecs_to_jiffies(900));
}

/* The mistake: it stays subscribed. */
static noinline int evtbus_drop(unsigned int number)
{
	kfree(evtbus_subscribers[number]);
	return 0;
}

static int evtbus_command(char *text)
{
	unsigned int number;

	if (kstrtouint(text, 0, &number) || number >= ARRAY_SIZE(evtbus_subscribers))
		return -EINVAL;
	return evtbus_drop(number);
}

CONTROL_FILE(evtbus, evtbus_command);

static int __init evtbus_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(evtbus_subscribers); i++) {
		evtbus_subscribers[i] = kzalloc(sizeof(struct evtbus_subscriber), GFP_KERNEL_ACCOUNT);
		if (!evtbus_subscribers[i])
			return -ENOMEM;
		evtbus_subscribers[i]->callback = evtbus_count;
	}
	timer_setup(&evtbus_timer, evtbus_tick, 0);
	mod_timer(&evtbus_timer, jiffies + HZ);
	return CONTROL_CREATE(evtbus, "evtbus");
}

static void __exit evtbus_exit(void)
{
	CONTROL_REMOVE("evtbus");
	timer_delete_sync(&evtbus_timer);
}

module_init(evtbus_init);
module_exit(evtbus_exit);
MODULE_DESCRIPTION("Event bus");
MODULE_LICENSE("GPL");
