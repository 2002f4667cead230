// SPDX-License-Identifier: GPL-2.0
/* Seven-segment panel. It shows what is drawn at once, so that there is nothing to flush. */
#include "compat.h"
#include "lcdpanel.h"

static int segm_draw(struct lcdp_panel *panel, const char *text)
{
	pr_debug("segment7: %s\n", text);
	return 0;
}

static const struct lcdp_ops segm_ops = { .draw = segm_draw };
static struct lcdp_panel segm_panel = { .name = "segment7", .ops = &segm_ops, .text = "READY" };

static int __init segm_init(void)
{
	return lcdp_register(&segm_panel);
}

static void __exit segm_exit(void)
{
	lcdp_unregister(&segm_panel);
}

module_init(segm_init);
module_exit(segm_exit);
MODULE_DESCRIPTION("Seven-segment panel");
MODULE_LICENSE("GPL");
