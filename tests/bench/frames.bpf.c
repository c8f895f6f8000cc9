// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of the benchmarks. `source` is run by BPF_PROG_TEST_RUN with live frames: each run
 * fills in a random sender and redirects the frame, which so arrives as from a driver with native
 * XDP, without an skb. `wire` does the same for what arrives: a cable. `drop` is the least that a
 * filter can do; `stateful` the least that one can do which knows flows: read five fields, look
 * them up once.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "frames.h"

const volatile struct frames_config frames_config;

struct {
	__u64 sent, next_ns;
} frames_state;

static inline __attribute__((__always_inline__)) __u16 fold(__u32 s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Ethernet and IPv4 without options; the sums in the configuration lack the random fields. */
static inline __attribute__((__always_inline__)) void fill(__u8 *frame)
{
	__be32 from = bpf_htonl(FRAMES_FROM | (bpf_get_prandom_u32() & 0xffff));
	__be16 port = bpf_get_prandom_u32() | bpf_htons(1024);
	__u32 sum = (from & 0xffff) + (from >> 16);

	*(__be32 *)(frame + 26) = from;
	*(__be16 *)(frame + 24) = fold(frames_config.ip_sum + sum);
	*(__be16 *)(frame + 34) = port;
	if (frames_config.proto == IPPROTO_TCP)
		*(__be16 *)(frame + 50) = fold(frames_config.l4_sum + sum + port);
	else
		*(__be16 *)(frame + 40) = 0; /* no checksum */
}

SEC("xdp")
int source(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (frames_config.gap_ns) {
		__u64 now = bpf_ktime_get_ns();

		if (now < frames_state.next_ns)
			return XDP_DROP; /* not due yet */
		/* After a pause of more than a millisecond what was missed is not made up for. */
		if (now > frames_state.next_ns + 1000000)
			frames_state.next_ns = now;
		else
			frames_state.next_ns += frames_config.gap_ns;
	}
	frames_state.sent++;
	if (frames_config.random) {
		if (frame + 54 > end)
			return XDP_DROP;
		fill(frame);
	}
	return bpf_redirect(frames_config.ifindex, 0);
}

SEC("xdp")
int wire(struct xdp_md *ctx)
{
	return bpf_redirect(frames_config.ifindex, 0);
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

struct flow {
	__be32 local, remote;
	__be32 ports;
	__u32 proto;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, __u64);
} frames_flows SEC(".maps");

/* IPv4 without options, TCP or UDP; nothing ever is in the table. */
SEC("xdp")
int stateful(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;
	struct flow f;

	if (frame + 38 > end)
		return XDP_DROP;
	f.remote = *(__be32 *)(frame + 26);
	f.local = *(__be32 *)(frame + 30);
	f.ports = *(__be32 *)(frame + 34);
	f.proto = frame[23];
	return bpf_map_lookup_elem(&frames_flows, &f) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
