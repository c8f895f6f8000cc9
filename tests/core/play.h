/* SPDX-License-Identifier: MIT */
/*
 * Plays the table of cases through the core, and in step through another host if there is one,
 * whose every reason, flow and window must be the same.
 */
#ifndef HG_TESTS_PLAY_H
#define HG_TESTS_PLAY_H

#include "../../core/tables.h"
#include "frames.h"

/* A case is lines: direction (> out, < in) and frame, " : ", what must come of it; or a command. */
struct hg_case {
	const char *name, *lines;
};

/* One table of them in two files. */
struct hg_cases {
	const struct hg_case *cases;
	size_t n;
};

extern const struct hg_cases hg_cases_in, hg_cases_out;

/* The i-th of both; NULL past the last. */
const struct hg_case *play_case_at(size_t i);

/* What another host must be told. */
struct play_world {
	struct hg_guard_config config;
	struct hg_peer peers[2 * HG_PEERS_MAX];
	struct hg_rule rules[2 * HG_RULES_MAX];
	struct hg_bounds bounds[2 * HG_CHANNELS_MAX];
	struct hg_prefix trusted[8];
	struct hg_addr bound_addr[4];
	struct hg_bound bound[4];
	size_t n_bound;
	unsigned int now_s;
};

struct player {
	const char *name;
	int plain;	 /* plays frames without their link header */
	int in_segments; /* can be given inbound packets of several segments */
	size_t least;	 /* bytes that a frame must be longer than, link header and all */
	int counts_anew; /* generations of flows are this host's own */
	int (*takes)(const struct frame *f); /* NULL: every frame of those */
	void (*begin)(struct player *p, const struct play_world *w); /* all state empty */
	void (*configure)(struct player *p, const struct play_world *w);
	void (*wait)(struct player *p, unsigned int seconds);
	int (*run)(struct player *p,
		   const struct frame *f); /* reason, or -1: the host cannot be given it */
	int (*flow)(struct player *p, const struct hg_flow_key *k,
		    struct hg_flow *f); /* table or -1 */
	void (*windows)(struct player *p, struct hg_window w[HG_CHANNELS_MAX]);
	void (*spots)(struct player *p, struct hg_spots s[HG_CHANNELS_MAX]); /* or NULL */
};

struct play_count {
	unsigned int packets;
	unsigned int skipped; /* cases with frames that the other host cannot be given */
};

/* True if all came as it must; what did not is said in TAP comments. `other` may be NULL. */
int play_case(const struct hg_case *c, struct player *other, struct play_count *n);

/* `rounds` random changes to the frames of the table: both hosts must agree. True if they do. */
int play_mutations(struct player *other, unsigned int rounds, struct play_count *n);

/* Writes the case's frames as tests/fuzz/packet_fuzz.c reads them. Returns their size. */
size_t play_seed(const struct hg_case *c, uint8_t *out, size_t size);

#endif
