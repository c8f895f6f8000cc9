// SPDX-License-Identifier: MIT
/*
 * The interval between sessions, and backoff. sync.c calls it once at the end of each session.
 * Always true: what is returned lies within the bounds of struct hg_interval, and two devices that
 * ended a session at the same moment do not return at the same moment.
 */
#include "interval.h"

#include <string.h>
#include "agent-conf.h"

#define DOUBLINGS_MAX 32 /* far beyond every bound: 2^32 * 50 ms is 7 years */

const char *hg_sync_failure_name(enum hg_sync_failure f)
{
	static const char *const names[] = { "none",	 "dns",	 "connect", "tls",
					     "protocol", "busy", "refused", "store" };

	return names[f];
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t clamp(const struct hg_interval *i, uint64_t ms)
{
	return higher(i->min, lower(i->max, ms));
}

void hg_interval_init(struct hg_interval *i, const struct hg_agent_conf *conf,
		      const struct hg_model_times *model, uint64_t (*below)(uint64_t bound))
{
	static const struct hg_model_times nothing;
	const struct hg_model_times *m = model ? model : &nothing;
	uint64_t least = conf->mirror.interval_min, most = conf->mirror.interval_max;

	*i = (struct hg_interval){
		.soon = conf->mirror.interval_soon,
		.jitter = conf->mirror.jitter,
		.backoff_min = conf->mirror.backoff_min,
		.backoff_max = conf->mirror.backoff_max,
		.backoff_refused = conf->mirror.backoff_refused,
		.below = below,
	};
	if (m->max)
		most = lower(most, m->max);
	if (m->within) /* half: one session may fail */
		most = lower(most, m->within / 2);
	i->max = higher(most, least);
	i->min = lower(i->max, higher(least, m->min));
	i->base = clamp(i, m->interval ? m->interval : conf->mirror.interval);
	i->idle = m->idle ? clamp(i, m->idle) : 0;
}

/* Evenly between ms less and ms plus `jitter` percent, as far as `least` and the maximum allow. */
static uint64_t with_jitter(const struct hg_interval *i, uint64_t ms, uint64_t least)
{
	uint64_t range = ms * i->jitter / 100;
	uint64_t from = higher(least, ms - range), to = lower(i->max, ms + range);

	return to > from ? from + i->below(to - from + 1) : from;
}

/* The first session of its kind changes nothing: one change is no rate. */
static void count(struct hg_interval *i, size_t heard)
{
	unsigned int *up = heard ? &i->busy_sessions : &i->idle_sessions;

	*(heard ? &i->idle_sessions : &i->busy_sessions) = 0;
	if (*up < DOUBLINGS_MAX)
		++*up;
}

/*
 * A mirror that hints at more than is usual has many devices to spread: then nobody comes earlier
 * because of a few changes.
 */
uint64_t hg_interval_good(struct hg_interval *i, uint64_t hint, size_t heard)
{
	uint64_t ms = clamp(i, hint ? hint : i->base);
	uint64_t least = ms > i->base ? ms : i->min;

	memset(i->failed, 0, sizeof(i->failed));
	count(i, heard);
	for (unsigned int n = 1; n < i->idle_sessions && ms < i->idle; n++)
		ms = lower(2 * ms, i->idle);
	for (unsigned int n = 1; n < i->busy_sessions && ms > least; n++)
		ms = higher(ms / 2, least);
	/* At the maximum only less is left; all at the very same time would be worse. */
	return with_jitter(i, ms, least < i->max ? least : i->min);
}

/*
 * Full jitter: a random time below a bound that doubles. A tenth of the bound is kept, so that it
 * is never a hammering "at once".
 */
uint64_t hg_interval_failed(struct hg_interval *i, enum hg_sync_failure f, uint64_t hint)
{
	uint64_t most = f == HG_SYNC_REFUSED ? higher(i->backoff_refused, i->backoff_max)
					     : i->backoff_max;
	uint64_t bound = f == HG_SYNC_REFUSED ? i->backoff_refused : i->backoff_min, ms;

	if (i->failed[f] < DOUBLINGS_MAX)
		i->failed[f]++;
	for (unsigned int n = 1; n < i->failed[f] && bound < most; n++)
		bound *= 2;
	bound = lower(bound, most);
	ms = bound / 10 + i->below(bound - bound / 10 + 1);
	hint = lower(hint, higher(higher(i->max, i->backoff_max), i->backoff_refused));
	return hint > ms ? hint + i->below(hint) : ms;
}
