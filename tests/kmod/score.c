/* SPDX-License-Identifier: MIT */
/*
 * The same counters give the same score natively and in the module: the random seconds that
 * tests/bpf/score_test.c closes in BPF are closed here by core/score.h and by the module. What the
 * module tells must be equal after each. Runs where a heliograph.ko with HELIOGRAPH_DEBUG is.
 */
#include "../tap.h"
#include "../core/seconds.h"
#include "module.h"

struct heard {
	struct hg_score_event event;
	unsigned int n, others;
};

static void take(void *ctx, const void *event, size_t length)
{
	struct heard *h = ctx;

	h->n++;
	if (length == sizeof(h->event))
		memcpy(&h->event, event, length);
	else
		h->others++;
}

/* Gives the channel these counters, and closes it there and here. True if both tell the same. */
static int step(struct module *m, struct device *d, __u32 channel, __u32 seconds)
{
	struct genl *g = module_genl(m);
	struct heard h = { 0 };

	genl_begin(g, HG_CMD_TEST_CLOSE, 0);
	genl_put32(g, HG_A_SECONDS, seconds);
	genl_put32(g, HG_A_CHANNEL, channel);
	genl_put(g, HG_A_WINDOW, &d->now, sizeof(d->now));
	genl_put(g, HG_A_SPOTS, &d->spots, sizeof(d->spots));
	if (genl_call(g)) {
		printf("Bail out! the module closes no second: %s\n", genl_error(g));
		return 0;
	}
	hg_score_step(&d->state, &d->bounds, &d->now, &d->spots, channel, seconds, &d->event);
	if (genl_events(g, take, &h) < 0 || h.others)
		return 0;
	if (d->event.news == HG_EPISODE_NONE)
		return h.n == 0;
	if (h.n != 1 || h.event.head.channel != channel || h.event.head.type != HG_EVENT_SCORE ||
	    h.event.head.length != sizeof(h.event))
		return 0;
	d->event.head = h.event.head;
	return !memcmp(&h.event, &d->event, sizeof(h.event));
}

/* A guard whose channels change their bounds round by round. */
static void play(struct module *m)
{
	const struct hg_guard_config config = { .abi = HG_GUARD_ABI, .seed = 42 };
	static struct hg_bounds bounds[HG_CHANNELS_MAX];
	static struct device d, outside;
	unsigned int told = 0, steps = 0, attacks = 0;

	module_attach(m, &config, 64);
	module_close(m, 1); /* from now on its clock stands; there are no bounds yet */
	for (__u32 round = 0; round < ROUNDS; round++) {
		__u32 channel = round % 3 ? round : 0, mood = 0, same = 1;

		memset(&d, 0, sizeof(d));
		if (!channel) { /* what it was before is still there; a reading that goes back */
			d = outside;
			memset(&d.now, 0, sizeof(d.now));
		}
		bounds_of(&d.bounds, round + 1);
		bounds[channel] = d.bounds;
		module_profile(m, NULL, 0, NULL, 0, bounds);
		for (int i = 0; i < STEPS && same; i++, steps++) {
			mood = below(30) ? mood : (__u32)below(4);
			live(&d, mood);
			same = step(m, &d, channel, below(40) ? 1 : 1 + (__u32)below(69));
			told += d.event.news != HG_EPISODE_NONE;
			attacks |= d.event.news == HG_EPISODE_START ? 1u << d.event.attack : 0;
		}
		if (!channel)
			outside = d;
		if (!same)
			ok(0, "channel %u, round %u: equal", channel, round);
	}
	ok(steps == ROUNDS * STEPS, "%u seconds: what is told is equal", steps);
	ok(told > 500 && __builtin_popcount(attacks) >= 6,
	   "%u things were told, %d sorts of attack among them", told, __builtin_popcount(attacks));
}

int main(void)
{
	const char *why = "";
	struct module *m = module_new("lo", &why);

	if (!m) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	genl_listen(module_genl(m));
	play(m);
	module_free(m);
	return tap_done();
}
