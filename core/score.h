/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The score: what one channel did in the last second, minute and hour, against what its model does.
 * Integers only, no division, no memory of its own; the host closes a second with hg_score_step().
 *
 * Three tests side by side:
 *   envelope  a count over its bound in a window. Longer windows are tested each second while they
 *             fill, so that nothing waits for the end of an hour.
 *   walk      failed openings of new destinations step up, answered ones down (threshold random
 *             walk, Jung et al. 2004): a scan at any rate. Only destinations not opened lately
 *             step, for a device that has lost its servers tries the same few again.
 *   sum       what exceeds an hour's usual rate adds up (CUSUM, Page 1954): slow leaks, beacons.
 *
 * An episode begins with the first test that breaks and ends after enough quiet seconds: one
 * episode, one alarm. What traffic outside every channel does mildly is told only if it goes on.
 */
#ifndef HG_CORE_SCORE_H
#define HG_CORE_SCORE_H

#include "attack.h"
#include "spots.h"

/* Seconds an answer may take: a SYN, its copies after 1 and 3 s, and a slow link. A power of two */
#define HG_SCORE_LAG 4

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
 * Quiet seconds that end an episode: of a second's envelope; of a minute's, which must fill again;
 * of an hour's, of walk and sums (a slow scan pauses between steps). The shortest that broke
 * counts.
 */
#define HG_SCORE_QUIET 10u
#define HG_SCORE_QUIET_MINUTE 70u
#define HG_SCORE_QUIET_SLOW 180u

/* An episode that lasts is told again: with what its first seconds have shown, then regularly. */
#define HG_SCORE_SETTLE 2u
#define HG_SCORE_UPDATE 15u

/* Once in so many minutes the walk forgets a step: a failure an hour is weather, not a scan. */
#define HG_SCORE_LEAK 10u

#define HG_SCORE_SIZE_PACKETS 16u /* a minute with fewer has no mean size */

/* Counts above this do not change a verdict, and their products fit into 64 bits. */
#define HG_SCORE_CAP 0x7fffffffull

/* A host that slept, or a late timer: no more seconds than this are made up for. */
#define HG_SCORE_SECONDS_MAX 60u

/* struct hg_score_state.slowly */
#define HG_SCORE_SLOWLY 1u
#define HG_SCORE_STANDS 2u /* a sum that this minute has not added to */

/* All-zero is the start: the first step only takes the reading. */
struct hg_score_state {
	struct hg_window last; /* reading at the last step */
	struct hg_sample minute, hour;
	__u64 flows_then[HG_SCORE_LAG]; /* ring of readings of .flows */
	__u64 unanswered;		/* greatest flows(t - LAG) - answered(t) so far */
	__u64 sum_flows, sum_bytes;	/* times 60 */
	__u64 id;			/* of the channel that all this is of; 0: none yet */
	__u32 minute_s, hour_s;		/* of the windows that fill */
	__u32 walk, untried;		/* untried: new destinations whose outcome is not known */
	__u32 quiet, since;		/* seconds since something broke; since it was told */
	__u32 lasts;			/* seconds of the episode */
	__u16 leak;			/* minutes */
	__u8 based;			/* last is a reading */
	__u8 active;			/* an episode lasts */
	__u8 patience;			/* quiet seconds that end it */
	__u8 mild;			/* seconds of mild excess that have not been told yet */
	__u8 told;			/* how often, up to 2 */
	__u8 attack;			/* enum hg_attack, as last told */
	__u8 over_flows, over_bytes;	/* the sums stand above their limits */
	__u8 slot;			/* of flows_then */
	__u8 slowly; /* what breaks in this second is walk or a sum: HG_SCORE_* */
	__u8 pad[8];
};

_Static_assert(sizeof(struct hg_score_state) == 480, "hg_score_state");

static hg_inline __u64 hg_score_cap(__u64 n)
{
	return n > HG_SCORE_CAP ? HG_SCORE_CAP : n;
}

/*
 * The event at hand holds what breaks most so far; feature 0: nothing does. Compared crosswise: how
 * many times the bound, not how much over it. Each is a stage of its own: a verifier would else
 * follow each way through all of them.
 */
static hg_inline void hg_score_hold(struct hg_score_event *e, __u8 feature, __u8 window,
				    __u64 value, __u64 bound)
{
	int worse = value > bound;

	if (worse && e->feature)
		worse = hg_score_cap(value) * (hg_score_cap(e->bound) + 1) >
			hg_score_cap(e->value) * (hg_score_cap(bound) + 1);
	if (worse) {
		e->value = value;
		e->bound = bound;
		e->feature = feature;
		e->window = window;
	}
	hg_stage();
}

static hg_inline void hg_score_count(struct hg_score_event *e, __u8 feature, __u8 window,
				     __u64 value, __u32 bound, __u32 times)
{
	if (bound != HG_UNBOUNDED)
		hg_score_hold(e, feature, window, value, (__u64)bound * times);
}

/* `times`: how many windows of that length the sample covers, 1 unless a step came late. */
static hg_inline void hg_score_envelope(struct hg_score_event *e, const struct hg_bounds *b,
					const struct hg_sample *s, __u32 destinations, __u8 window,
					__u32 times)
{
	hg_score_count(e, HG_FEATURE_PACKETS, window, s->packets, b->packets[window], times);
	if (b->bytes[window] != HG_UNBOUNDED_BYTES)
		hg_score_hold(e, HG_FEATURE_BYTES, window, s->bytes, b->bytes[window] * times);
	hg_score_count(e, HG_FEATURE_FLOWS, window, s->flows, b->flows[window], times);
	hg_score_count(e, HG_FEATURE_FAILED, window, s->failed, b->failed[window], times);
	hg_score_count(e, HG_FEATURE_DESTINATIONS, window, destinations, b->destinations[window],
		       times);
	hg_score_count(e, HG_FEATURE_FRESH, window, s->fresh, b->fresh[window], times);
}

static hg_inline void hg_sample_add(struct hg_sample *to, const struct hg_sample *s)
{
	to->packets += s->packets;
	to->bytes += s->bytes;
	to->flows += s->flows;
	to->failed += s->failed;
	to->fresh += s->fresh;
	to->answered += s->answered;
	to->unnamed += s->unnamed;
	to->login += s->login;
	to->packets_in += s->packets_in;
	to->bytes_in += s->bytes_in;
	to->tcp += s->tcp;
	to->syn += s->syn;
	to->udp += s->udp;
	to->icmp += s->icmp;
	to->reflect += s->reflect;
}

/* Takes k away, as far as it goes. Returns what is left of k. */
static hg_inline __u64 hg_score_less(__u64 *n, __u64 k)
{
	__u64 most = *n < k ? *n : k;

	*n -= most;
	return k - most;
}

/*
 * Flows that were counted here and belong elsewhere are taken back: from this second, or from what
 * the longer windows have of the seconds before.
 */
static hg_inline void hg_score_move(struct hg_score_state *st, struct hg_sample *s, __u64 moved)
{
	__u64 rest = hg_score_less(&s->flows, moved);

	hg_score_less(&st->minute.flows, rest);
	hg_score_less(&st->hour.flows, rest);
	rest = hg_score_less(&s->answered, moved);
	hg_score_less(&st->minute.answered, rest);
	hg_score_less(&st->hour.answered, rest);
	rest = hg_score_less(&s->fresh, moved);
	hg_score_less(&st->minute.fresh, rest);
	hg_score_less(&st->hour.fresh, rest);
	rest = hg_score_less(&s->unnamed, moved);
	hg_score_less(&st->minute.unnamed, rest);
	hg_score_less(&st->hour.unnamed, rest);
}

/*
 * What happened since the last step. Failed openings are those that nobody answered within LAG
 * seconds, and those refused. Openings and answers are counted, not which belongs to which, so the
 * unanswered are the greatest value so far of flows(t - LAG) - answered(t): never more than there
 * really are.
 */
static hg_inline void hg_score_sample(struct hg_score_state *st, const struct hg_window *now,
				      struct hg_sample *s)
{
	__u64 then = st->flows_then[st->slot & (HG_SCORE_LAG - 1)];

	s->packets = now->packets_out - st->last.packets_out;
	s->bytes = now->bytes_out - st->last.bytes_out;
	s->flows = now->flows - st->last.flows;
	s->failed = now->refused - st->last.refused;
	s->fresh = now->fresh - st->last.fresh;
	s->answered = now->answered - st->last.answered;
	s->unnamed = now->unnamed - st->last.unnamed;
	s->login = now->login - st->last.login;
	s->packets_in = now->packets_in - st->last.packets_in;
	s->bytes_in = now->bytes_in - st->last.bytes_in;
	s->tcp = now->tcp - st->last.tcp;
	s->syn = now->syn - st->last.syn;
	s->udp = now->udp - st->last.udp;
	s->icmp = now->icmp - st->last.icmp;
	s->reflect = now->reflect - st->last.reflect;
	if (now->moved != st->last.moved)
		hg_score_move(st, s, now->moved - st->last.moved);
	/* A refused flow is not unanswered, too: refusals count on the side of answers. */
	if (then > now->answered + now->refused + st->unanswered) {
		s->failed += then - now->answered - now->refused - st->unanswered;
		st->unanswered = then - now->answered - now->refused;
	}
	st->flows_then[st->slot & (HG_SCORE_LAG - 1)] = now->flows;
	st->slot++;
	st->last = *now;
}

static hg_inline __u32 hg_score_small(__u64 n)
{
	return n > 0xffff ? 0xffff : (__u32)n;
}

static hg_inline void hg_score_walk(struct hg_score_state *st, const struct hg_bounds *b,
				    struct hg_score_event *e)
{
	const struct hg_sample *in = &e->sample;
	__u32 failed = hg_score_small(in->failed), answered = hg_score_small(in->answered);
	__u32 up, down;

	if (!b->walk_limit)
		return;
	st->untried = hg_score_small((__u64)st->untried + in->fresh);
	failed = failed < st->untried ? failed : st->untried;
	st->untried -= failed;
	st->untried -= answered < st->untried ? answered : st->untried;
	up = st->walk + failed * b->walk_up;
	down = answered * b->walk_down;
	up = up > down ? up - down : 0;
	/* It stays within reach of calm: answers end what failures began. */
	st->walk = up > b->walk_limit ? b->walk_limit : up;
	if (!failed || st->walk < b->walk_limit || e->feature)
		return;
	st->slowly = HG_SCORE_SLOWLY;
	hg_score_hold(e, HG_FEATURE_WALK, HG_WINDOW_SECOND, st->walk, b->walk_limit - 1);
}

/* Adds a minute to a sum, both times 60. True if it stands above its limit. */
static hg_inline __u8 hg_score_sum(__u64 *sum, __u64 count, __u64 rate, __u64 limit)
{
	__u64 most = limit * 120; /* it stays within reach of calm */

	count = *sum + count * 60;
	count = count > rate ? count - rate : 0;
	*sum = count > most ? most : count;
	return *sum > limit * 60;
}

/* Mean size of the minute that is over, told as bytes against the most or least there may be. */
static hg_inline void hg_score_size(const struct hg_sample *m, const struct hg_bounds *b,
				    struct hg_score_event *e)
{
	__u64 most = m->packets * b->size_max, least = m->packets * b->size_min;

	if (m->packets < HG_SCORE_SIZE_PACKETS)
		return;
	if (m->bytes > most)
		hg_score_hold(e, HG_FEATURE_SIZE, HG_WINDOW_MINUTE, m->bytes, most);
	else if (m->bytes < least)
		hg_score_hold(e, HG_FEATURE_SIZE, HG_WINDOW_MINUTE, least, m->bytes);
}

/*
 * A sum breaks while it grows. Above its limit it lets an episode last, but the minutes in which it
 * shrinks are no evidence of anything.
 */
static hg_inline void hg_score_over(struct hg_score_state *st, const struct hg_bounds *b,
				    struct hg_score_event *e)
{
	int grows;

	if (st->over_flows) {
		grows = st->minute.flows * 60 > b->sum_flows_rate;
		hg_score_hold(e, HG_FEATURE_SUM_FLOWS, HG_WINDOW_HOUR, st->sum_flows,
			      (__u64)b->sum_flows_limit * 60);
	} else {
		grows = st->minute.bytes * 60 > b->sum_bytes_rate;
		hg_score_hold(e, HG_FEATURE_SUM_BYTES, HG_WINDOW_HOUR, st->sum_bytes,
			      b->sum_bytes_limit * 60);
	}
	if (!grows && st->active)
		st->slowly = HG_SCORE_STANDS;
	else if (!grows)
		e->feature = 0;
}

/* Once a minute: sums, mean size, the walk's leak. */
static hg_inline void hg_score_minute(struct hg_score_state *st, const struct hg_bounds *b,
				      struct hg_score_event *e)
{
	const struct hg_sample *m = &st->minute;

	if (++st->leak >= HG_SCORE_LEAK) {
		st->leak = 0;
		st->walk -= st->walk != 0;
	}
	if (b->sum_flows_limit != HG_UNBOUNDED)
		st->over_flows = hg_score_sum(&st->sum_flows, m->flows, b->sum_flows_rate,
					      b->sum_flows_limit);
	hg_stage();
	if (b->sum_bytes_limit < HG_UNBOUNDED_BYTES >> 8)
		st->over_bytes = hg_score_sum(&st->sum_bytes, m->bytes, b->sum_bytes_rate,
					      b->sum_bytes_limit);
	hg_stage();
	if (e->feature)
		return;
	st->slowly = HG_SCORE_SLOWLY;
	hg_score_size(m, b, e);
	hg_stage();
	if (!e->feature && (st->over_flows || st->over_bytes))
		hg_score_over(st, b, e);
}

/* Mild excess counts up to an episode. True if what broke is not told yet. */
static hg_inline int hg_score_waits(struct hg_score_state *st, const struct hg_score_event *e)
{
	if (st->active)
		return 0;
	if (!e->feature) {
		if (st->mild && ++st->quiet >= HG_SCORE_QUIET)
			st->mild = 0;
		return 0;
	}
	st->quiet = 0;
	if ((e->attack == HG_ATTACK_DRIFT || e->attack == HG_ATTACK_BOT_CONTROL) && !st->slowly &&
	    e->window == HG_WINDOW_SECOND && ++st->mild < HG_SCORE_MILD)
		return 1;
	st->mild = 0;
	return 0;
}

static hg_inline __u8 hg_score_end(struct hg_score_state *st)
{
	st->active = 0;
	st->told = 0;
	st->walk = 0;
	st->quiet = 0;
	return HG_EPISODE_END;
}

static hg_inline __u8 hg_score_patience(const struct hg_score_state *st,
					const struct hg_score_event *e)
{
	if (st->slowly || e->window == HG_WINDOW_HOUR)
		return HG_SCORE_QUIET_SLOW;
	return e->window == HG_WINDOW_MINUTE ? HG_SCORE_QUIET_MINUTE : HG_SCORE_QUIET;
}

/* What there is to tell of this second. */
static hg_inline __u8 hg_score_news(struct hg_score_state *st, const struct hg_score_event *e,
				    __u32 seconds)
{
	int was = st->active;
	__u8 patience;

	st->since += seconds;
	st->lasts = was ? st->lasts + seconds : 0;
	if (!e->feature) {
		if (!was)
			return HG_EPISODE_NONE;
		st->quiet += seconds;
		if (st->quiet >= st->patience)
			return hg_score_end(st);
		return HG_EPISODE_NONE;
	}
	patience = hg_score_patience(st, e);
	if (!was || patience < st->patience)
		st->patience = patience;
	st->active = 1;
	st->quiet = 0;
	/* What was drift and is hostile now is told at once. */
	if (was && st->since < (st->told < 2 ? HG_SCORE_SETTLE : HG_SCORE_UPDATE) &&
	    (st->attack != HG_ATTACK_DRIFT || e->attack == HG_ATTACK_DRIFT))
		return HG_EPISODE_NONE;
	st->told += st->told < 2;
	st->since = 0;
	st->attack = e->attack;
	return was ? HG_EPISODE_MORE : HG_EPISODE_START;
}

static hg_inline void hg_score_base(struct hg_score_state *st, const struct hg_window *now)
{
	__u32 i;

	st->last = *now;
	for (i = 0; i < HG_SCORE_LAG; i++)
		st->flows_then[i] = now->flows;
	st->unanswered = 0;
	if (now->flows > now->answered + now->refused)
		st->unanswered = now->flows - now->answered - now->refused;
	st->based = 1;
}

static hg_inline int hg_score_went_back(const struct hg_score_state *st,
					const struct hg_window *now)
{
	return now->packets_out < st->last.packets_out || now->flows < st->last.flows ||
	       now->answered < st->last.answered || now->refused < st->last.refused;
}

/*
 * What broke has been told: longer windows and sums begin to fill anew, so that only more of it
 * breaks again, and not what lies behind. What was new in this hour is kept.
 */
static hg_inline void hg_score_refill(struct hg_score_state *st, struct hg_spots *spots,
				      const struct hg_score_event *e)
{
	st->minute = (struct hg_sample){ 0 };
	st->hour = (struct hg_sample){ .fresh = st->hour.fresh, .unnamed = st->hour.unnamed };
	hg_spots_end_minute(spots);
	if (e->feature != HG_FEATURE_SUM_FLOWS && e->feature != HG_FEATURE_SUM_BYTES) {
		st->sum_flows = 0;
		st->sum_bytes = 0;
		st->over_flows = 0;
		st->over_bytes = 0;
	}
	if (e->feature == HG_FEATURE_DESTINATIONS && e->window == HG_WINDOW_HOUR)
		hg_spots_forget_hour(spots);
}

/* Empties the windows that are over. */
static hg_inline void hg_score_roll(struct hg_score_state *st, struct hg_spots *spots)
{
	hg_spots_end_second(spots);
	if (st->minute_s < 60)
		return;
	st->minute_s = 0;
	st->minute = (struct hg_sample){ 0 };
	hg_spots_end_minute(spots);
	if (st->hour_s < 3600)
		return;
	st->hour_s = 0;
	st->hour = (struct hg_sample){ 0 };
	hg_spots_end_hour(spots);
}

/* The counts of the window in which it broke; e->sample is the second's. */
static hg_inline void hg_score_evidence(const struct hg_score_state *st,
					const struct hg_spots *spots, struct hg_score_event *e)
{
	e->destinations = spots->n[0];
	if (e->window != HG_WINDOW_SECOND || st->slowly) {
		e->sample = st->minute;
		e->destinations = spots->n[1];
	}
	if (e->window == HG_WINDOW_HOUR && !st->slowly)
		e->sample = st->hour;
	if (e->window == HG_WINDOW_HOUR || st->slowly)
		e->destinations = spots->n[2];
	/* Of a flow that lasts only its first minute could tell. */
	if (e->window != HG_WINDOW_SECOND || st->slowly)
		e->sample.unnamed = st->hour.unnamed;
	e->services = hg_score_small(st->hour.fresh);
	e->lasts = st->active ? st->lasts : 0;
	e->ports = spots->n_ports;
	e->sources = spots->n_sources;
}

/* What breaks, if anything does, with what the windows say about it. */
static hg_inline void hg_score_test(struct hg_score_state *st, const struct hg_bounds *b,
				    const struct hg_spots *spots, __u32 seconds,
				    struct hg_score_event *e)
{
	hg_score_envelope(e, b, &e->sample, spots->n[0], HG_WINDOW_SECOND, seconds);
	hg_score_envelope(e, b, &st->minute, spots->n[1], HG_WINDOW_MINUTE, 1);
	hg_score_envelope(e, b, &st->hour, spots->n[2], HG_WINDOW_HOUR, 1);
	hg_score_count(e, HG_FEATURE_PORTS, HG_WINDOW_MINUTE, spots->n_ports, b->ports, 1);
	hg_score_count(e, HG_FEATURE_SOURCES, HG_WINDOW_MINUTE, spots->n_sources, b->sources, 1);
	hg_score_walk(st, b, e);
	hg_stage();
	if (st->minute_s >= 60)
		hg_score_minute(st, b, e);
	hg_stage();
	hg_score_evidence(st, spots, e);
	hg_stage();
}

/*
 * Closes `seconds` (1 unless the caller was late) of one channel: `now` is its window's reading,
 * spots its distinct counts, channel 0 what is outside the profile. Fills *e but for its head; the
 * caller tells it if e->news is not HG_EPISODE_NONE. State and spots of a channel with another
 * b->id begin anew; a reading that went back (the guard began anew) is a new base.
 */
static hg_inline void hg_score_step(struct hg_score_state *st, const struct hg_bounds *b,
				    const struct hg_window *now, struct hg_spots *spots,
				    __u32 channel, __u32 seconds, struct hg_score_event *e)
{
	e->news = HG_EPISODE_NONE;
	e->value = 0;
	e->bound = 0;
	e->feature = 0;
	e->window = 0;
	if (st->id != b->id) {
		*st = (struct hg_score_state){ .id = b->id };
		*spots = (struct hg_spots){ .n_ports = 0 };
	}
	hg_stage();
	if (!st->based || hg_score_went_back(st, now)) {
		hg_score_base(st, now);
		return;
	}
	seconds = seconds > HG_SCORE_SECONDS_MAX ? HG_SCORE_SECONDS_MAX : seconds;
	st->slowly = 0;
	hg_score_sample(st, now, &e->sample);
	hg_sample_add(&st->minute, &e->sample);
	hg_sample_add(&st->hour, &e->sample);
	st->minute_s += seconds;
	st->hour_s += seconds;
	hg_stage();
	hg_score_test(st, b, spots, seconds, e);
	e->attack = st->attack;
	if (e->feature && st->slowly != HG_SCORE_STANDS)
		e->attack = hg_attack_of(e, channel);
	hg_stage();
	if (!hg_score_waits(st, e))
		e->news = hg_score_news(st, e, seconds);
	if (e->news == HG_EPISODE_END)
		e->attack = st->attack;
	hg_stage();
	if (e->feature && st->active)
		hg_score_refill(st, spots, e);
	hg_stage();
	hg_score_roll(st, spots);
}

#endif
