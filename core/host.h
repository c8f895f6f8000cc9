/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the verdict asks of its host: a few tables. Each host (BPF maps, kernel hash tables, arrays
 * in a test) includes this header, defines struct hg_host and the hg_host_ functions, and then
 * includes verdict.h. There are no callbacks: all of it can be inlined.
 *
 * Pointers into tables stay good while one packet is judged. Two processors may write to the same
 * entry at once: every value is such that the loser's loss is harmless.
 */
#ifndef HG_CORE_HOST_H
#define HG_CORE_HOST_H

#include "tables.h"

struct hg_host;

static const struct hg_guard_config *hg_host_config(struct hg_host *h);
static __u32 hg_host_seconds(struct hg_host *h);
static struct hg_moments *hg_host_moments(struct hg_host *h);
static __u32 *hg_host_slot(struct hg_host *h, __u32 hash);
static struct hg_rate *hg_host_rate(struct hg_host *h, __u32 kind);
static struct hg_ring *hg_host_ring(struct hg_host *h);
static const struct hg_peer *hg_host_peer(struct hg_host *h, __u32 i);
static const struct hg_rule *hg_host_rule(struct hg_host *h, __u32 i);
static struct hg_window *hg_host_window(struct hg_host *h, __u32 channel);
static struct hg_spots *hg_host_spots(struct hg_host *h, __u32 channel);
static const struct hg_bound *hg_host_bound(struct hg_host *h, const struct hg_addr *a);
static const struct hg_bounds *hg_host_bounds(struct hg_host *h, __u32 i);
static struct hg_police *hg_host_police(struct hg_host *h, __u32 channel);
static int hg_host_trusts(struct hg_host *h, const struct hg_addr *a);

static struct hg_flow *hg_host_flow(struct hg_host *h, enum hg_table t,
				    const struct hg_flow_key *k);
static int hg_host_flow_add(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k,
			    const struct hg_flow *f);
static void hg_host_flow_remove(struct hg_host *h, enum hg_table t, const struct hg_flow_key *k);
static struct hg_fragment *hg_host_fragment(struct hg_host *h, const struct hg_flow_key *k);
static void hg_host_fragment_add(struct hg_host *h, const struct hg_flow_key *k,
				 const struct hg_fragment *f);
static void hg_host_event(struct hg_host *h, const struct hg_flow_key *k, __u8 channel);

#endif
