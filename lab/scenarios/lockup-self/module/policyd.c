// SPDX-License-Identifier: GPL-2.0
/* Policies by priority. */
#include <linux/list.h>
#include <linux/spinlock.h>
#include "control.h"

struct policy_rule {
	struct list_head link;
	unsigned int priority;
};

struct policy_table {
	unsigned long hits;
	spinlock_t guard;
	struct list_head rules;
};

static struct policy_table *policy_table;

static noinline void policy_remove(struct policy_table *table, struct policy_rule *rule)
{
	spin_lock(&table->guard);
	list_del(&rule->link);
	table->hits++;
	spin_unlock(&table->guard);
	kfree(rule);
}

/* The mistake: it holds the lock that policy_remove() takes. */
static noinline int policy_flush(struct policy_table *table, unsigned int below)
{
	struct policy_rule *rule, *next;
	int count = 0;

	spin_lock(&table->guard);
	list_for_each_entry_safe(rule, next, &table->rules, link) {
		if (rule->priority <= below)
			continue;
		policy_remove(table, rule);
		count++;
	}
	spin_unlock(&table->guard);
	return count;
}

static int policy_command(char *text)
{
	struct policy_rule *rule;
	unsigned int priority;

	if (kstrtouint(text, 10, &priority))
		return -EINVAL;
	if (priority == 0)
		return policy_flush(policy_table, 4);
	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->priority = priority;
	spin_lock(&policy_table->guard);
	list_add(&rule->link, &policy_table->rules);
	spin_unlock(&policy_table->guard);
	return 0;
}

CONTROL_FILE(policy, policy_command);

static int __init policy_init(void)
{
	policy_table = kzalloc(sizeof(*policy_table), GFP_KERNEL);
	if (!policy_table)
		return -ENOMEM;
	spin_lock_init(&policy_table->guard);
	INIT_LIST_HEAD(&policy_table->rules);
	return CONTROL_CREATE(policy, "policy");
}

static void __exit policy_exit(void)
{
	CONTROL_REMOVE("policy");
	kfree(policy_table);
}

module_init(policy_init);
module_exit(policy_exit);
MODULE_DESCRIPTION("Policy engine");
MODULE_LICENSE("GPL");
