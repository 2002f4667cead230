// SPDX-License-Identifier: GPL-2.0
/* Accounts what each port receives. Nothing is wrong with it. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "compat.h"

struct rxacct_owner {
	char name[24];
	unsigned long quota;
};

struct rxacct_port {
	struct rxacct_owner *owner;
	unsigned long bytes[6];
	unsigned long number;
	unsigned long spare[4];
};

static struct rxacct_owner rxacct_system = { .name = "system", .quota = 1000 };
static struct rxacct_port *rxacct_ports[256];

static int rxacct_show(struct seq_file *seq, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(rxacct_ports); i++) {
		struct rxacct_port *port = rxacct_ports[i];

		if (port)
			seq_printf(seq, "%lu %s %lu\n", port->number, port->owner->name, port->bytes[0]);
	}
	return 0;
}

static int __init rxacct_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(rxacct_ports); i++) {
		struct rxacct_port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);

		if (!port)
			return -ENOMEM;
		port->number = i;
		port->owner = &rxacct_system;
		rxacct_ports[i] = port;
	}
	/* Every fourth port is not in use. */
	for (i = 0; i < ARRAY_SIZE(rxacct_ports); i += 4) {
		kfree(rxacct_ports[i]);
		rxacct_ports[i] = NULL;
	}
	return proc_create_single("rxacct", 0444, NULL, rxacct_show) ? 0 : -ENOMEM;
}

static void __exit rxacct_exit(void)
{
	int i;

	remove_proc_entry("rxacct", NULL);
	for (i = 0; i < ARRAY_SIZE(rxacct_ports); i++)
		kfree(rxacct_ports[i]);
}

module_init(rxacct_init);
module_exit(rxacct_exit);
MODULE_DESCRIPTION("Port accounting");
MODULE_LICENSE("GPL");
