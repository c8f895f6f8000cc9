// SPDX-License-Identifier: MIT
/*
 * Minutes of each channel are kept until all captures were played. Then the busiest stretch of a
 * day (or of six hours, where the captures cover few days) says what an hour brings when things go
 * on: this much, with a margin, is usual however long it lasts. What exceeded it in training, added
 * up as the score does it, says how much may come together, with the same margin.
 *
 * The score counts minutes from the guard's start, these begin with the clock's: what falls into
 * another minute is within the margin.
 */
#include "learn-sums.h"

#include <stdlib.h>

#define TIMES 2 /* margin of rate and limit, as that of envelopes is by default */
#define SHORT 6 /* hours of a stretch */
#define LONG 24 /* likewise, where so many of them were covered: */
#define STRETCHES 4
#define PARTS_MAX (1u << 20) /* of all channels together */
#define FLOWS_LEAST 12	     /* in an hour: never too much, as in learn-envelope.c */
#define BYTES_LEAST 10000
#define AMOUNT_MAX 1000000000000ull /* what a profile can say of bytes */
#define COUNT_MAX 1000000000ull	    /* and of flows */

enum { FLOWS, BYTES, COUNTS };

struct part {
	__u64 count[COUNTS];
	__u64 minute; /* since 1970 */
	unsigned int session;
};

struct series {
	struct part *list;
	size_t n, room;
};

struct hg_sums {
	const struct hg_spans *skip;
	struct series channels[HG_CHANNELS_MAX];
	size_t parts;
	bool full; /* there were more: nothing is learned of them */
};

struct hg_sums *hg_sums_new(const struct hg_spans *skip)
{
	struct hg_sums *s = calloc(1, sizeof(*s));

	if (s)
		s->skip = skip;
	return s;
}

void hg_sums_free(struct hg_sums *s)
{
	for (unsigned int c = 0; s && c < HG_CHANNELS_MAX; c++)
		free(s->channels[c].list);
	free(s);
}

/* The minute of the second; NULL: no more fit. */
static struct part *part_of(struct hg_sums *all, const struct hg_replayer_second *second)
{
	struct series *s = &all->channels[second->channel];
	struct part *last = s->n ? &s->list[s->n - 1] : NULL;
	__u64 minute = second->time_s / 60;

	if (last && last->minute == minute && last->session == second->session)
		return last;
	if (all->parts == PARTS_MAX)
		return NULL;
	if (!s->list || s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		struct part *list = realloc(s->list, room * sizeof(*list));

		if (!list)
			return NULL;
		s->list = list;
		s->room = room;
	}
	all->parts++;
	last = &s->list[s->n++];
	*last = (struct part){ .minute = minute, .session = second->session };
	return last;
}

void hg_sums_second(struct hg_sums *s, const struct hg_replayer_second *second)
{
	struct part *part;

	if (hg_spans_has(s->skip, second->time_s))
		return;
	part = part_of(s, second);
	if (!part) {
		s->full = true;
		return;
	}
	part->count[FLOWS] += second->sample.flows;
	part->count[BYTES] += second->sample.bytes;
}

/* The most in so many minutes in a row of one session. */
static __u64 busiest(const struct series *s, int what, __u64 minutes)
{
	__u64 sum = 0, most = 0;
	size_t first = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct part *p = &s->list[i];

		sum += p->count[what];
		while (s->list[first].session != p->session ||
		       s->list[first].minute + minutes <= p->minute)
			sum -= s->list[first++].count[what];
		most = sum > most ? sum : most;
	}
	return most;
}

/* How far the score's sum (core/score.h, times 60) would have gone with this rate. */
static __u64 excess(const struct series *s, int what, __u64 rate)
{
	__u64 sum = 0, most = 0, gap, falls;

	for (size_t i = 0; i < s->n; i++) {
		const struct part *p = &s->list[i];

		if (i && p->session == p[-1].session) {
			gap = p->minute - p[-1].minute - 1;
			falls = gap > sum / rate ? sum : gap * rate;
			sum -= falls;
		} else {
			sum = 0;
		}
		sum += p->count[what] * 60;
		sum = sum > rate ? sum - rate : 0;
		most = sum > most ? sum : most;
	}
	return (most + 59) / 60;
}

static void learn(const struct series *s, int what, __u64 hours, __u64 least, __u64 most,
		  uint64_t bound, struct hg_profile_sum *out)
{
	__u64 rate = (busiest(s, what, hours * 60) * TIMES + hours - 1) / hours, limit;

	rate = rate > least ? rate : least;
	limit = excess(s, what, rate) * TIMES;
	limit = limit > least * TIMES ? limit : least * TIMES;
	/* Above what an hour's bound allows it would tell nothing more. */
	if (rate >= bound || rate > most || limit > most)
		return;
	*out = (struct hg_profile_sum){ .given = true, .rate = rate, .limit = limit };
}

void hg_sums_learn(const struct hg_sums *s, unsigned int channel, double hours,
		   const struct hg_profile *p, struct hg_profile_channel *ch)
{
	const uint64_t *hour = ch->envelope.most[HG_WINDOW_HOUR];
	const struct series *series = &s->channels[channel];
	__u64 stretch = hours >= LONG * STRETCHES ? LONG : SHORT;

	/* What nobody answers is not drift where it is more, so much must not hang on a guess. */
	if (s->full || !series->n || ch->no_answers || hours < SHORT * STRETCHES)
		return;
	learn(series, FLOWS, stretch, FLOWS_LEAST, COUNT_MAX,
	      hg_profile_bound(p, HG_ENVELOPE_FLOWS, hour[HG_ENVELOPE_FLOWS]), &ch->sum_flows);
	learn(series, BYTES, stretch, BYTES_LEAST, AMOUNT_MAX,
	      hg_profile_bound(p, HG_ENVELOPE_BYTES, hour[HG_ENVELOPE_BYTES]), &ch->sum_bytes);
}
