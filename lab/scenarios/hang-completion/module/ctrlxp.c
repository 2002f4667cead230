// SPDX-License-Identifier: GPL-2.0
/* A disk controller's reset: the firmware's answer is polled by a timer. */
#include <linux/completion.h>
#include "control.h"

struct ctrlx_port {
	struct timer_list poll;
	struct completion ready;
	bool armed;
};

static struct ctrlx_port ctrlx_port;

static void ctrlx_poll(struct timer_list *timer)
{
	struct ctrlx_port *port = timer_owner(port, timer, poll);

	complete(&port->ready);
}

static noinline int ctrlx_wait_ready(struct ctrlx_port *port)
{
	wait_for_completion(&port->ready);
	port->armed = false;
	return 0;
}

/* The mistake: the timer that would complete it is deleted first. */
static noinline int ctrlx_reset(struct ctrlx_port *port)
{
	timer_delete_sync(&port->poll);
	reinit_completion(&port->ready);
	return ctrlx_wait_ready(port);
}

static int ctrlx_command(char *text)
{
	if (!strncmp(text, "reset", 5))
		return ctrlx_reset(&ctrlx_port);
	ctrlx_port.armed = true;
	mod_timer(&ctrlx_port.poll, jiffies + HZ);
	return 0;
}

CONTROL_FILE(ctrlx, ctrlx_command);

static int __init ctrlx_init(void)
{
	timer_setup(&ctrlx_port.poll, ctrlx_poll, 0);
	init_completion(&ctrlx_port.ready);
	return CONTROL_CREATE(ctrlx, "ctrlxp");
}

static void __exit ctrlx_exit(void)
{
	CONTROL_REMOVE("ctrlxp");
	timer_delete_sync(&ctrlx_port.poll);
}

module_init(ctrlx_init);
module_exit(ctrlx_exit);
MODULE_DESCRIPTION("Controller reset");
MODULE_LICENSE("GPL");
