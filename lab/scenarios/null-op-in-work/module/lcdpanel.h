/* SPDX-License-Identifier: GPL-2.0 */
struct lcdp_panel;

struct lcdp_ops {
	int (*draw)(struct lcdp_panel *panel, const char *text);
	int (*flush)(struct lcdp_panel *panel);
	int (*light)(struct lcdp_panel *panel, int level);
};

struct lcdp_panel {
	const char *name;
	const struct lcdp_ops *ops;
	char text[16];
	unsigned int dirty;
};

int lcdp_register(struct lcdp_panel *panel);
void lcdp_unregister(struct lcdp_panel *panel);
