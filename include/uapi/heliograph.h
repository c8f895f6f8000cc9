/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The border between the guard in the kernel and user space. Every struct here crosses it: fixed
 * widths, 64-bit fields first, padding named and zero, size asserted. Host byte order unless the
 * type is __be*.
 *
 *   config     one    policy, seed, timeouts, limits                    written by user space
 *   peers      <= 64  mirror, collector, name and time servers          written by user space
 *   rules      <= 128 the profile's channels: what a new flow matches   written by user space
 *   counters   by enum hg_reason, per CPU                               read by user space
 *   windows    by channel, per CPU, cumulative                          read by user space
 *   trusted    prefixes whose packets always pass                       written by user space
 *   flows      three tables: kept (to mirror and collector), inside the profile (or to another
 *              peer), outside it                                        read by user space
 *   events     new flows, rate-limited                                  ring buffer
 *
 * The map of peers has 2 * HG_PEERS_MAX entries, that of rules 2 * HG_RULES_MAX: two banks. Entries
 * generation & 1 times the maximum and up are in force; a peer of role 0 and a rule of channel 0
 * end a bank. Who changes them writes the whole other bank, then counts the generation up.
 */
#ifndef _UAPI_HELIOGRAPH_H
#define _UAPI_HELIOGRAPH_H

#include <linux/types.h>

/* Changes with any struct or map below; a guard of another ABI is replaced. */
#define HG_GUARD_ABI 1

#define HG_PEERS_MAX 64
#define HG_RULES_MAX 128
#define HG_CHANNELS_MAX 64 /* channel 0 is "outside the profile", 1..63 are the profile's */

enum hg_policy {
	HG_POLICY_MONITOR = 0,	 /* count and learn flows, drop nothing */
	HG_POLICY_INITIATED = 1, /* inbound only for flows that the device opened */
	HG_POLICY_SEALED = 2,	 /* as initiated, but only for flows to peers */
};

/* The verdict's reason; counters are indexed by it. PASS_* pass, DROP_* drop. */
enum hg_reason {
	HG_PASS_FLOW = 0, /* belongs to a flow of the device */
	HG_PASS_RELATED,  /* ICMP error about a flow of the device */
	HG_PASS_FRAGMENT, /* of a datagram whose first fragment passed */
	HG_PASS_ARP,
	HG_PASS_ND,	   /* IPv6 neighbour/router discovery, validated (RFC 4861 hop limit 255) */
	HG_PASS_DHCP,	   /* DHCP server to client: broadcast, or after the device asked */
	HG_PASS_MULTICAST, /* IGMP or MLD query */
	HG_PASS_TRUSTED,   /* trusted interface or prefix */
	HG_PASS_LINK,	   /* not IP: EAPOL, LLDP, PPPoE discovery and session control */
	HG_PASS_OUT,	   /* sent by the device */
	HG_DROP_NO_FLOW,   /* nobody asked for it */
	HG_DROP_STATE,	   /* belongs to a flow, but not in this state (a SYN to a client) */
	HG_DROP_ICMP,	   /* unsolicited ICMP, or an error about no flow of ours */
	HG_DROP_FRAGMENT,  /* fragment of nothing that passed */
	HG_DROP_PROTO,	   /* protocol that no flow of ours uses */
	HG_DROP_RATE,	   /* configuration traffic over its rate */
	HG_DROP_MALFORMED, /* headers that contradict themselves */
	HG_DROP_TRUNCATED, /* ends inside a header */
	HG_DROP_LINK,	   /* EtherType that the policy does not know */
	HG_REASON_MAX,
};

enum hg_peer_role {
	HG_PEER_MIRROR = 1,
	HG_PEER_COLLECTOR = 2,
	HG_PEER_DNS = 4,
	HG_PEER_NTP = 8,
	HG_PEER_DHCP = 16,
};

/* An address with IPv4 as ::ffff:a.b.c.d, network order. */
struct hg_addr {
	__be32 a[4];
};

struct hg_guard_config {
	__u64 seed;	  /* random, keys the hashes that a remote sender must not guess */
	__u32 abi;	  /* HG_GUARD_ABI */
	__u32 policy;	  /* enum hg_policy */
	__u32 generation; /* of rules and peers; a flow of another generation is matched again */
	__u32 n_peers;
	__u32 n_rules;
	__u32 udp_one_way_s; /* lifetime of a flow by state, seconds */
	__u32 udp_two_way_s;
	__u32 tcp_opening_s;
	__u32 tcp_established_s; /* >= 7440: RFC 5382 REQ-5 */
	__u32 tcp_closing_s;
	__u32 icmp_s;
	__u32 other_s;
	__u32 config_rate; /* ARP, ND, DHCP, IGMP/MLD, link packets a second, each kind */
	__u32 n_trusted;   /* prefixes in the trusted map */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct hg_guard_config) == 64, "hg_guard_config");
#endif

struct hg_peer {
	struct hg_addr addr;
	__be16 port; /* 0: any */
	__u8 proto;  /* IPPROTO_*, 0: any */
	__u8 role;   /* enum hg_peer_role, several may be set */
	__u32 pad;
};

_Static_assert(sizeof(struct hg_peer) == 24, "hg_peer");

/*
 * Which remotes a rule means; neither flag: any. Local is link-local, RFC 1918, RFC 4193, multicast
 * and broadcast.
 */
#define HG_RULE_LOCAL 1u  /* in the local network */
#define HG_RULE_PREFIX 2u /* in addr/prefix_len */

/* One way into a channel. The first rule that matches a flow's first packet decides. */
struct hg_rule {
	struct hg_addr addr;
	__u16 channel;	/* 1..HG_CHANNELS_MAX - 1 */
	__u16 port_min; /* remote port, host order */
	__u16 port_max;
	__u8 prefix_len; /* of the 128-bit form: IPv4 /24 is 120 */
	__u8 proto;	 /* IPPROTO_*, 0: any */
	__u8 flags;	 /* HG_RULE_* */
	__u8 peer_roles; /* not 0: remote must be a peer with one of these roles */
	__u8 pad[6];
};

_Static_assert(sizeof(struct hg_rule) == 32, "hg_rule");

/* Key of the trusted map, a longest-prefix trie; its value is one __u8, not looked at. */
struct hg_prefix {
	__u32 length; /* of the 128-bit form: IPv4 /24 is 120 */
	struct hg_addr addr;
};

_Static_assert(sizeof(struct hg_prefix) == 20, "hg_prefix");

/* The device is `local`. Ports of ICMP echo: local is the identifier, remote 0. */
struct hg_flow_key {
	struct hg_addr local, remote;
	__be16 local_port, remote_port;
	__u8 proto;
	__u8 pad[3];
};

_Static_assert(sizeof(struct hg_flow_key) == 40, "hg_flow_key");

enum hg_flow_state {
	HG_FLOW_OPENING = 0,	 /* only the device has sent */
	HG_FLOW_ESTABLISHED = 1, /* answered */
	HG_FLOW_CLOSING = 2,	 /* FIN both ways, or RST */
};

struct hg_flow {
	__u64 bytes_out, bytes_in; /* IP bytes as on the wire */
	__u32 opened_s, last_s;	   /* monotonic seconds */
	__u32 packets_out, packets_in;
	__u8 channel;
	__u8 roles; /* enum hg_peer_role of the remote; 0: not a peer */
	__u8 state; /* enum hg_flow_state */
	__u8 tcp;   /* flags seen, FIN SYN RST ACK: sent in the low nibble, received in the high */
	__u32 generation;
};

_Static_assert(sizeof(struct hg_flow) == 40, "hg_flow");

/* Cumulative since the guard was attached; a window is the difference of two readings. */
struct hg_window {
	__u64 packets_out, bytes_out, packets_in, bytes_in;
	__u64 flows;	/* opened by the device */
	__u64 answered; /* of those: got a packet back that was no refusal */
	__u64 refused;	/* of those: got RST or ICMP unreachable before any answer */
	__u64 pad;
};

_Static_assert(sizeof(struct hg_window) == 64, "hg_window");

/* A new flow. At most 1,000 a second are sent; the windows count all. */
struct hg_flow_event {
	struct hg_flow_key key;
	__u64 time_ns; /* monotonic */
	__u16 channel;
	__u16 pad[3];
};

_Static_assert(sizeof(struct hg_flow_event) == 56, "hg_flow_event");

#endif
