// SPDX-License-Identifier: MIT
/*
 * Detector: the guard scores each second (core/score.h) and tells what breaks; here that becomes
 * alarms. The agent makes one when guard and profile are there. It reads the guard's events; new
 * flows are remembered, for they and the guard's tables say where the traffic goes. It never drops
 * a packet, and what it holds is sized at start.
 *
 * A kernel that has no timer for the guard gets its seconds closed from here. An alarm that could
 * not be sent is made again every second.
 */
#include "detect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../lib/log.h"
#include "targets.h"

#define FRESH 2 /* seconds since its last packet: the flow belongs to what is measured now */

#define LOST_GAP_MS 60000 /* between two complaints of lost events */

#define RECENT 256 /* destinations opened last, over all channels */
#define RECENT_MS (3600 * 1000)

struct channel {
	bool lasts;   /* an episode does */
	bool stated;  /* it has been handed over as an alarm, which has a number */
	bool waiting; /* `event` could not be handed over */
	uint64_t episode;
	struct hg_alarm alarm; /* its last statement */
	struct hg_score_event event;
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
	uint64_t lost, lost_ms;	  /* times that events were, and when that was said */
	bool unreadable;	  /* the guard could not be read, and that was logged */
	uint64_t now_ms, last_ms; /* last_ms: when seconds were closed from here; 0: not yet */
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

/* What is slow has left the guard's tables for the most part. */
static bool is_slow(const struct hg_score_event *e)
{
	return e->window == HG_WINDOW_HOUR || e->feature == HG_FEATURE_WALK ||
	       e->feature == HG_FEATURE_SUM_FLOWS || e->feature == HG_FEATURE_SUM_BYTES;
}

static void collect(struct hg_detect *d, const struct hg_score_event *e, uint64_t now_ms,
		    struct hg_alarm *alarm)
{
	struct collect c = { d, e->head.channel, (uint32_t)(now_ms / 1000),
			     is_slow(e) && hg_attack_class(e->attack) == HG_ALARM_SCAN };

	d->targets.n = 0;
	d->targets.local_packets = 0;
	d->o.ops->flows(d->o.guard, collect_flow, &c);
	if (c.slow || !d->targets.n)
		collect_recent(&c, now_ms);
	hg_targets_sum(&d->targets, alarm);
}

/* Says how the episode is now; if that fails it is said again with the next tick. */
static void state(struct hg_detect *d, struct channel *ch, const struct hg_score_event *e,
		  uint64_t now_ms)
{
	struct hg_alarm a = { 0 };

	a.alarm_class = hg_attack_class(e->attack);
	a.attack = e->attack;
	a.feature = e->feature;
	a.window = (uint16_t)hg_window_seconds(e->window);
	a.channel = e->head.channel;
	a.value = e->value;
	a.bound = e->bound;
	a.episode = ch->stated ? ch->episode : 0;
	collect(d, e, now_ms, &a);
	ch->waiting = d->o.alarm(d->o.ctx, &a, &ch->episode) != 0;
	if (ch->waiting) {
		ch->event = *e;
		return;
	}
	ch->stated = true;
	ch->alarm = a;
}

static void state_end(struct hg_detect *d, struct channel *ch)
{
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

/* One that began while no agent was there begins here with what comes first. */
static void score(struct hg_detect *d, const struct hg_score_event *e)
{
	struct channel *ch = &d->channels[e->head.channel % HG_CHANNELS_MAX];

	if (e->news == HG_EPISODE_START)
		ch->stated = false;
	ch->lasts = e->news != HG_EPISODE_END;
	if (ch->lasts) {
		state(d, ch, e, d->now_ms);
		return;
	}
	/* It is over before anybody could be told: still it was. */
	if (ch->waiting)
		state(d, ch, &ch->event, d->now_ms);
	ch->waiting = false;
	state_end(d, ch);
}

static void take_event(void *ctx, const struct hg_event *e)
{
	struct hg_detect *d = ctx;

	if (e->type == HG_EVENT_FLOW)
		remember(d, (const struct hg_flow_event *)e);
	else if (e->type == HG_EVENT_SCORE)
		score(d, (const struct hg_score_event *)e);
	else if (e->type == HG_EVENT_ANSWER && d->o.answer)
		d->o.answer(d->o.ctx, (const struct hg_answer_event *)e);
}

static void tell_lost(struct hg_detect *d)
{
	uint64_t lost = d->o.ops->events_lost ? d->o.ops->events_lost(d->o.guard) : 0;

	if (lost == d->lost || (d->lost_ms && d->now_ms - d->lost_ms < LOST_GAP_MS))
		return;
	if (lost > d->lost)
		hg_warn("detect: events of the guard were lost, they came faster than the agent "
			"reads; what lasts is told again");
	d->lost = lost;
	d->lost_ms = d->now_ms;
}

static int take_events(struct hg_detect *d)
{
	int ret = d->o.ops->events(d->o.guard, take_event, d);

	tell_lost(d);
	return ret;
}

static void on_events(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_detect *d = ctx;

	d->now_ms = monotonic_ms();
	take_events(d);
}

/* For kernels that do not close the seconds themselves. */
static int close_seconds(struct hg_detect *d, uint64_t now_ms)
{
	uint64_t seconds = (now_ms - d->last_ms + 500) / 1000;

	if (d->o.ops->clock(d->o.guard) != HG_CLOCK_AGENT)
		return 0;
	if (!d->last_ms || !seconds)
		seconds = 1;
	d->last_ms = now_ms;
	return d->o.ops->close_seconds(d->o.guard, (unsigned int)seconds);
}

int hg_detect_tick(struct hg_detect *d, uint64_t now_ms)
{
	int ret;

	d->now_ms = now_ms;
	ret = close_seconds(d, now_ms);
	if (!ret)
		ret = take_events(d);
	for (unsigned int i = 0; i < HG_CHANNELS_MAX; i++)
		if (d->channels[i].waiting)
			state(d, &d->channels[i], &d->channels[i].event, now_ms);
	return ret;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_detect *d = ctx;
	int err = hg_detect_tick(d, monotonic_ms());

	if (err && !d->unreadable)
		hg_error("detect: cannot read the guard's events: %s", strerror(-err));
	else if (!err && d->unreadable)
		hg_info("detect: reads the guard's events again");
	d->unreadable = err != 0;
}

static int start_events(struct hg_detect *d)
{
	int fd = d->o.ops->event_fd(d->o.guard);

	if (fd < 0) /* said with the next tick */
		return 0;
	d->events = event_new(d->o.base, fd, EV_READ | EV_PERSIST, on_events, d);
	if (!d->events || event_add(d->events, NULL))
		return -ENOMEM;
	return 0;
}

void hg_detect_set_guard(struct hg_detect *d, const struct hg_guard_ops *ops,
			 struct hg_guard *guard)
{
	if (d->events)
		event_free(d->events);
	d->events = NULL;
	d->o.ops = ops;
	d->o.guard = guard;
	d->last_ms = 0;
	d->lost = 0;
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
		n += d->channels[i].lasts;
	return n;
}
