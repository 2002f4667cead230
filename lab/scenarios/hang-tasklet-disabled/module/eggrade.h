/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EGGRADE_H
#define EGGRADE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define EGGRADE_BANDS 4

struct eggrade_bands {
	__u32 upper[EGGRADE_BANDS]; /* decigrams, ascending */
};

#define EGGRADE_START _IO('g', 1)
#define EGGRADE_STOP _IO('g', 2)
#define EGGRADE_SET_BANDS _IOW('g', 3, struct eggrade_bands)

#endif
