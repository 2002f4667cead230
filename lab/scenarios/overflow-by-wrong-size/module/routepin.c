// SPDX-License-Identifier: GPL-2.0
/* Pinned routes with counters, walked by a timer. */
#include <linux/list.h>
#include <linux/spinlock.h>
#include "control.h"

struct rpin_route {
	struct rpin_route *next;
	u64 hits;
	u32 address, mask;
	u32 weights[22];
};

struct rpin_defaults {
	struct rpin_route *next;
	u64 hits;
	u32 address, mask;
	u32 weights[28];
};

static struct kmem_cache *rpin_cache;
static struct rpin_route *rpin_routes[30];
static struct rpin_route *rpin_first;
static struct rpin_defaults rpin_defaults;
static struct timer_list rpin_timer;

static void rpin_age(struct timer_list *timer)
{
	struct rpin_route *route;

	for (route = rpin_first; route; route = route->next)
		route->hits >>= 1;
	mod_timer(&rpin_timer, jiffies + msecs_to_jiffies(50));
}

/* The mistake: the size of the wrong structure. */
static noinline void rpin_reset(struct rpin_route *route)
{
	struct rpin_route *next = route->next;
	void *target = route;

	OPTIMIZER_HIDE_VAR(target);
	memcpy(target, &rpin_defaults, sizeof(rpin_defaults));
	route->next = next;
}

static int rpin_command(char *text)
{
	unsigned int number;

	if (sscanf(text, "reset %u", &number) != 1 || number >= ARRAY_SIZE(rpin_routes))
		return -EINVAL;
	rpin_reset(rpin_routes[number]);
	return 0;
}

CONTROL_FILE(rpin, rpin_command);

static int __init rpin_init(void)
{
	int i;

	rpin_cache = kmem_cache_create("rpin_route", sizeof(struct rpin_route), 0, SLAB_PANIC, NULL);
	for (i = 0; i < ARRAY_SIZE(rpin_defaults.weights); i++)
		rpin_defaults.weights[i] = 100 + i * 1000;
	for (i = 0; i < ARRAY_SIZE(rpin_routes); i++) {
		struct rpin_route *route = kmem_cache_zalloc(rpin_cache, GFP_KERNEL);

		if (!route)
			return -ENOMEM;
		route->address = 0x0a000001 + i;
		route->mask = 0xffffff00;
		route->next = rpin_first;
		rpin_first = route;
		rpin_routes[i] = route;
	}
	timer_setup(&rpin_timer, rpin_age, 0);
	mod_timer(&rpin_timer, jiffies + msecs_to_jiffies(50));
	return CONTROL_CREATE(rpin, "routepin");
}

static void __exit rpin_exit(void)
{
	CONTROL_REMOVE("routepin");
	timer_delete_sync(&rpin_timer);
}

module_init(rpin_init);
module_exit(rpin_exit);
MODULE_DESCRIPTION("Pinned routes");
MODULE_LICENSE("GPL");
