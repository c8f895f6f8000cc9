// SPDX-License-Identifier: GPL-2.0
/*
 * The guard in the kernel: XDP or tc judge what comes, tc learns from what goes. The rules are in
 * core/verdict.h; here are its tables, as maps, and the five programs that user space attaches
 * (userspace/guard-*.c). Sizes of the flow tables are set at load. close.h has the programs that
 * score what was counted.
 *
 * Only UAPI headers and plain helpers of kernel 5.15 are used, no BTF of the kernel, no atomics and
 * no calls between functions but those of the timer, so that 32-bit JITs take it.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "../core/host.h"
#include "../core/parse.h"
#include "maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * HG_PEERS_MAX);
	__type(key, __u32);
	__type(value, struct hg_peer);
} hg_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * HG_RULES_MAX);
	__type(key, __u32);
	__type(value, struct hg_rule);
} hg_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hg_prefix);
	__type(value, __u8);
} hg_trusted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HG_REASON_MAX);
	__type(key, __u32);
	__type(value, __u64);
} hg_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HG_CHANNELS_MAX);
	__type(key, __u32);
	__type(value, struct hg_police);
} hg_police SEC(".maps");

/* Addresses of names; user space keeps it below its size. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct hg_addr);
	__type(value, struct hg_bound);
} hg_bound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct hg_flow_key);
	__type(value, struct hg_flow);
} hg_flows_kept SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_ring);
} hg_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hg_flow_key);
	__type(value, struct hg_flow);
} hg_flows_inside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hg_flow_key);
	__type(value, struct hg_flow);
} hg_flows_outside SEC(".maps");

/* Datagrams being received or sent in pieces; a device has few at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 512);
	__type(key, struct hg_flow_key);
	__type(value, struct hg_fragment);
} hg_fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_slots);
} hg_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_moments);
} hg_moments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HG_RATE_MAX);
	__type(key, __u32);
	__type(value, struct hg_rate);
} hg_rates SEC(".maps");

/* Where a DNS answer is put together: the ring buffer reserves constant sizes only. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_answer_event);
} hg_answer SEC(".maps");

/* Where the packet at hand is taken apart; programs of one CPU do not interrupt each other. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_packet);
} hg_scratch SEC(".maps");

struct hg_host {
	const struct hg_guard_config *config;
	__u64 now_ns; /* 0: the clock was not read yet */
	__u32 now_s;
};

static hg_inline const struct hg_guard_config *hg_host_config(struct hg_host *h)
{
	return h->config;
}

static hg_inline __u32 hg_host_seconds(struct hg_host *h)
{
	if (!h->now_ns) {
		h->now_ns = bpf_ktime_get_coarse_ns();
		h->now_s = h->now_ns / 1000000000;
	}
	return h->now_s;
}

static hg_inline struct hg_moments *hg_host_moments(struct hg_host *h)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hg_moments, &zero);
}

static hg_inline __u32 *hg_host_slot(struct hg_host *h, __u32 hash)
{
	struct hg_slots *s;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&hg_slots, &zero);
	return s ? &s->used[hash & (HG_SLOTS - 1)] : 0;
}

static hg_inline struct hg_rate *hg_host_rate(struct hg_host *h, __u32 kind)
{
	return bpf_map_lookup_elem(&hg_rates, &kind);
}

static hg_inline struct hg_ring *hg_host_ring(struct hg_host *h)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hg_ring, &zero);
}

static hg_inline const struct hg_peer *hg_host_peer(struct hg_host *h, __u32 i)
{
	return bpf_map_lookup_elem(&hg_peers, &i);
}

static hg_inline const struct hg_rule *hg_host_rule(struct hg_host *h, __u32 i)
{
	return bpf_map_lookup_elem(&hg_rules, &i);
}

static hg_inline struct hg_window *hg_host_window(struct hg_host *h, __u32 channel)
{
	__u32 row = bpf_get_smp_processor_id() & (HG_ROWS - 1);
	__u32 place = row * HG_CHANNELS_MAX + (channel & (HG_CHANNELS_MAX - 1));

	return bpf_map_lookup_elem(&hg_windows, &place);
}

static hg_inline struct hg_spots *hg_host_spots(struct hg_host *h, __u32 channel)
{
	return bpf_map_lookup_elem(&hg_spots, &channel);
}

static hg_inline const struct hg_bound *hg_host_bound(struct hg_host *h, const struct hg_addr *a)
{
	return bpf_map_lookup_elem(&hg_bound, a);
}

static hg_inline const struct hg_bounds *hg_host_bounds(struct hg_host *h, __u32 i)
{
	return bpf_map_lookup_elem(&hg_bounds, &i);
}

static hg_inline struct hg_police *hg_host_police(struct hg_host *h, __u32 channel)
{
	return bpf_map_lookup_elem(&hg_police, &channel);
}

static hg_inline int hg_host_trusts(struct hg_host *h, const struct hg_addr *a)
{
	struct hg_prefix k = { .length = 128, .addr = *a };

	return bpf_map_lookup_elem(&hg_trusted, &k) != 0;
}

static hg_inline struct hg_flow *hg_host_flow(struct hg_host *h, enum hg_table t,
					      const struct hg_flow_key *k)
{
	switch (t) {
	case HG_TABLE_KEPT:
		return bpf_map_lookup_elem(&hg_flows_kept, k);
	case HG_TABLE_INSIDE:
		return bpf_map_lookup_elem(&hg_flows_inside, k);
	case HG_TABLE_OUTSIDE:
		return bpf_map_lookup_elem(&hg_flows_outside, k);
	}
	return 0;
}

static hg_inline int hg_host_flow_add(struct hg_host *h, enum hg_table t,
				      const struct hg_flow_key *k, const struct hg_flow *f)
{
	switch (t) {
	case HG_TABLE_KEPT:
		return bpf_map_update_elem(&hg_flows_kept, k, f, BPF_ANY);
	case HG_TABLE_INSIDE:
		return bpf_map_update_elem(&hg_flows_inside, k, f, BPF_ANY);
	case HG_TABLE_OUTSIDE:
		return bpf_map_update_elem(&hg_flows_outside, k, f, BPF_ANY);
	}
	return -1;
}

static hg_inline void hg_host_flow_remove(struct hg_host *h, enum hg_table t,
					  const struct hg_flow_key *k)
{
	switch (t) {
	case HG_TABLE_KEPT:
		bpf_map_delete_elem(&hg_flows_kept, k);
		break;
	case HG_TABLE_INSIDE:
		bpf_map_delete_elem(&hg_flows_inside, k);
		break;
	case HG_TABLE_OUTSIDE:
		bpf_map_delete_elem(&hg_flows_outside, k);
		break;
	}
}

static hg_inline struct hg_fragment *hg_host_fragment(struct hg_host *h,
						      const struct hg_flow_key *k)
{
	return bpf_map_lookup_elem(&hg_fragments, k);
}

static hg_inline void hg_host_fragment_add(struct hg_host *h, const struct hg_flow_key *k,
					   const struct hg_fragment *f)
{
	bpf_map_update_elem(&hg_fragments, k, f, BPF_ANY);
}

static hg_inline void hg_host_event(struct hg_host *h, const struct hg_flow_key *k, __u8 channel)
{
	struct hg_flow_event *e;

	if (!events_have_room())
		return;
	e = bpf_ringbuf_reserve(&hg_events, sizeof(*e), 0);
	if (!e)
		return;
	__builtin_memset(e, 0, sizeof(*e));
	e->head.time_ns = h->now_ns;
	e->head.type = HG_EVENT_FLOW;
	e->head.channel = channel;
	e->head.length = sizeof(*e);
	e->key = *k;
	bpf_ringbuf_submit(e, 0);
}

#include "../core/verdict.h"

static hg_inline struct hg_packet *scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hg_scratch, &zero);
}

static hg_inline int host_init(struct hg_host *h)
{
	__u32 zero = 0;

	h->config = bpf_map_lookup_elem(&hg_config, &zero);
	h->now_ns = 0;
	h->now_s = 0;
	return h->config != 0;
}

/* Counts the reason; true if the packet must go. */
static hg_inline int conclude(struct hg_host *h, __u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&hg_counters, &reason);

	if (n)
		(*n)++;
	return hg_reason_refuses(h->config, reason);
}

static hg_inline struct hg_answer_event *answer_begin(struct hg_host *h, const struct hg_packet *p)
{
	struct hg_answer_event *e;
	__u32 zero = 0;

	e = bpf_map_lookup_elem(&hg_answer, &zero);
	if (!e)
		return 0;
	e->head.time_ns = h->now_ns;
	e->head.type = HG_EVENT_ANSWER;
	e->head.channel = p->channel;
	e->key = p->key;
	e->length = p->left - 8 < HG_ANSWER_MAX ? p->left - 8 : HG_ANSWER_MAX;
	e->cut = p->left - 8 > HG_ANSWER_MAX || p->flags & HG_PACKET_FIRST;
	return e;
}

static hg_inline void answer_send(struct hg_answer_event *e)
{
	__u32 length;

	hg_stage();
	length = e->length;
	if (length > HG_ANSWER_MAX)
		return;
	length += sizeof(*e) - HG_ANSWER_MAX;
	e->head.length = length;
	if (events_have_room())
		bpf_ringbuf_output(&hg_events, e, length, 0);
}

/* Kernels before 5.18 have no helper that copies from an XDP frame. */
static hg_inline void xdp_answer(struct hg_host *h, const struct hg_packet *p,
				 const struct hg_frame *f)
{
	const __u8 *from = f->network + (p->at & HG_WORDS_MASK) * 4 + 8;
	struct hg_answer_event *e = answer_begin(h, p);
	__u32 i, k, n;

	if (!e)
		return;
	n = e->length;
#pragma clang loop unroll(disable)
	for (i = 0; i + 16 <= HG_ANSWER_MAX; i += 16) {
		if (i + 16 > n || from + i + 16 > f->end)
			break;
		__builtin_memcpy(&e->data[i], __builtin_assume_aligned(from + i, 4), 16);
	}
	e->length = i;
	hg_stage();
	i = e->length;
#pragma clang loop unroll(disable)
	for (k = 0; k < 15; k++) {
		if (i >= n || i >= HG_ANSWER_MAX || from + i + 1 > f->end)
			break;
		e->data[i] = from[i];
		i++;
	}
	e->length = i;
	answer_send(e);
}

static hg_inline void skb_answer(struct hg_host *h, const struct hg_packet *p,
				 struct __sk_buff *skb, int ethernet)
{
	__u32 at = (p->at & HG_WORDS_MASK) * 4 + 8 + (ethernet ? 14 : 0), n;
	struct hg_answer_event *e = answer_begin(h, p);

	if (!e)
		return;
	hg_stage();
	n = e->length;
	/* Two comparisons with an order: of n - 1 or of n != 0 Linux 6.1 learns no least n. */
	if (n > HG_ANSWER_MAX)
		return;
	__asm__ volatile("" : "+r"(n));
	if (n < 12)
		return;
	__asm__ volatile("" : "+r"(n));
	if (!bpf_skb_load_bytes(skb, at, e->data, n))
		answer_send(e);
}

SEC("xdp")
int hg_xdp(struct xdp_md *ctx)
{
	struct hg_frame f = {
		.data = (const __u8 *)(long)ctx->data,
		.end = (const __u8 *)(long)ctx->data_end,
		.wire = ctx->data_end - ctx->data,
	};
	struct hg_packet *p = scratch();
	struct hg_host h;
	int reason;

	if (!p || !host_init(&h))
		return XDP_PASS;
	f.network = f.data + 14;
	hg_packet_parse(p, &f, 0);
	reason = hg_verdict_in(&h, p);
	if (reason == HG_PASS_FLOW && hg_is_answer(&h, p))
		xdp_answer(&h, p, &f);
	return conclude(&h, reason) ? XDP_DROP : XDP_PASS;
}

/* Parses, and if headers lie outside the linear part makes them readable and parses again, once. */
static hg_inline void skb_parse(struct __sk_buff *skb, struct hg_packet *p, __u8 flags,
				int ethernet)
{
	struct hg_frame f;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < 2; i++) {
		f.data = (const __u8 *)(long)skb->data;
		f.network = f.data + (ethernet ? 14 : 0);
		f.end = (const __u8 *)(long)skb->data_end;
		f.wire = skb->len;
		hg_packet_parse(p, &f, flags);
		if (p->kind != HG_PACKET_TRUNCATED || f.data + HG_HEADERS_MAX <= f.end)
			break;
		if (bpf_skb_pull_data(skb, skb->len < HG_HEADERS_MAX ? skb->len : HG_HEADERS_MAX))
			break;
	}
	hg_packet_segment(p, skb->gso_segs);
	hg_stage();
}

static hg_inline int skb_in(struct __sk_buff *skb, int ethernet)
{
	struct hg_packet *p = scratch();
	struct hg_host h;
	int reason;

	if (!p || !host_init(&h))
		return TC_ACT_UNSPEC;
	skb_parse(skb, p, 0, ethernet);
	reason = hg_verdict_in(&h, p);
	if (reason == HG_PASS_FLOW && hg_is_answer(&h, p))
		skb_answer(&h, p, skb, ethernet);
	return conclude(&h, reason) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

static hg_inline int skb_out(struct __sk_buff *skb, int ethernet)
{
	struct hg_packet *p = scratch();
	struct hg_host h;

	if (!p || !host_init(&h))
		return TC_ACT_UNSPEC;
	skb_parse(skb, p, HG_PACKET_OUT, ethernet);
	return conclude(&h, hg_verdict_out(&h, p)) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int hg_tc_in(struct __sk_buff *skb)
{
	return skb_in(skb, 1);
}

SEC("tc")
int hg_tc_in_l3(struct __sk_buff *skb)
{
	return skb_in(skb, 0);
}

SEC("tc")
int hg_tc_out(struct __sk_buff *skb)
{
	return skb_out(skb, 1);
}

SEC("tc")
int hg_tc_out_l3(struct __sk_buff *skb)
{
	return skb_out(skb, 0);
}

#include "close.h"

char LICENSE[] SEC("license") = "GPL";
