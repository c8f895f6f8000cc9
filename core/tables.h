/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the guard remembers besides configuration, flows and windows, which user space sees too:
 * the entries of a host's own tables.
 */
#ifndef HG_CORE_TABLES_H
#define HG_CORE_TABLES_H

#include "port.h"
#include "../include/uapi/heliograph.h"

enum hg_table {
	HG_TABLE_KEPT = 0, /* to mirror and collector: nothing else can push these out */
	HG_TABLE_INSIDE,   /* in a channel of the profile, or to another peer */
	HG_TABLE_OUTSIDE,
};

/*
 * Slots of the prefilter: 32 KiB, small enough for a first-level cache. A slot holds the second in
 * which a flow that hashes to it last had traffic, and in the low bits in which table that one is.
 * Most junk falls on an idle slot and costs no table lookup; a flow's packet costs one.
 */
#define HG_SLOTS 8192

struct hg_slots {
	__u32 used[HG_SLOTS]; /* seconds << HG_SLOT_BITS | enum hg_table; 0: never */
};

#define HG_SLOT_BITS 2

enum hg_rate_kind {
	HG_RATE_ARP = 0,
	HG_RATE_ND = 2,
	HG_RATE_DHCP = 4,
	HG_RATE_MULTICAST = 6,
	HG_RATE_LINK = 8,
	HG_RATE_EVENT = 10,
	HG_RATE_ANSWER = 11,
	HG_RATE_ASKING = 12, /* the device's own DHCP, where it would be refused */
	HG_RATE_MAX = 13,
};

struct hg_rate {
	__u32 second, count;
};

/* One per guard. */
struct hg_moments {
	__u32 seen_s;	/* last packet of a flow */
	__u32 asked4_s; /* last DHCP question of the device, 0: never */
	__u32 asked6_s;
	__u32 pad;
};

/*
 * Which destinations, ports and own addresses a channel has opened to or from: sets of hashes, so
 * that a count takes the same room whatever a device does. Counts are a little low where hashes
 * meet, and end at the set's size. hg_score_step() empties what its window is over.
 */
struct hg_spots {
	__u32 second[8], minute[8], hour[8]; /* addresses, of the window so far */
	__u32 ports[8], sources[2];	     /* of the minute so far */
	__u32 known[32], before[32];	     /* address and port, of this hour and the last */
	__u32 n[3];			     /* addresses in second, minute, hour */
	__u32 n_ports, n_sources;
	__u32 pad;
};

/*
 * A datagram whose first fragment came in, or was sent; its key has the identification in place of
 * ports.
 */
struct hg_fragment {
	__u32 first_s;
	__u8 channel, roles; /* of its flow */
	__u8 refused;	     /* the first did not get out */
	__u8 pad;
};

/* What a channel has sent in this second, as far as it got out. */
struct hg_police {
	__u64 bytes;
	__u32 second;
	__u32 packets, flows;
	__u32 pad;
};

/*
 * The keys that this processor has put into the kept table, in a circle: who puts a new one looks
 * for one whose flow is over. Sessions with the mirror are one at a time, their remains last
 * seconds.
 */
#define HG_RING_SLOTS 128

struct hg_ring {
	struct hg_flow_key keys[HG_RING_SLOTS];
	__u32 hand;
	__u32 pad;
};

#endif
