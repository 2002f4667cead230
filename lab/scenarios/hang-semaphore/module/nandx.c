// SPDX-License-Identifier: GPL-2.0
/* Blocks of a flash chip. */
#include <linux/semaphore.h>
#include "control.h"

struct nandx_chip {
	unsigned char worn[128];
	struct semaphore busy;
};

static struct nandx_chip *nandx_chip;

static noinline int nandx_count(struct nandx_chip *chip)
{
	unsigned int i;
	int count = 0;

	down(&chip->busy);
	for (i = 0; i < sizeof(chip->worn); i++)
		count += chip->worn[i];
	up(&chip->busy);
	return count;
}

/* The mistake: a block that is none returns without up(). */
static noinline int nandx_erase(struct nandx_chip *chip, unsigned int block)
{
	if (down_interruptible(&chip->busy))
		return -EINTR;
	if (block >= sizeof(chip->worn))
		return -ERANGE;
	chip->worn[block]++;
	up(&chip->busy);
	return 0;
}

static int nandx_command(char *text)
{
	unsigned int block;

	if (sscanf(text, "erase %u", &block) == 1)
		return nandx_erase(nandx_chip, block);
	return nandx_count(nandx_chip);
}

CONTROL_FILE(nandx, nandx_command);

static int __init nandx_init(void)
{
	nandx_chip = kzalloc(sizeof(*nandx_chip), GFP_KERNEL);
	if (!nandx_chip)
		return -ENOMEM;
	sema_init(&nandx_chip->busy, 1);
	return CONTROL_CREATE(nandx, "nandx");
}

static void __exit nandx_exit(void)
{
	CONTROL_REMOVE("nandx");
	kfree(nandx_chip);
}

module_init(nandx_init);
module_exit(nandx_exit);
MODULE_DESCRIPTION("Flash chip");
MODULE_LICENSE("GPL");
