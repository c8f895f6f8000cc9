/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the shared core needs of its host: fixed-width types and a compiler. The headers beside this
 * one compile unchanged in BPF programs, in a kernel module and in user space. They allocate
 * nothing, read no clock and log nothing; the caller brings time and memory.
 */
#ifndef HG_CORE_PORT_H
#define HG_CORE_PORT_H

#include <linux/types.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

/*
 * The uapi __always_inline is a hint only; BPF needs the promise. A host that need not promise it
 * may leave the choice to its compiler.
 */
#ifndef hg_inline
#define hg_inline inline __attribute__((__always_inline__))
#endif

/* Sparse, which knows __be16 and __be32 from numbers, is told where one becomes the other. */
#ifdef __CHECKER__
#define hg_force __attribute__((force))
#define __builtin_assume_aligned(p, n) (p)
#else
#define hg_force
#endif

/* To or from network order, as numbers; and constants and values as they stand in headers. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HG_NET16(x) ((__u16)__builtin_bswap16((hg_force __u16)(x)))
#define HG_NET32(x) ((__u32)__builtin_bswap32((hg_force __u32)(x)))
#else
#define HG_NET16(x) ((hg_force __u16)(x))
#define HG_NET32(x) ((hg_force __u32)(x))
#endif
#define HG_BE16(x) ((hg_force __be16)HG_NET16(x))
#define HG_BE32(x) ((hg_force __be32)HG_NET32(x))

/*
 * Between two stages of work on one object in memory: the next stage reads the object again. To the
 * BPF verifier what is read from memory is unknown, so it checks each stage once, and not once for
 * each way through the stages before.
 */
static hg_inline void hg_stage(void)
{
	__asm__ volatile("" ::: "memory");
}

/*
 * Loads of header fields. The hosts give packets whose network header is aligned to four bytes
 * (NET_IP_ALIGN), and every header's length is a multiple of four, so these are single loads.
 */
static hg_inline __be16 hg_load_be16(const __u8 *p)
{
	__be16 v;

	__builtin_memcpy(&v, __builtin_assume_aligned(p, 2), sizeof(v));
	return v;
}

static hg_inline __be32 hg_load_be32(const __u8 *p)
{
	__be32 v;

	__builtin_memcpy(&v, __builtin_assume_aligned(p, 4), sizeof(v));
	return v;
}

static hg_inline __u16 hg_load16(const __u8 *p)
{
	return HG_NET16(hg_load_be16(p));
}

static hg_inline __u32 hg_load32(const __u8 *p)
{
	return HG_NET32(hg_load_be32(p));
}

#endif
