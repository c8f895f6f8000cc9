/* SPDX-License-Identifier: MIT */
/*
 * The same counters give the same score natively and in BPF: windows that grow at random, with
 * floods, scans and quiet hours among them, are closed by core/score.h here and by the guard's
 * program under BPF_PROG_TEST_RUN. State, spots and what is told must be equal after every step.
 */
#include "../tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include "../core/seconds.h"

struct kernel {
	struct bpf_object *object;
	struct ring_buffer *ring;
	int close, config, windows, spots, bounds, score;
	struct hg_score_event told;
	unsigned int n_told;
};

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set(int map, __u32 key, const void *value)
{
	if (bpf_map_update_elem(map, &key, value, BPF_ANY))
		die("map");
}

static int take(void *ctx, void *data, size_t size)
{
	struct kernel *k = ctx;

	if (size == sizeof(k->told))
		memcpy(&k->told, data, size);
	k->n_told++;
	return 0;
}

static int map_of(const struct kernel *k, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(k->object, name);

	if (fd < 0)
		die(name);
	return fd;
}

static void load(struct kernel *k)
{
	const char *build = getenv("HG_BUILD");
	struct bpf_program *p;
	char path[4096];

	snprintf(path, sizeof(path), "%s/ebpf/heliograph.bpf.o", build ? build : "build");
	k->object = bpf_object__open_file(path, NULL);
	if (!k->object)
		die(path);
	bpf_object__for_each_program (p, k->object)
		bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), "hg_close"));
	if (bpf_object__load(k->object))
		die("load");
	k->close = bpf_program__fd(bpf_object__find_program_by_name(k->object, "hg_close"));
	k->config = map_of(k, "hg_config");
	k->windows = map_of(k, "hg_windows");
	k->spots = map_of(k, "hg_spots");
	k->bounds = map_of(k, "hg_bounds");
	k->score = map_of(k, "hg_score");
	k->ring = ring_buffer__new(map_of(k, "hg_events"), take, k, NULL);
	if (!k->ring)
		die("ring");
}

/* The counters into the maps, spread over two rows; closes there and here. True if all is equal. */
static int step(struct kernel *k, struct device *d, __u32 channel, __u32 seconds)
{
	const char frame[64] = { 0 };
	struct __sk_buff skb = { .mark = channel, .priority = seconds };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb));
	struct hg_window half = { 0 }, rest = d->now;
	struct hg_score_state state;
	struct hg_spots spots;

	for (size_t i = 0; i < sizeof(half) / 8; i++) {
		((__u64 *)&half)[i] = ((__u64 *)&d->now)[i] / 3;
		((__u64 *)&rest)[i] -= ((__u64 *)&half)[i];
	}
	set(k->windows, channel, &half);
	set(k->windows, HG_CHANNELS_MAX + channel, &rest);
	set(k->spots, channel, &d->spots);
	k->n_told = 0;
	if (bpf_prog_test_run_opts(k->close, &o))
		die("test run");
	hg_score_step(&d->state, &d->bounds, &d->now, &d->spots, channel, seconds, &d->event);
	ring_buffer__consume(k->ring);
	if (bpf_map_lookup_elem(k->score, &channel, &state) ||
	    bpf_map_lookup_elem(k->spots, &channel, &spots))
		die("lookup");
	if (memcmp(&state, &d->state, sizeof(state)) || memcmp(&spots, &d->spots, sizeof(spots)))
		return 0;
	if (d->event.news == HG_EPISODE_NONE)
		return k->n_told == 0;
	d->event.head = k->told.head;
	return k->n_told == 1 && k->told.head.channel == channel &&
	       k->told.head.type == HG_EVENT_SCORE && k->told.head.length == sizeof(k->told) &&
	       !memcmp(&k->told, &d->event, sizeof(k->told));
}

int main(void)
{
	struct hg_guard_config config = { .abi = HG_GUARD_ABI, .generation = 1, .rows = 2 };
	static struct kernel k;
	static struct device d;
	unsigned int told = 0, steps = 0, attacks = 0;

	if (geteuid()) {
		puts("1..0 # SKIP must be root to load BPF programs");
		return 0;
	}
	load(&k);
	set(k.config, 0, &config);
	for (__u32 round = 0; round < ROUNDS; round++) {
		__u32 channel = round % 3 ? round : 0, mood = 0, same = 1;

		if (!channel)
			memset(&d.now, 0, sizeof(d.now)); /* a reading that goes back */
		else
			memset(&d, 0, sizeof(d));
		bounds_of(&d.bounds, round + 1);
		set(k.bounds, HG_CHANNELS_MAX + channel, &d.bounds);
		if (!channel && round) { /* what the channel was before is still in the map */
			__u32 zero = 0;

			bpf_map_lookup_elem(k.score, &zero, &d.state);
			bpf_map_lookup_elem(k.spots, &zero, &d.spots);
		}
		for (int i = 0; i < STEPS && same; i++, steps++) {
			mood = below(30) ? mood : (__u32)below(4);
			live(&d, mood);
			same = step(&k, &d, channel, below(40) ? 1 : 1 + (__u32)below(69));
			told += d.event.news != HG_EPISODE_NONE;
			attacks |= d.event.news == HG_EPISODE_START ? 1u << d.event.attack : 0;
		}
		if (!same)
			ok(0, "channel %u, round %u: equal", channel, round);
	}
	ok(steps == ROUNDS * STEPS, "%u seconds: state, spots and what is told are equal", steps);
	ok(told > 500 && __builtin_popcount(attacks) >= 6,
	   "%u things were told, %d sorts of attack among them", told, __builtin_popcount(attacks));
	ring_buffer__free(k.ring);
	bpf_object__close(k.object);
	return tap_done();
}
