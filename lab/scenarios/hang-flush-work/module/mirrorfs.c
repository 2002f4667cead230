// SPDX-License-Identifier: GPL-2.0
/* Mirrors blocks to a remote site, one after the other. */
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "control.h"

struct mirror_site {
	struct work_struct copy;
	struct work_struct seal;
	wait_queue_head_t credit_wait;
	int credits;
	unsigned long copied;
};

static struct workqueue_struct *mirror_queue;
static struct mirror_site mirror_site;

/* The mistake: it waits for credits, which mirror_seal() gives, queued behind it. */
static void mirror_copy(struct work_struct *work)
{
	struct mirror_site *site = container_of(work, struct mirror_site, copy);

	wait_event_idle(site->credit_wait, site->credits > 0);
	site->credits--;
	site->copied++;
}

static void mirror_seal(struct work_struct *work)
{
	struct mirror_site *site = container_of(work, struct mirror_site, seal);

	site->credits++;
	wake_up(&site->credit_wait);
}

static int mirror_command(char *text)
{
	if (!strncmp(text, "copy", 4)) {
		queue_work(mirror_queue, &mirror_site.copy);
		return 0;
	}
	queue_work(mirror_queue, &mirror_site.seal);
	flush_work(&mirror_site.seal);
	return 0;
}

CONTROL_FILE(mirror, mirror_command);

static int __init mirror_init(void)
{
	INIT_WORK(&mirror_site.copy, mirror_copy);
	INIT_WORK(&mirror_site.seal, mirror_seal);
	init_waitqueue_head(&mirror_site.credit_wait);
	mirror_queue = alloc_ordered_workqueue("mirror", 0);
	if (!mirror_queue)
		return -ENOMEM;
	return CONTROL_CREATE(mirror, "mirrorfs");
}

static void __exit mirror_exit(void)
{
	CONTROL_REMOVE("mirrorfs");
	destroy_workqueue(mirror_queue);
}

module_init(mirror_init);
module_exit(mirror_exit);
MODULE_DESCRIPTION("Remote mirror");
MODULE_LICENSE("GPL");
