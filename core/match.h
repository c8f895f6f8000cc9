/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The match of a new flow: which peer its remote is, and which channel of the profile it is in.
 * Done once per flow and generation; the host walks its tables of peers and rules and asks here
 * about each.
 */
#ifndef HG_CORE_MATCH_H
#define HG_CORE_MATCH_H

#include "packet.h"

static hg_inline int hg_peer_matches(const struct hg_peer *peer, const struct hg_flow_key *k)
{
	return hg_addr_equal(&peer->addr, &k->remote) &&
	       (!peer->proto || peer->proto == k->proto) &&
	       (!peer->port || peer->port == k->remote_port);
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

/* `roles` are of the flow's remote. Ports count where the protocol has them. */
static hg_inline int hg_rule_matches(const struct hg_rule *r, const struct hg_flow_key *k,
				     __u8 roles)
{
	__u16 port = HG_NET16(k->remote_port);

	if (r->proto && r->proto != k->proto)
		return 0;
	if ((k->proto == HG_IP_TCP || k->proto == HG_IP_UDP) &&
	    (port < r->port_min || port > r->port_max))
		return 0;
	if (r->peer_roles && !(r->peer_roles & roles))
		return 0;
	if (r->flags & HG_RULE_LOCAL && !hg_addr_is_local(&k->remote))
		return 0;
	return !(r->flags & HG_RULE_PREFIX) ||
	       hg_addr_in_prefix(&k->remote, &r->addr, r->prefix_len);
}

#endif
