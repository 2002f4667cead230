// SPDX-License-Identifier: GPL-2.0
/* Expressions, evaluated over a tree. */
#include <linux/string.h>
#include "control.h"

struct expr_node {
	struct expr_node *child;
	char name[8];
};

static struct expr_node *expr_root;

static int expr_eval(struct expr_node *node, int depth);

static noinline int expr_child(struct expr_node *node, int depth)
{
	char label[48];
	int value;

	snprintf(label, sizeof(label), "%s:%d", node->name, depth);
	value = expr_eval(node->child, depth + 1);
	return value + strlen(label);
}

/* The mistake: a tree is taken for granted; the nodes may form a ring. */
static noinline int expr_eval(struct expr_node *node, int depth)
{
	int value;

	if (!node->child)
		return depth;
	value = expr_child(node, depth);
	return value + depth;
}

static int expr_command(char *text)
{
	struct expr_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return -ENOMEM;
	strscpy(node->name, text, sizeof(node->name));
	node->child = expr_root;
	if (!strncmp(text, "cycle", 5) && expr_root)
		expr_root->child = node;
	expr_root = node;
	return expr_eval(expr_root, 0);
}

CONTROL_FILE(expr, expr_command);

static int __init expr_init(void)
{
	return CONTROL_CREATE(expr, "exprs");
}

static void __exit expr_exit(void)
{
	CONTROL_REMOVE("exprs");
}

module_init(expr_init);
module_exit(expr_exit);
MODULE_DESCRIPTION("Expressions");
MODULE_LICENSE("GPL");
