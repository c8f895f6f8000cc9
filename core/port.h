/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the shared core needs of its host: fixed-width types and a compiler. The headers beside this
 * one compile unchanged in BPF programs, in a kernel module and in user space. They allocate
 * nothing, read no clock and log nothing; the caller brings time and memory.
 */
#ifndef HG_CORE_PORT_H
#define HG_CORE_PORT_H

#include <linux/types.h>

/* The uapi __always_inline is a hint only; BPF needs the promise. */
#define hg_inline inline __attribute__((__always_inline__))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HG_NET16(x) ((__u16)__builtin_bswap16(x))
#define HG_NET32(x) ((__u32)__builtin_bswap32(x))
#else
#define HG_NET16(x) ((__u16)(x))
#define HG_NET32(x) ((__u32)(x))
#endif

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
