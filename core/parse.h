/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Reads a frame into struct hg_packet: Ethernet with 802.1Q, 802.1ad and PPPoE, or plain IP; IPv4
 * with options, IPv6 with extension headers; fragments; the packets that ICMP errors quote.
 *
 * Only inbound packets are judged. Of the device's own the parser wants the flow key, and takes the
 * lengths that they have, for they may be several segments yet.
 */
#ifndef HG_CORE_PARSE_H
#define HG_CORE_PARSE_H

#include "transport.h"

/*
 * One fragment of several. One that is not the last is full of eighths, none ends past 64 KiB, and
 * none but the first reaches into a TCP header, RFC 1858 and RFC 3128.
 */
static hg_inline int hg_parse_fragment(struct hg_packet *p)
{
	__u32 offset = p->fragment & 0xfff8;

	p->flags |= HG_PACKET_FRAGMENTED;
	if ((p->fragment & 1 && p->left & 7) || !p->left || offset + p->left > 65535)
		return HG_PACKET_MALFORMED;
	if (!offset) {
		p->flags |= HG_PACKET_FIRST;
		return HG_PACKET_FLOW;
	}
	return p->key.proto == HG_IP_TCP && offset < 20 ? HG_PACKET_MALFORMED : HG_PACKET_FRAGMENT;
}

/*
 * The length that an IP header says; but of what the device sends, which may be several segments
 * yet, a length that cannot be stands for all there is.
 */
static hg_inline __u32 hg_sent_length(const struct hg_packet *p, __u32 says, __u32 least)
{
	if (p->flags & HG_PACKET_OUT && (says < least || says > p->left))
		return p->left;
	return says;
}

static hg_inline int hg_parse_ipv4(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip = hg_header(p, f, 20);
	int out = p->flags & HG_PACKET_OUT;
	__u32 words, total, field;
	__be32 from, to;

	if (!ip)
		return HG_PACKET_TRUNCATED;
	words = ip[0] & 15;
	total = hg_sent_length(p, hg_load16(ip + 2), words * 4);
	if (ip[0] >> 4 != 4 || words < 5 || total < words * 4 || total > p->left)
		return HG_PACKET_MALFORMED;
	from = hg_load_be32(ip + 12);
	to = hg_load_be32(ip + 16);
	if (!out && hg_ipv4_is_martian(HG_NET32(from), HG_NET32(to)))
		return HG_PACKET_MALFORMED;
	hg_addr_from_ipv4(&p->key.local, out ? from : to);
	hg_addr_from_ipv4(&p->key.remote, out ? to : from);
	p->key.proto = ip[9];
	p->bytes = total;
	p->left = total;
	p->headers = words * 4;
	hg_skip(p, words);
	field = hg_load16(ip + 6);
	p->fragment_id = (hg_force __be32)(__u32)(hg_force __u16)hg_load_be16(ip + 4);
	p->fragment = (field & 0x1fff) << 3 | (field & 0x2000 ? 1 : 0);
	return p->fragment ? hg_parse_fragment(p) : HG_PACKET_FLOW;
}

/* Skips the one header p->next. Returns FLOW, or FRAGMENT after a fragment header. */
static hg_inline int hg_parse_extension(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *h = hg_header(p, f, 8);
	__u32 words = 2;

	if (!h)
		return HG_PACKET_TRUNCATED;
	if (p->next == HG_IP_FRAGMENT) {
		p->next = h[0];
		p->fragment = hg_load16(h + 2) & 0xfff9;
		p->fragment_id = hg_load_be32(h + 4);
		hg_skip(p, 2);
		return HG_PACKET_FRAGMENT;
	}
	/* Source routes are deprecated, RFC 5095. */
	if (p->next == HG_IP_ROUTING && h[2] == 0 && h[3])
		return HG_PACKET_MALFORMED;
	words += h[1] * 2;
	if (p->left < words * 4)
		return HG_PACKET_MALFORMED;
	p->next = h[0];
	hg_skip(p, words);
	return HG_PACKET_FLOW;
}

/*
 * Walks the chain of at most max headers that begins with p->next. Returns FLOW at the transport
 * header, or FRAGMENT if that is in another fragment.
 */
static hg_inline int hg_parse_extensions(struct hg_packet *p, const struct hg_frame *f, int max)
{
	int i, kind, fragmented = 0;
	__u8 next;

	for (i = 0; i <= max; i++) {
		hg_stage();
		next = p->next;
		if (next != HG_IP_HOPOPTS && next != HG_IP_ROUTING && next != HG_IP_FRAGMENT &&
		    next != HG_IP_DSTOPTS)
			return HG_PACKET_FLOW;
		if (i == max || (i && next == HG_IP_HOPOPTS))
			return HG_PACKET_MALFORMED;
		kind = hg_parse_extension(p, f);
		if (kind == HG_PACKET_FRAGMENT) {
			if (fragmented++)
				return HG_PACKET_MALFORMED;
			if (p->fragment >> 3)
				return HG_PACKET_FRAGMENT;
		} else if (kind != HG_PACKET_FLOW) {
			return kind;
		}
	}
	return HG_PACKET_MALFORMED;
}

static hg_inline int hg_parse_ipv6_header(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip = hg_header(p, f, 40);
	int out = p->flags & HG_PACKET_OUT;
	__u32 total;

	if (!ip)
		return HG_PACKET_TRUNCATED;
	total = 40u + hg_load16(ip + 4);
	/* 41: where no payload is said, the length is in an option, or not there yet. */
	total = hg_sent_length(p, total, 41);
	if (ip[0] >> 4 != 6 || total > p->left)
		return HG_PACKET_MALFORMED;
	hg_addr_from_ipv6(out ? &p->key.local : &p->key.remote, ip + 8);
	hg_addr_from_ipv6(out ? &p->key.remote : &p->key.local, ip + 24);
	if (!out && hg_ipv6_is_martian(&p->key.remote, &p->key.local))
		return HG_PACKET_MALFORMED;
	if (!out && total == 40 && ip[6] == HG_IP_HOPOPTS) /* a jumbogram, RFC 2675 */
		return HG_PACKET_MALFORMED;
	if (ip[7] == 255)
		p->flags |= HG_PACKET_HOPS_255;
	p->next = ip[6];
	p->bytes = total;
	p->left = total;
	hg_skip(p, 10);
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_ipv6(struct hg_packet *p, const struct hg_frame *f)
{
	int kind = hg_parse_ipv6_header(p, f);

	if (kind != HG_PACKET_FLOW)
		return kind;
	kind = hg_parse_extensions(p, f, HG_EXTENSIONS_MAX);
	if (kind != HG_PACKET_FLOW && kind != HG_PACKET_FRAGMENT)
		return kind;
	hg_stage();
	p->key.proto = p->next;
	p->headers = p->bytes - p->left;
	/* An "atomic" fragment, offset 0 and no more, is a whole packet: RFC 6946. */
	return p->fragment ? hg_parse_fragment(p) : HG_PACKET_FLOW;
}

/* Requests and replies for IPv4 on Ethernet; nothing else is worth an answer. */
static hg_inline int hg_parse_arp(const struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *arp = hg_header(p, f, 28);
	__u16 op;

	if (!arp)
		return HG_PACKET_TRUNCATED;
	op = hg_load16(arp + 6);
	if (hg_load16(arp) != 1 || hg_load16(arp + 2) != HG_ETH_IPV4 || arp[4] != 6 ||
	    arp[5] != 4 || op < 1 || op > 2)
		return HG_PACKET_MALFORMED;
	return HG_PACKET_ARP;
}

/* RFC 2516: six bytes of header, two of PPP protocol; the length counts the latter. */
static hg_inline int hg_parse_pppoe(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *h = hg_header(p, f, 8);
	__u32 length;
	__u16 ppp;

	if (!h)
		return HG_PACKET_TRUNCATED;
	length = hg_load16(h + 4);
	ppp = hg_load16(h + 6);
	if (!(p->flags & HG_PACKET_OUT)) {
		if (h[0] != 0x11 || h[1] || length < 2 || length + 6 > p->left)
			return HG_PACKET_MALFORMED;
		p->left = length + 6;
	}
	hg_skip(p, 2);
	if (ppp != HG_PPP_IPV4 && ppp != HG_PPP_IPV6)
		return HG_PACKET_LINK;
	p->type = ppp == HG_PPP_IPV4 ? HG_ETH_IPV4 : HG_ETH_IPV6;
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_ethernet(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *tag;
	int i;

	if (f->wire < 14 || f->network > f->end)
		return HG_PACKET_TRUNCATED;
	if (f->data[0] & 1)
		p->flags |= HG_PACKET_GROUP;
	p->type = hg_load16(f->data + 12);
	p->left = f->wire - 14;
	for (i = 0; i < HG_TAGS_MAX; i++) {
		if (p->type != HG_ETH_8021Q && p->type != HG_ETH_8021AD)
			break;
		tag = hg_header(p, f, 4);
		if (!tag)
			return HG_PACKET_TRUNCATED;
		p->type = hg_load16(tag + 2);
		hg_skip(p, 1);
	}
	return p->type == HG_ETH_PPPOE_SESSION ? hg_parse_pppoe(p, f) : HG_PACKET_FLOW;
}

/* Without a link header the version of IP is all there is. */
static hg_inline int hg_parse_plain(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip;

	p->left = f->wire;
	ip = hg_header(p, f, 1);
	if (!ip)
		return HG_PACKET_TRUNCATED;
	p->type = ip[0] >> 4 == 4 ? HG_ETH_IPV4 : ip[0] >> 4 == 6 ? HG_ETH_IPV6 : 0;
	return HG_PACKET_FLOW;
}

static hg_inline int hg_parse_network(struct hg_packet *p, const struct hg_frame *f)
{
	switch (p->type) {
	case HG_ETH_IPV4:
		return hg_parse_ipv4(p, f);
	case HG_ETH_IPV6:
		return hg_parse_ipv6(p, f);
	case HG_ETH_ARP:
		return hg_parse_arp(p, f);
	case HG_ETH_EAPOL:
	case HG_ETH_LLDP:
	case HG_ETH_PPPOE_DISCOVERY:
		return HG_PACKET_LINK;
	}
	return HG_PACKET_UNKNOWN;
}

/* The quoted packet was sent by the device, which got the error: else it is a forgery. */
static hg_inline int hg_quoted_addresses(struct hg_packet *p, const struct hg_addr *from,
					 const struct hg_addr *to)
{
	if (!hg_addr_equal(from, &p->key.local))
		return HG_PACKET_ICMP;
	p->key.remote = *to;
	return HG_PACKET_ERROR;
}

static hg_inline int hg_parse_quoted_ipv4(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip = hg_header(p, f, 20);
	struct hg_addr from, to;
	__u32 words;

	if (!ip)
		return HG_PACKET_TRUNCATED;
	words = ip[0] & 15;
	if (ip[0] >> 4 != 4 || words < 5 || words * 4 > p->left)
		return HG_PACKET_MALFORMED;
	if (hg_load16(ip + 6) & 0x1fff) /* has no ports */
		return HG_PACKET_ICMP;
	hg_addr_from_ipv4(&from, hg_load_be32(ip + 12));
	hg_addr_from_ipv4(&to, hg_load_be32(ip + 16));
	p->key.proto = ip[9];
	hg_skip(p, words);
	return hg_quoted_addresses(p, &from, &to);
}

static hg_inline int hg_parse_quoted_ipv6(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip = hg_header(p, f, 40);
	struct hg_addr from, to;
	int kind;

	if (!ip)
		return HG_PACKET_TRUNCATED;
	if (ip[0] >> 4 != 6)
		return HG_PACKET_MALFORMED;
	hg_addr_from_ipv6(&from, ip + 8);
	hg_addr_from_ipv6(&to, ip + 24);
	p->next = ip[6];
	hg_skip(p, 10);
	kind = hg_quoted_addresses(p, &from, &to);
	if (kind != HG_PACKET_ERROR)
		return kind;
	kind = hg_parse_extensions(p, f, HG_EXTENSIONS_QUOTED);
	if (kind != HG_PACKET_FLOW)
		return kind == HG_PACKET_FRAGMENT ? HG_PACKET_ICMP : kind;
	p->key.proto = p->next;
	return HG_PACKET_ERROR;
}

static hg_inline int hg_parse_quoted(struct hg_packet *p, const struct hg_frame *f)
{
	int kind = p->type == HG_ETH_IPV4 ? hg_parse_quoted_ipv4(p, f) : hg_parse_quoted_ipv6(p, f);

	if (kind != HG_PACKET_ERROR)
		return kind;
	hg_stage();
	return hg_parse_quoted_ports(p, f);
}

static hg_inline int hg_parse(struct hg_packet *p, const struct hg_frame *f)
{
	int kind = f->network != f->data ? hg_parse_ethernet(p, f) : hg_parse_plain(p, f);

	if (kind != HG_PACKET_FLOW)
		return kind;
	hg_stage();
	kind = hg_parse_network(p, f);
	if (kind != HG_PACKET_FLOW)
		return kind;
	hg_stage();
	kind = hg_parse_transport(p, f);
	if (kind != HG_PACKET_ERROR)
		return kind;
	hg_stage();
	p->sender = p->key.remote;
	kind = hg_parse_quoted(p, f);
	/* A quote that names no flow names nobody: what is left is an error of its sender's. */
	if (kind != HG_PACKET_ERROR)
		p->key.remote = p->sender;
	return kind;
}

/*
 * Reads frame f into *p; `flags` is HG_PACKET_OUT or 0. segments is 1; a host that knows better
 * corrects it with hg_packet_segment().
 */
static hg_inline void hg_packet_parse(struct hg_packet *p, const struct hg_frame *f, __u8 flags)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->flags = flags;
	p->bytes = f->wire;
	p->segments = 1;
	p->kind = hg_parse(p, f);
	hg_stage();
}

/* The packet will leave, or has come, as n segments, each with a copy of the headers. */
static hg_inline void hg_packet_segment(struct hg_packet *p, __u32 n)
{
	if (n > 1 && n <= 65535) {
		p->segments = n;
		p->bytes += (n - 1) * p->headers;
	}
}

#endif
