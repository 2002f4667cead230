// SPDX-License-Identifier: GPL-2.0
/* A cache of preview pictures. */
#include "compat.h"
#include <linux/shrinker.h>

static unsigned long thumbc_pictures = 100;

static unsigned long thumbc_count(struct shrinker *shrinker, struct shrink_control *control)
{
	return thumbc_pictures;
}

static unsigned long thumbc_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long freed = min(thumbc_pictures, control->nr_to_scan);

	thumbc_pictures -= freed;
	return freed ?: SHRINK_STOP;
}

static struct shrinker thumbc_shrinker = {
	.count_objects = thumbc_count,
	.scan_objects = thumbc_scan,
	.seeks = DEFAULT_SEEKS,
};

static int __init thumbc_init(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
	return register_shrinker(&thumbc_shrinker, "thumbcache");
#else
	return register_shrinker(&thumbc_shrinker);
#endif
}

/* The mistake: no unregister_shrinker(). */
static void __exit thumbc_exit(void)
{
	pr_info("thumbcache: unloaded\n");
}

module_init(thumbc_init);
module_exit(thumbc_exit);
MODULE_DESCRIPTION("Preview cache");
MODULE_LICENSE("GPL");
