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
 *   bounds     by channel: what the score holds them against            written by user space
 *   bound      address -> channels whose names the device's DNS gave it written by user space
 *   windows    by processor and channel, cumulative                     read by user space
 *   trusted    prefixes whose packets always pass                       written by user space
 *   flows      three tables: kept (to mirror and collector), inside the profile (or to another
 *              peer), outside it                                        read by user space
 *   events     new flows, scores, DNS answers: each begins with a struct hg_event; a ring buffer
 *   score      of each channel, see core/score.h                        closed each second
 *
 * The BPF guard has them as maps. The maps of peers, rules and bounds have two banks: 2 *
 * HG_PEERS_MAX, 2 * HG_RULES_MAX, 2 * HG_CHANNELS_MAX entries. Entries generation & 1 times the
 * maximum and up are in force; a peer of role 0 and a rule of channel 0 end a bank. Who changes
 * them writes the whole other bank, then counts the generation up.
 *
 * The module has generic netlink. Family "heliograph", version 1; one guard in each network
 * namespace; who asks needs CAP_NET_ADMIN in the first user namespace. A struct travels whole, as
 * the bytes of one attribute; an attribute of another length is refused. An error, but for want of
 * memory, comes with a sentence (NLMSGERR_ATTR_MSG) and, where one attribute is at fault, with its
 * place.
 *
 *   command             takes                        answers
 *   GET                                              ABI CONFIG SIZES COUNTS CLOCK LOCKED IFINDEXES
 *                                                    IFNAMES TRUSTED HEARTBEAT_LEFT MEMORY
 *   ATTACH              CONFIG IFINDEXES TRUSTED?    a new guard, or the one that runs adopts
 *                       SIZES?                       these: flows and counters stay, SIZES are
 *                                                    not looked at. All or nothing
 *   DETACH                                           ENOENT: there was none
 *   SET_POLICY          POLICY? FLAGS_ON? FLAGS_OFF?
 *   SET_PROFILE         PEERS RULES BOUNDS?          one step; no BOUNDS: nothing is scored
 *   GET_BOUNDS    dump                               CHANNEL BOUNDS, those with an id
 *   GET_COUNTERS                                     COUNTERS
 *   GET_WINDOWS   dump                               CHANNEL WINDOW, summed over processors
 *   GET_FLOWS     dump                               TABLE FLOW_KEY FLOW
 *   SET_BOUND           ADDR BOUND                   all zero: forget it. E2BIG: no more fit
 *   GET_BOUND     dump                               ADDR BOUND
 *   REMATCH                                          every flow is matched again
 *   HEARTBEAT           TIMEOUT DISTRESS? DISTRESS_TO?
 *                                                    seconds; 0: stop. The datagram and where it
 *                                                    goes stay what they were if left out
 *   GATE                TIMEOUT                  open for so many seconds; 0: shut
 *   LOCK                KEY SEAL_AFTER?
 *   UNLOCK              SEAL
 *   TEST                DIRECTION LINK FRAME NOW     REASON CHANNEL
 *                       SEGMENTS? LINEAR?
 *   TEST_CLOSE          SECONDS                      closes so many now, as one step
 *                       SECONDS CHANNEL WINDOW SPOTS the channel's counters are set to these, and
 *                                                    it alone is closed
 *
 *   events (group)      EVENT with the bytes of one event, which begins with a struct hg_event.
 *                       While nobody listens the 16 newest scores wait; they are told, as of when
 *                       they were, at the next second's end after somebody does
 *
 * A dump between two messages of which a command changed settings or addresses, or made another
 * guard, has NLM_F_DUMP_INTR: ask again. Without a guard GET answers ABI alone, DETACH ENOENT, all
 * others but ATTACH ENODEV.
 *
 * An interface is guarded by its name from ATTACH on: one that goes has IFINDEXES 0 until one of
 * its name comes, which is guarded from its first packet.
 *
 * While the guard is locked, ATTACH, DETACH, SET_POLICY, SET_PROFILE, LOCK, UNLOCK and HEARTBEAT
 * with TIMEOUT 0 need a SEAL as their last attribute (EACCES), and the module is not unloaded. The
 * seal's MAC is HMAC-SHA256 with the key of LOCK over
 *
 *   "heliograph seal" (15 bytes)  counter (8 bytes, big-endian)  command (1 byte)
 *   the message from the first attribute to where SEAL begins, attribute headers and padding (which
 *   must be zero) as they stand, in this machine's byte order
 *
 * and its counter greater than that of the last seal that was good, and than SEAL_AFTER of LOCK. A
 * symmetric key, because small kernels verify no signature: only the mirror and this kernel have
 * it, and nothing reads it back. SET_BOUND, REMATCH, GATE and what only reads need no seal.
 *
 * When the heartbeat is not renewed for TIMEOUT seconds the kernel sends the datagram by itself, to
 * DISTRESS_TO over UDP from a socket of the namespace, again after 1, 2, 4, ... and then every 300
 * seconds until a heartbeat comes, and tells each with a HG_EVENT_DISTRESS.
 *
 * TEST and TEST_CLOSE are there only in a module built with HELIOGRAPH_DEBUG. TEST judges a frame
 * through the code that the hooks call, at the second NOW; from the first one on the guard's own
 * clock stands.
 */
#ifndef _UAPI_HELIOGRAPH_H
#define _UAPI_HELIOGRAPH_H

#include <linux/types.h>

/* Changes with any struct or map below; a guard of another ABI is replaced. */
#define HG_GUARD_ABI 4

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
	HG_DROP_GATE,	   /* of a flow of the device, but between sessions */
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
	__u32 config_rate;  /* ARP, ND, DHCP, IGMP/MLD, link packets a second, each kind */
	__u32 n_trusted;    /* prefixes in the trusted map */
	__u32 flags;	    /* HG_GUARD_* */
	__u32 rows;	    /* of the windows that are in use; 0: all */
	__u32 open_until_s; /* the gate, monotonic seconds; 0: shut. GATE sets it, too */
	__u32 pad;
};

#ifndef __cplusplus
_Static_assert(sizeof(struct hg_guard_config) == 80, "hg_guard_config");
#endif

/*
 * What keeps packets of the device from getting out; else all do. Not under HG_POLICY_MONITOR,
 * which only counts the reason. See core/police.h for what always gets out.
 */
#define HG_GUARD_CONFINE 1u /* what is in no channel of the profile and to no peer */
#define HG_GUARD_POLICE 2u  /* what a channel sends in a second over its bounds of a second */

/*
 * The gate: while it is shut nothing comes in for a flow but to the collector. What needs no flow
 * (IP configuration, trusted prefixes) does as ever. It is opened for some seconds at a time, and
 * shuts by itself: an agent that was killed leaves it shut, and the next one opens it.
 */
#define HG_GUARD_GATE 4u
#define HG_GUARD_GATE_SERVICES 8u /* and to name and time servers */

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
/* The remote begins; ports are the device's. Trusted ones, or all under HG_POLICY_MONITOR. */
#define HG_RULE_THEIRS 8u

/* One way into a channel. The first rule that matches a flow's first packet decides. */
struct hg_rule {
	struct hg_addr addr;
	__u16 channel;	/* 1..HG_CHANNELS_MAX - 1 */
	__u16 port_min; /* remote port; the device's with HG_RULE_THEIRS; host order */
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
	__u64 flows;	/* opened by the device, or by remotes with HG_RULE_THEIRS */
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
	/* of channel 0: flows counted here, and in their channel when its name was known */
	__u64 moved;
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
	HG_EVENT_FLOW = 1,     /* struct hg_flow_event */
	HG_EVENT_SCORE = 2,    /* struct hg_score_event */
	HG_EVENT_ANSWER = 3,   /* struct hg_answer_event */
	HG_EVENT_DISTRESS = 4, /* struct hg_distress_event; of the module only */
};

/* The head of every event. */
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

#define HG_GENL_NAME "heliograph"
#define HG_GENL_VERSION 1
#define HG_GENL_EVENTS "events"

#define HG_INTERFACES_MAX 16
#define HG_TRUSTED_MAX 64
#define HG_BOUND_MAX 1024    /* addresses of names */
#define HG_FLOWS_MAX 1048576 /* of a table */
#define HG_DISTRESS_MAX 512  /* bytes of the datagram */
#define HG_HEARTBEAT_MAX 3600
#define HG_GUARD_FLAGS (HG_GUARD_CONFINE | HG_GUARD_POLICE | HG_GUARD_GATE | HG_GUARD_GATE_SERVICES)
#define HG_KEY_LENGTH 32

enum hg_command {
	HG_CMD_UNSPEC,
	HG_CMD_GET,
	HG_CMD_ATTACH,
	HG_CMD_DETACH,
	HG_CMD_SET_POLICY,
	HG_CMD_SET_PROFILE,
	HG_CMD_GET_BOUNDS,
	HG_CMD_GET_COUNTERS,
	HG_CMD_GET_WINDOWS,
	HG_CMD_GET_FLOWS,
	HG_CMD_SET_BOUND,
	HG_CMD_GET_BOUND,
	HG_CMD_REMATCH,
	HG_CMD_HEARTBEAT,
	HG_CMD_LOCK,
	HG_CMD_UNLOCK,
	HG_CMD_EVENT,
	HG_CMD_TEST,
	HG_CMD_TEST_CLOSE,
	HG_CMD_GATE,
	HG_CMD_MAX = HG_CMD_GATE,
};

enum hg_attribute {
	HG_A_UNSPEC,
	HG_A_ABI,	     /* __u32: HG_GUARD_ABI */
	HG_A_CONFIG,	     /* struct hg_guard_config; the seed is not told */
	HG_A_SIZES,	     /* __u32[3]: flows that the tables kept, inside, outside can hold */
	HG_A_COUNTS,	     /* __u32[3]: flows in them, alive or not */
	HG_A_CLOCK,	     /* __u32, 1: seconds are closed, 0: the clock stands */
	HG_A_LOCKED,	     /* __u32, 0 or 1 */
	HG_A_IFINDEXES,	     /* __u32[1..HG_INTERFACES_MAX] */
	HG_A_IFNAMES,	     /* char[][16], in the order of IFINDEXES */
	HG_A_TRUSTED,	     /* struct hg_prefix[0..HG_TRUSTED_MAX] */
	HG_A_HEARTBEAT_LEFT, /* __u32: seconds; 0: it has run out; not there: none is expected */
	HG_A_MEMORY,	     /* __u32: bytes that the guard holds */
	HG_A_POLICY,	     /* __u32: enum hg_policy */
	HG_A_FLAGS_ON,	     /* __u32: HG_GUARD_* */
	HG_A_FLAGS_OFF,
	HG_A_PEERS,	  /* struct hg_peer[0..HG_PEERS_MAX], roles not 0 */
	HG_A_RULES,	  /* struct hg_rule[0..HG_RULES_MAX], channels not 0 */
	HG_A_BOUNDS,	  /* struct hg_bounds[HG_CHANNELS_MAX]; of GET_BOUNDS: one */
	HG_A_CHANNEL,	  /* __u32 */
	HG_A_COUNTERS,	  /* __u64[HG_REASON_MAX] */
	HG_A_WINDOW,	  /* struct hg_window */
	HG_A_TABLE,	  /* __u32: 0 kept, 1 inside, 2 outside */
	HG_A_FLOW_KEY,	  /* struct hg_flow_key */
	HG_A_FLOW,	  /* struct hg_flow */
	HG_A_ADDR,	  /* struct hg_addr */
	HG_A_BOUND,	  /* struct hg_bound */
	HG_A_TIMEOUT,	  /* __u32: seconds, up to HG_HEARTBEAT_MAX */
	HG_A_DISTRESS,	  /* 1..HG_DISTRESS_MAX bytes */
	HG_A_DISTRESS_TO, /* struct hg_peer; proto and role are not looked at */
	HG_A_KEY,	  /* HG_KEY_LENGTH bytes */
	HG_A_SEAL_AFTER,  /* __u64: counters of seals begin above it; else above 0 */
	HG_A_SEAL,	  /* struct hg_seal */
	HG_A_EVENT,	  /* struct hg_event and what follows it */
	HG_A_DIRECTION,	  /* __u32, 0: to the device, 1: from it */
	HG_A_LINK,	  /* __u32, 0: the frame begins with IP, 1: with an Ethernet header */
	HG_A_FRAME,	  /* 1..65531 bytes: what an attribute can be */
	HG_A_NOW,	  /* __u32: monotonic seconds */
	HG_A_SEGMENTS,	  /* __u32: that the frame will be, or was; 1 if left out */
	HG_A_LINEAR,	  /* __u32: bytes in the linear part, the rest in pages; else all */
	HG_A_REASON,	  /* __u32: enum hg_reason */
	HG_A_SECONDS,	  /* __u32 */
	HG_A_SPOTS,	  /* struct hg_spots of core/tables.h; TEST_CLOSE only */
	HG_A_MAX = HG_A_SPOTS,
};

/* Proof that the mirror wants a command, see above. */
struct hg_seal {
	__u64 counter;
	__u8 mac[32];
};

_Static_assert(sizeof(struct hg_seal) == 40, "hg_seal");

/* The kernel has sent, or tried to send, the datagram by itself. */
struct hg_distress_event {
	struct hg_event head;
	struct hg_addr to;
	__be16 port;
	__u16 pad;
	__u32 times;  /* since the heartbeat stopped, this one too */
	__s32 error;  /* 0, or -errno of this one */
	__u32 next_s; /* seconds until the next */
};

_Static_assert(sizeof(struct hg_distress_event) == 48, "hg_distress_event");

#endif
