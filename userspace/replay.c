// SPDX-License-Identifier: MIT
/*
 * Replay: the core in user space (host-native.h) on a clock that the captures set. Called by
 * `heliograph profile` and by the tests that measure profiles.
 *
 * Time goes second by second, as the guard's timer does; through a silence it goes in steps of
 * hours as soon as an hour has changed nothing that counts. A session begins with empty tables, as
 * after the guard was attached.
 */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../core/score.h"
#include "guard.h"
#include "host-native.h"
#include "targets.h"

#define SECOND 1000000000ull
#define BEGIN_S 100000	/* the guard's clock when a session begins: long after its start */
#define REST_S 3900	/* played at most after the last packet: an hour's window, a quiet end */
#define REST_LEAST_S 10 /* until it is known which openings failed */
#define STRANGER_S 60	/* so long does a service answer a datagram */
#define NAMES_S 60	/* between two looks for names whose time is over */
#define FRESH_S 2	/* a flow with traffic so lately is part of what breaks a bound */
#define EPHEMERAL 32768 /* local ports from here on belong to clients */
#define LINK_BYTES 1500 /* longer packets of TCP were several on the wire */
#define HOUR 3600u

struct hg_replayer {
	struct hg_replayer_options o;
	struct hg_host host;
	struct hg_native_table strangers; /* who opened flows to the device; local address 0 */
	struct hg_score_state states[HG_CHANNELS_MAX];
	struct hg_names *names;
	struct hg_bound bound; /* of the address asked for last */
	struct hg_targets targets;
	struct {
		struct hg_score_state states[HG_CHANNELS_MAX];
		struct hg_spots spots[HG_CHANNELS_MAX];
	} hour_ago;
	bool begun;
	unsigned int session;
	__u64 second; /* since 1970, not closed yet */
	__u32 idle_s; /* closed since the last packet */
	__u64 left_out;
};

static const struct hg_bound *bound_of(void *ctx, const struct hg_addr *a)
{
	struct hg_replayer *r = ctx;

	r->bound = hg_names_bound(r->names, a);
	return r->bound.channels || r->bound.flags ? &r->bound : NULL;
}

static int begin(struct hg_replayer *r)
{
	struct hg_names *names = hg_names_new(HG_NAMES_LIMIT, NULL, NULL);
	struct hg_guard_options g;
	struct hg_host *h = &r->host;

	if (!names || hg_names_set(names, r->o.patterns, r->o.n_patterns) < 0) {
		hg_names_free(names);
		return -ENOMEM;
	}
	hg_names_free(r->names);
	r->names = names;
	hg_guard_options_init(&g);
	memset(&h->moments, 0, sizeof(h->moments));
	memset(&h->slots, 0, sizeof(h->slots));
	memset(h->rates, 0, sizeof(h->rates));
	memset(&h->ring, 0, sizeof(h->ring));
	memset(h->windows, 0, sizeof(h->windows));
	memset(h->spots, 0, sizeof(h->spots));
	memset(h->flows, 0, sizeof(h->flows));
	memset(&h->fragments, 0, sizeof(h->fragments));
	memset(&r->strangers, 0, sizeof(r->strangers));
	memset(r->states, 0, sizeof(r->states));
	h->config = g.config;
	h->config.seed = 0x452821e638d01377; /* what is counted must not differ from run to run */
	h->config.policy = r->o.policy;
	h->config.n_peers = (__u32)r->o.n_peers;
	h->config.n_rules = (__u32)r->o.n_rules;
	if (r->o.n_rules)
		memcpy(h->rules, r->o.rules, r->o.n_rules * sizeof(*h->rules));
	h->now_s = BEGIN_S;
	h->bound = bound_of;
	h->ctx = r;
	r->idle_s = 0;
	return 0;
}

struct hg_replayer *hg_replayer_new(const struct hg_replayer_options *o)
{
	struct hg_replayer *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->o = *o;
	r->o.n_peers = o->n_peers < HG_PEERS_MAX ? o->n_peers : HG_PEERS_MAX;
	r->o.n_rules = o->n_rules < HG_RULES_MAX ? o->n_rules : HG_RULES_MAX;
	if (r->o.n_peers)
		memcpy(r->host.peers, o->peers, r->o.n_peers * sizeof(*o->peers));
	if (begin(r)) {
		hg_replayer_free(r);
		return NULL;
	}
	return r;
}

void hg_replayer_free(struct hg_replayer *r)
{
	if (!r)
		return;
	hg_names_free(r->names);
	free(r);
}

/* Of an attack that goes on slowly, all flows that got no answer; else those with fresh traffic. */
static void collect_targets(struct hg_replayer *r, struct hg_replayer_alarm *a)
{
	bool slow = a->event.feature == HG_FEATURE_WALK ||
		    a->event.feature == HG_FEATURE_SUM_FLOWS ||
		    a->event.feature == HG_FEATURE_SUM_BYTES;
	struct hg_alarm alarm = { 0 };

	r->targets.n = 0;
	r->targets.local_packets = 0;
	for (int t = 0; t < 3; t++) {
		const struct hg_native_entry *e = r->host.flows[t].entries;

		for (__u32 i = r->host.flows[t].newest; i; i = e[i].older) {
			const struct hg_flow *f = &e[i].flow;
			__u32 age = f->last_s - f->opened_s;

			if (f->channel != a->channel)
				continue;
			if (slow ? f->state == HG_FLOW_ESTABLISHED
				 : r->host.now_s - f->last_s > FRESH_S)
				continue;
			hg_targets_add(&r->targets, &e[i].key,
				       f->packets_out / (age + 1) + (f->packets_out ? 1 : 0));
		}
	}
	hg_targets_sum(&r->targets, &alarm);
	a->n_targets = alarm.n_targets;
	memcpy(a->targets, alarm.targets, sizeof(a->targets));
}

static void tell_second(struct hg_replayer *r, unsigned int c)
{
	const struct hg_spots *spots = &r->host.spots[c];
	struct hg_score_state st = r->states[c];
	static const struct hg_sample nothing;
	struct hg_replayer_second s = {
		.time_s = r->second,
		.session = r->session,
		.channel = c,
		.destinations = { spots->n[0], spots->n[1], spots->n[2] },
		.ports = spots->n_ports,
		.sources = spots->n_sources,
	};

	if (!st.based)
		return;
	hg_score_sample(&st, &r->host.windows[c], &s.sample);
	if (memcmp(&s.sample, &nothing, sizeof(nothing)))
		r->o.second(r->o.ctx, &s);
}

static void tell_alarm(struct hg_replayer *r, unsigned int c, const struct hg_score_event *e)
{
	struct hg_replayer_alarm a = {
		.event = *e,
		.time_ns = (r->second + 1) * SECOND,
		.session = r->session,
		.channel = c,
	};

	collect_targets(r, &a);
	r->o.alarm(r->o.ctx, &a);
}

static void close_second(struct hg_replayer *r)
{
	struct hg_score_event e;

	for (unsigned int c = 0; c < HG_CHANNELS_MAX; c++) {
		const struct hg_bounds *b = &r->o.bounds[c];

		if (!b->id)
			continue;
		if (r->o.second)
			tell_second(r, c);
		hg_score_step(&r->states[c], b, &r->host.windows[c], &r->host.spots[c], c, 1, &e);
		if (e.news != HG_EPISODE_NONE && r->o.alarm)
			tell_alarm(r, c, &e);
	}
	r->second++;
	r->host.now_s++;
	r->idle_s++;
}

/* Names live on with their flows, as the agent has it. */
static void expire_names(struct hg_replayer *r)
{
	struct hg_host *h = &r->host;

	if (!hg_names_is_due(r->names, h->now_s))
		return;
	for (int t = 0; t < 3; t++) {
		const struct hg_native_entry *e = h->flows[t].entries;

		for (__u32 i = h->flows[t].newest; i; i = e[i].older)
			if (hg_flow_is_alive(&h->config, e[i].key.proto, &e[i].flow, h->now_s))
				hg_names_use(r->names, &e[i].key.remote, h->now_s);
	}
	hg_names_expire(r->names, h->now_s);
}

/* All that the score will look at again, without what only counts on. */
static void normalize(struct hg_score_state *st)
{
	st->slot &= HG_SCORE_LAG - 1;
	st->since = 0;
	if (!st->active)
		st->quiet = 0;
}

/* Has an hour without a packet left everything as it was? */
static bool is_still(struct hg_replayer *r)
{
	bool still = r->idle_s > HOUR;

	for (unsigned int c = 0; c < HG_CHANNELS_MAX; c++) {
		struct hg_score_state now = r->states[c];

		normalize(&now);
		still = still && !now.active &&
			!memcmp(&now, &r->hour_ago.states[c], sizeof(now)) &&
			!memcmp(&r->host.spots[c], &r->hour_ago.spots[c], sizeof(r->host.spots[c]));
		r->hour_ago.states[c] = now;
		r->hour_ago.spots[c] = r->host.spots[c];
	}
	return still;
}

static void pass_time(struct hg_replayer *r, __u64 until)
{
	while (r->second < until) {
		close_second(r);
		if (r->host.now_s % NAMES_S == 0)
			expire_names(r);
		if (r->idle_s % HOUR == 0 && until > r->second + HOUR && is_still(r)) {
			__u64 hours = (until - r->second) / HOUR;

			r->second += hours * HOUR;
			r->host.now_s += (__u32)(hours * HOUR);
			expire_names(r);
		}
	}
}

/* The first step of each channel only reads its counters; nothing may have been counted before. */
static void set_base(struct hg_replayer *r)
{
	struct hg_score_event e;

	for (unsigned int c = 0; c < HG_CHANNELS_MAX; c++)
		if (r->o.bounds[c].id)
			hg_score_step(&r->states[c], &r->o.bounds[c], &r->host.windows[c],
				      &r->host.spots[c], c, 1, &e);
}

static bool is_active(const struct hg_replayer *r)
{
	for (unsigned int c = 0; c < HG_CHANNELS_MAX; c++)
		if (r->states[c].active)
			return true;
	return false;
}

void hg_replayer_end(struct hg_replayer *r)
{
	if (!r->begun)
		return;
	for (__u32 i = 0; i < REST_S && (i < REST_LEAST_S || is_active(r)); i++)
		pass_time(r, r->second + 1);
	r->begun = false;
	if (r->o.session)
		r->o.session(r->o.ctx, r->session);
}

static int move_clock(struct hg_replayer *r, const struct hg_capture_packet *p)
{
	__u64 second = p->time_ns / SECOND;

	if (r->begun && p->session != r->session)
		hg_replayer_end(r);
	if (!r->begun) {
		if (begin(r))
			return -ENOMEM;
		r->begun = true;
		r->session = p->session;
		r->second = second;
		set_base(r);
	}
	pass_time(r, second);
	r->idle_s = 0;
	return 0;
}

static struct hg_flow_key stranger_key(const struct hg_packet *p)
{
	struct hg_flow_key k = p->key;

	memset(&k.local, 0, sizeof(k.local)); /* asked as a group, it answers as itself */
	return k;
}

static void note_stranger(struct hg_replayer *r, const struct hg_packet *p)
{
	struct hg_flow_key k = stranger_key(p);
	struct hg_native_entry *e;

	if (p->kind != HG_PACKET_FLOW)
		return;
	if (p->key.proto == HG_IP_TCP ? (p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) != HG_TCP_SYN
				      : p->key.proto != HG_IP_UDP)
		return;
	e = hg_native_find(&r->strangers, &k);
	if (!e)
		e = hg_native_add(&r->strangers, &k, HG_NATIVE_FLOWS, 1);
	e->flow.last_s = r->host.now_s;
}

/* Would a guarded device not have sent this, because it never got what this answers? */
static bool answers_stranger(struct hg_replayer *r, const struct hg_packet *p)
{
	struct hg_flow_key k = stranger_key(p);
	struct hg_native_entry *e;

	if (p->kind != HG_PACKET_FLOW)
		return false;
	if (p->flags & HG_PACKET_ANSWER)
		return true;
	if (p->key.proto != HG_IP_TCP && p->key.proto != HG_IP_UDP)
		return false;
	e = hg_native_find(&r->strangers, &k);
	if (!e)
		return false;
	if (p->key.proto == HG_IP_UDP) {
		/* From a client's port it may well have spoken first, or at the same time. */
		if (HG_NET16(p->key.local_port) >= EPHEMERAL ||
		    r->host.now_s - e->flow.last_s > STRANGER_S)
			return false;
		return true;
	}
	if ((p->tcp & (HG_TCP_SYN | HG_TCP_ACK)) != HG_TCP_SYN)
		return true;
	hg_native_remove(&r->strangers, &k);
	return false;
}

/* A capture on the device itself, or on a router, may have what its card cuts or has joined. */
static void cut_segments(struct hg_packet *p)
{
	__u32 room = LINK_BYTES - p->headers;

	if (p->kind == HG_PACKET_FLOW && p->key.proto == HG_IP_TCP && p->bytes > LINK_BYTES &&
	    p->headers < LINK_BYTES / 2)
		hg_packet_segment(p, (p->bytes - p->headers + room - 1) / room);
}

static const struct hg_flow *flow_of(struct hg_replayer *r, const struct hg_packet *p)
{
	const struct hg_flow *f;

	if (p->kind != HG_PACKET_FLOW)
		return NULL;
	f = hg_flow_find(&r->host, &p->key, 0);
	return f && hg_flow_is_alive(&r->host.config, p->key.proto, f, r->host.now_s) ? f : NULL;
}

static void take_answer(struct hg_replayer *r, const struct hg_capture_packet *c,
			const struct hg_packet *p)
{
	const __u8 *payload = c->frame.network + p->at * 4u + 8;
	const __u8 *end = c->frame.data + c->captured;
	struct hg_dns_answer a;
	size_t n, whole = p->left >= 8 ? p->left - 8 : 0;

	if (p->flags & HG_PACKET_FRAGMENTED || !hg_is_answer(&r->host, p))
		return;
	if (end > c->frame.end)
		end = c->frame.end;
	n = payload < end ? (size_t)(end - payload) : 0;
	n = n < whole ? n : whole;
	if (hg_dns_answer(payload, n, n < whole, &a, NULL))
		return;
	if (hg_names_answer(r->names, &a, r->host.now_s) > 0)
		r->host.config.generation += 2; /* the same bank, but flows are matched again */
	if (r->o.answer)
		r->o.answer(r->o.ctx, &a);
}

static void judge(struct hg_replayer *r, const struct hg_capture_packet *c, struct hg_packet *p,
		  struct hg_replayer_packet *out)
{
	const struct hg_flow *f;

	if (c->out) {
		out->reason = hg_verdict_out(&r->host, p);
	} else {
		f = flow_of(r, p);
		out->answers = f && f->state == HG_FLOW_OPENING;
		out->reason = hg_verdict_in(&r->host, p);
		if (out->reason == HG_DROP_NO_FLOW)
			note_stranger(r, p);
	}
	r->host.counters[out->reason]++;
	f = flow_of(r, p);
	if (!c->out && out->reason == HG_PASS_FLOW)
		take_answer(r, c, p);
	out->flow = c->out || out->reason == HG_PASS_FLOW ? f : NULL;
	out->channel = out->flow ? out->flow->channel : 0;
	out->counted = c->out && p->kind != HG_PACKET_ARP && p->kind != HG_PACKET_ND &&
		       p->kind != HG_PACKET_MULTICAST && p->kind != HG_PACKET_LINK;
	out->opens = c->out && p->opens;
	out->answers = out->answers && f && f->state == HG_FLOW_ESTABLISHED;
}

int hg_replayer_packet(struct hg_replayer *r, const struct hg_capture_packet *c)
{
	struct hg_packet p;
	struct hg_replayer_packet out = { .capture = c, .packet = &p };
	int ret = move_clock(r, c);

	if (ret)
		return ret;
	hg_packet_parse(&p, &c->frame, c->out ? HG_PACKET_OUT : 0);
	cut_segments(&p);
	out.left_out = c->out && r->o.policy != HG_POLICY_MONITOR && answers_stranger(r, &p);
	if (out.left_out)
		r->left_out++;
	else
		judge(r, c, &p, &out);
	if (r->o.packet)
		r->o.packet(r->o.ctx, &out);
	return 0;
}

int hg_replayer_run(struct hg_replayer *r, struct hg_capture *c, char *err, size_t err_size)
{
	struct hg_capture_packet p;
	int ret;

	hg_capture_rewind(c);
	while ((ret = hg_capture_next(c, &p, err, err_size)) == 1) {
		ret = hg_replayer_packet(r, &p);
		if (ret) {
			snprintf(err, err_size, "out of memory");
			return ret;
		}
	}
	if (!ret)
		hg_replayer_end(r);
	return ret;
}

const struct hg_names *hg_replayer_names(const struct hg_replayer *r)
{
	return r->names;
}

const __u64 *hg_replayer_counters(const struct hg_replayer *r)
{
	return r->host.counters;
}

__u64 hg_replayer_left_out(const struct hg_replayer *r)
{
	return r->left_out;
}
