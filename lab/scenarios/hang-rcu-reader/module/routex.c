// SPDX-License-Identifier: GPL-2.0
/* Routes by prefix; looked up without locks. */
#include <linux/rcupdate.h>
#include <linux/wait.h>
#include "control.h"

struct rtx_route {
	struct rcu_head rcu;
	unsigned int prefix;
};

static struct rtx_route __rcu *rtx_route;
static DECLARE_WAIT_QUEUE_HEAD(rtx_resolved);
static bool rtx_done;

static noinline int rtx_resolve(unsigned int prefix)
{
	return wait_event_interruptible(rtx_resolved, READ_ONCE(rtx_done));
}

/* The mistake: it waits for the resolver inside the read section. */
static noinline int rtx_lookup(void)
{
	struct rtx_route *route;
	int status = 0;

	rcu_read_lock();
	route = rcu_dereference(rtx_route);
	if (route)
		status = rtx_resolve(route->prefix);
	rcu_read_unlock();
	return status;
}

static noinline int rtx_replace(unsigned int prefix)
{
	struct rtx_route *route = kzalloc(sizeof(*route), GFP_KERNEL), *old;

	if (!route)
		return -ENOMEM;
	route->prefix = prefix;
	old = rcu_replace_pointer(rtx_route, route, 1);
	synchronize_rcu();
	kfree(old);
	return 0;
}

static int rtx_command(char *text)
{
	return !strncmp(text, "look", 4) ? rtx_lookup() : rtx_replace(7);
}

CONTROL_FILE(rtx, rtx_command);

static int __init rtx_init(void)
{
	RCU_INIT_POINTER(rtx_route, kzalloc(sizeof(struct rtx_route), GFP_KERNEL));

	return CONTROL_CREATE(rtx, "routex");
}

static void __exit rtx_exit(void)
{
	CONTROL_REMOVE("routex");
}

module_init(rtx_init);
module_exit(rtx_exit);
MODULE_DESCRIPTION("Route table");
MODULE_LICENSE("GPL");
