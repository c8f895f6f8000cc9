// SPDX-License-Identifier: MIT
/* Score: what breaks, when an episode begins and ends, and that the walk sees what no rate sees. */
#include "../tap.h"
#include "../../core/second.h"

static const struct hg_score_bounds inside = {
	.packets = 100,
	.bytes = 100000,
	.flows = 4,
	.failed = 2,
	.walk_limit = 20,
	.walk_up = 1,
	.walk_down = 1,
};
static const struct hg_score_bounds outside = {
	.packets = 40,
	.bytes = 20000,
	.flows = 4,
	.failed = 4,
	.walk_limit = 20,
	.walk_up = 2,
	.walk_down = 1,
};
static const struct hg_score_sample quiet;

static void envelope(void)
{
	static const struct {
		const char *name;
		struct hg_score_sample in;
		__u32 channel;
		__u8 alarm_class, feature;
	} cases[] = {
		{ "at its bound nothing breaks", { 100, 100000, 4, 2, 4 }, 1, 0, 0 },
		{ "one packet more is a flood",
		  { 101, 100000, 4, 0, 4 },
		  1,
		  HG_SCORE_FLOOD,
		  HG_SCORE_PACKETS },
		{ "bytes", { 90, 100001, 1, 0, 1 }, 1, HG_SCORE_FLOOD, HG_SCORE_BYTES },
		{ "flows", { 90, 10000, 5, 0, 5 }, 1, HG_SCORE_SCAN, HG_SCORE_FLOWS },
		{ "failed openings", { 9, 1000, 3, 3, 0 }, 1, HG_SCORE_SCAN, HG_SCORE_FAILED },
		{ "the feature that breaks most is told",
		  { 200, 100001, 400, 3, 0 },
		  1,
		  HG_SCORE_SCAN,
		  HG_SCORE_FLOWS },
		{ "little outside the profile",
		  { 41, 100, 0, 0, 0 },
		  0,
		  HG_SCORE_OUTSIDE,
		  HG_SCORE_PACKETS },
		{ "much outside the profile",
		  { 161, 100, 0, 0, 0 },
		  0,
		  HG_SCORE_FLOOD,
		  HG_SCORE_PACKETS },
		{ "no overflow at the largest numbers",
		  { ~0ull, ~0ull, ~0ull, ~0ull, ~0ull },
		  1,
		  HG_SCORE_SCAN,
		  HG_SCORE_FAILED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hg_score_state st = { .mild = HG_SCORE_MILD - 1 };
		struct hg_score s;

		hg_score_step(&st, cases[i].channel ? &inside : &outside, &cases[i].in,
			      cases[i].channel, &s);
		ok(s.alarm_class == cases[i].alarm_class && s.feature == cases[i].feature &&
			   s.broken == (cases[i].feature != 0) && (!s.broken || s.value > s.bound),
		   "%s (class %u, feature %u)", cases[i].name, s.alarm_class, s.feature);
	}
}

static void episode(void)
{
	static const struct hg_score_sample flood = { .packets = 500 };
	struct hg_score_state st = { 0 };
	struct hg_score s;
	int starts = 0, more = 0, ends = 0, when = 0;

	for (int t = 0; t < 60; t++) {
		/* Broken in seconds 5..14, with a pause of five seconds in between. */
		int bad = (t >= 5 && t < 8) || (t >= 13 && t < 15);

		hg_score_step(&st, &inside, bad ? &flood : &quiet, 1, &s);
		starts += s.event == HG_SCORE_START;
		more += s.event == HG_SCORE_MORE;
		if (s.event == HG_SCORE_END) {
			ends++;
			when = t;
		}
	}
	is_int(starts, 1, "one episode although it paused");
	is_int(more, 4, "each further broken second is more of it");
	is_int(ends, 1, "it ends once");
	is_int(when, 14 + (int)HG_SCORE_QUIET, "after the quiet seconds");
	hg_score_step(&st, &inside, &flood, 1, &s);
	is_int(s.event, HG_SCORE_START, "the next one is a new episode");
}

static void mild(void)
{
	static const struct hg_score_sample little = { .packets = 60 };
	struct hg_score_state st = { 0 };
	struct hg_score s;
	int first = -1;

	for (int t = 0; t < 60; t++) {
		hg_score_step(&st, &outside, t % 20 < 4 ? &little : &quiet, 0, &s);
		if (s.broken)
			first = t;
	}
	is_int(first, -1, "bursts of four seconds outside the profile are not told");
	for (int t = 0; t < 60; t++) {
		hg_score_step(&st, &outside, t % 3 ? &quiet : &little, 0, &s);
		if (s.event == HG_SCORE_START)
			first = t;
	}
	is_int(first, 12, "one that goes on is, in its fifth second");
}

/* One failure each `gap` seconds: the second in which it is seen, or -1 within four hours. */
static int slow_scan(const struct hg_score_bounds *b, __u32 channel, int gap)
{
	static const struct hg_score_sample step = { .packets = 1, .flows = 1, .failed = 1 };
	struct hg_score_state st = { 0 };
	struct hg_score s;

	for (int t = 0; t < 4 * 3600; t++) {
		hg_score_step(&st, b, t % gap ? &quiet : &step, channel, &s);
		if (s.event == HG_SCORE_START)
			return t;
	}
	return -1;
}

static void walk(void)
{
	static const struct hg_score_sample good = { .packets = 9, .flows = 1, .answered = 1 };
	static const struct hg_score_sample bad = { .packets = 1, .flows = 1, .failed = 1 };
	struct hg_score_bounds none = inside;
	struct hg_score_state st = { 0 };
	struct hg_score s;
	int alarms = 0, ends = 0, t;

	is_int(slow_scan(&outside, 0, 1), 9, "outside, a scan of 1/s is seen at its tenth failure");
	is_int(slow_scan(&inside, 1, 1), 19, "inside, at its twentieth");
	t = slow_scan(&outside, 0, 60);
	ok(t > 0 && t <= 11 * 60, "a scan of 1/min is seen (after %d s)", t);
	is_int(slow_scan(&outside, 0, 1800), -1, "a failure each half hour is not");
	none.walk_limit = 0;
	is_int(slow_scan(&none, 1, 1), -1, "no walk where the profile expects no answers");

	for (t = 0; t < 86400; t++) {
		hg_score_step(&st, &outside, t % 3 ? &good : &bad, 0, &s);
		alarms += s.broken;
	}
	is_int(alarms, 0, "a third of failures among answers is no scan");

	memset(&st, 0, sizeof(st));
	alarms = 0;
	for (t = 0; t < 1200; t++) {
		hg_score_step(&st, &outside, t < 600 && !(t % 60) ? &bad : &quiet, 0, &s);
		alarms += s.event == HG_SCORE_START;
		ends += s.event == HG_SCORE_END;
	}
	ok(alarms == 1 && ends == 1, "a slow scan's pauses do not end its episode; its end does");
	is_int(st.walk, 0, "and the walk begins anew");
}

int main(void)
{
	envelope();
	episode();
	mild();
	walk();
	return tap_done();
}
