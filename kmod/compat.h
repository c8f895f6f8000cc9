/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between Linux 5.10 and current: all conditions on versions are here. */
#ifndef HG_KMOD_COMPAT_H
#define HG_KMOD_COMPAT_H

#include <linux/version.h>
#include <net/genetlink.h>

/* From 6.1 on a family says from which command on the header's reserved field must be zero. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
#define HG_GENL_STRICT .resv_start_op = HG_CMD_UNSPEC + 1,
#else
#define HG_GENL_STRICT
#endif

/*
 * Events tell what the device talks to, so only who may command the guard may hear them. Kernels
 * without this flag (before 6.7, and the stable ones that it did not reach) let everybody in the
 * namespace join a group.
 */
#if defined(GENL_MCAST_CAP_NET_ADMIN)
#define HG_GENL_EVENTS_FLAGS .flags = GENL_MCAST_CAP_NET_ADMIN,
#else
#define HG_GENL_EVENTS_FLAGS
#endif

#endif
