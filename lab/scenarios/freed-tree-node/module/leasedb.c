// SPDX-License-Identifier: GPL-2.0
/* Leases of addresses, in a tree by their numbers. */
#include <linux/kernel.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "control.h"

struct lease_class {
	unsigned long renewals;
	unsigned long seconds;
};

struct lease {
	struct rb_node node;
	unsigned long number;
	unsigned long begun, ends;
	unsigned char hardware[16];
	struct lease_class *class;
	char host[40];
};

static struct rb_root lease_tree = RB_ROOT;
static struct lease_class lease_default = { .seconds = 3600 };

static struct rb_node **lease_place(unsigned long number, struct rb_node **parent)
{
	struct rb_node **link = &lease_tree.rb_node;

	while (*link) {
		struct lease *lease = rb_entry(*link, struct lease, node);

		if (lease->number == number)
			break;
		*parent = *link;
		link = number < lease->number ? &(*link)->rb_left : &(*link)->rb_right;
	}
	return link;
}

static int lease_give(unsigned long number)
{
	struct rb_node *parent = NULL, **link = lease_place(number, &parent);
	struct lease *lease;

	if (*link)
		return -EEXIST;
	lease = kzalloc(sizeof(*lease), GFP_KERNEL);
	if (!lease)
		return -ENOMEM;
	lease->number = number;
	lease->class = &lease_default;
	rb_link_node(&lease->node, parent, link);
	rb_insert_color(&lease->node, &lease_tree);
	return 0;
}

static noinline int lease_renew(unsigned long number)
{
	struct rb_node *node = lease_tree.rb_node;

	while (node) {
		struct lease *lease = rb_entry(node, struct lease, node);

		if (lease->number == number) {
			lease->class->renewals++;
			return 0;
		}
		node = number < lease->number ? node->rb_left : node->rb_right;
	}
	return -ENOENT;
}

/* The mistake: it stays in the tree. */
static noinline int lease_expire(unsigned long number)
{
	struct rb_node *parent = NULL, **link = lease_place(number, &parent);

	if (!*link)
		return -ENOENT;
	kfree(rb_entry(*link, struct lease, node));
	return 0;
}

static int lease_command(char *text)
{
	unsigned long number;

	if (!strncmp(text, "renew ", 6))
		return kstrtoul(text + 6, 0, &number) ? -EINVAL : lease_renew(number);
	if (!strncmp(text, "expire ", 7))
		return kstrtoul(text + 7, 0, &number) ? -EINVAL : lease_expire(number);
	return -EINVAL;
}

CONTROL_FILE(lease, lease_command);

static int __init lease_init(void)
{
	unsigned long number;
	int error;

	for (number = 0; number < 16; number++) {
		error = lease_give(number);
		if (error)
			return error;
	}
	return CONTROL_CREATE(lease, "leasedb");
}

static void __exit lease_exit(void)
{
	struct rb_node *node;

	CONTROL_REMOVE("leasedb");
	while ((node = rb_first(&lease_tree))) {
		rb_erase(node, &lease_tree);
		kfree(rb_entry(node, struct lease, node));
	}
}

module_init(lease_init);
module_exit(lease_exit);
MODULE_DESCRIPTION("Lease database");
MODULE_LICENSE("GPL");
