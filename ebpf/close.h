/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Seconds are closed here: what each channel did is scored (core/score.h), and what there is to
 * tell goes to the ring of events. Two programs, neither is attached; user space runs them with
 * BPF_PROG_TEST_RUN:
 *
 *   hg_timer  once, and a timer does it from then on, whether or not somebody still runs
 *   hg_close  for kernels that refuse hg_timer (no JIT, before 5.15): one channel, every second;
 *             the channel is in skb->mark, the number of seconds in skb->priority
 *
 * The timer belongs to the map hg_timer and goes with the map's last user; a write to the map from
 * user space ends it at once.
 */
#ifndef HG_EBPF_CLOSE_H
#define HG_EBPF_CLOSE_H

#include <linux/time.h>
#include "../core/score.h"
#include "maps.h"

#define SECOND_NS 1000000000ull
#define LATE_NS (3 * SECOND_NS) /* a timer that is later than this does not run */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HG_CHANNELS_MAX);
	__type(key, __u32);
	__type(value, struct hg_score_state);
} hg_score SEC(".maps");

struct hg_clock {
	struct bpf_timer timer;
	__u64 due_ns; /* when the second that runs is over */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_clock);
} hg_timer SEC(".maps");

/* Too large for the stack. */
struct hg_closing {
	struct hg_window now;
	struct hg_score_event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_closing);
} hg_closing SEC(".maps");

static hg_inline void window_add(struct hg_window *sum, const struct hg_window *w)
{
	__u64 *to = (__u64 *)sum;
	const __u64 *from = (const __u64 *)w;
	__u32 i;

	for (i = 0; i < sizeof(*w) / sizeof(*to); i++)
		to[i] += from[i];
}

/* The channel's rows together; those above the number of processors are empty. */
static hg_inline void window_sum(struct hg_window *sum, __u32 channel, __u32 rows)
{
	struct hg_window *w;
	__u32 row, place;

	*sum = (struct hg_window){ 0 };
	for (row = 0; row < HG_ROWS; row++) {
		hg_stage();
		if (row >= rows)
			break;
		place = row * HG_CHANNELS_MAX + channel;
		w = bpf_map_lookup_elem(&hg_windows, &place);
		if (!w)
			break;
		window_add(sum, w);
	}
	hg_stage();
}

static hg_inline void tell(struct hg_score_event *e, __u32 channel)
{
	e->head.time_ns = bpf_ktime_get_ns();
	e->head.type = HG_EVENT_SCORE;
	e->head.channel = channel;
	e->head.length = sizeof(*e);
	bpf_ringbuf_output(&hg_events, e, sizeof(*e), 0);
}

static hg_inline void close_channel(struct hg_score_state *st, __u32 channel, __u32 seconds)
{
	const struct hg_guard_config *config;
	const struct hg_bounds *bounds;
	struct hg_closing *c;
	struct hg_spots *spots;
	__u32 zero = 0, place;

	config = bpf_map_lookup_elem(&hg_config, &zero);
	c = bpf_map_lookup_elem(&hg_closing, &zero);
	spots = bpf_map_lookup_elem(&hg_spots, &channel);
	if (!config || !c || !spots)
		return;
	place = (config->generation & 1) * HG_CHANNELS_MAX + channel;
	bounds = bpf_map_lookup_elem(&hg_bounds, &place);
	if (!bounds || !bounds->id) {
		if (st->id) /* when it comes back it begins anew */
			st->id = 0;
		return;
	}
	window_sum(&c->now, channel, config->rows ? config->rows : HG_ROWS);
	hg_score_step(st, bounds, &c->now, spots, channel, seconds, &c->event);
	hg_stage();
	if (c->event.news != HG_EPISODE_NONE)
		tell(&c->event, channel);
}

static long on_channel(void *map, const __u32 *channel, struct hg_score_state *st,
		       const __u32 *seconds)
{
	close_channel(st, *channel, *seconds);
	return 0;
}

/* A second is over: now if the timer was in time. What it was late is made up for. */
static int on_second(void *map, const __u32 *key, struct hg_clock *clock)
{
	__u64 now = bpf_ktime_get_ns(), late = now - clock->due_ns;
	__u32 seconds = 1;

	if ((__s64)late < 0)
		late = 0;
	seconds += late / SECOND_NS;
	clock->due_ns += seconds * SECOND_NS;
	bpf_for_each_map_elem(&hg_score, on_channel, &seconds, 0);
	now = bpf_ktime_get_ns();
	bpf_timer_start(&clock->timer, clock->due_ns > now ? clock->due_ns - now : 1, 0);
	return 0;
}

/*
 * Starts the timer; one that runs goes on in its time with this program's code. Returns 0 or why it
 * does not run.
 */
SEC("tc")
int hg_timer_start(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_ns();
	struct hg_clock *clock;
	__u32 zero = 0;
	long ret;

	clock = bpf_map_lookup_elem(&hg_timer, &zero);
	if (!clock)
		return 1;
	bpf_timer_init(&clock->timer, &hg_timer, CLOCK_MONOTONIC);
	ret = bpf_timer_set_callback(&clock->timer, on_second);
	if (ret)
		return -ret;
	if (clock->due_ns && now - clock->due_ns + SECOND_NS < LATE_NS)
		return 0;
	clock->due_ns = now + SECOND_NS;
	return -bpf_timer_start(&clock->timer, SECOND_NS, 0);
}

SEC("tc")
int hg_close(struct __sk_buff *skb)
{
	__u32 channel = skb->mark & (HG_CHANNELS_MAX - 1);
	struct hg_score_state *st = bpf_map_lookup_elem(&hg_score, &channel);
	__u32 seconds = skb->priority;

	if (st)
		close_channel(st, channel, seconds ? seconds : 1);
	return 0;
}

#endif
