/* SPDX-License-Identifier: MIT */
/* Frames that no honest peer sends, as isic, tcpsic, udpsic and icmpsic made them, and worse. */
#ifndef HG_TESTS_NET_HOSTILE_H
#define HG_TESTS_NET_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTILE_FRAME 1514 /* what an Ethernet of the usual MTU takes */
#define HOSTILE_FLOWS 8

enum hostile_kind {
	HOSTILE_IP,	  /* any protocol, versions, lengths, options, offsets */
	HOSTILE_TCP,	  /* any flags, options, offsets, checksums */
	HOSTILE_UDP,	  /* any length and checksum */
	HOSTILE_ICMP,	  /* any type, errors about packets that were never sent */
	HOSTILE_FRAGMENT, /* that overlap, repeat, are tiny, end beyond 64 KiB */
	HOSTILE_LINK,	  /* any EtherType, tags upon tags, cut anywhere */
	HOSTILE_MUTANT,	  /* good packets, some of the device's flows, with some bytes changed */
	HOSTILE_KINDS,
};

extern const char *const hostile_names[HOSTILE_KINDS];

struct hostile_flow {
	uint8_t remote[16];
	uint16_t local_port, remote_port;
	uint8_t proto;
};

/* Addresses are of one family, 4 or 16 bytes: size. Flows are the device's, for the mutants. */
struct hostile_target {
	uint8_t dst_mac[6], src_mac[6];
	uint8_t addr[16];
	unsigned int size;
	unsigned int n_flows;
	struct hostile_flow flows[HOSTILE_FLOWS];
};

/* Writes one frame from send_random(); returns its length, 14 to HOSTILE_FRAME. */
size_t hostile_frame(uint8_t frame[HOSTILE_FRAME], const struct hostile_target *t,
		     enum hostile_kind kind);

#endif
