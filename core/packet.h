/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A packet: what the guard must know of one frame, as struct hg_packet; and the cursor with which
 * the parser (parse.h) walks its headers.
 *
 * Two lengths are kept apart: how far the bytes can be read, and how long the frame is on the wire.
 * Lengths in headers are judged against the wire; a header that is on the wire but cannot be read
 * is "truncated", and the host may make more bytes readable and parse again.
 */
#ifndef HG_CORE_PACKET_H
#define HG_CORE_PACKET_H

#include "port.h"
#include "../include/uapi/heliograph.h"

#define HG_TAGS_MAX 2	    /* 802.1ad: one service and one customer tag */
#define HG_EXTENSIONS_MAX 6 /* each RFC 8200 extension header once, destination options twice */
#define HG_EXTENSIONS_QUOTED 2
#define HG_WORDS_MAX 64	   /* headers that lie deeper are not looked at */
#define HG_WORDS_MASK 1023 /* above HG_WORDS_MAX and the longest extension header, 512 words */
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

/* Of hg_packet.flags. */
enum {
	HG_PACKET_OUT = 1,	    /* sent by the device */
	HG_PACKET_GROUP = 2,	    /* to a link-layer group address */
	HG_PACKET_FRAGMENTED = 4,   /* one of several: fragment_id and fragment are set */
	HG_PACKET_FIRST = 8,	    /* the first of them */
	HG_PACKET_ANSWER = 16,	    /* ICMP echo reply: opens no flow */
	HG_PACKET_UNREACHABLE = 32, /* ICMP error that says "nobody there" */
	HG_PACKET_HOPS_255 = 64,    /* hop limit 255: nobody has forwarded it */
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
	__u8 channel, roles; /* of its flow, if it is let in or sent by the device */
	/* of what the device sends, see hg_verdict_out() */
	__u8 learns;  /* its flow is new or is matched again */
	__u8 opens;   /* begins a flow */
	__u8 named;   /* not to a bare address: see hg_match_flow() */
	__u8 inside;  /* the profile has it, or it is to a peer */
	__u8 held;    /* nothing of its flow has got out so far */
	__u8 refused; /* does not get out */
	__u8 reason;  /* enum hg_reason */
	__u8 theirs;  /* the remote has begun its flow, and the profile has a channel for that */
	__u8 late;    /* its flow was opened outside the profile just now, and is in a channel */
	__u8 pad[3];
};

/* The bytes of a packet. */
struct hg_frame {
	const __u8 *data;
	const __u8 *network; /* 14 bytes after data if there is an Ethernet header, else data */
	const __u8 *end;     /* of what can be read */
	__u32 wire;	     /* length on the wire from data on */
};

/*
 * The n bytes at p->at, or NULL if the packet ends before, or they cannot be read. The mask changes
 * nothing: it is a bound for the BPF verifier, which in Linux 6.1 learns from the comparison
 * only about the register compared, not about copies of it on the stack.
 */
static hg_inline const __u8 *hg_header(const struct hg_packet *p, const struct hg_frame *f, __u32 n)
{
	__u32 at = p->at & HG_WORDS_MASK;
	const __u8 *h;

	if (p->left < n || at > HG_WORDS_MAX)
		return NULL;
	h = f->network + at * 4;
	return h + n <= f->end ? h : NULL;
}

static hg_inline void hg_skip(struct hg_packet *p, __u32 words)
{
	p->at += words;
	p->left -= words * 4;
}

#endif
