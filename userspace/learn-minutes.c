// SPDX-License-Identifier: MIT
/*
 * What stands out in training captures. Attacks are known by what no model does: many openings that
 * fail at many hosts or ports in a minute, or slowly in an hour; far more packets in a second than
 * in nearly all others, which hardly anybody answers. Hours that only are much busier than the
 * others (a firmware update, somebody who tried everything) are told, and learned.
 */
#include "learn-minutes.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_FAILED 20	  /* failed openings in a minute, or in an hour ... */
#define SCAN_SPREAD 16	  /* ... to so many hosts or ports in a minute */
#define FLOOD_PACKETS 200 /* in a second */
#define FLOOD_TIMES 10	  /* times the busiest second of the 95th of 100 minutes */
#define HOURS_MIN 4	  /* fewer say nothing of each other */
#define ODD_DEVIATIONS 10 /* from the median, in median absolute deviations */
#define ODD_TIMES 4	  /* and times the median */

/* The minute that the second is in; NULL: no more fit. */
static struct hg_minute *minute_of(struct hg_minutes *m, const struct hg_replayer_second *s)
{
	size_t room = m->room ? m->room * 2 : 1024;
	struct hg_minute *list = m->list;

	if (m->n && list[m->n - 1].minute == s->time_s / 60 && list[m->n - 1].session == s->session)
		return &list[m->n - 1];
	if (m->n == m->room) {
		list = m->n == HG_MINUTES_MAX ? NULL : realloc(list, room * sizeof(*list));
		if (!list)
			return NULL;
		m->list = list;
		m->room = room;
	}
	list[m->n] = (struct hg_minute){ .minute = s->time_s / 60, .session = s->session };
	return &list[m->n++];
}

void hg_minutes_add(struct hg_minutes *m, const struct hg_replayer_second *s)
{
	struct hg_minute *last = minute_of(m, s);
	struct hg_sample *sum;

	if (!last) {
		m->full = true;
		return;
	}
	sum = &last->sum;
	sum->packets += s->sample.packets;
	sum->bytes += s->sample.bytes;
	sum->flows += s->sample.flows;
	sum->failed += s->sample.failed;
	sum->fresh += s->sample.fresh;
	sum->answered += s->sample.answered;
	sum->packets_in += s->sample.packets_in;
	sum->bytes_in += s->sample.bytes_in;
	if (s->destinations[HG_WINDOW_MINUTE] > last->destinations)
		last->destinations = s->destinations[HG_WINDOW_MINUTE];
	if (s->ports > last->ports)
		last->ports = s->ports;
	if (s->sample.packets > last->most_packets)
		last->most_packets = s->sample.packets;
}

void hg_minutes_exit(struct hg_minutes *m)
{
	free(m->list);
	*m = (struct hg_minutes){ 0 };
}

void hg_spans_add(struct hg_spans *s, const struct hg_span *span)
{
	for (size_t i = 0; i < s->n; i++) {
		struct hg_span *old = &s->list[i];

		if (old->why != span->why || span->from_s > old->to_s + 61 ||
		    span->to_s + 61 < old->from_s)
			continue;
		old->from_s = span->from_s < old->from_s ? span->from_s : old->from_s;
		old->to_s = span->to_s > old->to_s ? span->to_s : old->to_s;
		old->value = span->value > old->value ? span->value : old->value;
		return;
	}
	if (s->n == HG_SPANS_MAX)
		s->left_out++;
	else
		s->list[s->n++] = *span;
}

bool hg_spans_has(const struct hg_spans *s, __u64 second)
{
	for (size_t i = 0; i < s->n; i++)
		if (second >= s->list[i].from_s && second <= s->list[i].to_s)
			return true;
	return false;
}

static int by_value(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool is_scan(const struct hg_minute *m)
{
	return m->sum.failed >= SCAN_FAILED && m->sum.failed * 2 >= m->sum.flows &&
	       (m->destinations >= SCAN_SPREAD || m->ports >= SCAN_SPREAD);
}

/* Few of a flood's packets are answered; a busy transfer's are. */
static bool is_flood(const struct hg_minute *m, __u64 usual)
{
	return m->most_packets >= FLOOD_PACKETS && m->most_packets > usual * FLOOD_TIMES &&
	       m->sum.packets_in < m->sum.packets / 8;
}

static void add_minute(struct hg_spans *out, const struct hg_minute *m, const char *why,
		       __u64 value, __u64 usual)
{
	struct hg_span s = { .from_s = m->minute * 60,
			     .to_s = m->minute * 60 + 59,
			     .why = why,
			     .value = value,
			     .usual = usual,
			     .attack = true };

	hg_spans_add(out, &s);
}

static void find_attacks(const struct hg_minutes *m, __u64 *values, struct hg_spans *out)
{
	__u64 usual;

	for (size_t i = 0; i < m->n; i++)
		values[i] = m->list[i].most_packets;
	qsort(values, m->n, sizeof(*values), by_value);
	usual = values[m->n * 95 / 100 < m->n ? m->n * 95 / 100 : m->n - 1];
	if (m->n < 20)
		usual = values[m->n / 2];
	for (size_t i = 0; i < m->n; i++) {
		const struct hg_minute *x = &m->list[i];

		if (is_scan(x))
			add_minute(out, x, "failed openings in a minute, to many hosts or ports",
				   x->sum.failed, 0);
		else if (is_flood(x, usual))
			add_minute(out, x, "packets in a second, hardly answered", x->most_packets,
				   usual);
	}
}

struct hour {
	__u64 hour, failed, fresh, flows, bytes, bytes_in, packets;
};

/* Sums up minutes to hours; returns how many. Failures of minutes in `known` spans are left out. */
static size_t sum_hours(const struct hg_minutes *m, const struct hg_spans *known, struct hour *h)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct hg_minute *x = &m->list[i];

		if (!n || h[n - 1].hour != x->minute / 60)
			h[n++] = (struct hour){ .hour = x->minute / 60 };
		if (!hg_spans_has(known, x->minute * 60)) {
			h[n - 1].failed += x->sum.failed;
			h[n - 1].fresh += x->sum.fresh;
		}
		h[n - 1].flows += x->sum.flows;
		h[n - 1].packets += x->sum.packets;
		h[n - 1].bytes += x->sum.bytes;
		h[n - 1].bytes_in += x->sum.bytes_in;
	}
	return n;
}

/* What makes an hour odd; `least`: less is never odd. */
static const struct feature {
	size_t offset;
	const char *why;
	__u64 least;
} features[] = {
	{ offsetof(struct hour, flows), "flows in an hour", 20 },
	{ offsetof(struct hour, packets), "packets in an hour", 1000 },
	{ offsetof(struct hour, bytes), "bytes sent in an hour", 200000 },
	{ offsetof(struct hour, bytes_in), "bytes received in an hour", 1000000 },
};

static __u64 median_of(__u64 *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return values[n / 2];
}

/* Much more than the median, as deviations go; twice what most hours have; and not little. */
static void find_odd(const struct hour *h, size_t n, const struct feature *feature, __u64 *values,
		     struct hg_spans *out)
{
	size_t offset = feature->offset;
	__u64 median, deviation, high;

	for (size_t i = 0; i < n; i++)
		memcpy(&values[i], (const char *)&h[i] + offset, sizeof(*values));
	median = median_of(values, n);
	high = values[n - 1 - n / 20 - 1];
	for (size_t i = 0; i < n; i++) {
		__u64 v;

		memcpy(&v, (const char *)&h[i] + offset, sizeof(v));
		values[i] = v > median ? v - median : median - v;
	}
	deviation = median_of(values, n);
	for (size_t i = 0; i < n; i++) {
		struct hg_span s = { .from_s = h[i].hour * 3600,
				     .to_s = h[i].hour * 3600 + 3599,
				     .why = feature->why,
				     .usual = median };

		memcpy(&s.value, (const char *)&h[i] + offset, sizeof(s.value));
		if (s.value > median + deviation * 3 * ODD_DEVIATIONS / 2 &&
		    s.value > median * ODD_TIMES && s.value > high * 2 && s.value >= feature->least)
			hg_spans_add(out, &s);
	}
}

static void find_hours(const struct hg_minutes *m, __u64 *values, struct hg_spans *out)
{
	struct hour *h = calloc(m->n, sizeof(*h));
	size_t n = h ? sum_hours(m, out, h) : 0;

	for (size_t i = 0; i < n; i++) {
		struct hg_span s = { .from_s = h[i].hour * 3600,
				     .to_s = h[i].hour * 3600 + 3599,
				     .why = "failed openings of new destinations in an hour",
				     .value = h[i].failed,
				     .attack = true };

		if (h[i].failed >= SCAN_FAILED && h[i].fresh >= SCAN_FAILED &&
		    h[i].failed * 2 >= h[i].fresh)
			hg_spans_add(out, &s);
	}
	if (n >= HOURS_MIN)
		for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
			find_odd(h, n, &features[i], values, out);
	free(h);
}

void hg_minutes_find(const struct hg_minutes *m, struct hg_spans *out)
{
	__u64 *values = m->n ? calloc(m->n, sizeof(*values)) : NULL;

	if (!values)
		return;
	find_attacks(m, values, out);
	find_hours(m, values, out);
	free(values);
}
