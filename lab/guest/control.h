/* SPDX-License-Identifier: GPL-2.0 */
/* A file under /proc whose writes go, as a string, to a function of the module. */
#ifndef CONTROL_H
#define CONTROL_H

#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"

#define CONTROL_FILE(prefix, handle)                                                             \
	static ssize_t prefix##_write(struct file *file, const char __user *buffer, size_t count, \
				      loff_t *pos)                                                \
	{                                                                                        \
		char text[128];                                                                  \
		int status;                                                                      \
                                                                                                 \
		if (count >= sizeof(text))                                                       \
			return -EINVAL;                                                          \
		if (copy_from_user(text, buffer, count))                                         \
			return -EFAULT;                                                          \
		text[count] = 0;                                                                 \
		status = handle(text);                                                           \
		return status < 0 ? status : count;                                              \
	}                                                                                        \
	static const struct proc_ops prefix##_file_ops = { .proc_write = prefix##_write }

#define CONTROL_CREATE(prefix, path) \
	(proc_create(path, 0600, NULL, &prefix##_file_ops) ? 0 : -ENOMEM)

#define CONTROL_REMOVE(path) remove_proc_entry(path, NULL)

#endif
