/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The score: one second of one channel against what its model does. Integers only, no division, no
 * memory of its own: the caller passes the state and gets back what broke, with value and bound.
 *
 * Two tests side by side. Envelope: packets, bytes, new flows or failed openings of the last second
 * over their bound (floods, fast scans). Walk: failed openings step up, answered ones step down
 * (threshold random walk, Jung et al. 2004), which sees a scan at any rate. An episode begins with
 * the first test that breaks and ends after enough quiet seconds; one episode, one alarm.
 */
#ifndef HG_CORE_SECOND_H
#define HG_CORE_SECOND_H

#include "port.h"

/* Same numbers as in alarms. */
#define HG_SCORE_SCAN 1u
#define HG_SCORE_FLOOD 2u
#define HG_SCORE_OUTSIDE 3u

#define HG_SCORE_PACKETS 1u
#define HG_SCORE_BYTES 2u
#define HG_SCORE_FLOWS 3u
#define HG_SCORE_FAILED 4u

/*
 * Traffic outside every channel this many times (log2) over its bound is an attack, not a novelty.
 */
#define HG_SCORE_HOSTILE_SHIFT 2

/*
 * Below that it is told only when it lasts so many seconds (with pauses shorter than the quiet
 * ones): a new server of the maker's makes one burst, an intruder's program goes on.
 */
#define HG_SCORE_MILD 5u

/*
 * Quiet seconds that end an episode: of the envelope, and of the walk (a slow scan pauses between
 * steps).
 */
#define HG_SCORE_QUIET 10u
#define HG_SCORE_QUIET_WALK 180u

/*
 * Once in so many seconds the walk forgets one step: a failure every ten minutes is weather, not a
 * scan.
 */
#define HG_SCORE_LEAK 600u

/* Counts above this do not change a verdict, and their products fit into 64 bits. */
#define HG_SCORE_CAP 0x7fffffffu

enum hg_second_event {
	HG_SCORE_NONE = 0,
	HG_SCORE_START, /* an episode begins */
	HG_SCORE_MORE,	/* it lasts */
	HG_SCORE_END,
};

/* Per second; the profile's envelope times its margin. */
struct hg_score_bounds {
	__u64 packets, bytes, flows, failed;
	__u32 walk_limit; /* where the walk breaks; 0: no walk (answers are not expected) */
	__u16 walk_up, walk_down;
};

_Static_assert(sizeof(struct hg_score_bounds) == 40, "hg_score_bounds");

/* Growth of the channel's counters in one second. */
struct hg_score_sample {
	__u64 packets, bytes, flows, failed, answered;
};

_Static_assert(sizeof(struct hg_score_sample) == 40, "hg_score_sample");

/* All-zero is the start. */
struct hg_score_state {
	__u32 walk;
	__u32 leak;  /* seconds since it last leaked */
	__u32 quiet; /* seconds since something broke */
	__u8 active; /* an episode lasts */
	__u8 slow;   /* only the walk has broken in it */
	__u8 mild;   /* seconds of mild excess that have not been told yet */
	__u8 pad;
};

_Static_assert(sizeof(struct hg_score_state) == 16, "hg_score_state");

struct hg_score {
	__u64 value, bound;
	__u8 event;	  /* enum hg_second_event */
	__u8 alarm_class; /* HG_SCORE_SCAN..OUTSIDE */
	__u8 feature;	  /* HG_SCORE_PACKETS..FAILED */
	__u8 broken;	  /* something broke in this second */
	__u8 pad[4];
};

_Static_assert(sizeof(struct hg_score) == 24, "hg_score");

/*
 * Takes a feature into *s if it breaks its bound by more than what is there (compared crosswise).
 */
static hg_inline void hg_score_feature(struct hg_score *s, __u8 feature, __u64 value, __u64 bound)
{
	if (value > HG_SCORE_CAP)
		value = HG_SCORE_CAP;
	if (bound > HG_SCORE_CAP)
		bound = HG_SCORE_CAP;
	if (value <= bound)
		return;
	if (s->broken && value * (s->bound + 1) <= s->value * (bound + 1))
		return;
	s->value = value;
	s->bound = bound;
	s->feature = feature;
	s->broken = 1;
}

/* Moves the walk and says whether it stands at its limit because of this second. */
static hg_inline int hg_score_walk(struct hg_score_state *st, const struct hg_score_bounds *b,
				   const struct hg_score_sample *in)
{
	__u64 failed = in->failed, answered = in->answered, up, down;

	if (!b->walk_limit)
		return 0;
	if (failed > 0xffff)
		failed = 0xffff;
	if (answered > 0xffff)
		answered = 0xffff;
	up = st->walk + failed * b->walk_up;
	down = answered * b->walk_down;
	if (++st->leak >= HG_SCORE_LEAK) {
		st->leak = 0;
		down++;
	}
	up = up > down ? up - down : 0;
	/* It stays within reach of calm: answers end what failures began. */
	st->walk = up > b->walk_limit ? b->walk_limit : (__u32)up;
	return failed && st->walk >= b->walk_limit;
}

/* Mild excess counts up to an episode; returns 1 if what broke is not told yet. */
static hg_inline int hg_score_waits(struct hg_score_state *st, const struct hg_score *s)
{
	if (st->active)
		return 0;
	if (!s->broken) {
		if (st->mild && ++st->quiet >= HG_SCORE_QUIET)
			st->mild = 0;
		return 0;
	}
	st->quiet = 0;
	if (s->alarm_class == HG_SCORE_OUTSIDE && ++st->mild < HG_SCORE_MILD)
		return 1;
	st->mild = 0;
	return 0;
}

static hg_inline __u8 hg_score_class(const struct hg_score *s, __u32 channel)
{
	if (s->feature == HG_SCORE_FLOWS || s->feature == HG_SCORE_FAILED)
		return HG_SCORE_SCAN;
	if (!channel && s->value <= s->bound << HG_SCORE_HOSTILE_SHIFT)
		return HG_SCORE_OUTSIDE;
	return HG_SCORE_FLOOD;
}

/* Called once a second for each channel; *out is overwritten. channel 0 is outside the profile. */
static hg_inline void hg_score_step(struct hg_score_state *st, const struct hg_score_bounds *b,
				    const struct hg_score_sample *in, __u32 channel,
				    struct hg_score *out)
{
	struct hg_score s = { 0, 0, 0, 0, 0, 0, { 0 } };
	int fast, walk;

	hg_score_feature(&s, HG_SCORE_PACKETS, in->packets, b->packets);
	hg_score_feature(&s, HG_SCORE_BYTES, in->bytes, b->bytes);
	hg_score_feature(&s, HG_SCORE_FLOWS, in->flows, b->flows);
	hg_score_feature(&s, HG_SCORE_FAILED, in->failed, b->failed);
	fast = s.broken;
	walk = hg_score_walk(st, b, in);
	if (walk && !fast) {
		s.feature = HG_SCORE_FAILED;
		s.value = st->walk;
		s.bound = b->walk_limit - 1;
		s.broken = 1;
	}
	if (s.broken)
		s.alarm_class = hg_score_class(&s, channel);
	if (hg_score_waits(st, &s)) {
		s.event = HG_SCORE_NONE;
		s.broken = 0;
	} else if (s.broken) {
		s.event = st->active ? HG_SCORE_MORE : HG_SCORE_START;
		st->slow = st->active ? (st->slow && !fast) : !fast;
		st->active = 1;
		st->quiet = 0;
	} else if (st->active) {
		st->quiet++;
		s.event = HG_SCORE_NONE;
		if (st->quiet >= (st->slow ? HG_SCORE_QUIET_WALK : HG_SCORE_QUIET)) {
			s.event = HG_SCORE_END;
			st->active = 0;
			st->slow = 0;
			st->walk = 0;
			st->quiet = 0;
		}
	}
	*out = s;
}

#endif
