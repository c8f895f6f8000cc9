/* SPDX-License-Identifier: GPL-2.0 */
/* The maps that both the verdict (heliograph.bpf.c) and the score (close.h) work on. */
#ifndef HG_EBPF_MAPS_H
#define HG_EBPF_MAPS_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../core/tables.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hg_guard_config);
} hg_config SEC(".maps");

/*
 * One row of channels for each processor, as in a per-CPU array; but this one the timer of another
 * processor can read. With more processors than rows two share one, and a count may be lost.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HG_ROWS *HG_CHANNELS_MAX);
	__type(key, __u32);
	__type(value, struct hg_window);
} hg_windows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HG_CHANNELS_MAX);
	__type(key, __u32);
	__type(value, struct hg_spots);
} hg_spots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * HG_CHANNELS_MAX);
	__type(key, __u32);
	__type(value, struct hg_bounds);
} hg_bounds SEC(".maps");

/*
 * Two seconds of events at their highest rate: 64,000 bytes of flows, 65,000 of DNS answers. These
 * take half of it at most: what the score says is kept for an agent that was away.
 */
#define EVENTS_SIZE (256 * 1024)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_SIZE);
} hg_events SEC(".maps");

/* For what the score says there is always room, for other events maybe. */
static __attribute__((__always_inline__)) inline int events_have_room(void)
{
	return bpf_ringbuf_query(&hg_events, BPF_RB_AVAIL_DATA) <= EVENTS_SIZE / 2;
}

#endif
