/* SPDX-License-Identifier: MIT */
/*
 * Whom a device talks to in training captures: one endpoint for each remote address, protocol and
 * port that it opened flows to, with the name that led there.
 */
#ifndef HG_USERSPACE_LEARN_ENDPOINTS_H
#define HG_USERSPACE_LEARN_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include "capture-peers.h"
#include "replay.h"

#define HG_ENDPOINTS_MAX 16384

struct hg_endpoint {
	struct hg_addr addr;
	__u16 port; /* remote, host order */
	__u8 proto;
	__u8 roles; /* enum hg_peer_role */
	bool used;
	bool named_only;  /* a live name led there each time */
	int channel;	  /* of the learned profile; -1: none yet */
	const char *name; /* of the profile's user's view: what led there last; NULL: none */
	__u64 flows, answered, packets, bytes;
	__u64 first_ns, last_ns;
	__u64 hour, day;	  /* the last ones with a flow */
	unsigned int hours, days; /* with a flow */
};

struct hg_endpoints {
	struct hg_endpoint *table; /* open addressing; HG_ENDPOINTS_MAX * 2 places */
	size_t n;
	__u64 left_out; /* flows to more endpoints than fit */
	char **names;	/* each once */
	size_t n_names, room_names;
};

/* 0 or -ENOMEM. */
int hg_endpoints_init(struct hg_endpoints *e);
void hg_endpoints_exit(struct hg_endpoints *e);

/* A packet sent, or the first that answers a flow. names: what is known at this moment. */
void hg_endpoints_packet(struct hg_endpoints *e, const struct hg_replayer_packet *p,
			 const struct hg_names *names, const struct hg_capture_peers *peers);

/* The used ones, by flows, most first; free() it. NULL: no memory. */
struct hg_endpoint **hg_endpoints_sorted(struct hg_endpoints *e);

#endif
