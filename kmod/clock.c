// SPDX-License-Identifier: GPL-2.0
/*
 * Closes seconds: what each channel did is scored (core/score.h), and what there is to tell is
 * sent. A delayed work, so that it goes on without an agent; what it would tell an agent that is
 * away is kept, the newest few, until somebody listens. Nothing else touches scores, and the
 * settings are read by RCU, so there is no lock. Spots are written by packets at the same time: a
 * count may be lost, see core/spots.h.
 */
#include "guard.h"

#include <linux/ktime.h>
#include <linux/math64.h>

static void tell(struct hg_guard *g, const struct hg_score_event *e)
{
	struct hg_clock *c = &g->clock;

	if (hg_event_heard(g))
		hg_event_send(g, e, sizeof(*e));
	else
		c->kept[c->n_kept++ % HG_KEPT_SCORES] = *e;
}

static void tell_kept(struct hg_guard *g)
{
	struct hg_clock *c = &g->clock;
	u32 i;

	if (!c->n_kept || !hg_event_heard(g))
		return;
	i = c->n_kept > HG_KEPT_SCORES ? c->n_kept - HG_KEPT_SCORES : 0;
	for (; i < c->n_kept; i++)
		hg_event_send(g, &c->kept[i % HG_KEPT_SCORES], sizeof(c->kept[0]));
	c->n_kept = 0;
}

static void close_channel(struct hg_guard *g, const struct hg_bounds *bounds, u32 channel,
			  u32 seconds)
{
	struct hg_clock *c = &g->clock;
	struct hg_score_state *st = &c->states[channel];
	struct hg_score_event *e = &c->event;

	if (!bounds->id) {
		st->id = 0; /* when it comes back it begins anew */
		return;
	}
	hg_guard_window(g, channel, &c->now);
	memset(e, 0, sizeof(*e));
	hg_score_step(st, bounds, &c->now, &g->spots[channel], channel, seconds, e);
	if (e->news == HG_EPISODE_NONE)
		return;
	e->head.time_ns = ktime_get_ns();
	e->head.type = HG_EVENT_SCORE;
	e->head.channel = channel;
	e->head.length = sizeof(*e);
	tell(g, e);
}

void hg_clock_close_channel(struct hg_guard *g, u32 channel, u32 seconds)
{
	const struct hg_settings *s;

	rcu_read_lock();
	s = rcu_dereference(g->settings);
	close_channel(g, &s->bounds[channel], channel, seconds);
	rcu_read_unlock();
}

void hg_clock_close(struct hg_guard *g, u32 seconds)
{
	u32 channel;

	tell_kept(g);
	for (channel = 0; channel < HG_CHANNELS_MAX; channel++)
		hg_clock_close_channel(g, channel, seconds);
}

/* The delay to the end of the second that runs, at least one tick. */
static unsigned long delay(const struct hg_clock *c)
{
	s64 left = c->due_ns - ktime_get_ns();

	return left > 0 ? nsecs_to_jiffies(left) + 1 : 1;
}

/* A second is over: now if the work was in time. What it was late is made up for. */
static void on_second(struct work_struct *work)
{
	struct hg_clock *c = container_of(to_delayed_work(work), struct hg_clock, work);
	struct hg_guard *g = container_of(c, struct hg_guard, clock);
	s64 late = ktime_get_ns() - c->due_ns;
	u32 seconds = 1;

	if (late > 0)
		seconds += div_u64(late, NSEC_PER_SEC);
	c->due_ns += (u64)seconds * NSEC_PER_SEC;
	hg_clock_close(g, seconds);
	schedule_delayed_work(&c->work, delay(c));
}

void hg_clock_init(struct hg_guard *g)
{
	INIT_DELAYED_WORK(&g->clock.work, on_second);
	g->clock.stands = true;
}

void hg_clock_start(struct hg_guard *g)
{
	struct hg_clock *c = &g->clock;

	c->due_ns = ktime_get_ns() + NSEC_PER_SEC;
	c->stands = false;
	schedule_delayed_work(&c->work, delay(c));
}

void hg_clock_stop(struct hg_guard *g)
{
	cancel_delayed_work_sync(&g->clock.work);
	g->clock.stands = true;
}
