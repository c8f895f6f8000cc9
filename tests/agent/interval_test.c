// SPDX-License-Identifier: MIT
/*
 * The interval between sessions: bounds, growth, shortening, hints and backoff, each over many
 * draws of a seeded random. No clock is needed: the functions have none.
 */
#include "../../userspace/interval.h"

#include <stdlib.h>
#include "../../userspace/agent-conf.h"
#include "../tap.h"

#define DRAWS 20000
#define S 1000
#define MIN (60 * S)

static uint64_t state;

/* splitmix64 */
static uint64_t below(uint64_t bound)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return bound ? (z ^ z >> 31) % bound : 0;
}

static uint64_t lowest(uint64_t bound)
{
	return 0;
}

static uint64_t highest(uint64_t bound)
{
	return bound ? bound - 1 : 0;
}

static struct hg_agent_conf conf_of_sample(void)
{
	struct hg_agent_conf c = { 0 };

	c.mirror.interval = 15 * MIN;
	c.mirror.interval_min = 10 * S;
	c.mirror.interval_max = 24 * 60 * MIN;
	c.mirror.interval_soon = 5 * S;
	c.mirror.jitter = 10;
	c.mirror.backoff_min = 2 * S;
	c.mirror.backoff_max = 30 * MIN;
	c.mirror.backoff_refused = 6 * 60 * MIN;
	return c;
}

static struct hg_interval make(const struct hg_model_times *m, uint64_t (*random)(uint64_t))
{
	struct hg_agent_conf c = conf_of_sample();
	struct hg_interval i;

	hg_interval_init(&i, &c, m, random);
	return i;
}

/* The lowest, the highest and the mean of many draws; each tenth of the range is hit. */
static void spread(const char *name, uint64_t from, uint64_t to, uint64_t (*draw)(void))
{
	uint64_t low = UINT64_MAX, high = 0, sum = 0, width = to - from + 1;
	unsigned int tenths[10] = { 0 };
	int even = 1;

	for (int n = 0; n < DRAWS; n++) {
		uint64_t ms = draw();

		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
		sum += ms;
		if (ms >= from && ms <= to)
			tenths[(ms - from) * 10 / width]++;
	}
	for (int t = 0; t < 10; t++) /* 2,000 expected; 300 are seven standard deviations */
		even &= tenths[t] > DRAWS / 10 - 300 && tenths[t] < DRAWS / 10 + 300;
	ok(low >= from && high <= to, "%s: %d draws lie in %llu to %llu ms", name, DRAWS,
	   (unsigned long long)from, (unsigned long long)to);
	ok(even, "%s: evenly", name);
	printf("# %llu to %llu, mean %llu\n", (unsigned long long)low, (unsigned long long)high,
	       (unsigned long long)(sum / DRAWS));
}

static uint64_t draw_plain(void)
{
	struct hg_interval i = make(NULL, below);

	return hg_interval_good(&i, 0, 0);
}

static uint64_t draw_at_max(void)
{
	struct hg_interval i = make(NULL, below);

	return hg_interval_good(&i, UINT32_MAX, 0);
}

static uint64_t draw_at_min(void)
{
	struct hg_interval i = make(NULL, below);

	return hg_interval_good(&i, 1, 0);
}

static uint64_t draw_longer_hint(void)
{
	struct hg_interval i = make(NULL, below);

	return hg_interval_good(&i, 60 * MIN, 0);
}

static uint64_t draw_third_failure(void)
{
	struct hg_interval i = make(NULL, below);

	hg_interval_failed(&i, HG_SYNC_CONNECT, 0);
	hg_interval_failed(&i, HG_SYNC_CONNECT, 0);
	return hg_interval_failed(&i, HG_SYNC_CONNECT, 0);
}

static uint64_t draw_retry_after(void)
{
	struct hg_interval i = make(NULL, below);

	return hg_interval_failed(&i, HG_SYNC_BUSY, 60 * S);
}

static void distributions(void)
{
	spread("jitter", 13 * MIN + 30 * S, 16 * MIN + 30 * S, draw_plain);
	spread("jitter at interval_max", 24 * 60 * MIN / 10 * 9, 24 * 60 * MIN, draw_at_max);
	spread("jitter at interval_min", 10 * S, 11 * S, draw_at_min);
	spread("jitter of a hint that is longer than usual", 60 * MIN, 66 * MIN, draw_longer_hint);
	spread("third failure", 800, 8 * S, draw_third_failure);
	spread("a mirror that is busy for a minute", 60 * S, 2 * 60 * S - 1, draw_retry_after);
}

static uint64_t good(struct hg_interval *i, uint64_t hint, size_t heard, int times)
{
	uint64_t ms = 0;

	while (times--)
		ms = hg_interval_good(i, hint, heard);
	return ms;
}

static void growth(void)
{
	struct hg_model_times m = { .idle = 4 * 60 * MIN };
	struct hg_interval i = make(NULL, below);

	i.jitter = 0;
	is_int(good(&i, 0, 0, 50), 15 * MIN, "a model that does not say so: no growth");
	i = make(&m, below);
	i.jitter = 0;
	is_int(good(&i, 0, 0, 1), 15 * MIN, "one session without news changes nothing");
	is_int(good(&i, 0, 0, 1), 30 * MIN, "the second doubles");
	is_int(good(&i, 0, 0, 1), 60 * MIN, "the third again");
	is_int(good(&i, 0, 0, 100000), 4 * 60 * MIN, "up to hg:intervalIdle, however many");
	is_int(good(&i, 0, 1, 1), 15 * MIN, "news ends it");
	is_int(good(&i, 10 * MIN, 0, 3), 40 * MIN, "a hint is where growth begins");
	m.idle = UINT64_MAX;
	i = make(&m, below);
	i.jitter = 0;
	is_int(good(&i, 0, 0, 1000), 24 * 60 * MIN, "and never over interval_max");
}

static void shortening(void)
{
	struct hg_interval i = make(NULL, below);

	i.jitter = 0;
	is_int(good(&i, 0, 1, 1), 15 * MIN, "one session with news changes nothing");
	is_int(good(&i, 0, 1, 1), 15 * MIN / 2, "the second in a row halves");
	is_int(good(&i, 0, 9, 100000), 10 * S, "down to interval_min, however many");
	is_int(good(&i, 0, 0, 1), 15 * MIN, "one without ends it");
	is_int(good(&i, 60 * MIN, 1, 9), 60 * MIN,
	       "nobody comes before a hint that is longer than usual");
	is_int(good(&i, 60 * S, 1, 3), 10 * S, "a shorter one may be halved");
}

static void models(void)
{
	struct hg_model_times m = { .interval = 5 * MIN, .min = 2 * MIN, .max = 20 * MIN };
	struct hg_interval i = make(&m, lowest);

	is_int(good(&i, 0, 0, 1), 5 * MIN / 10 * 9, "the model's interval");
	is_int(good(&i, 1, 0, 1), 2 * MIN, "its shortest");
	is_int(good(&i, 60 * MIN, 0, 1), 18 * MIN, "its longest");
	m = (struct hg_model_times){ .min = S, .max = 7 * 24 * 60 * MIN };
	i = make(&m, lowest);
	is_int(i.min, 10 * S, "it cannot go below the configuration");
	is_int(i.max, 24 * 60 * MIN, "nor above");
	m = (struct hg_model_times){ .within = 60 * S };
	i = make(&m, highest);
	is_int(good(&i, 0, 0, 99), 30 * S,
	       "what must be delivered in a minute: half of it at most");
	is_int(good(&i, 60 * MIN, 0, 1), 30 * S, "whatever the mirror hints");
	m = (struct hg_model_times){ .within = S, .min = MIN };
	i = make(&m, highest);
	is_int(good(&i, 0, 0, 1), 10 * S, "but never under interval_min of the configuration");
}

static void classes(void)
{
	struct hg_interval i = make(NULL, highest);
	uint64_t ms = 0;

	is_int(hg_interval_failed(&i, HG_SYNC_DNS, 0), 2 * S, "the first bound is backoff_min");
	is_int(hg_interval_failed(&i, HG_SYNC_DNS, 0), 4 * S, "it doubles");
	is_int(hg_interval_failed(&i, HG_SYNC_TLS, 0), 2 * S, "each class by itself");
	is_int(hg_interval_failed(&i, HG_SYNC_DNS, 0), 8 * S, "and goes on");
	for (int n = 0; n < 100000; n++)
		ms = hg_interval_failed(&i, HG_SYNC_DNS, 0);
	is_int(ms, 30 * MIN, "up to backoff_max");
	is_int(hg_interval_failed(&i, HG_SYNC_REFUSED, 0), 6 * 60 * MIN,
	       "a refusal begins at backoff_refused");
	is_int(hg_interval_failed(&i, HG_SYNC_REFUSED, 0), 6 * 60 * MIN,
	       "which is the last bound when it is over backoff_max");
	is_int(i.failed[HG_SYNC_DNS], 32, "what is counted has a limit");
	hg_interval_good(&i, 0, 0);
	is_int(hg_interval_failed(&i, HG_SYNC_DNS, 0), 2 * S, "a good session ends all of it");
	i.below = lowest;
	is_int(hg_interval_failed(&i, HG_SYNC_STORE, 0), 200, "at least a tenth of the bound");
	for (int f = HG_SYNC_DNS; f < HG_SYNC_FAILURES; f++)
		ok(hg_interval_failed(&i, f, 3600 * S) >= 3600 * S,
		   "%s: never before the interval "
		   "of the answer",
		   hg_sync_failure_name(f));
	is_int(hg_interval_failed(&i, HG_SYNC_BUSY, UINT32_MAX), 24 * 60 * MIN,
	       "one of 49 days counts as our longest bound");
}

int main(void)
{
	const char *seed = getenv("HG_TEST_SEED");

	state = seed ? strtoull(seed, NULL, 0) : 20261122;
	printf("# HG_TEST_SEED=%llu\n", (unsigned long long)state);
	distributions();
	growth();
	shortening();
	models();
	classes();
	return tap_done();
}
