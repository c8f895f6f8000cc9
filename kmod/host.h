/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's answers to what core/host.h asks. Only judge.c includes this, between core/host.h
 * and core/verdict.h.
 */
#ifndef HG_KMOD_HOST_H
#define HG_KMOD_HOST_H

#include <linux/ktime.h>
#include "../core/addr.h"
#include "../core/host.h"
#include "guard.h"

/* One packet's judgement: softirqs are off, and RCU keeps the settings. */
struct hg_host {
	struct hg_guard *guard;
	const struct hg_settings *settings;
	struct hg_cpu *cpu;
	u32 now_s;
};

static u32 hg_key_hash(u64 seed, const struct hg_flow_key *k);

static noinline u32 host_hash(const struct hg_host *h, const struct hg_flow_key *k)
{
	return hg_key_hash(h->settings->config.seed, k);
}

static inline const struct hg_guard_config *hg_host_config(struct hg_host *h)
{
	return &h->settings->config;
}

static inline u32 hg_host_seconds(struct hg_host *h)
{
	return h->now_s;
}

static inline struct hg_moments *hg_host_moments(struct hg_host *h)
{
	return &h->guard->moments;
}

static inline u32 *hg_host_slot(struct hg_host *h, u32 hash)
{
	return &h->guard->slots.used[hash & (HG_SLOTS - 1)];
}

static inline struct hg_rate *hg_host_rate(struct hg_host *h, u32 kind)
{
	return &h->guard->rates[kind];
}

static inline struct hg_ring *hg_host_ring(struct hg_host *h)
{
	return &h->cpu->ring;
}

/* There is one bank here, for settings are replaced whole. */
static inline const struct hg_peer *hg_host_peer(struct hg_host *h, u32 i)
{
	i &= HG_PEERS_MAX - 1;
	return i < h->settings->config.n_peers ? &h->settings->peers[i] : NULL;
}

static inline const struct hg_rule *hg_host_rule(struct hg_host *h, u32 i)
{
	i &= HG_RULES_MAX - 1;
	return i < h->settings->config.n_rules ? &h->settings->rules[i] : NULL;
}

static inline const struct hg_bounds *hg_host_bounds(struct hg_host *h, u32 i)
{
	return &h->settings->bounds[i & (HG_CHANNELS_MAX - 1)];
}

static inline struct hg_window *hg_host_window(struct hg_host *h, u32 channel)
{
	return &h->cpu->windows[channel & (HG_CHANNELS_MAX - 1)];
}

static inline struct hg_spots *hg_host_spots(struct hg_host *h, u32 channel)
{
	return &h->guard->spots[channel & (HG_CHANNELS_MAX - 1)];
}

static inline struct hg_police *hg_host_police(struct hg_host *h, u32 channel)
{
	return &h->guard->police[channel & (HG_CHANNELS_MAX - 1)];
}

static inline const struct hg_bound *hg_host_bound(struct hg_host *h, const struct hg_addr *a)
{
	return hg_bound_find(h->guard, a);
}

static noinline int hg_host_trusts(struct hg_host *h, const struct hg_addr *a)
{
	const struct hg_prefix *p = h->settings->trusted;
	u32 i;

	for (i = 0; i < h->settings->config.n_trusted; i++)
		if (hg_addr_in_prefix(a, &p[i].addr, p[i].length))
			return 1;
	return 0;
}

static inline struct hg_flow *hg_host_flow(struct hg_host *h, enum hg_table t,
					   const struct hg_flow_key *k)
{
	return hg_table_find(&h->guard->tables[t], k, host_hash(h, k));
}

static noinline int hg_host_flow_add(struct hg_host *h, enum hg_table t,
				     const struct hg_flow_key *k, const struct hg_flow *f)
{
	return hg_table_add(&h->guard->tables[t], k, host_hash(h, k), f, sizeof(*f),
			    hg_host_config(h), h->now_s);
}

static inline void hg_host_flow_remove(struct hg_host *h, enum hg_table t,
				       const struct hg_flow_key *k)
{
	hg_table_remove(&h->guard->tables[t], k, host_hash(h, k));
}

static inline struct hg_fragment *hg_host_fragment(struct hg_host *h, const struct hg_flow_key *k)
{
	return hg_table_find(&h->guard->fragments, k, host_hash(h, k));
}

static inline void hg_host_fragment_add(struct hg_host *h, const struct hg_flow_key *k,
					const struct hg_fragment *f)
{
	hg_table_add(&h->guard->fragments, k, host_hash(h, k), f, sizeof(*f), hg_host_config(h),
		     h->now_s);
}

static noinline void hg_host_event(struct hg_host *h, const struct hg_flow_key *k, u8 channel)
{
	struct hg_flow_event e = {
		.head.time_ns = ktime_get_ns(),
		.head.type = HG_EVENT_FLOW,
		.head.channel = channel,
		.head.length = sizeof(e),
		.key = *k,
	};

	hg_event_send(h->guard, &e, sizeof(e));
}

#endif
