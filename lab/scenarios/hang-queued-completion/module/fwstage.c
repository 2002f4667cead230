// SPDX-License-Identifier: GPL-2.0
/* Loads firmware in two stages, one after the other. */
#include <linux/completion.h>
#include <linux/workqueue.h>
#include "control.h"

struct fws_chip {
	struct work_struct load;
	struct work_struct verify;
	struct completion verified;
	struct completion loaded;
	unsigned int stage;
};
static struct workqueue_struct *fws_queue;
static struct fws_chip *fws_chip;

static void fws_verify(struct work_struct *work)
{
	struct fws_chip *chip = container_of(work, struct fws_chip, verify);

	chip->stage = 2;
	complete(&chip->verified);
}

/* The mistake: waits for what is queued behind it, on a queue of one at a time. */
static void fws_load(struct work_struct *work)
{
	struct fws_chip *chip = container_of(work, struct fws_chip, load);

	chip->stage = 1;
	queue_work(fws_queue, &chip->verify);
	wait_for_completion(&chip->verified);
	chip->stage = 3;
	complete_all(&chip->loaded);
}

static noinline int fws_wait(struct fws_chip *chip)
{
	wait_for_completion(&chip->loaded);
	return chip->stage;
}

static int fws_command(char *text)
{
	if (strncmp(text, "load", 4))
		return fws_wait(fws_chip);
	queue_work(fws_queue, &fws_chip->load);
	return 0;
}

CONTROL_FILE(fws, fws_command);

static int __init fws_init(void)
{
	fws_chip = kzalloc(sizeof(*fws_chip), GFP_KERNEL);
	fws_queue = alloc_ordered_workqueue("fwstage", 0);
	if (!fws_chip || !fws_queue)
		return -ENOMEM;
	INIT_WORK(&fws_chip->load, fws_load);
	INIT_WORK(&fws_chip->verify, fws_verify);
	init_completion(&fws_chip->verified);
	init_completion(&fws_chip->loaded);

	return CONTROL_CREATE(fws, "fwstage");
}

static void __exit fws_exit(void)
{
	CONTROL_REMOVE("fwstage");
}

module_init(fws_init);
module_exit(fws_exit);
MODULE_DESCRIPTION("Firmware stages");
MODULE_LICENSE("GPL");
