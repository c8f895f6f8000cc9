/* SPDX-License-Identifier: MIT */
/*
 * What a profile and its score cost in the guard, by BPF_PROG_TEST_RUN on the object's own
 * programs:
 *
 *   packets of an open flow, and packets that open one, without a profile and with one of 63
 *   channels and 128 rules, of which the last matches; the kernel's own duration is told
 *   closing a second of 64 busy channels
 *   memory: what the kernel says its maps and programs hold
 *
 * One measurement is short and many are taken in turns; the lower quartile is told, for what else
 * the machine does only ever adds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include "../core/frames.h"

#define TURNS 200
#define REPEAT 2000 /* runs of one measurement */

enum { NONE, FULL, KINDS };

static struct bpf_object *object;
static double taken[KINDS][TURNS];

static void die(const char *what)
{
	fprintf(stderr, "score: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int map(const char *name)
{
	struct bpf_map *m = bpf_object__find_map_by_name(object, name);

	if (!m)
		die(name);
	return bpf_map__fd(m);
}

static int program(const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(object, name);

	if (!p)
		die(name);
	return bpf_program__fd(p);
}

static void set(const char *name, __u32 key, const void *value)
{
	if (bpf_map_update_elem(map(name), &key, value, BPF_ANY))
		die(name);
}

/* The first bank has no rule; the second has as many as there may be, and the last matches. */
static void configure(int kind)
{
	struct hg_guard_config c = {
		.seed = 42,
		.abi = HG_GUARD_ABI,
		.policy = HG_POLICY_INITIATED,
		.generation = (__u32)kind,
		.n_rules = kind == FULL ? HG_RULES_MAX : 0,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = 7440,
		.tcp_closing_s = 20,
		.icmp_s = 10,
		.other_s = 600,
		.config_rate = 20,
	};

	set("hg_config", 0, &c);
}

static void load_profile(void)
{
	struct hg_bounds b = { .id = 1, .size_max = 65535, .walk_limit = 20, .walk_up = 1 };

	b.walk_down = 1;
	for (int i = 0; i < HG_WINDOWS; i++) {
		b.bytes[i] = 1ull << 40;
		b.packets[i] = b.flows[i] = b.failed[i] = 1u << 30;
		b.destinations[i] = b.fresh[i] = 1u << 30;
	}
	b.ports = b.sources = 1u << 30;
	b.sum_flows_limit = 1u << 30;
	b.sum_bytes_limit = 1ull << 40;
	for (__u32 i = 0; i < HG_CHANNELS_MAX; i++)
		set("hg_bounds", HG_CHANNELS_MAX + i, &b);
	for (__u32 i = 0; i < HG_RULES_MAX; i++) {
		struct hg_rule r = { .channel = 1 + i % (HG_CHANNELS_MAX - 1),
				     .proto = 6,
				     .flags = HG_RULE_PREFIX,
				     .prefix_len = 128,
				     .port_max = 65535 };

		frame_address(i == HG_RULES_MAX - 1 ? "R" : "192.0.2.77", 0, &r.addr);
		set("hg_rules", HG_RULES_MAX + i, &r);
	}
}

static double run(int prog, const struct frame *f, unsigned int repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->data, .data_size_in = f->length,
		    .repeat = (int)repeat);

	if (bpf_prog_test_run_opts(prog, &o))
		die("test run");
	return o.duration;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quartile(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 4];
}

static void frame(struct frame *f, int out, const char *words)
{
	const char *bad;

	if (frame_from_words(f, out, words, &bad))
		die(bad);
}

static void tell_pair(const char *what)
{
	double none = quartile(taken[NONE], TURNS), full = quartile(taken[FULL], TURNS);

	printf("{\"what\": \"%s\", \"who\": \"no profile\", \"value\": %.0f, \"unit\": \"ns\"}\n",
	       what, none);
	printf("{\"what\": \"%s\", \"who\": \"profile of 63 channels, 128 rules\", "
	       "\"value\": %.0f, \"unit\": \"ns\", \"ratio\": %.3f, \"to\": \"no profile\"}\n",
	       what, full, full / none);
}

static void bench_open_flow(const char *what, int out)
{
	int prog = program(out ? "hg_tc_out" : "hg_xdp");
	struct frame first, f;

	frame(&first, 1, "tcp=A 4000 443");
	frame(&f, out, "tcp=A 4000 443");
	for (int i = 0; i < TURNS; i++)
		for (int kind = 0; kind < KINDS; kind++) {
			configure(kind);
			run(program("hg_tc_out"), &first, 1); /* matched again */
			taken[kind][i] = run(prog, &f, REPEAT);
		}
	tell_pair(what);
}

static void bench_opening(void)
{
	char words[64];
	struct frame f;

	for (int i = 0; i < TURNS; i++)
		for (int kind = 0; kind < KINDS; kind++) {
			configure(kind);
			snprintf(words, sizeof(words), "tcp=S %d 443", 5000 + 2 * i + kind);
			frame(&f, 1, words);
			taken[kind][i] = run(program("hg_tc_out"), &f, 1);
		}
	tell_pair("packet that opens a flow");
}

/* Every channel has had traffic; the state is that of a device at work. */
static void bench_close(void)
{
	static double taken_us[TURNS];
	unsigned char packet[64] = { 0 };
	struct __sk_buff skb = { .priority = 1 };
	double sum;

	configure(FULL);
	for (int i = 0; i < TURNS; i++) {
		sum = 0;
		for (__u32 channel = 0; channel < HG_CHANNELS_MAX; channel++) {
			struct hg_window w = { .packets_out = 10ull * i, .bytes_out = 9999ull * i };
			LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet,
				    .data_size_in = sizeof(packet), .ctx_in = &skb,
				    .ctx_size_in = sizeof(skb), .repeat = 1);

			w.flows = w.answered = w.tcp = (__u64)i;
			set("hg_windows", channel, &w);
			skb.mark = channel;
			if (bpf_prog_test_run_opts(program("hg_close"), &o))
				die("hg_close");
			sum += o.duration;
		}
		taken_us[i] = sum / 1000;
	}
	printf("{\"what\": \"closing a second\", \"who\": \"64 channels\", \"value\": %.1f, "
	       "\"unit\": \"us\"}\n",
	       quartile(taken_us, TURNS));
}

/* What the kernel accounts for a map or program. */
static double held(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "r");
	if (!in)
		die(path);
	while (fgets(line, sizeof(line), in))
		sscanf(line, "memlock: %llu", &bytes);
	fclose(in);
	return bytes / 1024.0;
}

static void bench_memory(void)
{
	double maps = 0, flows = 0, programs = 0;
	struct bpf_program *p;
	struct bpf_map *m;

	bpf_object__for_each_map (m, object) {
		maps += held(bpf_map__fd(m));
		if (!strncmp(bpf_map__name(m), "hg_flows_", 9))
			flows += held(bpf_map__fd(m));
	}
	bpf_object__for_each_program (p, object)
		programs += held(bpf_program__fd(p));
	printf("{\"what\": \"memory of the guard\", \"who\": \"all maps and programs\", "
	       "\"value\": %.0f, \"unit\": \"KiB\"}\n",
	       maps + programs);
	printf("{\"what\": \"memory of the guard\", \"who\": \"flow tables of 4,096\", "
	       "\"value\": %.0f, \"unit\": \"KiB\"}\n",
	       flows);
	printf("{\"what\": \"memory of the guard\", \"who\": \"programs\", \"value\": %.0f, "
	       "\"unit\": \"KiB\"}\n",
	       programs);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, ap) : 0;
}

int main(void)
{
	const char *build = getenv("HG_BUILD");
	char path[4096];

	libbpf_set_print(quiet);
	snprintf(path, sizeof(path), "%s/ebpf/heliograph.bpf.o", build ? build : "build");
	object = bpf_object__open_file(path, NULL);
	if (!object || bpf_object__load(object))
		die(path);
	load_profile();
	bench_open_flow("packet of an open flow, received", 0);
	bench_open_flow("packet of an open flow, sent", 1);
	bench_opening();
	bench_close();
	bench_memory();
	bpf_object__close(object);
	return 0;
}
