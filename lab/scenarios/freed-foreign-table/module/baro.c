// SPDX-License-Identifier: GPL-2.0
/* A barometer below the hub. */
#include "control.h"
#include "hubx.h"

struct baro_chip {
	struct hubx_table *table;
	struct hubx_scale scale;
	unsigned int calibrations;
};

static struct baro_chip baro_chip = { .scale = { .factor = 3, .offset = -40 } };

static int baro_read(void)
{
	return 1013;
}

static struct hubx_table *baro_table(struct baro_chip *chip)
{
	struct hubx_table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (table) {
		table->scale = &chip->scale;
		table->read = baro_read;
	}
	return table;
}

/* The mistake: the hub has it. */
static noinline int baro_recalibrate(struct baro_chip *chip)
{
	kfree(chip->table);
	chip->table = NULL;
	chip->calibrations++;
	return 0;
}

static int baro_command(char *text)
{
	return strncmp(text, "recal", 5) ? -EINVAL : baro_recalibrate(&baro_chip);
}

CONTROL_FILE(baro, baro_command);

static int __init baro_init(void)
{
	baro_chip.table = baro_table(&baro_chip);
	if (!baro_chip.table)
		return -ENOMEM;
	hubx_set(baro_chip.table);
	return CONTROL_CREATE(baro, "baro");
}

static void __exit baro_exit(void)
{
	CONTROL_REMOVE("baro");
	hubx_set(NULL);
	kfree(baro_chip.table);
}

module_init(baro_init);
module_exit(baro_exit);
MODULE_DESCRIPTION("Barometer");
MODULE_LICENSE("GPL");
