/* SPDX-License-Identifier: MIT */
/*
 * Captures in the BPF programs, in step with the core: see tests/core/replay.h. What comes in goes
 * through XDP, but what was several segments, of which XDP knows nothing, through tc; what goes out
 * through tc. Seconds are closed by hg_close. All runs on one processor, whose scratch map has the
 * packet that was judged last.
 */
#include "../tap.h"
#include "testrun.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include "../../core/packet.h"
#include "../../core/score.h"
#include "../core/replay.h"

#define HURRY (-15) /* niceness */
#define SWEEP 2000  /* packets between two sweeps of the maps */
/* A small table is read faster; there are two guards, for captures of fewer and of more packets. */
#define FLOWS_FEW 8192
#define PACKETS_MANY 45000

_Static_assert(sizeof(struct hg_packet) % 8 == 0, "as a per-CPU map has it");

struct result {
	int reason, channel;
};

struct guard {
	struct testrun *t;
	struct player *xdp, *tc;
	int scratch, score, close;
	struct ring_buffer *ring;
};

struct other {
	struct replay_host host;
	struct guard guards[2], *g; /* g: at work */
	struct play_world world;
	int cpu;
	struct hg_packet *packets; /* of each processor */
	struct result results[REPLAY_BATCH];
	size_t n, packets_run;
	replay_event each;
	void *ctx;
};

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct other *of(struct replay_host *h)
{
	return (struct other *)h;
}

static void begin(struct replay_host *h, const struct hg_guard_config *c,
		  const struct hg_peer *peers, const struct hg_compiled *profile, __u32 now_s,
		  __u64 packets)
{
	static const struct hg_score_state none;
	struct play_world *w = &of(h)->world;

	of(h)->g = &of(h)->guards[packets > PACKETS_MANY];
	memset(w, 0, sizeof(*w));
	w->config = *c;
	w->now_s = now_s;
	for (int bank = 0; bank < 2; bank++) {
		memcpy(&w->peers[bank * HG_PEERS_MAX], peers, c->n_peers * sizeof(*peers));
		memcpy(&w->rules[bank * HG_RULES_MAX], profile->rules,
		       c->n_rules * sizeof(w->rules[0]));
		memcpy(&w->bounds[bank * HG_CHANNELS_MAX], profile->bounds, sizeof(w->bounds) / 2);
	}
	of(h)->g->xdp->begin(of(h)->g->xdp, w);
	of(h)->g->xdp->configure(of(h)->g->xdp, w);
	for (__u32 i = 0; i < HG_CHANNELS_MAX; i++)
		if (bpf_map_update_elem(of(h)->g->score, &i, &none, BPF_ANY))
			die("hg_score");
	of(h)->n = of(h)->packets_run = 0;
	testrun_disturbed(of(h)->g->t);
}

static void rematch(struct replay_host *h, const struct hg_guard_config *c)
{
	of(h)->world.config = *c;
	of(h)->g->xdp->configure(of(h)->g->xdp, &of(h)->world);
}

static void bind_addr(struct replay_host *h, const struct hg_addr *a, const struct hg_bound *b)
{
	testrun_bind(of(h)->g->t, a, b);
}

static bool put(struct replay_host *h, const struct hg_capture_packet *in, __u32 now_s,
		unsigned int segments)
{
	struct other *o = of(h);
	struct player *p = segments > 1 ? o->g->tc : o->g->xdp;
	struct result *r = &o->results[o->n++];
	static struct frame f;
	__u32 zero = 0;

	if (in->frame.wire > FRAME_MAX) {
		errno = EMSGSIZE;
		die("a packet of a capture");
	}
	p->wait(p, now_s - o->world.now_s);
	o->world.now_s = now_s;
	memcpy(f.data, in->frame.data, in->frame.wire);
	f.length = f.wire = in->frame.wire;
	f.segments = segments;
	f.out = in->out;
	r->reason = p->run(p, &f);
	if (bpf_map_lookup_elem(o->g->scratch, &zero, o->packets))
		die("hg_scratch");
	r->channel = o->packets[o->cpu].channel;
	if (++o->packets_run % SWEEP == 0)
		testrun_sweep(o->g->t);
	return false;
}

static void judged(struct replay_host *h, size_t n, replay_judged each, void *ctx)
{
	for (size_t i = 0; i < n; i++)
		each(ctx, (__u32)of(h)->results[i].reason, (__u32)of(h)->results[i].channel);
	of(h)->n = 0;
}

static int take(void *ctx, void *data, size_t size)
{
	struct other *o = ctx;

	o->each(o->ctx, data, size);
	return 0;
}

static int events(struct replay_host *h, replay_event each, void *ctx)
{
	of(h)->each = each;
	of(h)->ctx = ctx;
	return ring_buffer__consume(of(h)->g->ring);
}

static void close_channel(const struct other *o, __u32 channel, __u32 times)
{
	const char frame[64] = { 0 };
	struct __sk_buff skb = { .mark = channel, .priority = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &skb, .ctx_size_in = sizeof(skb), .repeat = (int)times);

	if (bpf_prog_test_run_opts(o->g->close, &opts))
		die("hg_close");
}

/* Of silent seconds the order does not matter: whoever tells something in them differs. */
static void close_seconds(struct replay_host *h, __u32 seconds, bool silent)
{
	__u32 rounds = silent ? 1 : seconds;

	for (__u32 s = 0; s < rounds; s++)
		for (__u32 c = 0; c < HG_CHANNELS_MAX; c++)
			if (of(h)->world.bounds[c].id)
				close_channel(of(h), c, silent ? seconds : 1);
}

static void windows(struct replay_host *h, struct hg_window w[HG_CHANNELS_MAX])
{
	of(h)->g->xdp->windows(of(h)->g->xdp, w);
}

static void counters(struct replay_host *h, __u64 n[HG_REASON_MAX])
{
	testrun_counters(of(h)->g->t, n);
}

static void flows(struct replay_host *h, replay_flow each, void *ctx)
{
	testrun_flows(of(h)->g->t, each, ctx);
}

/* On a busy machine whoever is nice is interrupted for long: the next try is not. */
static bool disturbed(struct replay_host *h)
{
	if (!testrun_disturbed(of(h)->g->t))
		return false;
	printf("# the kernel's second ended while a program ran: once more\n");
	setpriority(PRIO_PROCESS, 0, HURRY);
	return true;
}

static void stay_here(struct other *o)
{
	cpu_set_t set;

	o->cpu = sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET(o->cpu, &set);
	if (o->cpu < 0 || sched_setaffinity(0, sizeof(set), &set))
		die("to stay on a processor");
	o->packets = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*o->packets) + 8);
	if (!o->packets)
		die("memory");
}

static bool load(struct other *o, struct guard *g, unsigned int flows, const char **why)
{
	g->t = testrun_new(flows, why);
	if (!g->t)
		return false;
	g->xdp = testrun_player(g->t, TESTRUN_XDP);
	g->tc = testrun_player(g->t, TESTRUN_TC);
	g->scratch = testrun_map(g->t, "hg_scratch");
	g->score = testrun_map(g->t, "hg_score");
	g->close = testrun_program(g->t, "hg_close");
	g->ring = ring_buffer__new(testrun_map(g->t, "hg_events"), take, o, NULL);
	if (!g->ring)
		die("hg_events");
	return true;
}

int main(void)
{
	static struct other o = { .host = { .name = "BPF",
					    .begin = begin,
					    .rematch = rematch,
					    .bind = bind_addr,
					    .put = put,
					    .judged = judged,
					    .events = events,
					    .close = close_seconds,
					    .windows = windows,
					    .counters = counters,
					    .flows = flows,
					    .disturbed = disturbed } };
	const char *why = "";
	int status;

	stay_here(&o);
	if (!load(&o, &o.guards[0], FLOWS_FEW, &why) ||
	    !load(&o, &o.guards[1], REPLAY_FLOWS, &why)) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	status = replay_list(&o.host);
	for (int i = 0; i < 2; i++) {
		ring_buffer__free(o.guards[i].ring);
		testrun_free(o.guards[i].t);
	}
	free(o.packets);
	return status;
}
