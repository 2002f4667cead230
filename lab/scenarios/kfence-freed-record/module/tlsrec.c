// SPDX-License-Identifier: GPL-2.0
/* Records of a secured connection. */
#include <linux/workqueue.h>
#include "control.h"

struct rec_record {
	u64 sequence;
	u32 length;
	u32 kind;
	u8 nonce[96];
};

static struct rec_record *rec_current;
static struct delayed_work rec_later, rec_next;
static u64 rec_total;

static noinline void rec_count(struct rec_record *record)
{
	rec_total += record->sequence;
}

static void rec_work(struct work_struct *work)
{
	if (rec_current)
		rec_count(rec_current);
	schedule_delayed_work(&rec_next, 1);
}

/* The mistake: rec_current stays. */
static noinline void rec_drop(struct rec_record *record)
{
	kfree(record);
	pr_debug("tlsrec: dropped\n");
}

static void rec_make(struct work_struct *work)
{
	struct rec_record *record = kzalloc(sizeof(*record), GFP_KERNEL);

	if (!record)
		return;
	rec_current = record;
	record->sequence = 1;
	schedule_delayed_work(&rec_later, 2);
	rec_drop(record);
}

static int rec_command(char *text)
{
	schedule_delayed_work(&rec_next, 1);
	return 0;
}

CONTROL_FILE(rec, rec_command);

static int __init rec_init(void)
{
	INIT_DELAYED_WORK(&rec_later, rec_work);
	INIT_DELAYED_WORK(&rec_next, rec_make);
	return CONTROL_CREATE(rec, "tlsrec");
}

static void __exit rec_exit(void)
{
	CONTROL_REMOVE("tlsrec");
	cancel_delayed_work_sync(&rec_later);
}

module_init(rec_init);
module_exit(rec_exit);
MODULE_DESCRIPTION("Records");
MODULE_LICENSE("GPL");
