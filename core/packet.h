/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A packet: what the guard must know of one frame, as struct hg_packet. hg_packet_parse() reads it
 * from Ethernet (802.1Q, 802.1ad, PPPoE) or from plain IP.
 *
 * Two lengths are kept apart: `end` is how far the bytes can be read, `wire` how long the frame
 * was. Lengths in headers are judged against the wire; a header that is on the wire but cannot be
 * read is "truncated", and the host may pull more bytes and parse again. Only inbound packets are
 * judged; of the device's own the parser wants the flow key, and takes them as they are.
 */
#ifndef HG_CORE_PACKET_H
#define HG_CORE_PACKET_H

#include "port.h"
#include "../include/uapi/heliograph.h"

#define HG_TAGS_MAX 2	    /* 802.1ad: one service and one customer tag */
#define HG_EXTENSIONS_MAX 6 /* each RFC 8200 extension header once, destination options twice */
#define HG_EXTENSIONS_QUOTED 2
#define HG_WORDS_MAX 64	   /* headers that lie deeper are not looked at */
#define HG_HEADERS_MAX 320 /* bytes that a host should make readable: the above, and one header */

enum {
	HG_ETH_IPV4 = 0x0800,
	HG_ETH_ARP = 0x0806,
	HG_ETH_8021Q = 0x8100,
	HG_ETH_IPV6 = 0x86dd,
	HG_ETH_PPPOE_DISCOVERY = 0x8863,
	HG_ETH_PPPOE_SESSION = 0x8864,
	HG_ETH_EAPOL = 0x888e,
	HG_ETH_8021AD = 0x88a8,
	HG_ETH_LLDP = 0x88cc,
};

enum {
	HG_PPP_IPV4 = 0x0021,
	HG_PPP_IPV6 = 0x0057,
};

enum {
	HG_IP_HOPOPTS = 0,
	HG_IP_ICMP = 1,
	HG_IP_IGMP = 2,
	HG_IP_TCP = 6,
	HG_IP_UDP = 17,
	HG_IP_ROUTING = 43,
	HG_IP_FRAGMENT = 44,
	HG_IP_ICMPV6 = 58,
	HG_IP_DSTOPTS = 60,
};

enum {
	HG_TCP_FIN = 1,
	HG_TCP_SYN = 2,
	HG_TCP_RST = 4,
	HG_TCP_PSH = 8,
	HG_TCP_ACK = 16,
	HG_TCP_URG = 32,
};

enum hg_packet_kind {
	HG_PACKET_FLOW = 0,  /* key names its flow */
	HG_PACKET_ERROR,     /* ICMP error: key names the flow that the quoted packet belongs to */
	HG_PACKET_FRAGMENT,  /* not the first: key has the identification in place of ports */
	HG_PACKET_ICMP,	     /* any other ICMP */
	HG_PACKET_ND,	     /* valid router or neighbour discovery */
	HG_PACKET_MULTICAST, /* IGMP or MLD query */
	HG_PACKET_ARP,
	HG_PACKET_LINK,	   /* EAPOL, LLDP, PPPoE discovery, PPP control */
	HG_PACKET_UNKNOWN, /* EtherType of none of these */
	HG_PACKET_MALFORMED,
	HG_PACKET_TRUNCATED,
};

enum {				   /* hg_packet.flags */
       HG_PACKET_OUT = 1,	   /* sent by the device */
       HG_PACKET_GROUP = 2,	   /* to a link-layer group address */
       HG_PACKET_FRAGMENTED = 4,   /* one of several: fragment_id and fragment are set */
       HG_PACKET_FIRST = 8,	   /* the first of them */
       HG_PACKET_ANSWER = 16,	   /* ICMP echo reply: opens no flow */
       HG_PACKET_UNREACHABLE = 32, /* ICMP error that says "nobody there" */
       HG_PACKET_HOPS_255 = 64,	   /* hop limit 255: nobody has forwarded it */
};

struct hg_packet {
	struct hg_flow_key key;
	struct hg_addr sender; /* of an ICMP error; else key.remote */
	__be32 fragment_id;
	__u32 bytes;	/* IP packet on the wire, all segments */
	__u32 left;	/* while parsing: bytes on the wire from `at` to the end of the packet */
	__u16 at;	/* while parsing: 32-bit words after hg_frame.network */
	__u16 type;	/* EtherType; of PPP what it carries */
	__u16 fragment; /* offset in bytes; the lowest bit: more follow */
	__u16 headers;	/* bytes of IP and transport headers: what each further segment repeats */
	__u16 segments;
	__u8 kind; /* enum hg_packet_kind */
	__u8 flags;
	__u8 tcp;	     /* flags of a TCP packet */
	__u8 next;	     /* while parsing: IPv6 header at `at` */
	__u8 channel, roles; /* of a flow that is new or matched again: see hg_match_flow() */
};

/* The bytes of a packet. */
struct hg_frame {
	const __u8 *data;
	const __u8 *network; /* 14 bytes after data if there is an Ethernet header, else data */
	const __u8 *end;     /* of what can be read */
	__u32 wire;	     /* length on the wire from data on */
};

/* The n bytes at p->at, or NULL if the packet ends before, or they cannot be read. */
static hg_inline const __u8 *hg_header(const struct hg_packet *p, const struct hg_frame *f, __u32 n)
{
	__u32 at = p->at;
	const __u8 *h;

	if (p->left < n || at > HG_WORDS_MAX)
		return 0;
	h = f->network + at * 4;
	return h + n <= f->end ? h : 0;
}

static hg_inline void hg_skip(struct hg_packet *p, __u32 words)
{
	p->at += words;
	p->left -= words * 4;
}

static hg_inline void hg_addr_from_ipv4(struct hg_addr *a, __be32 v4)
{
	a->a[0] = 0;
	a->a[1] = 0;
	a->a[2] = (__be32)HG_NET32(0xffff);
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
	return !(a->a[0] | a->a[1]) && a->a[2] == (__be32)HG_NET32(0xffff);
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

/* Puts the two addresses and ports where they belong, seen from the device. */
static hg_inline void hg_key_ports(struct hg_packet *p, __be16 from, __be16 to)
{
	int out = p->flags & HG_PACKET_OUT;

	p->key.local_port = out ? from : to;
	p->key.remote_port = out ? to : from;
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
	__u32 from_high = from->a[0] | from->a[1], to_high = to->a[0] | to->a[1];

	if (HG_NET32(from->a[0]) >> 24 == 0xff || hg_addr_equal(from, to))
		return 1;
	if (hg_addr_is_ipv4(from) || hg_addr_is_ipv4(to))
		return 1;
	if (!(from_high | from->a[2]) && from->a[3] == (__be32)HG_NET32(1))
		return 1;
	return !(to_high | to->a[2]) && HG_NET32(to->a[3]) <= 1;
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

/* Router and neighbour discovery, RFC 4861 sections 6.1 and 7.1; unfragmented, RFC 6980. */
static hg_inline int hg_parse_nd(const struct hg_packet *p, const __u8 *icmp)
{
	__u8 type = icmp[0];

	if (!(p->flags & HG_PACKET_HOPS_255) || icmp[1])
		return HG_PACKET_ICMP;
	if (p->left < (type == 134 ? 16 : 24) || p->flags & HG_PACKET_FRAGMENTED)
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

static hg_inline int hg_parse_ipv4(struct hg_packet *p, const struct hg_frame *f)
{
	const __u8 *ip = hg_header(p, f, 20);
	int out = p->flags & HG_PACKET_OUT;
	__u32 words, total, field;
	__be32 from, to;

	if (!ip)
		return HG_PACKET_TRUNCATED;
	words = ip[0] & 15;
	/* What the device sends may be several segments yet, whose length says little. */
	total = out ? p->left : hg_load16(ip + 2);
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
	p->fragment_id = (__be32)hg_load_be16(ip + 4);
	p->fragment = (field & 0x1fff) << 3 | !!(field & 0x2000);
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
	total = out ? p->left : 40u + hg_load16(ip + 4);
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
	p->sender = p->key.remote;
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
	if (p->type == HG_ETH_IPV4)
		kind = hg_parse_quoted_ipv4(p, f);
	else
		kind = hg_parse_quoted_ipv6(p, f);
	if (kind != HG_PACKET_ERROR)
		return kind;
	hg_stage();
	return hg_parse_quoted_ports(p, f);
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
