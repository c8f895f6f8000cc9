/* SPDX-License-Identifier: MIT */
/*
 * Random seconds of some device, for tests that hold a host's scores against the core's: windows
 * that grow at random, with floods, scans and quiet hours among them. The same numbers in each run.
 */
#ifndef HG_TESTS_SECONDS_H
#define HG_TESTS_SECONDS_H

#include "../../core/score.h"

#define ROUNDS 60 /* channels with bounds of their own */
#define STEPS 400 /* seconds of each */

struct device {
	struct hg_score_state state;
	struct hg_window now;
	struct hg_spots spots;
	struct hg_bounds bounds;
	struct hg_score_event event;
};

static __u64 chance = 88172645463325252ull;

static __u64 below(__u64 n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance % n;
}

/* A bound that is now low, now high, now none. */
static __u32 bound(__u32 most)
{
	return below(3) ? (__u32)below(most) : HG_UNBOUNDED;
}

static void bounds_of(struct hg_bounds *b, __u64 id)
{
	*b = (struct hg_bounds){ .id = id, .size_max = 65535 };
	for (int w = 0; w < HG_WINDOWS; w++) {
		b->packets[w] = bound(300u << 4 * w);
		b->flows[w] = bound(20u << 4 * w);
		b->failed[w] = bound(20u << 4 * w);
		b->destinations[w] = bound(256);
		b->fresh[w] = bound(20u << 4 * w);
		b->bytes[w] = below(3) ? below(100000ull << 4 * w) : HG_UNBOUNDED_BYTES;
	}
	b->ports = bound(64);
	b->sources = bound(16);
	b->sum_flows_rate = (__u32)below(1000);
	b->sum_flows_limit = bound(5000);
	b->sum_bytes_rate = below(1000000);
	b->sum_bytes_limit = below(2) ? below(10000000) : HG_UNBOUNDED_BYTES;
	b->size_min = (__u16)below(80);
	b->size_max = (__u16)(below(2) ? 65535 : 200 + below(1300));
	b->walk_limit = (__u16)(below(3) ? 20 : 0);
	b->walk_up = (__u16)(1 + below(2));
	b->walk_down = 1;
}

/* One second of some device. */
static void live(struct device *d, __u32 mood)
{
	__u64 n = mood == 0 ? below(3) : mood == 1 ? below(40) : below(2000);
	__u64 flows = mood == 3 ? below(300) : below(4);

	d->now.packets_out += n + flows;
	d->now.bytes_out += n * (40 + below(1400));
	d->now.packets_in += below(n + 1);
	d->now.bytes_in += below(1000 * n + 1);
	d->now.tcp += mood & 1 ? n : 0;
	d->now.udp += mood & 1 ? 0 : n;
	d->now.icmp += below(2);
	d->now.syn += flows;
	d->now.reflect += below(50) ? 0 : n;
	d->now.moved += below(30) ? 0 : below(flows + 1);
	for (__u64 i = 0; i < flows; i++) {
		struct hg_flow_key k = { .proto = 6 };

		k.remote.a[3] = (__be32)below(mood == 3 ? 100000 : 5);
		k.remote_port = (__be16)below(mood == 3 ? 1000 : 3);
		k.local.a[3] = (__be32)below(below(20) ? 1 : 40);
		d->now.flows++;
		d->now.fresh += hg_spots_add(&d->spots, 42, &k, k.remote_port);
		d->now.unnamed += below(2);
		d->now.answered += below(2);
		d->now.refused += !below(5);
	}
}

#endif
