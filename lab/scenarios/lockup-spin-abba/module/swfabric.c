// SPDX-License-Identifier: GPL-2.0
/* A switch fabric: ports and routes, each with a lock, kept by two threads. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include "compat.h"

struct swfab_fabric {
	spinlock_t ports_lock;
	unsigned long ports;
	spinlock_t routes_lock;
	unsigned long routes;
};

static struct swfab_fabric swfab_fabric;
static struct task_struct *swfab_portd, *swfab_routed;

static noinline void swfab_account(struct swfab_fabric *fabric)
{
	spin_lock(&fabric->routes_lock);
	fabric->routes++;
	spin_unlock(&fabric->routes_lock);
}

/* The one half of the mistake: routes inside ports. */
static int swfab_port_thread(void *data)
{
	struct swfab_fabric *fabric = data;

	while (!kthread_should_stop()) {
		spin_lock(&fabric->ports_lock);
		fabric->ports++;
		udelay(300);
		swfab_account(fabric);
		spin_unlock(&fabric->ports_lock);
		cond_resched();
	}
	return 0;
}

static noinline void swfab_drop(struct swfab_fabric *fabric)
{
	spin_lock(&fabric->ports_lock);
	fabric->ports--;
	spin_unlock(&fabric->ports_lock);
}

/* The other half: ports inside routes. */
static int swfab_route_thread(void *data)
{
	struct swfab_fabric *fabric = data;

	while (!kthread_should_stop()) {
		spin_lock(&fabric->routes_lock);
		udelay(300);
		swfab_drop(fabric);
		spin_unlock(&fabric->routes_lock);
		cond_resched();
	}
	return 0;
}

static int __init swfab_init(void)
{
	spin_lock_init(&swfab_fabric.ports_lock);
	spin_lock_init(&swfab_fabric.routes_lock);
	swfab_portd = kthread_create(swfab_port_thread, &swfab_fabric, "swfab_portd");
	swfab_routed = kthread_create(swfab_route_thread, &swfab_fabric, "swfab_routed");
	if (IS_ERR(swfab_portd) || IS_ERR(swfab_routed))
		return -ENOMEM;
	kthread_bind(swfab_portd, 0);
	kthread_bind(swfab_routed, 1);
	wake_up_process(swfab_portd);
	wake_up_process(swfab_routed);
	return 0;
}

static void __exit swfab_exit(void)
{
	kthread_stop(swfab_portd);
	kthread_stop(swfab_routed);
}

module_init(swfab_init);
module_exit(swfab_exit);
MODULE_DESCRIPTION("Switch fabric");
MODULE_LICENSE("GPL");
