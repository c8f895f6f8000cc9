/* SPDX-License-Identifier: MIT */
/*
 * Envelopes: the most that each channel does in a second, a minute and an hour of training
 * captures. Minutes and hours slide, so that it does not matter where a guard's begin.
 */
#ifndef HG_USERSPACE_LEARN_ENVELOPE_H
#define HG_USERSPACE_LEARN_ENVELOPE_H

#include "learn-minutes.h"
#include "profile.h"
#include "replay.h"

struct hg_meter;

/* Seconds in `skip` do not count. NULL: no memory. */
struct hg_meter *hg_meter_new(const struct hg_spans *skip);
void hg_meter_free(struct hg_meter *m);

void hg_meter_second(struct hg_meter *m, const struct hg_replayer_second *s);
/* A session is over: windows begin anew. */
void hg_meter_session(struct hg_meter *m);

/*
 * The channel's envelope: what was seen, a little more where it was seen in few windows only, and
 * no less than a single retry takes. hours: what the captures cover; of few, an hour says nothing.
 */
void hg_meter_envelope(const struct hg_meter *m, unsigned int channel, double hours,
		       struct hg_profile_envelope *out);

/*
 * Sets size_max: no minute's mean was half as large, in an hour's worth of minutes that have one.
 */
void hg_meter_size(const struct hg_meter *m, unsigned int channel, struct hg_profile_envelope *out);

/* Windows of a length in which the channel did something. */
__u64 hg_meter_windows(const struct hg_meter *m, unsigned int channel, unsigned int window);
/* The most of a feature as it was seen. */
__u64 hg_meter_most(const struct hg_meter *m, unsigned int channel, unsigned int window,
		    enum hg_profile_feature f);

#endif
