// SPDX-License-Identifier: GPL-2.0
/* Wrapped keys of the sessions of a key server; a session's keys are dropped as it ends. */
#include <linux/list.h>
#include <linux/mutex.h>
#include "control.h"

struct wrapped_key {
	u32 session;
	u32 handle;
	u8 wrapped[24];
	struct list_head node;
	unsigned long used;
};

static LIST_HEAD(wrapped_keys);
static DEFINE_MUTEX(keywrap_lock);
static unsigned int keywrap_count;

static int keywrap_add(u32 session, u32 handle)
{
	struct wrapped_key *key = kzalloc(sizeof(*key), GFP_KERNEL);

	if (!key)
		return -ENOMEM;
	key->session = session;
	key->handle = handle;
	memset(key->wrapped, handle, sizeof(key->wrapped));
	mutex_lock(&keywrap_lock);
	list_add_tail(&key->node, &wrapped_keys);
	keywrap_count++;
	mutex_unlock(&keywrap_lock);
	return 0;
}

/* The mistake: the walk goes on from the key that it has just freed. */
static int keywrap_end(u32 session)
{
	struct wrapped_key *key;

	mutex_lock(&keywrap_lock);
	list_for_each_entry(key, &wrapped_keys, node) {
		if (key->session != session)
			continue;
		__list_del_entry(&key->node);
		kfree(key);
		keywrap_count--;
	}
	mutex_unlock(&keywrap_lock);
	return 0;
}

static int keywrap_command(char *text)
{
	unsigned int session, handle;

	if (sscanf(text, "add %u %u", &session, &handle) == 2)
		return keywrap_add(session, handle);
	if (sscanf(text, "end %u", &session) == 1)
		return keywrap_end(session);
	return -EINVAL;
}

CONTROL_FILE(keywrap, keywrap_command);

static int __init keywrap_init(void)
{
	return CONTROL_CREATE(keywrap, "keywrap");
}

static void __exit keywrap_exit(void)
{
	struct wrapped_key *key, *next;

	CONTROL_REMOVE("keywrap");
	list_for_each_entry_safe(key, next, &wrapped_keys, node)
		kfree(key);
}

module_init(keywrap_init);
module_exit(keywrap_exit);
MODULE_DESCRIPTION("Wrapped keys");
MODULE_LICENSE("GPL");
