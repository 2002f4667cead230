// SPDX-License-Identifier: GPL-2.0
/* On-access scanner: keeps file hashes in a slab cache of its own. */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

struct hash_info {
	struct list_head entry;
	u64 inode;
	u8 digest[32];
};

/* Signatures; they come before the name in the module's data. */
u32 vmsec_patterns[65536] = { 0x19273 };

/* Its own section keeps it behind the patterns. */
char hash_info_mempool_name[] __section(".data.hash_info") = "hash_info_mempool";

static struct kmem_cache *hash_info_cache;
static LIST_HEAD(hash_info_list);

static void hash_info_construct(void *object)
{
	struct hash_info *info = object;

	INIT_LIST_HEAD(&info->entry);
}

/*
 * Older kernels kept the caller's string as the cache's name. Newer ones copy it, and the name's
 * offset is private; so look for the copy and put the original in its place.
 */
static int vmsec_keep_name(struct kmem_cache *cache)
{
	char text[sizeof(hash_info_mempool_name)];
	const char **member = (const char **)cache;
	int i;

	for (i = 0; i < 32; i++) {
		if ((unsigned long)member[i] < PAGE_OFFSET)
			continue;
		if (copy_from_kernel_nofault(text, member[i], sizeof(text)))
			continue;
		if (!memcmp(text, hash_info_mempool_name, sizeof(text))) {
			member[i] = hash_info_mempool_name;
			return 0;
		}
	}
	return -ENOENT;
}

static int __init vmsec_init(void)
{
	struct hash_info *info;
	int i, status;

	hash_info_cache = kmem_cache_create(hash_info_mempool_name, sizeof(struct hash_info), 0,
					    SLAB_HWCACHE_ALIGN, hash_info_construct);
	if (!hash_info_cache)
		return -ENOMEM;
	status = vmsec_keep_name(hash_info_cache);
	if (status)
		return status;
	for (i = 0; i < 24; i++) {
		info = kmem_cache_alloc(hash_info_cache, GFP_KERNEL);
		if (!info)
			break;
		info->inode = 1000 + i;
		memset(info->digest, vmsec_patterns[i], sizeof(info->digest));
		list_add_tail(&info->entry, &hash_info_list);
	}
	pr_info("vmsecmod: loaded, %d hashes\n", i);
	return 0;
}

/* The mistake: the objects go, the cache stays. */
static void __exit vmsec_exit(void)
{
	struct hash_info *info, *next;

	list_for_each_entry_safe(info, next, &hash_info_list, entry) {
		list_del_init(&info->entry);
		kmem_cache_free(hash_info_cache, info);
	}
	pr_info("vmsecmod: unloaded\n");
}

module_init(vmsec_init);
module_exit(vmsec_exit);
MODULE_DESCRIPTION("On-access scanner");
MODULE_VERSION("2.1.0");
MODULE_LICENSE("GPL");
