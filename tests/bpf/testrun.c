/* SPDX-License-Identifier: MIT */
/* The BPF host of testrun.h: one loaded object, its maps, three ways in. */
#include "testrun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include "../../core/flow.h"
#include "../../core/tables.h"

#define CPUS_MAX 1024
#define BATCH 65536 /* flows that a test may have in one table */

enum map {
	CONFIG,
	PEERS,
	RULES,
	TRUSTED,
	COUNTERS,
	WINDOWS,
	KEPT,
	INSIDE,
	OUTSIDE,
	FRAGMENTS,
	SLOTS,
	MOMENTS,
	RATES,
	RING,
	SPOTS,
	BOUND,
	BOUNDS,
	POLICE,
	MAPS
};

static const char *const map_names[MAPS] = {
	"hg_config",  "hg_peers",      "hg_rules",	  "hg_trusted",	      "hg_counters",
	"hg_windows", "hg_flows_kept", "hg_flows_inside", "hg_flows_outside", "hg_fragments",
	"hg_slots",   "hg_moments",    "hg_rates",	  "hg_ring",	      "hg_spots",
	"hg_bound",   "hg_bounds",     "hg_police",
};

struct testrun_player {
	struct player player;
	struct testrun *t;
	int in, out;
};

struct testrun {
	struct bpf_object *object;
	int maps[MAPS];
	int cpus;
	__u64 counters[HG_REASON_MAX];
	struct hg_guard_config config;
	unsigned int now_s; /* the test's clock */
	__u32 offset_s;	    /* the kernel's clock less the test's, as the maps have it */
	__u32 kernel_s;	    /* the kernel's clock at keep_age() */
	int disturbed;	    /* it went on while a program ran */
	struct testrun_player players[3];
	struct hg_flow_key keys[BATCH];
	union {
		struct hg_flow flows[BATCH];
		struct hg_fragment fragments[BATCH];
	};
	struct hg_slots slots;
};

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static __u32 kernel_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

/*
 * The kernel's second of now, which then lasts for long enough to run a packet in it: a program
 * that ran in the next one would find everything a second older than the test says.
 */
static __u32 steady_seconds(void)
{
	const long edge_ns = 900000000;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_nsec > edge_ns) {
		now = (struct timespec){ .tv_sec = now.tv_sec + 1 };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL) == EINTR)
			;
		while (kernel_seconds() < (__u32)now.tv_sec) /* the coarse clock is a tick late */
			;
	}
	return kernel_seconds();
}

/* All entries of a hash, into t->keys and values. */
static __u32 hash_read(struct testrun *t, enum map m, void *values)
{
	__u32 n = BATCH, token;

	if (bpf_map_lookup_batch(t->maps[m], NULL, &token, t->keys, values, &n, NULL) &&
	    errno != ENOENT)
		die(map_names[m]);
	return n;
}

static void hash_write(struct testrun *t, enum map m, const void *values, __u32 n)
{
	if (n && bpf_map_update_batch(t->maps[m], t->keys, values, &n, NULL))
		die(map_names[m]);
}

static void hash_clear(struct testrun *t, enum map m)
{
	__u32 n = hash_read(t, m, t->flows);

	for (__u32 i = 0; i < n; i++)
		bpf_map_delete_elem(t->maps[m], &t->keys[i]);
}

static void get(struct testrun *t, enum map m, __u32 key, void *value)
{
	if (bpf_map_lookup_elem(t->maps[m], &key, value))
		die(map_names[m]);
}

static void set(struct testrun *t, enum map m, __u32 key, const void *value)
{
	if (bpf_map_update_elem(t->maps[m], &key, value, BPF_ANY))
		die(map_names[m]);
}

static void shift_tables(struct testrun *t, __u32 by)
{
	__u32 n;

	for (int m = KEPT; m <= OUTSIDE; m++) {
		n = hash_read(t, m, t->flows);
		for (__u32 i = 0; i < n; i++) {
			t->flows[i].opened_s += by;
			t->flows[i].last_s += by;
		}
		hash_write(t, m, t->flows, n);
	}
	n = hash_read(t, FRAGMENTS, t->fragments);
	for (__u32 i = 0; i < n; i++)
		t->fragments[i].first_s += by;
	hash_write(t, FRAGMENTS, t->fragments, n);
}

/* With the gate's time in that of the kernel. */
static void put_config(struct testrun *t)
{
	struct hg_guard_config c = t->config;

	c.open_until_s += c.open_until_s ? t->offset_s : 0;
	set(t, CONFIG, 0, &c);
}

/* Makes everything in the maps as old on the kernel's clock as it is on the test's. */
static void keep_age(struct testrun *t)
{
	__u32 offset, by;
	struct hg_moments moments;
	struct hg_police police;
	struct hg_rate rate;

	t->kernel_s = steady_seconds();
	offset = t->kernel_s - t->now_s;
	by = offset - t->offset_s;
	if (!by)
		return;
	t->offset_s = offset;
	shift_tables(t, by);
	get(t, SLOTS, 0, &t->slots);
	for (int i = 0; i < HG_SLOTS; i++)
		if (t->slots.used[i])
			t->slots.used[i] += by << HG_SLOT_BITS;
	set(t, SLOTS, 0, &t->slots);
	get(t, MOMENTS, 0, &moments);
	moments.seen_s += by;
	moments.asked4_s += moments.asked4_s ? by : 0;
	moments.asked6_s += moments.asked6_s ? by : 0;
	set(t, MOMENTS, 0, &moments);
	for (__u32 i = 0; i < HG_RATE_MAX; i++) {
		get(t, RATES, i, &rate);
		rate.second += by;
		set(t, RATES, i, &rate);
	}
	for (__u32 i = 0; i < HG_CHANNELS_MAX; i++) {
		get(t, POLICE, i, &police);
		police.second += by;
		set(t, POLICE, i, &police);
	}
	put_config(t);
}

static struct testrun *of(struct player *p)
{
	return ((struct testrun_player *)p)->t;
}

static void player_configure(struct player *p, const struct play_world *w)
{
	struct testrun *t = of(p);
	__u8 one = 1;

	for (__u32 i = 0; i < 2 * HG_PEERS_MAX; i++)
		set(t, PEERS, i, &w->peers[i]);
	for (__u32 i = 0; i < 2 * HG_RULES_MAX; i++)
		set(t, RULES, i, &w->rules[i]);
	for (__u32 i = 0; i < 2 * HG_CHANNELS_MAX; i++)
		set(t, BOUNDS, i, &w->bounds[i]);
	for (__u32 i = 0; i < w->config.n_trusted; i++)
		if (bpf_map_update_elem(t->maps[TRUSTED], &w->trusted[i], &one, BPF_ANY))
			die("hg_trusted");
	for (size_t i = 0; i < w->n_bound; i++)
		if (bpf_map_update_elem(t->maps[BOUND], &w->bound_addr[i], &w->bound[i], BPF_ANY))
			die("hg_bound");
	t->config = w->config;
	put_config(t);
}

static void player_begin(struct player *p, const struct play_world *w)
{
	struct testrun *t = of(p);
	static const char zeros[64 * 1024];
	struct hg_prefix prefix;
	struct hg_addr addr;
	void *per_cpu = calloc(t->cpus, sizeof(struct hg_ring) + 8);

	hash_clear(t, KEPT);
	hash_clear(t, INSIDE);
	hash_clear(t, OUTSIDE);
	hash_clear(t, FRAGMENTS);
	while (!bpf_map_get_next_key(t->maps[TRUSTED], NULL, &prefix))
		bpf_map_delete_elem(t->maps[TRUSTED], &prefix);
	while (!bpf_map_get_next_key(t->maps[BOUND], NULL, &addr))
		bpf_map_delete_elem(t->maps[BOUND], &addr);
	set(t, SLOTS, 0, zeros);
	set(t, MOMENTS, 0, zeros);
	for (__u32 i = 0; i < HG_RATE_MAX; i++)
		set(t, RATES, i, zeros);
	for (__u32 i = 0; i < HG_ROWS * HG_CHANNELS_MAX; i++)
		set(t, WINDOWS, i, zeros);
	for (__u32 i = 0; i < HG_CHANNELS_MAX; i++) {
		set(t, SPOTS, i, zeros);
		set(t, POLICE, i, zeros);
	}
	for (__u32 i = 0; i < HG_REASON_MAX; i++)
		set(t, COUNTERS, i, per_cpu);
	set(t, RING, 0, per_cpu);
	free(per_cpu);
	memset(t->counters, 0, sizeof(t->counters));
	t->now_s = w->now_s;
	t->offset_s = steady_seconds() - t->now_s;
}

static void player_wait(struct player *p, unsigned int seconds)
{
	of(p)->now_s += seconds;
}

/* 0 and what the program returned, or -1: the kernel takes no such frame. */
static int run_once(const struct testrun_player *p, const struct frame *f, unsigned int repeat,
		    int *returned, __u32 *duration)
{
	struct __sk_buff skb = { .gso_segs = f->segments > 1 ? f->segments : 0 };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->data + (f->plain ? FRAME_LINK : 0),
		    .data_size_in = f->length - (f->plain ? FRAME_LINK : 0), .repeat = repeat);

	if (skb.gso_segs) {
		o.ctx_in = &skb;
		o.ctx_size_in = sizeof(skb);
	}
	if (bpf_prog_test_run_opts(f->out ? p->out : p->in, &o)) {
		if (errno != EINVAL)
			die("test run");
		return -1;
	}
	*returned = o.retval;
	*duration = o.duration;
	return 0;
}

/* The first n of an array at once. */
static void get_all(struct testrun *t, enum map m, void *values, __u32 n)
{
	static __u32 keys[HG_ROWS * HG_CHANNELS_MAX];
	__u32 token, got = n;

	if ((bpf_map_lookup_batch(t->maps[m], NULL, &token, keys, values, &got, NULL) &&
	     errno != ENOENT) ||
	    got != n)
		die(map_names[m]);
}

/* The reason is what was counted; what the program returned must agree with it. */
static int player_run(struct player *player, const struct frame *f)
{
	const struct testrun_player *p = (struct testrun_player *)player;
	struct testrun *t = p->t;
	static __u64 per_cpu[HG_REASON_MAX * CPUS_MAX];
	int returned, reason = -1, drops;
	__u32 duration;

	keep_age(t);
	if (run_once(p, f, 1, &returned, &duration))
		return -1;
	t->disturbed |= kernel_seconds() != t->kernel_s;
	get_all(t, COUNTERS, per_cpu, HG_REASON_MAX);
	for (int i = 0; i < HG_REASON_MAX; i++) {
		__u64 sum = 0;

		for (int cpu = 0; cpu < t->cpus; cpu++)
			sum += per_cpu[i * t->cpus + cpu];
		if (sum != t->counters[i]) {
			if (reason >= 0 || sum != t->counters[i] + 1)
				return HG_REASON_MAX;
			reason = i;
		}
		t->counters[i] = sum;
	}
	drops = reason >= HG_DROP_NO_FLOW && t->config.policy != HG_POLICY_MONITOR;
	if (p->in == bpf_program__fd(bpf_object__find_program_by_name(t->object, "hg_xdp")) &&
	    !f->out)
		return returned == (drops ? XDP_DROP : XDP_PASS) ? reason : HG_REASON_MAX;
	return returned == (drops ? TC_ACT_SHOT : TC_ACT_UNSPEC) ? reason : HG_REASON_MAX;
}

static int player_flow(struct player *p, const struct hg_flow_key *k, struct hg_flow *f)
{
	struct testrun *t = of(p);

	for (int m = KEPT; m <= OUTSIDE; m++)
		if (!bpf_map_lookup_elem(t->maps[m], k, f))
			return m - KEPT;
	return -1;
}

static void player_windows(struct player *p, struct hg_window w[HG_CHANNELS_MAX])
{
	static struct hg_window rows[HG_ROWS][HG_CHANNELS_MAX];
	__u32 n = of(p)->cpus < HG_ROWS ? of(p)->cpus : HG_ROWS;

	get_all(of(p), WINDOWS, rows, n * HG_CHANNELS_MAX);
	memset(w, 0, sizeof(rows[0]));
	for (size_t i = 0; i < n * sizeof(rows[0]) / 8; i++)
		((__u64 *)w)[i % (sizeof(rows[0]) / 8)] += ((__u64 *)rows)[i];
}

static void player_spots(struct player *p, struct hg_spots s[HG_CHANNELS_MAX])
{
	get_all(of(p), SPOTS, s, HG_CHANNELS_MAX);
}

void testrun_bind(struct testrun *t, const struct hg_addr *addr, const struct hg_bound *bound)
{
	if (!bound->channels && !bound->flags)
		bpf_map_delete_elem(t->maps[BOUND], addr);
	else if (bpf_map_update_elem(t->maps[BOUND], addr, bound, BPF_ANY))
		die("hg_bound");
}

void testrun_set_spots(struct testrun *t, const struct hg_spots spots[HG_CHANNELS_MAX])
{
	__u32 keys[HG_CHANNELS_MAX], n = HG_CHANNELS_MAX;

	for (__u32 i = 0; i < n; i++)
		keys[i] = i;
	if (bpf_map_update_batch(t->maps[SPOTS], keys, spots, &n, NULL))
		die("hg_spots");
}

void testrun_sweep(struct testrun *t)
{
	__u32 n, now;

	keep_age(t);
	now = kernel_seconds();

	for (int m = KEPT; m <= OUTSIDE; m++) {
		n = hash_read(t, m, t->flows);
		for (__u32 i = 0; i < n; i++)
			if (!hg_flow_is_alive(&t->config, t->keys[i].proto, &t->flows[i], now))
				bpf_map_delete_elem(t->maps[m], &t->keys[i]);
	}
}

void testrun_flows(struct testrun *t,
		   void (*each)(void *ctx, int table, const struct hg_flow_key *k,
				const struct hg_flow *f),
		   void *ctx)
{
	__u32 n;

	for (int m = KEPT; m <= OUTSIDE; m++) {
		n = hash_read(t, m, t->flows);
		for (__u32 i = 0; i < n; i++) {
			t->flows[i].opened_s -= t->offset_s;
			t->flows[i].last_s -= t->offset_s;
			each(ctx, m - KEPT, &t->keys[i], &t->flows[i]);
		}
	}
}

void testrun_counters(const struct testrun *t, __u64 n[HG_REASON_MAX])
{
	memcpy(n, t->counters, sizeof(t->counters));
}

int testrun_disturbed(struct testrun *t)
{
	int disturbed = t->disturbed;

	t->disturbed = 0;
	return disturbed;
}

int testrun_map(struct testrun *t, const char *name)
{
	return bpf_object__find_map_fd_by_name(t->object, name);
}

double testrun_cost(struct testrun *t, enum testrun_kind kind, const struct frame *f,
		    unsigned int n)
{
	__u32 duration = 0;
	int returned;

	run_once(&t->players[kind], f, n, &returned, &duration);
	return duration;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, ap) : 0;
}

int testrun_program(struct testrun *t, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(t->object, name));
}

static void make_players(struct testrun *t)
{
	static const struct {
		const char *name, *in, *out;
	} kinds[] = { [TESTRUN_XDP] = { "xdp", "hg_xdp", "hg_tc_out" },
		      [TESTRUN_TC] = { "tc", "hg_tc_in", "hg_tc_out" },
		      [TESTRUN_TC_L3] = { "tc without link header", "hg_tc_in_l3",
					  "hg_tc_out_l3" } };

	for (int i = 0; i < 3; i++)
		t->players[i] = (struct testrun_player){
			.player = { .name = kinds[i].name,
				    .plain = i == TESTRUN_TC_L3,
				    .in_segments = i != TESTRUN_XDP,
				    .least = FRAME_LINK * (i == TESTRUN_TC_L3 ? 2 : 1),
				    .begin = player_begin,
				    .configure = player_configure,
				    .wait = player_wait,
				    .run = player_run,
				    .flow = player_flow,
				    .windows = player_windows,
				    .spots = player_spots },
			.t = t,
			.in = testrun_program(t, kinds[i].in),
			.out = testrun_program(t, kinds[i].out),
		};
}

struct testrun *testrun_new(unsigned int flows, const char **why)
{
	const char *build = getenv("HG_BUILD");
	struct testrun *t = calloc(1, sizeof(*t));
	char path[4096];

	libbpf_set_print(quiet);
	snprintf(path, sizeof(path), "%s/ebpf/heliograph.bpf.o", build ? build : "build");
	*why = "no memory";
	if (!t)
		return NULL;
	*why = "must be root to load BPF programs";
	if (geteuid())
		goto fail;
	t->object = bpf_object__open_file(path, NULL);
	if (!t->object)
		die(path);
	for (int m = KEPT; m <= OUTSIDE; m++)
		bpf_map__set_max_entries(bpf_object__find_map_by_name(t->object, map_names[m]),
					 flows);
	if (bpf_object__load(t->object))
		die(path);
	for (int m = 0; m < MAPS; m++)
		t->maps[m] = bpf_map__fd(bpf_object__find_map_by_name(t->object, map_names[m]));
	t->cpus = libbpf_num_possible_cpus();
	if (t->cpus < 1 || t->cpus > CPUS_MAX)
		die("number of processors");
	make_players(t);
	return t;
fail:
	testrun_free(t);
	return NULL;
}

void testrun_free(struct testrun *t)
{
	if (t)
		bpf_object__close(t->object);
	free(t);
}

struct player *testrun_player(struct testrun *t, enum testrun_kind kind)
{
	return &t->players[kind].player;
}
