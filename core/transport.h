/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Transport headers, and those quoted in ICMP errors. Each function reads the header at p->at into
 * *p and returns the packet's kind; ERROR means that a quoted packet follows.
 */
#ifndef HG_CORE_TRANSPORT_H
#define HG_CORE_TRANSPORT_H

#include "addr.h"
#include "packet.h"

/* Puts the two addresses and ports where they belong, seen from the device. */
static hg_inline void hg_key_ports(struct hg_packet *p, __be16 from, __be16 to)
{
	int out = p->flags & HG_PACKET_OUT;

	p->key.local_port = out ? from : to;
	p->key.remote_port = out ? to : from;
}

/* Of the flag combinations a sane stack sends these; ECE, CWR and PSH may come with any. */
static hg_inline int hg_tcp_flags_valid(__u8 flags)
{
	switch (flags & (HG_TCP_FIN | HG_TCP_SYN | HG_TCP_RST | HG_TCP_ACK)) {
	case HG_TCP_SYN:
	case HG_TCP_SYN | HG_TCP_ACK:
	case HG_TCP_RST:
	case HG_TCP_RST | HG_TCP_ACK:
	case HG_TCP_ACK:
	case HG_TCP_FIN | HG_TCP_ACK:
		return 1;
	}
	return 0;
}

/* A transport header that is not all there: a fragment too small to judge, or a short packet. */
static hg_inline int hg_parse_short(const struct hg_packet *p, __u32 n)
{
	return p->flags & HG_PACKET_FIRST && p->left < n ? HG_PACKET_MALFORMED
							 : HG_PACKET_TRUNCATED;
}

static hg_inline int hg_parse_tcp(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *tcp = hg_header(p, f, 20);
	__u32 length;

	if (!tcp)
		return hg_parse_short(p, 20);
	length = (tcp[12] >> 4) * 4;
	p->tcp = tcp[13];
	p->headers += length;
	hg_key_ports(p, hg_load_be16(tcp), hg_load_be16(tcp + 2));
	if (length < 20 || length > p->left || !hg_tcp_flags_valid(tcp[13]))
		return HG_PACKET_MALFORMED;
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_udp(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *udp = hg_header(p, f, 8);
	__u32 length;

	if (!udp)
		return hg_parse_short(p, 8);
	length = hg_load16(udp + 4);
	p->headers += 8;
	hg_key_ports(p, hg_load_be16(udp), hg_load_be16(udp + 2));
	/* What the device sends may be several segments yet, with the length of one. */
	if (p->flags & HG_PACKET_OUT)
		return HG_PACKET_FLOW;
	if (length < 8 || (length > p->left && !(p->flags & HG_PACKET_FIRST)))
		return HG_PACKET_MALFORMED;
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_echo(struct hg_packet *p, const __u8 *icmp, int request)
{
	int out = p->flags & HG_PACKET_OUT;

	if (!request)
		p->flags |= HG_PACKET_ANSWER;
	p->key.local_port = hg_load_be16(icmp + 4);
	/* Towards the device only a reply can belong to a flow. */
	return request && !out ? HG_PACKET_ICMP : HG_PACKET_FLOW;
}

/* Returns ERROR, at the quoted packet, for the errors that are believed. */
static hg_inline int hg_parse_icmp(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *icmp = hg_header(p, f, 8);
	__u8 type;

	if (!icmp)
		return hg_parse_short(p, 8);
	p->headers += 8;
	type = icmp[0];
	if (type == 0 || type == 8)
		return hg_parse_echo(p, icmp, type == 8);
	/* Unreachable, time exceeded, parameter problem; not redirect (5) nor quench (4). */
	if (p->flags & HG_PACKET_OUT || (type != 3 && type != 11 && type != 12))
		return HG_PACKET_ICMP;
	if (type == 3 && icmp[1] != 4)
		p->flags |= HG_PACKET_UNREACHABLE;
	hg_skip(p, 2);
	return HG_PACKET_ERROR;
}

/*
 * Router and neighbour discovery, RFC 4861 sections 6.1 and 7.1; unfragmented, RFC 6980. Nobody
 * sends it behind extension headers, and an option in one could ask for an error in answer.
 */
static hg_inline int hg_parse_nd(const struct hg_packet *p, const __u8 *icmp)
{
	__u8 type = icmp[0];

	if (!(p->flags & HG_PACKET_HOPS_255) || icmp[1])
		return HG_PACKET_ICMP;
	if (p->left < (type == 134 ? 16 : 24) || p->flags & HG_PACKET_FRAGMENTED ||
	    p->headers != 48)
		return HG_PACKET_MALFORMED;
	if (type == 134 && !hg_addr_is_link_local(&p->key.remote))
		return HG_PACKET_ICMP;
	return HG_PACKET_ND;
}

static hg_inline int hg_parse_icmpv6(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *icmp = hg_header(p, f, 8);
	__u8 type;

	if (!icmp)
		return hg_parse_short(p, 8);
	p->headers += 8;
	type = icmp[0];
	if (type == 128 || type == 129)
		return hg_parse_echo(p, icmp, type == 128);
	if (type >= 133 && type <= 136 && p->flags & HG_PACKET_OUT)
		return HG_PACKET_ND;
	if (type >= 134 && type <= 136)
		return hg_parse_nd(p, icmp);
	if (p->flags & HG_PACKET_OUT) /* listener reports: 131, 132, 143 */
		return type == 131 || type == 132 || type == 143 ? HG_PACKET_MULTICAST
								 : HG_PACKET_ICMP;
	if (type == 130)
		return hg_addr_is_link_local(&p->key.remote) ? HG_PACKET_MULTICAST : HG_PACKET_ICMP;
	if (type < 1 || type > 4)
		return HG_PACKET_ICMP;
	if (type == 1)
		p->flags |= HG_PACKET_UNREACHABLE;
	hg_skip(p, 2);
	return HG_PACKET_ERROR;
}

/* Queries to the device, reports from it; from others there is nothing to learn. */
static hg_inline int hg_parse_igmp(const struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *igmp = hg_header(p, f, 8);

	if (!igmp)
		return hg_parse_short(p, 8);
	if (p->flags & HG_PACKET_OUT)
		return HG_PACKET_MULTICAST;
	if (igmp[0] == 0x11 && HG_NET32(p->key.local.a[3]) >> 28 == 0xe)
		return HG_PACKET_MULTICAST;
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_transport(struct hg_packet *p, const struct hg_frame *f)
{
	int v4 = p->type == HG_ETH_IPV4;

	switch (p->key.proto) {
	case HG_IP_TCP:
		return hg_parse_tcp(p, f);
	case HG_IP_UDP:
		return hg_parse_udp(p, f);
	case HG_IP_ICMP:
		return v4 ? hg_parse_icmp(p, f) : HG_PACKET_ICMP;
	case HG_IP_ICMPV6:
		return v4 ? HG_PACKET_ICMP : hg_parse_icmpv6(p, f);
	case HG_IP_IGMP:
		return v4 ? hg_parse_igmp(p, f) : HG_PACKET_FLOW;
	}
	return HG_PACKET_FLOW;
}

/* Eight bytes of transport header are quoted at least, RFC 792: enough for all that have ports. */
static hg_inline int hg_parse_quoted_ports(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *h = hg_header(p, f, 8);

	if (p->key.proto == HG_IP_TCP || p->key.proto == HG_IP_UDP) {
		if (!h)
			return HG_PACKET_TRUNCATED;
		p->key.local_port = hg_load_be16(h);
		p->key.remote_port = hg_load_be16(h + 2);
	} else if (p->key.proto == HG_IP_ICMP || p->key.proto == HG_IP_ICMPV6) {
		if (!h)
			return HG_PACKET_TRUNCATED;
		if (h[0] != (p->key.proto == HG_IP_ICMP ? 8 : 128))
			return HG_PACKET_ICMP;
		p->key.local_port = hg_load_be16(h + 4);
	}
	return HG_PACKET_ERROR;
}

#endif
