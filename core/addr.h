/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Addresses: all are 128 bits, IPv4 as ::ffff:a.b.c.d, in network order. */
#ifndef HG_CORE_ADDR_H
#define HG_CORE_ADDR_H

#include "port.h"
#include "../include/uapi/heliograph.h"

static hg_inline void hg_addr_from_ipv4(struct hg_addr *a, __be32 v4)
{
	a->a[0] = 0;
	a->a[1] = 0;
	a->a[2] = HG_BE32(0xffff);
	a->a[3] = v4;
}

static hg_inline void hg_addr_from_ipv6(struct hg_addr *a, const __u8 *p)
{
	a->a[0] = hg_load_be32(p);
	a->a[1] = hg_load_be32(p + 4);
	a->a[2] = hg_load_be32(p + 8);
	a->a[3] = hg_load_be32(p + 12);
}

static hg_inline int hg_addr_is_ipv4(const struct hg_addr *a)
{
	return !(a->a[0] | a->a[1]) && a->a[2] == HG_BE32(0xffff);
}

/* Its two halves as numbers, in no order that means anything: for hashes. */
static hg_inline __u64 hg_addr_high(const struct hg_addr *a)
{
	return (__u64)(hg_force __u32)a->a[0] << 32 | (hg_force __u32)a->a[1];
}

static hg_inline __u64 hg_addr_low(const struct hg_addr *a)
{
	return (__u64)(hg_force __u32)a->a[2] << 32 | (hg_force __u32)a->a[3];
}

static hg_inline int hg_addr_equal(const struct hg_addr *a, const struct hg_addr *b)
{
	return !((a->a[0] ^ b->a[0]) | (a->a[1] ^ b->a[1]) | (a->a[2] ^ b->a[2]) |
		 (a->a[3] ^ b->a[3]));
}

static hg_inline int hg_addr_is_link_local(const struct hg_addr *a)
{
	__u32 v4 = HG_NET32(a->a[3]);

	if (hg_addr_is_ipv4(a))
		return v4 >> 16 == 0xa9fe;
	return HG_NET32(a->a[0]) >> 22 == 0xfe80 >> 6;
}

static hg_inline int hg_addr_in_prefix(const struct hg_addr *a, const struct hg_addr *prefix,
				       __u32 length)
{
	__u32 i, differ = 0;

#pragma GCC unroll 4
	for (i = 0; i < 4; i++) {
		__u32 mask = length >= 32 ? ~0u : length ? ~0u << (32 - length) : 0;

		differ |= HG_NET32(a->a[i] ^ prefix->a[i]) & mask;
		length -= length >= 32 ? 32 : length;
	}
	return !differ;
}

/* Link-local, RFC 1918, RFC 4193, multicast, broadcast. */
static hg_inline int hg_addr_is_local(const struct hg_addr *a)
{
	__u32 v4 = HG_NET32(a->a[3]), v6 = HG_NET32(a->a[0]);

	if (!hg_addr_is_ipv4(a))
		return v6 >> 24 == 0xff || v6 >> 22 == 0xfe80 >> 6 || v6 >> 25 == 0xfc >> 1;
	return v4 >> 24 == 10 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 || v4 >> 16 == 0xa9fe ||
	       v4 >> 28 == 0xe || v4 == ~0u;
}

/*
 * No host may send from or to these: "this network", loopback, groups as a source, and the land
 * attack. 0.0.0.0 is what a DHCP client without an address sends from.
 */
static hg_inline int hg_ipv4_is_martian(__u32 from, __u32 to)
{
	return from >> 24 == 127 || to >> 24 == 127 || from >> 28 >= 0xe ||
	       (from && !(from >> 24)) || !to || from == to;
}

/* Likewise; and ::ffff:0:0/96 must not come as IPv6, for it is how the keys write IPv4. */
static hg_inline int hg_ipv6_is_martian(const struct hg_addr *from, const struct hg_addr *to)
{
	__be32 from_high = from->a[0] | from->a[1], to_high = to->a[0] | to->a[1];

	if (HG_NET32(from->a[0]) >> 24 == 0xff || hg_addr_equal(from, to))
		return 1;
	if (hg_addr_is_ipv4(from) || hg_addr_is_ipv4(to))
		return 1;
	if (!(from_high | from->a[2]) && from->a[3] == HG_BE32(1))
		return 1;
	return !(to_high | to->a[2]) && HG_NET32(to->a[3]) <= 1;
}

#endif
