/* SPDX-License-Identifier: MIT */
/*
 * Cumulative sums: how much of each channel's flows and bytes an hour are usual over a long time,
 * and how much more than that came together in training.
 */
#ifndef HG_USERSPACE_LEARN_SUMS_H
#define HG_USERSPACE_LEARN_SUMS_H

#include "learn-minutes.h"
#include "profile.h"
#include "replay.h"

struct hg_sums;

/* Seconds in `skip` do not count. NULL: no memory. */
struct hg_sums *hg_sums_new(const struct hg_spans *skip);
void hg_sums_free(struct hg_sums *s);

void hg_sums_second(struct hg_sums *s, const struct hg_replayer_second *second);

/*
 * Sets sum_flows and sum_bytes of the channel, whose envelope is set, where they would tell what
 * its hour's bounds do not. hours: what the captures cover; few say nothing.
 */
void hg_sums_learn(const struct hg_sums *s, unsigned int channel, double hours,
		   const struct hg_profile *p, struct hg_profile_channel *ch);

#endif
