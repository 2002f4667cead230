// SPDX-License-Identifier: GPL-2.0
/* Core of the front panel displays: redraws what has changed from a work item. */
#include <linux/workqueue.h>
#include "compat.h"
#include "lcdpanel.h"

static unsigned int lcdp_delay = 1000;
module_param_named(delay, lcdp_delay, uint, 0444);

static struct lcdp_panel *lcdp_current;

/* The mistake: not each panel has to be flushed. */
static noinline void lcdp_refresh(struct work_struct *work)
{
	struct lcdp_panel *panel = lcdp_current;

	if (!panel || !panel->dirty)
		return;
	if (!panel->ops->draw(panel, panel->text))
		panel->dirty = panel->ops->flush(panel);
}

static DECLARE_DELAYED_WORK(lcdp_work, lcdp_refresh);

int lcdp_register(struct lcdp_panel *panel)
{
	lcdp_current = panel;
	panel->dirty = 1;
	schedule_delayed_work(&lcdp_work, msecs_to_jiffies(lcdp_delay));
	return 0;
}
EXPORT_SYMBOL_GPL(lcdp_register);

void lcdp_unregister(struct lcdp_panel *panel)
{
	lcdp_current = NULL;
	cancel_delayed_work_sync(&lcdp_work);
}
EXPORT_SYMBOL_GPL(lcdp_unregister);

MODULE_DESCRIPTION("Front panel core");
MODULE_LICENSE("GPL");
