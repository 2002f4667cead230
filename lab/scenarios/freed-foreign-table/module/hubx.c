// SPDX-License-Identifier: GPL-2.0
/* A hub that reads its sensor in regular intervals. */
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "hubx.h"

struct hubx_value {
	int value;
	u64 history[24];
	unsigned int next;
};

static const struct hubx_table *hubx_table;
static struct hubx_value *hubx_value;
static DEFINE_MUTEX(hubx_lock);
static void hubx_tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(hubx_work, hubx_tick);

static void hubx_tick(struct work_struct *work)
{
	mutex_lock(&hubx_lock);
	if (hubx_table) {
		const struct hubx_scale *scale = hubx_table->scale;

		hubx_value->value = hubx_table->read() * scale->factor + scale->offset;
		hubx_value->history[hubx_value->next++ % 24] = hubx_value->value;
	}
	mutex_unlock(&hubx_lock);
	schedule_delayed_work(&hubx_work, msecs_to_jiffies(40));
}

void hubx_set(const struct hubx_table *table)
{
	mutex_lock(&hubx_lock);
	hubx_table = table;
	mutex_unlock(&hubx_lock);
}
EXPORT_SYMBOL_GPL(hubx_set);

static int __init hubx_init(void)
{
	hubx_value = kzalloc(sizeof(*hubx_value), GFP_KERNEL);
	if (!hubx_value)
		return -ENOMEM;
	schedule_delayed_work(&hubx_work, 1);
	return 0;
}

static void __exit hubx_exit(void)
{
	cancel_delayed_work_sync(&hubx_work);
	kfree(hubx_value);
}

module_init(hubx_init);
module_exit(hubx_exit);
MODULE_DESCRIPTION("Sensor hub");
MODULE_LICENSE("GPL");
