/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Between frames.c and its packet programs. */
#ifndef HG_TESTS_BENCH_FRAMES_H
#define HG_TESTS_BENCH_FRAMES_H

#include <linux/types.h>

#define FRAMES_FROM 0x0a640000u /* random senders are in 10.100.0.0/16 */

struct frames_config {
	__u32 ifindex; /* where frames leave */
	__u32 random;  /* sender's address and port are random */
	__u32 proto;
	__u32 gap_ns; /* between two frames; 0: none */
	__u32 ip_sum, l4_sum;
};

#endif
