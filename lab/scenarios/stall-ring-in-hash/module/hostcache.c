// SPDX-License-Identifier: GPL-2.0
/* A cache of hosts by address, with the last used ones first in their chains. */
#include <linux/hash.h>
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "compat.h"

#define HOSTCACHE_BITS 3

struct host {
	struct hlist_node node;
	u32 address;
	u32 uses;
	char name[24];
	struct rcu_head rcu;
};

static struct hlist_head hostcache[1 << HOSTCACHE_BITS];
static DEFINE_MUTEX(hostcache_lock);
static struct kobject *hostcache_kobj;
static atomic_t hostcache_misses;

static struct hlist_head *hostcache_chain(u32 address)
{
	return &hostcache[hash_32(address & 0xff, HOSTCACHE_BITS)];
}

static struct host *hostcache_search(u32 address)
{
	struct host *host;

	hlist_for_each_entry_rcu(host, hostcache_chain(address), node,
				 lockdep_is_held(&hostcache_lock))
		if (host->address == address)
			return host;
	return NULL;
}

static bool hostcache_known(u32 address)
{
	bool known;

	rcu_read_lock();
	known = hostcache_search(address);
	rcu_read_unlock();
	if (!known)
		atomic_inc(&hostcache_misses);
	return known;
}

static int hostcache_add(u32 address)
{
	struct host *host = kzalloc(sizeof(*host), GFP_KERNEL);

	if (!host)
		return -ENOMEM;
	host->address = address;
	scnprintf(host->name, sizeof(host->name), "%pI4h", &address);
	hlist_add_head_rcu(&host->node, hostcache_chain(address));
	return 0;
}

/* Moves a host to the front of its chain. */
static int hostcache_promote(u32 address)
{
	struct host *host = hostcache_search(address);

	if (!host)
		return -ENOENT;
	host->uses++;
	hlist_add_head_rcu(&host->node, hostcache_chain(address));
	return 0;
}

static int hostcache_forget(u32 address)
{
	struct host *host = hostcache_search(address);

	if (!host)
		return -ENOENT;
	hlist_del_rcu(&host->node);
	kfree_rcu(host, rcu);
	return 0;
}

static ssize_t hostcache_change(const char *text, size_t count, int (*change)(u32 address))
{
	u32 address;
	int status = kstrtou32(text, 16, &address);

	if (status)
		return status;
	mutex_lock(&hostcache_lock);
	status = change(address);
	mutex_unlock(&hostcache_lock);
	return status < 0 ? status : count;
}

static ssize_t add_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			 size_t count)
{
	return hostcache_change(text, count, hostcache_add);
}

static ssize_t promote_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			     size_t count)
{
	return hostcache_change(text, count, hostcache_promote);
}

static ssize_t forget_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			    size_t count)
{
	return hostcache_change(text, count, hostcache_forget);
}

static ssize_t check_store(struct kobject *kobj, struct kobj_attribute *attr, const char *text,
			   size_t count)
{
	u32 address;
	int status = kstrtou32(text, 16, &address);

	if (status)
		return status;
	return hostcache_known(address) ? count : -ENOENT;
}

static ssize_t misses_show(struct kobject *kobj, struct kobj_attribute *attr, char *text)
{
	return sysfs_emit(text, "%d\n", atomic_read(&hostcache_misses));
}

static struct kobj_attribute add_attribute = __ATTR(add, 0600, misses_show, add_store);
static struct kobj_attribute promote_attribute = __ATTR(promote, 0600, misses_show, promote_store);
static struct kobj_attribute forget_attribute = __ATTR(forget, 0600, misses_show, forget_store);
static struct kobj_attribute check_attribute = __ATTR(check, 0600, misses_show, check_store);

static struct attribute *hostcache_attrs[] = {
	&add_attribute.attr, &promote_attribute.attr, &forget_attribute.attr,
	&check_attribute.attr, NULL,
};
static const struct attribute_group hostcache_group = { .attrs = hostcache_attrs };

static int __init hostcache_init(void)
{
	int status;

	hostcache_kobj = kobject_create_and_add("hostcache", kernel_kobj);
	if (!hostcache_kobj)
		return -ENOMEM;
	status = sysfs_create_group(hostcache_kobj, &hostcache_group);
	if (status)
		kobject_put(hostcache_kobj);
	return status;
}

static void __exit hostcache_exit(void)
{
	struct host *host;
	struct hlist_node *next;
	int chain;

	kobject_put(hostcache_kobj);
	for (chain = 0; chain < ARRAY_SIZE(hostcache); chain++)
		hlist_for_each_entry_safe(host, next, &hostcache[chain], node)
			kfree(host);
}

module_init(hostcache_init);
module_exit(hostcache_exit);
MODULE_DESCRIPTION("Host cache");
MODULE_LICENSE("GPL");
