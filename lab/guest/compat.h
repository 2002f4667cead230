/* SPDX-License-Identifier: GPL-2.0 */
/* What the modules need to build on all kernels from 5.10 on. */
#ifndef COMPAT_H
#define COMPAT_H

#include <linux/module.h>
#include <linux/version.h>
#include <linux/timer.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define timer_owner(ptr, t, member) timer_container_of(ptr, t, member)
#else
#define timer_owner(ptr, t, member) from_timer(ptr, t, member)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync(t) del_timer_sync(t)
#endif

#endif
