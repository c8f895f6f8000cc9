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

/* Descriptor of a map by its name, or -1. */
int testrun_map(struct testrun *t, const char *name);

/* Takes flows that are over out of the maps, so that long replays do not carry them along. */
void testrun_sweep(struct testrun *t);

/* What names an address has, all zero: none; and the sets of all channels. */
void testrun_bind(struct testrun *t, const struct hg_addr *addr, const struct hg_bound *bound);
void testrun_set_spots(struct testrun *t, const struct hg_spots spots[HG_CHANNELS_MAX]);

/* Nanoseconds per packet, of n runs on the same frame. */
double testrun_cost(struct testrun *t, enum testrun_kind kind, const struct frame *f,
		    unsigned int n);

#endif
