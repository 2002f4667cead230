/* SPDX-License-Identifier: GPL-2.0 */
#ifndef HUBX_H
#define HUBX_H
struct hubx_scale {
	int factor;
	int offset;
};
struct hubx_table {
	const struct hubx_scale *scale;
	int (*read)(void);
};
void hubx_set(const struct hubx_table *table);
#endif
