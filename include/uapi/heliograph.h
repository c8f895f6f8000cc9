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
 *   bounds     by channel, two banks: what the score holds them against  written by user space
 *   bound      address -> channels whose names the device's DNS gave it written by user space
 *   windows    by processor and channel, cumulative                     read by user space
 *   trusted    prefixes whose packets always pass                       written by user space
 *   flows      three tables: kept (to mirror and collector), inside the profile (or to another
 *              peer), outside it                                        read by user space
 *   events     new flows, scores, DNS answers: each begins with a struct hg_event; a ring buffer
 *   score      of each channel, see core/score.h                        closed each second
 *
 * The maps of peers, rules and bounds have two banks: 2 * HG_PEERS_MAX, 2 * HG_RULES_MAX, 2 *
 * HG_CHANNELS_MAX entries. Entries generation & 1 times the maximum and up are in force; a peer of
 * role 0 and a rule of channel 0 end a bank. Who changes them writes the whole other bank, then
 * counts the generation up.
 */
#ifndef _UAPI_HELIOGRAPH_H
#define _UAPI_HELIOGRAPH_H

#include <linux/types.h>

/* Changes with any struct or map below; a guard of another ABI is replaced. */
#define HG_GUARD_ABI 3

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
	HG_DROP_CONFINED,  /* sent by the device: the profile does not have it */
	HG_DROP_POLICED,   /* sent by the device: over its channel's bounds in this second */
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
	__u32 flags;	   /* HG_GUARD_* */
	__u32 rows;	   /* of the windows that are in use; 0: all */
};

#ifndef __cplusplus
_Static_assert(sizeof(struct hg_guard_config) == 72, "hg_guard_config");
#endif

/*
 * What keeps packets of the device from getting out; else all do. Not under HG_POLICY_MONITOR,
 * which only counts the reason. See core/police.h for what always gets out.
 */
#define HG_GUARD_CONFINE 1u /* what is in no channel of the profile and to no peer */
#define HG_GUARD_POLICE 2u  /* what a channel sends in a second over its bounds of a second */

struct hg_peer {
	struct hg_addr addr;
	__be16 port; /* 0: any */
	__u8 proto;  /* IPPROTO_*, 0: any */
	__u8 role;   /* enum hg_peer_role, several may be set */
	__u32 pad;
};

_Static_assert(sizeof(struct hg_peer) == 24, "hg_peer");

/*
 * Which remotes a rule means; no flag: any. Local is link-local, RFC 1918, RFC 4193, multicast and
 * broadcast.
 */
#define HG_RULE_LOCAL 1u  /* in the local network */
#define HG_RULE_PREFIX 2u /* in addr/prefix_len */
#define HG_RULE_BOUND 4u  /* its name is one of the channel's: see struct hg_bound */

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

/* What is known of a remote address from the device's own DNS answers; key: struct hg_addr. */
struct hg_bound {
	__u64 channels; /* bit c: a name of channel c of the profile in force has this address */
	__u32 flags;	/* HG_BOUND_* */
	__u32 pad;
};

#define HG_BOUND_NAMED 1u /* some answer named it, maybe for a name that the profile has not */

_Static_assert(sizeof(struct hg_bound) == 16, "hg_bound");

/*
 * Of one channel; cumulative since the guard was attached. What happened in a while is the
 * difference of two readings.
 */
struct hg_window {
	__u64 packets_out, bytes_out, packets_in, bytes_in;
	__u64 flows;	/* opened by the device */
	__u64 answered; /* of those: got a packet back that was no refusal */
	__u64 refused;	/* of those: got RST or ICMP unreachable before any answer */
	__u64 fresh;	/* of those: to an address and port not opened in this or the hour before */
	__u64 unnamed;	/* of those: to a global address that no DNS answer has named */
	__u64 login;	/* of those: to a port where one logs in, see hg_is_login() */
	/* of packets_out */
	__u64 tcp;
	__u64 syn; /* of tcp: SYN without ACK */
	__u64 udp;
	__u64 icmp;
	__u64 reflect; /* of udp: from a port of services that amplify, see hg_is_amplifier() */
	__u64 pad;
};

_Static_assert(sizeof(struct hg_window) == 128, "hg_window");

#define HG_ROWS                                                                                    \
	16 /* of the map of windows: index = (processor % HG_ROWS) * HG_CHANNELS_MAX + channel */

/* Lengths of windows: 1, 60 and 3600 seconds. They tumble: all begin with the guard. */
enum hg_window_length { HG_WINDOW_SECOND, HG_WINDOW_MINUTE, HG_WINDOW_HOUR, HG_WINDOWS };

#define HG_UNBOUNDED (~0u)	   /* of 32-bit bounds: not tested */
#define HG_UNBOUNDED_BYTES (~0ull) /* of 64-bit bounds */

/*
 * What the score holds one channel against: the most that is not too much, margin included. Two
 * banks, as of rules; the entry of a channel that the profile has not is not looked at.
 */
struct hg_bounds {
	__u64 id; /* of the channel's definition; 0: there is no such channel */
	__u64 bytes[HG_WINDOWS];
	__u64 sum_bytes_rate, sum_bytes_limit; /* see sum_flows_rate */
	__u32 packets[HG_WINDOWS];
	__u32 flows[HG_WINDOWS];
	__u32 failed[HG_WINDOWS];
	__u32 destinations[HG_WINDOWS]; /* distinct remote addresses opened; counts up to 256 */
	__u32 fresh[HG_WINDOWS];	/* struct hg_window */
	__u32 ports;			/* distinct remote ports opened in a minute, up to 256 */
	__u32 sources; /* distinct own addresses opened from in a minute, up to 64 */
	/* Cumulative sum: what exceeds rate (an hour) adds up; more than limit is too much. */
	__u32 sum_flows_rate, sum_flows_limit;
	__u16 size_min, size_max; /* mean IP bytes of a minute's packets; 0 and 65535: not tested */
	/* Failed openings step up, answered ones down; at the limit it is a scan. 0: no walk. */
	__u16 walk_limit, walk_up, walk_down;
	__u16 pad;
};

_Static_assert(sizeof(struct hg_bounds) == 136, "hg_bounds");

enum hg_event_type {
	HG_EVENT_FLOW = 1,   /* struct hg_flow_event */
	HG_EVENT_SCORE = 2,  /* struct hg_score_event */
	HG_EVENT_ANSWER = 3, /* struct hg_answer_event */
};

/* The head of every record of the ring buffer. */
struct hg_event {
	__u64 time_ns; /* monotonic */
	__u16 type;    /* enum hg_event_type */
	__u16 channel;
	__u32 length; /* of the whole record, bytes */
};

_Static_assert(sizeof(struct hg_event) == 16, "hg_event");

/* A new flow. At most 1,000 a second are sent; the windows count all. */
struct hg_flow_event {
	struct hg_event head;
	struct hg_flow_key key;
};

_Static_assert(sizeof(struct hg_flow_event) == 56, "hg_flow_event");

/* Bytes of a DNS message that are told: what crosses the Internet in one piece (DNS flag day). */
#define HG_ANSWER_MAX 1232

/*
 * A DNS answer that came in over UDP, of a name server or in a channel of the profile. At most 50 a
 * second are sent. The record ends with the last byte of data that is used.
 */
struct hg_answer_event {
	struct hg_event head;
	struct hg_flow_key key;
	__u16 length; /* of data */
	__u16 cut;    /* 1: the message is longer */
	__u32 pad;
	__u8 data[HG_ANSWER_MAX];
};

_Static_assert(sizeof(struct hg_answer_event) == 64 + HG_ANSWER_MAX, "hg_answer_event");

/* What one channel did in a while: differences of struct hg_window. */
struct hg_sample {
	__u64 packets, bytes, flows, failed, fresh; /* what is bounded */
	__u64 answered, unnamed, login, packets_in, bytes_in;
	__u64 tcp, syn, udp, icmp, reflect;
};

_Static_assert(sizeof(struct hg_sample) == 120, "hg_sample");

/* An episode: one begins, lasts (told after 2 and every 15 seconds), ends. */
enum hg_episode { HG_EPISODE_NONE = 0, HG_EPISODE_START, HG_EPISODE_MORE, HG_EPISODE_END };

/* What broke its bound; the numbers of alarms (docs/alarm-format.md). */
enum hg_feature {
	HG_FEATURE_PACKETS = 1,
	HG_FEATURE_BYTES = 2,
	HG_FEATURE_FLOWS = 3,	     /* new flows */
	HG_FEATURE_FAILED = 4,	     /* openings that nobody answered or that were refused */
	HG_FEATURE_HEARTBEAT = 5,    /* not of the score: the agent fell silent */
	HG_FEATURE_DESTINATIONS = 6, /* distinct */
	HG_FEATURE_FRESH = 7,	     /* new destinations */
	HG_FEATURE_PORTS = 8,	     /* distinct remote ports */
	HG_FEATURE_SOURCES = 9,	     /* distinct own addresses */
	HG_FEATURE_SIZE = 10,	     /* mean bytes of a packet */
	HG_FEATURE_WALK = 11,	     /* the walk of failed openings */
	HG_FEATURE_SUM_FLOWS = 12,   /* the cumulative sums, over an hour's rate */
	HG_FEATURE_SUM_BYTES = 13,
	HG_FEATURE_MAX = 13,
};

/* What it looks like, see core/attack.h; the numbers of alarms. */
enum hg_attack {
	HG_ATTACK_NONE = 0,
	HG_ATTACK_HORIZONTAL_SCAN = 1, /* many hosts */
	HG_ATTACK_VERTICAL_SCAN = 2,   /* many ports of few hosts */
	HG_ATTACK_SYN_FLOOD = 3,
	HG_ATTACK_UDP_FLOOD = 4,
	HG_ATTACK_ACK_FLOOD = 5,
	HG_ATTACK_ICMP_FLOOD = 6,
	HG_ATTACK_FLOOD = 7, /* of other or mixed packets */
	HG_ATTACK_BRUTE_FORCE = 8,
	HG_ATTACK_REFLECTION = 9,
	HG_ATTACK_BOT_CONTROL = 10,
	HG_ATTACK_EXFILTRATION = 11,
	HG_ATTACK_SPOOFED_SOURCE = 12,
	HG_ATTACK_DRIFT = 13, /* not hostile: the model does something that its profile lacks */
	HG_ATTACK_MAX = 13,
};

struct hg_score_event {
	struct hg_event head;
	__u64 value, bound;	 /* of the feature, in its window */
	struct hg_sample sample; /* of the window; .unnamed is of the hour but in a second's */
	__u32 destinations;	 /* distinct, in the window or the last minute */
	__u32 ports, sources;	 /* distinct, in the last minute */
	__u8 news;		 /* enum hg_episode */
	__u8 feature;		 /* enum hg_feature */
	__u8 window;		 /* enum hg_window_length */
	__u8 attack;		 /* enum hg_attack */
	__u32 services;		 /* new destinations of this hour, of every window */
	__u32 lasts;		 /* seconds since the episode began */
};

_Static_assert(sizeof(struct hg_score_event) == 176, "hg_score_event");

#endif
