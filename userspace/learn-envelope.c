// SPDX-License-Identifier: MIT
/*
 * The meter: fed second by second with what each channel did, by the core's own counts. A window
 * slides in steps of a second over a minute, of a minute over an hour; distinct counts are those of
 * the core, whose windows tumble.
 */
#include "learn-envelope.h"

#include <stdlib.h>
#include <string.h>
#include "../core/score.h"

#define RING 60
#define HOURS_MIN 3 /* covered; an hour's bound from fewer would say little */

#define SIZED_MIN 60   /* minutes with a mean size; fewer say little of it */
#define SIZE_TIMES 2   /* its margin, for the guard applies none */
#define SIZE_FULL 1500 /* packets are not larger, so neither is a mean */

/* The counts that slide. */
enum { PACKETS, BYTES, FLOWS, FAILED, FRESH, COUNTS };

static const enum hg_profile_feature feature_of[COUNTS] = {
	HG_ENVELOPE_PACKETS, HG_ENVELOPE_BYTES, HG_ENVELOPE_FLOWS,
	HG_ENVELOPE_FAILED,  HG_ENVELOPE_FRESH,
};

/* What is never too much, before the margin: a retry, a lookup more, an address that changed. */
static const __u64 least[HG_WINDOWS][HG_ENVELOPE_FEATURES] = {
	{ 4, 1000, 2, 2, 2, 2, 0, 0, 0, 0 },
	{ 8, 2000, 4, 4, 3, 3, 2, 3, 0, 0 },
	{ 40, 10000, 12, 12, 6, 6, 0, 0, 0, 0 },
};

/* A sliding window: sums of its last 60 parts. */
struct slide {
	__u64 part[RING][COUNTS];
	__u64 at; /* number of the newest part */
	__u64 sum[COUNTS];
};

struct meter {
	struct slide minute, hour; /* parts: seconds, minutes */
	__u64 most[HG_WINDOWS][HG_ENVELOPE_FEATURES];
	__u64 windows[HG_WINDOWS], last[HG_WINDOWS]; /* with something in them */
	__u64 size, sized, last_sized;		     /* mean bytes of a minute's packets */
	bool begun;
};

struct hg_meter {
	const struct hg_spans *skip;
	struct meter channels[HG_CHANNELS_MAX];
};

struct hg_meter *hg_meter_new(const struct hg_spans *skip)
{
	struct hg_meter *m = calloc(1, sizeof(*m));

	if (m)
		m->skip = skip;
	return m;
}

void hg_meter_free(struct hg_meter *m)
{
	free(m);
}

void hg_meter_session(struct hg_meter *m)
{
	for (unsigned int c = 0; c < HG_CHANNELS_MAX; c++) {
		memset(&m->channels[c].minute, 0, sizeof(m->channels[c].minute));
		memset(&m->channels[c].hour, 0, sizeof(m->channels[c].hour));
		m->channels[c].begun = false;
	}
}

/* Moves the window on until `at` is its newest part. */
static void slide_to(struct slide *s, __u64 at)
{
	if (at - s->at >= RING) {
		memset(s->part, 0, sizeof(s->part));
		memset(s->sum, 0, sizeof(s->sum));
		s->at = at;
		return;
	}
	while (s->at < at) {
		__u64 *old = s->part[++s->at % RING];

		for (int i = 0; i < COUNTS; i++) {
			s->sum[i] -= old[i];
			old[i] = 0;
		}
	}
}

static void slide_add(struct slide *s, __u64 at, const __u64 *counts)
{
	slide_to(s, at);
	for (int i = 0; i < COUNTS; i++) {
		s->part[at % RING][i] += counts[i];
		s->sum[i] += counts[i];
	}
}

static void larger(__u64 *most, __u64 n)
{
	if (n > *most)
		*most = n;
}

static void note_sums(struct meter *m, unsigned int window, const __u64 *sum)
{
	for (int i = 0; i < COUNTS; i++)
		larger(&m->most[window][feature_of[i]], sum[i]);
}

/* The mean size of the minute so far, where the score would look at it. */
static void note_size(struct meter *m, __u64 minute)
{
	const __u64 *sum = m->minute.sum;

	if (sum[PACKETS] < HG_SCORE_SIZE_PACKETS)
		return;
	larger(&m->size, (sum[BYTES] + sum[PACKETS] - 1) / sum[PACKETS]);
	m->sized += m->last_sized != minute;
	m->last_sized = minute;
}

void hg_meter_second(struct hg_meter *all, const struct hg_replayer_second *s)
{
	static const __u64 length[HG_WINDOWS] = { 1, 60, 3600 };
	const __u64 counts[COUNTS] = { s->sample.packets, s->sample.bytes, s->sample.flows,
				       s->sample.failed, s->sample.fresh };
	struct meter *m = &all->channels[s->channel];

	if (hg_spans_has(all->skip, s->time_s))
		return;
	if (!m->begun) {
		m->minute.at = s->time_s;
		m->hour.at = s->time_s / 60;
		m->begun = true;
	}
	slide_add(&m->minute, s->time_s, counts);
	slide_add(&m->hour, s->time_s / 60, counts);
	note_sums(m, HG_WINDOW_SECOND, counts);
	note_sums(m, HG_WINDOW_MINUTE, m->minute.sum);
	note_sums(m, HG_WINDOW_HOUR, m->hour.sum);
	note_size(m, s->time_s / 60);
	for (unsigned int w = 0; w < HG_WINDOWS; w++) {
		larger(&m->most[w][HG_ENVELOPE_DESTINATIONS], s->destinations[w]);
		m->windows[w] += m->last[w] != s->time_s / length[w];
		m->last[w] = s->time_s / length[w];
	}
	larger(&m->most[HG_WINDOW_MINUTE][HG_ENVELOPE_PORTS], s->ports);
	larger(&m->most[HG_WINDOW_MINUTE][HG_ENVELOPE_SOURCES], s->sources);
}

/*
 * Of k windows the largest so far is expected to be beaten once in the next k: seen in few, a
 * maximum is worth less, and gets that share more.
 */
static __u64 widen(__u64 most, __u64 windows)
{
	return windows ? most + (most + windows - 1) / windows : most;
}

static bool is_tested(unsigned int w, enum hg_profile_feature f)
{
	if (f == HG_ENVELOPE_PORTS || f == HG_ENVELOPE_SOURCES)
		return w == HG_WINDOW_MINUTE;
	return f < HG_ENVELOPE_PORTS;
}

void hg_meter_envelope(const struct hg_meter *all, unsigned int channel, double hours,
		       struct hg_profile_envelope *out)
{
	const struct meter *m = &all->channels[channel];

	hg_profile_envelope_init(out);
	for (unsigned int w = 0; w < HG_WINDOWS; w++) {
		if (w == HG_WINDOW_HOUR && hours < HOURS_MIN)
			break;
		for (int f = 0; f < HG_ENVELOPE_FEATURES; f++) {
			__u64 n = widen(m->most[w][f], m->windows[w]);

			if (is_tested(w, (enum hg_profile_feature)f))
				out->most[w][f] = n > least[w][f] ? n : least[w][f];
		}
		/* An outage lets every opening fail; what scans is known by the walk. */
		if (out->most[w][HG_ENVELOPE_FAILED] < out->most[w][HG_ENVELOPE_FLOWS])
			out->most[w][HG_ENVELOPE_FAILED] = out->most[w][HG_ENVELOPE_FLOWS];
	}
}

/*
 * There is no least size: whatever the model loads, it acknowledges with packets of nothing but
 * headers.
 */
void hg_meter_size(const struct hg_meter *all, unsigned int channel,
		   struct hg_profile_envelope *out)
{
	const struct meter *m = &all->channels[channel];

	if (m->sized >= SIZED_MIN && m->size * SIZE_TIMES < SIZE_FULL)
		out->most[HG_WINDOW_MINUTE][HG_ENVELOPE_SIZE_MAX] = m->size * SIZE_TIMES;
}

__u64 hg_meter_windows(const struct hg_meter *m, unsigned int channel, unsigned int window)
{
	return m->channels[channel].windows[window];
}

__u64 hg_meter_most(const struct hg_meter *m, unsigned int channel, unsigned int window,
		    enum hg_profile_feature f)
{
	return m->channels[channel].most[window][f];
}
