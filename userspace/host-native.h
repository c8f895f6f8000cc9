/* SPDX-License-Identifier: MIT */
/*
 * The core's host in user space, for captures and for tests: flow tables as the guard has them,
 * hashed and bounded, where the entry that was looked at longest ago makes room; time is a number
 * that the caller sets. Like the guard's programs, a file that includes this is a host of its own;
 * all-zero is an empty one.
 */
#ifndef HG_USERSPACE_HOST_NATIVE_H
#define HG_USERSPACE_HOST_NATIVE_H

#include <string.h>
#include "../core/host.h"
#include "../core/parse.h"

#ifndef HG_NATIVE_FLOWS
#define HG_NATIVE_FLOWS 4096 /* places per table; a power of two; the guard's default */
#endif
#define HG_NATIVE_KEPT 256	/* of the table of kept flows; as the guard's */
#define HG_NATIVE_FRAGMENTS 512 /* datagrams in pieces; as the guard's */
#define HG_NATIVE_TRUSTED 8

/* Places are counted from 1; 0 is none. */
struct hg_native_entry {
	struct hg_flow_key key;
	union {
		struct hg_flow flow;
		struct hg_fragment fragment;
	};
	__u32 next; /* in the bucket, or of those that are free */
	__u32 newer, older;
};

struct hg_native_table {
	__u32 n;    /* in use */
	__u32 most; /* places that were ever used */
	__u32 free, newest, oldest;
	__u32 buckets[HG_NATIVE_FLOWS];
	struct hg_native_entry entries[HG_NATIVE_FLOWS + 1];
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
	struct hg_bounds bounds[2 * HG_CHANNELS_MAX];
	struct hg_police police[HG_CHANNELS_MAX];
	struct hg_prefix trusted[HG_NATIVE_TRUSTED];
	struct hg_native_table flows[3], fragments;
	__u64 events, answers;
	__u64 counters[HG_REASON_MAX];

	/* What names an address has; NULL: none. Its result is good until the next call. */
	const struct hg_bound *(*bound)(void *ctx, const struct hg_addr *a);
	/* Told of new flows at the guard's rate; may be NULL. */
	void (*event)(void *ctx, const struct hg_flow_key *k, __u8 channel);
	void *ctx;
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
	return h->bound ? h->bound(h->ctx, a) : NULL;
}

static const struct hg_bounds *hg_host_bounds(struct hg_host *h, __u32 i)
{
	return &h->bounds[i];
}

static struct hg_police *hg_host_police(struct hg_host *h, __u32 channel)
{
	return &h->police[channel];
}

static inline __u32 *hg_native_bucket(struct hg_native_table *t, const struct hg_flow_key *k)
{
	const __u32 *word = (const __u32 *)k;
	__u64 hash = 0;

	for (size_t i = 0; i < sizeof(*k) / sizeof(*word); i++)
		hash = ((hash ^ word[i]) * 0x9e3779b97f4a7c15ull) ^ hash >> 29;
	return &t->buckets[(hash >> 32) & (HG_NATIVE_FLOWS - 1)];
}

static inline void hg_native_unlink(struct hg_native_table *t, __u32 i)
{
	struct hg_native_entry *e = &t->entries[i];

	*(e->newer ? &t->entries[e->newer].older : &t->newest) = e->older;
	*(e->older ? &t->entries[e->older].newer : &t->oldest) = e->newer;
}

static inline void hg_native_link(struct hg_native_table *t, __u32 i)
{
	struct hg_native_entry *e = &t->entries[i];

	e->newer = 0;
	e->older = t->newest;
	*(t->newest ? &t->entries[t->newest].newer : &t->oldest) = i;
	t->newest = i;
}

/* The entry with this key, which is the newest from now on. */
static inline struct hg_native_entry *hg_native_find(struct hg_native_table *t,
						     const struct hg_flow_key *k)
{
	__u32 i = *hg_native_bucket(t, k);

	while (i && memcmp(&t->entries[i].key, k, sizeof(*k)))
		i = t->entries[i].next;
	if (i && i != t->newest) {
		hg_native_unlink(t, i);
		hg_native_link(t, i);
	}
	return i ? &t->entries[i] : NULL;
}

static inline void hg_native_remove(struct hg_native_table *t, const struct hg_flow_key *k)
{
	__u32 *at = hg_native_bucket(t, k), i;

	while (*at && memcmp(&t->entries[*at].key, k, sizeof(*k)))
		at = &t->entries[*at].next;
	i = *at;
	if (!i)
		return;
	*at = t->entries[i].next;
	hg_native_unlink(t, i);
	t->entries[i].next = t->free;
	t->free = i;
	t->n--;
}

/* A place for a key that is not there. With `limit` entries the oldest makes room, or none does. */
static inline struct hg_native_entry *
hg_native_add(struct hg_native_table *t, const struct hg_flow_key *k, __u32 limit, int push)
{
	struct hg_native_entry *e;
	__u32 *bucket, i;

	if (t->n >= limit && !push)
		return NULL;
	if (t->n >= limit) {
		const struct hg_flow_key old = t->entries[t->oldest].key;

		hg_native_remove(t, &old);
	}
	i = t->free ? t->free : ++t->most;
	e = &t->entries[i];
	if (t->free)
		t->free = e->next;
	bucket = hg_native_bucket(t, k);
	e->key = *k;
	e->next = *bucket;
	*bucket = i;
	hg_native_link(t, i);
	t->n++;
	return e;
}

static struct hg_flow *hg_host_flow(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k)
{
	struct hg_native_entry *e = hg_native_find(&h->flows[t], k);

	return e ? &e->flow : NULL;
}

static int hg_host_flow_add(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k,
			    const struct hg_flow *f)
{
	struct hg_native_entry *e = hg_native_find(&h->flows[t], k);

	if (!e)
		e = hg_native_add(&h->flows[t], k,
				  t == HG_TABLE_KEPT ? HG_NATIVE_KEPT : HG_NATIVE_FLOWS,
				  t != HG_TABLE_KEPT);
	if (!e)
		return -1;
	e->flow = *f;
	return 0;
}

static void hg_host_flow_remove(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k)
{
	hg_native_remove(&h->flows[t], k);
}

static struct hg_fragment *hg_host_fragment(struct hg_host *h, const struct hg_flow_key *k)
{
	struct hg_native_entry *e = hg_native_find(&h->fragments, k);

	return e ? &e->fragment : NULL;
}

static void hg_host_fragment_add(struct hg_host *h, const struct hg_flow_key *k,
				 const struct hg_fragment *f)
{
	struct hg_native_entry *e = hg_native_find(&h->fragments, k);

	if (!e)
		e = hg_native_add(&h->fragments, k, HG_NATIVE_FRAGMENTS, 1);
	e->fragment = *f;
}

static int hg_host_trusts(struct hg_host *h, const struct hg_addr *a);

static void hg_host_event(struct hg_host *h, const struct hg_flow_key *k, __u8 channel)
{
	h->events++;
	if (h->event)
		h->event(h->ctx, k, channel);
}

#include "../core/verdict.h"

static int hg_host_trusts(struct hg_host *h, const struct hg_addr *a)
{
	for (__u32 i = 0; i < h->config.n_trusted && i < HG_NATIVE_TRUSTED; i++)
		if (hg_addr_in_prefix(a, &h->trusted[i].addr, h->trusted[i].length))
			return 1;
	return 0;
}

/* Judges one frame as the guard's programs do. Returns its reason; *p is the packet. */
static inline int hg_native_run(struct hg_host *h, struct hg_packet *p, const struct hg_frame *f,
				int out, unsigned int segments)
{
	int reason;

	hg_packet_parse(p, f, out ? HG_PACKET_OUT : 0);
	hg_packet_segment(p, segments);
	reason = out ? hg_verdict_out(h, p) : hg_verdict_in(h, p);
	h->counters[reason]++;
	if (reason == HG_PASS_FLOW && hg_is_answer(h, p))
		h->answers++;
	return reason;
}

#endif
