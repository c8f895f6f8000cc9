/* SPDX-License-Identifier: MIT */
/*
 * The guard's programs under BPF_PROG_TEST_RUN, as a player of tests/core/play.h. The programs
 * read the kernel's clock; the player keeps what the maps remember at the age that the test's clock
 * says.
 */
#ifndef HG_TESTS_TESTRUN_H
#define HG_TESTS_TESTRUN_H

#include "../core/play.h"

struct testrun;

enum testrun_kind { TESTRUN_XDP, TESTRUN_TC, TESTRUN_TC_L3 };

/* Loads the object of $HG_BUILD. NULL, with the reason in *why, if this machine cannot. */
struct testrun *testrun_new(unsigned int flows, const char **why);
void testrun_free(struct testrun *t);

/* The player of these programs; all players of one testrun share its maps. */
struct player *testrun_player(struct testrun *t, enum testrun_kind kind);

/* Descriptors of a map and of a program by their names, or -1. */
int testrun_map(struct testrun *t, const char *name);
int testrun_program(struct testrun *t, const char *name);

/* Every flow, its times by the test's clock; and what the programs have counted. */
void testrun_flows(struct testrun *t,
		   void (*each)(void *ctx, int table, const struct hg_flow_key *k,
				const struct hg_flow *f),
		   void *ctx);
void testrun_counters(const struct testrun *t, __u64 n[HG_REASON_MAX]);

/* Has the kernel's second ended while a program ran, since this was asked last? */
int testrun_disturbed(struct testrun *t);

/* Takes flows that are over out of the maps, so that long replays do not carry them along. */
void testrun_sweep(struct testrun *t);

/* What names an address has, all zero: none; and the sets of all channels. */
void testrun_bind(struct testrun *t, const struct hg_addr *addr, const struct hg_bound *bound);
void testrun_set_spots(struct testrun *t, const struct hg_spots spots[HG_CHANNELS_MAX]);

/* Nanoseconds per packet, of n runs on the same frame. */
double testrun_cost(struct testrun *t, enum testrun_kind kind, const struct frame *f,
		    unsigned int n);

#endif
