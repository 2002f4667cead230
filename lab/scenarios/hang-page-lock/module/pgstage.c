// SPDX-License-Identifier: GPL-2.0
/* A staging page that is filled from elsewhere. */
#include <linux/pagemap.h>
#include <linux/wait.h>
#include "control.h"

struct pgs_stage {
	struct page *page;
	wait_queue_head_t arrival;
	bool arrived;
};
static struct pgs_stage *pgs_stage;

/* The mistake: it waits for the data without a limit, with the page locked. */
static noinline int pgs_fill(struct pgs_stage *stage)
{
	int status;

	lock_page(stage->page);
	status = wait_event_interruptible(stage->arrival, READ_ONCE(stage->arrived));
	SetPageUptodate(stage->page);
	unlock_page(stage->page);
	return status;
}

static noinline int pgs_drop(struct pgs_stage *stage)
{
	lock_page(stage->page);
	ClearPageUptodate(stage->page);
	unlock_page(stage->page);
	return 0;
}

static int pgs_command(char *text)
{
	return !strncmp(text, "fill", 4) ? pgs_fill(pgs_stage) : pgs_drop(pgs_stage);
}

CONTROL_FILE(pgs, pgs_command);

static int __init pgs_init(void)
{
	pgs_stage = kzalloc(sizeof(*pgs_stage), GFP_KERNEL);
	if (!pgs_stage)
		return -ENOMEM;
	pgs_stage->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!pgs_stage->page)
		return -ENOMEM;
	init_waitqueue_head(&pgs_stage->arrival);

	return CONTROL_CREATE(pgs, "pgstage");
}

static void __exit pgs_exit(void)
{
	CONTROL_REMOVE("pgstage");
}

module_init(pgs_init);
module_exit(pgs_exit);
MODULE_DESCRIPTION("Staging pages");
MODULE_LICENSE("GPL");
