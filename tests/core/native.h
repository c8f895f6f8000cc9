/* SPDX-License-Identifier: MIT */
/*
 * The core's host in user space, for tests: tables are arrays, time is a number that the test sets.
 * One host per process is enough, so that the static functions need no indirection.
 */
#ifndef HG_TESTS_NATIVE_H
#define HG_TESTS_NATIVE_H

#include <stdlib.h>
#include <string.h>
#include "../../core/host.h"
#include "../../core/parse.h"

#ifndef NATIVE_FLOWS
#define NATIVE_FLOWS (1 << 16) /* places per table; tests stay below half of them */
#endif

struct native_entry {
	struct hg_flow_key key;
	struct hg_flow flow;
	enum { FREE = 0, USED, REMOVED } state;
};

struct native_piece {
	struct hg_flow_key key;
	struct hg_fragment fragment;
	int used;
};

struct hg_host {
	struct hg_guard_config config;
	__u32 now_s;
	struct hg_moments moments;
	struct hg_slots slots;
	struct hg_rate rates[HG_RATE_MAX];
	struct hg_ring ring;
	struct hg_peer peers[2 * HG_PEERS_MAX];
	struct hg_rule rules[2 * HG_RULES_MAX];
	struct hg_window windows[HG_CHANNELS_MAX];
	struct hg_spots spots[HG_CHANNELS_MAX];
	struct hg_addr bound_addr[4];
	struct hg_bound bound[4];
	size_t n_bound;
	struct hg_prefix trusted[8];
	struct native_entry flows[3][NATIVE_FLOWS];
	size_t n_flows[3], places[3];
	struct native_piece pieces[1024];
	size_t next_piece;
	__u64 events;
	__u64 counters[HG_REASON_MAX];
};

static const struct hg_guard_config *hg_host_config(struct hg_host *h)
{
	return &h->config;
}

static __u32 hg_host_seconds(struct hg_host *h)
{
	return h->now_s;
}

static struct hg_moments *hg_host_moments(struct hg_host *h)
{
	return &h->moments;
}

static __u32 *hg_host_slot(struct hg_host *h, __u32 hash)
{
	return &h->slots.used[hash & (HG_SLOTS - 1)];
}

static struct hg_rate *hg_host_rate(struct hg_host *h, __u32 kind)
{
	return &h->rates[kind];
}

static struct hg_ring *hg_host_ring(struct hg_host *h)
{
	return &h->ring;
}

static const struct hg_peer *hg_host_peer(struct hg_host *h, __u32 i)
{
	return &h->peers[i];
}

static const struct hg_rule *hg_host_rule(struct hg_host *h, __u32 i)
{
	return &h->rules[i];
}

static struct hg_window *hg_host_window(struct hg_host *h, __u32 channel)
{
	return &h->windows[channel];
}

static struct hg_spots *hg_host_spots(struct hg_host *h, __u32 channel)
{
	return &h->spots[channel];
}

static const struct hg_bound *hg_host_bound(struct hg_host *h, const struct hg_addr *a)
{
	for (size_t i = 0; i < h->n_bound; i++)
		if (!memcmp(&h->bound_addr[i], a, sizeof(*a)))
			return &h->bound[i];
	return NULL;
}

/* Open addressing; the place of a removed entry is taken again by its own key only. */
static struct native_entry *native_place(struct hg_host *h, int table, const struct hg_flow_key *k)
{
	__u32 i, hash = 2166136261u;

	for (i = 0; i < sizeof(*k); i++)
		hash = (hash ^ ((const __u8 *)k)[i]) * 16777619u;
	for (i = hash % NATIVE_FLOWS;; i = (i + 1) % NATIVE_FLOWS) {
		struct native_entry *e = &h->flows[table][i];

		if (e->state == FREE || !memcmp(&e->key, k, sizeof(*k)))
			return e;
	}
}

static struct hg_flow *hg_host_flow(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k)
{
	struct native_entry *e = native_place(h, t, k);

	return e->state == USED ? &e->flow : NULL;
}

static int hg_host_flow_add(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k,
			    const struct hg_flow *f)
{
	struct native_entry *e = native_place(h, t, k);

	if (e->state == FREE && ++h->places[t] > NATIVE_FLOWS / 2)
		abort();
	h->n_flows[t] += e->state != USED;
	e->key = *k;
	e->flow = *f;
	e->state = USED;
	return 0;
}

static void hg_host_flow_remove(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k)
{
	struct native_entry *e = native_place(h, t, k);

	if (e->state != USED)
		return;
	h->n_flows[t]--;
	e->state = REMOVED;
}

static struct hg_fragment *hg_host_fragment(struct hg_host *h, const struct hg_flow_key *k)
{
	size_t i;

	for (i = 0; i < sizeof(h->pieces) / sizeof(h->pieces[0]); i++)
		if (h->pieces[i].used && !memcmp(&h->pieces[i].key, k, sizeof(*k)))
			return &h->pieces[i].fragment;
	return NULL;
}

static void hg_host_fragment_add(struct hg_host *h, const struct hg_flow_key *k,
				 const struct hg_fragment *f)
{
	struct hg_fragment *old = hg_host_fragment(h, k);
	struct native_piece *e;

	if (old) {
		*old = *f;
		return;
	}
	e = &h->pieces[h->next_piece++ % (sizeof(h->pieces) / sizeof(h->pieces[0]))];
	e->key = *k;
	e->fragment = *f;
	e->used = 1;
}

static int hg_host_trusts(struct hg_host *h, const struct hg_addr *a);

static void hg_host_event(struct hg_host *h, const struct hg_flow_key *k, __u8 channel)
{
	h->events++;
}

#include "../../core/verdict.h"

static int hg_host_trusts(struct hg_host *h, const struct hg_addr *a)
{
	for (__u32 i = 0; i < h->config.n_trusted; i++)
		if (hg_addr_in_prefix(a, &h->trusted[i].addr, h->trusted[i].length))
			return 1;
	return 0;
}

/* Judges one frame as the programs do. Returns its reason; *p is the packet. */
static inline int native_run(struct hg_host *h, struct hg_packet *p, const struct hg_frame *f,
			     int out, unsigned int segments)
{
	int reason;

	hg_packet_parse(p, f, out ? HG_PACKET_OUT : 0);
	hg_packet_segment(p, segments);
	reason = out ? hg_verdict_out(h, p) : hg_verdict_in(h, p);
	h->counters[reason]++;
	return reason;
}

#endif
