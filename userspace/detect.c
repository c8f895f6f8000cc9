// SPDX-License-Identifier: MIT
/*
 * Detector: one state of core/score.h per channel, fed by the differences of the guard's windows.
 * The agent makes one when guard and profile are there. It owns a timer and the guard's event
 * descriptor; it never drops a packet, and what it holds is sized at start.
 *
 * Failed openings: those that nobody answered within LAG seconds, plus those refused. The guard
 * counts openings and answers but not which belongs to which, so the unanswered ones are the
 * greatest value so far of openings(t - LAG) - answers(t): never more than there really are.
 */
#include "detect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../lib/log.h"
#include "targets.h"

#define LAG 4 /* seconds an answer may take: a SYN, its copies after 1 and 3 s, and a slow link */

/*
 * Statements of an episode: at once, after SETTLE with the targets seen by then, then each UPDATE.
 */
#define SETTLE 2
#define UPDATE 15

#define FRESH 2 /* seconds since its last packet: the flow belongs to what is measured now */

#define RECENT 256 /* destinations opened last, over all channels */
#define RECENT_MS (3600 * 1000)

_Static_assert((int)HG_SCORE_SCAN == HG_ALARM_SCAN && (int)HG_SCORE_FLOOD == HG_ALARM_FLOOD &&
		       (int)HG_SCORE_OUTSIDE == HG_ALARM_OUTSIDE,
	       "classes of core and alarm");
_Static_assert((int)HG_SCORE_PACKETS == HG_FEATURE_PACKETS &&
		       (int)HG_SCORE_BYTES == HG_FEATURE_BYTES &&
		       (int)HG_SCORE_FLOWS == HG_FEATURE_FLOWS &&
		       (int)HG_SCORE_FAILED == HG_FEATURE_FAILED,
	       "features of core and alarm");

struct channel {
	struct hg_score_state score;
	struct hg_window last;	  /* cumulative, at the last tick */
	uint64_t flows_then[LAG]; /* ring of cumulative openings */
	int64_t unanswered;	  /* greatest openings(t - LAG) - answers(t) so far */
	bool stated;		  /* the episode has been handed over as an alarm */
	uint64_t episode;
	uint64_t next_ms;      /* of its next statement */
	struct hg_alarm alarm; /* its last statement */
};

struct recent {
	struct hg_flow_key key;
	uint64_t time_ms;
	uint16_t channel;
	bool used;
};

struct hg_detect {
	struct hg_detect_options o;
	struct event *timer, *events;
	bool based;	 /* last[] holds a reading */
	bool unreadable; /* the guard could not be read, and that was logged */
	uint64_t last_ms;
	unsigned int slot; /* of flows_then[] */
	struct recent recent[RECENT];
	unsigned int recent_next;
	struct channel channels[HG_CHANNELS_MAX];
	struct hg_targets targets;
};

static uint64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void remember(struct hg_detect *d, const struct hg_flow_event *e)
{
	struct recent *r;

	for (unsigned int i = 0; i < RECENT; i++) {
		r = &d->recent[i];
		if (r->used && r->channel == e->head.channel && r->key.proto == e->key.proto &&
		    r->key.remote_port == e->key.remote_port &&
		    !memcmp(&r->key.remote, &e->key.remote, sizeof(r->key.remote))) {
			r->time_ms = e->head.time_ns / 1000000;
			return;
		}
	}
	r = &d->recent[d->recent_next++ % RECENT];
	r->key = e->key;
	r->channel = e->head.channel;
	r->time_ms = e->head.time_ns / 1000000;
	r->used = true;
}

static void take_event(void *ctx, const struct hg_event *e)
{
	struct hg_detect *d = ctx;

	if (e->type == HG_EVENT_FLOW)
		remember(d, (const struct hg_flow_event *)e);
	else if (e->type == HG_EVENT_ANSWER && d->o.answer)
		d->o.answer(d->o.ctx, (const struct hg_answer_event *)e);
}

static void take_events(struct hg_detect *d)
{
	if (d->o.ops->events)
		d->o.ops->events(d->o.guard, take_event, d);
}

static void on_events(evutil_socket_t fd, short what, void *ctx)
{
	take_events(ctx);
}

struct collect {
	struct hg_detect *d;
	uint16_t channel;
	uint32_t now_s;
	bool slow; /* every unanswered flow the guard remembers, not only those of this second */
};

static int collect_flow(void *ctx, int table, const struct hg_flow_key *key,
			const struct hg_flow *f)
{
	struct collect *c = ctx;
	uint32_t age = f->last_s - f->opened_s;

	if (f->channel != c->channel)
		return 0;
	if (c->slow ? f->state == HG_FLOW_ESTABLISHED : c->now_s - f->last_s > FRESH)
		return 0;
	hg_targets_add(&c->d->targets, key, f->packets_out / (age + 1) + (f->packets_out ? 1 : 0));
	return c->d->targets.n == HG_TARGETS_FLOWS_MAX;
}

/* Of a slow scan the guard has forgotten most; the recent openings remember them. */
static void collect_recent(struct collect *c, uint64_t now_ms)
{
	for (unsigned int i = 0; i < RECENT; i++) {
		const struct recent *r = &c->d->recent[i];

		if (r->used && r->channel == c->channel && now_ms - r->time_ms <= RECENT_MS)
			hg_targets_add(&c->d->targets, &r->key, 1);
	}
}

static enum hg_spread collect(struct hg_detect *d, uint16_t channel, uint64_t now_ms, bool slow,
			      struct hg_alarm *alarm)
{
	struct collect c = { d, channel, (uint32_t)(now_ms / 1000), slow };

	d->targets.n = 0;
	d->targets.local_packets = 0;
	d->o.ops->flows(d->o.guard, collect_flow, &c);
	if (slow || !d->targets.n)
		collect_recent(&c, now_ms);
	return hg_targets_sum(&d->targets, alarm);
}

/* How many distinct destinations the channel has opened lately. */
static unsigned int destinations(const struct hg_detect *d, unsigned int channel, uint64_t now_ms)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < RECENT; i++)
		n += d->recent[i].used && d->recent[i].channel == channel &&
		     now_ms - d->recent[i].time_ms <= RECENT_MS;
	return n;
}

/*
 * A scanner's failures are at as many destinations; a device that has lost its servers tries the
 * same few again. Three quarters of the walk's steps must have been at distinct ones; outside the
 * profile, where there are no such servers, half: some scanners try everything twice.
 */
static bool is_spread(const struct hg_detect *d, unsigned int index, uint64_t now_ms)
{
	const struct hg_score_bounds *b = &d->o.profile->second[index];

	return destinations(d, index, now_ms) * b->walk_up * 4 >= b->walk_limit * (index ? 3 : 2);
}

/* The score knows numbers only; where they go tells scans from floods. */
static uint8_t class_of(uint8_t by_score, enum hg_spread spread, bool slow)
{
	if (slow || by_score == HG_ALARM_OUTSIDE)
		return by_score;
	if (spread == HG_SPREAD_ONE)
		return HG_ALARM_FLOOD;
	if (spread == HG_SPREAD_MANY)
		return HG_ALARM_SCAN;
	return by_score;
}

static void state(struct hg_detect *d, unsigned int index, const struct hg_score *s,
		  uint64_t now_ms)
{
	struct channel *ch = &d->channels[index];
	struct hg_alarm a = { 0 };
	enum hg_spread spread;
	bool settle = !ch->stated;

	a.feature = s->feature;
	a.channel = (uint16_t)index;
	a.value = s->value;
	a.bound = s->bound;
	a.episode = ch->stated ? ch->episode : 0;
	spread = collect(d, (uint16_t)index, now_ms, ch->score.slow, &a);
	a.alarm_class = class_of(s->alarm_class, spread, ch->score.slow);
	if (d->o.alarm(d->o.ctx, &a, &ch->episode))
		return;
	ch->stated = true;
	ch->alarm = a;
	ch->next_ms = now_ms + (settle ? SETTLE : UPDATE) * 1000;
}

static void state_end(struct hg_detect *d, unsigned int index)
{
	struct channel *ch = &d->channels[index];
	struct hg_alarm a = ch->alarm;

	if (!ch->stated)
		return;
	a.alarm_class = HG_ALARM_ENDED;
	a.episode = ch->episode;
	a.n_targets = 0;
	/* Not handed over: the collector finds the device silent instead, only later. */
	d->o.alarm(d->o.ctx, &a, &ch->episode);
	ch->stated = false;
}

/* Growth since the last tick as one second's sample; the guard's counters only grow. */
static void sample(struct channel *ch, const struct hg_window *now, unsigned int slot,
		   uint64_t seconds, struct hg_score_sample *out)
{
	int64_t unanswered = (int64_t)(ch->flows_then[slot] - now->answered);
	uint64_t grown = 0, refused = now->refused - ch->last.refused;
	uint64_t answered = now->answered - ch->last.answered;

	if (unanswered > ch->unanswered) {
		grown = (uint64_t)(unanswered - ch->unanswered);
		ch->unanswered = unanswered;
	}
	ch->flows_then[slot] = now->flows;
	out->packets = (now->packets_out - ch->last.packets_out) / seconds;
	out->bytes = (now->bytes_out - ch->last.bytes_out) / seconds;
	out->flows = (now->flows - ch->last.flows) / seconds;
	out->failed = grown + refused;
	out->answered = answered > refused ? answered - refused : 0;
}

static void set_base(struct hg_detect *d, const struct hg_window *now)
{
	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++) {
		struct channel *ch = &d->channels[i];

		ch->last = now[i];
		ch->unanswered = (int64_t)(now[i].flows - now[i].answered);
		for (unsigned int k = 0; k < LAG; k++)
			ch->flows_then[k] = now[i].flows;
	}
	d->based = true;
}

static bool went_back(const struct hg_detect *d, const struct hg_window *now)
{
	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++)
		if (now[i].packets_out < d->channels[i].last.packets_out ||
		    now[i].flows < d->channels[i].last.flows ||
		    now[i].answered < d->channels[i].last.answered ||
		    now[i].refused < d->channels[i].last.refused)
			return true;
	return false;
}

static void score(struct hg_detect *d, unsigned int index, const struct hg_window *now,
		  uint64_t seconds, uint64_t now_ms)
{
	struct channel *ch = &d->channels[index];
	struct hg_score_sample in;
	struct hg_score s;

	sample(ch, now, d->slot, seconds, &in);
	ch->last = *now;
	hg_score_step(&ch->score, &d->o.profile->second[index], &in, index, &s);
	if (s.event == HG_SCORE_START && ch->score.slow && !is_spread(d, index, now_ms)) {
		memset(&ch->score, 0, sizeof(ch->score));
		return;
	}
	if (s.event == HG_SCORE_START)
		ch->stated = false;
	if (s.event == HG_SCORE_END)
		state_end(d, index);
	else if (s.broken && (!ch->stated || now_ms >= ch->next_ms))
		state(d, index, &s, now_ms);
}

int hg_detect_tick(struct hg_detect *d, uint64_t now_ms)
{
	struct hg_window now[HG_CHANNELS_MAX];
	uint64_t seconds;
	int err;

	memset(now, 0, sizeof(now));
	take_events(d);
	err = d->o.ops->windows(d->o.guard, now);
	if (err)
		return err;
	if (!d->based || went_back(d, now)) {
		set_base(d, now);
		d->last_ms = now_ms;
		return 0;
	}
	seconds = (now_ms - d->last_ms + 500) / 1000;
	if (!seconds)
		seconds = 1;
	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++)
		if (d->o.profile->bounds[i].id)
			score(d, i, &now[i], seconds, now_ms);
	d->slot = (d->slot + 1) % LAG;
	d->last_ms = now_ms;
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_detect *d = ctx;
	int err = hg_detect_tick(d, monotonic_ms());

	if (err && !d->unreadable)
		hg_error("detect: cannot read the guard's windows: %s", strerror(-err));
	else if (!err && d->unreadable)
		hg_info("detect: reads the guard's windows again");
	d->unreadable = err != 0;
}

static int start_events(struct hg_detect *d)
{
	int fd = d->o.ops->event_fd ? d->o.ops->event_fd(d->o.guard) : -1;

	if (fd < 0)
		return 0;
	d->events = event_new(d->o.base, fd, EV_READ | EV_PERSIST, on_events, d);
	if (!d->events || event_add(d->events, NULL))
		return -ENOMEM;
	return 0;
}

void hg_detect_set_guard(struct hg_detect *d, struct hg_guard *guard)
{
	if (d->events)
		event_free(d->events);
	d->events = NULL;
	d->o.guard = guard;
	d->based = false;
	if (d->o.base && start_events(d))
		hg_warn("detect: no memory for the guard's events; new flows are read once a second");
}

struct hg_detect *hg_detect_new(const struct hg_detect_options *options)
{
	static const struct timeval second = { .tv_sec = 1 };
	struct hg_detect *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->o = *options;
	if (!d->o.base)
		return d;
	d->timer = event_new(d->o.base, -1, EV_PERSIST, on_timer, d);
	if (!d->timer || event_add(d->timer, &second) || start_events(d)) {
		hg_detect_free(d);
		errno = ENOMEM;
		return NULL;
	}
	on_timer(-1, 0, d);
	return d;
}

void hg_detect_free(struct hg_detect *d)
{
	if (!d)
		return;
	if (d->timer)
		event_free(d->timer);
	if (d->events)
		event_free(d->events);
	free(d);
}

size_t hg_detect_episodes(const struct hg_detect *d)
{
	size_t n = 0;

	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++)
		n += d->channels[i].score.active;
	return n;
}
