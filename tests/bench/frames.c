// SPDX-License-Identifier: MIT
/*
 * The user side of frames.bpf.c, for the benchmarks.
 *
 *   frames wire IFACE PEER          what arrives at IFACE leaves through PEER, as a frame
 *   frames drop IFACE               native XDP that drops everything
 *   frames stateful IFACE           the same after one look into a table of flows
 *   frames flood IFACE FROM-MAC TO-MAC udp|syn TO-ADDR:PORT FROM-ADDR:PORT|random SECONDS RATE
 *
 * flood prints {"sent": N, "seconds": S, "cpu": S}; RATE is frames per second, 0: all it can.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include "frames.h"

#define FRAME 60 /* the shortest Ethernet frame, without its checksum */
#define BATCH 64 /* as a driver's NAPI poll */

static const char *object_file;

static int fail(const char *what)
{
	fprintf(stderr, "frames: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Loads one program of the object with this configuration. */
static int load(const char *name, const struct frames_config *config, struct bpf_object **object)
{
	struct bpf_object *o = bpf_object__open_file(object_file, NULL);
	struct bpf_program *p;
	struct bpf_map *m;

	if (!o)
		return -errno;
	bpf_object__for_each_program (p, o)
		bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), name));
	bpf_object__for_each_map (m, o)
		if (strstr(bpf_map__name(m), ".rodata") &&
		    bpf_map__set_initial_value(m, config, sizeof(*config)))
			return -EINVAL;
	if (bpf_object__load(o))
		return -errno;
	*object = o;
	return bpf_program__fd(bpf_object__find_program_by_name(o, name));
}

static int attach(const char *iface, const char *name, unsigned int to)
{
	const struct frames_config config = { .ifindex = to };
	struct bpf_object *o = NULL;
	int fd = load(name, &config, &o), ret = 0;

	if (fd < 0 || bpf_xdp_attach(if_nametoindex(iface), fd, XDP_FLAGS_DRV_MODE, NULL))
		ret = fail(iface);
	bpf_object__close(o);
	return ret;
}

/* One's complement sum of 16-bit words as they lie in memory. */
static uint32_t sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;
	uint16_t word;

	for (size_t i = 0; i + 1 < n; i += 2) {
		memcpy(&word, p + i, 2);
		s += word;
	}
	return s;
}

static void put_sum(uint8_t *p, uint32_t s)
{
	uint16_t word;

	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	word = ~s;
	memcpy(p, &word, 2);
}

static int endpoint(const char *text, uint8_t *addr, uint8_t *port)
{
	char host[INET_ADDRSTRLEN];
	unsigned int number;
	uint16_t n;

	if (sscanf(text, "%15[0-9.]:%u", host, &number) != 2 || inet_pton(AF_INET, host, addr) != 1)
		return -1;
	n = htons(number);
	memcpy(port, &n, 2);
	return 0;
}

/* The frame and, for random senders, the sums without sender. */
static int template(uint8_t *frame, struct frames_config *c, char **argv)
{
	struct ether_addr *mac = ether_aton(argv[0]);
	uint8_t *ip = frame + 14, *l4 = frame + 34;
	uint16_t length = htons(FRAME - 34), proto;

	if (!mac)
		return -1;
	memcpy(frame + 6, mac, 6);
	mac = ether_aton(argv[1]);
	if (!mac)
		return -1;
	memcpy(frame, mac, 6);
	c->proto = strcmp(argv[2], "syn") ? IPPROTO_UDP : IPPROTO_TCP;
	memcpy(ip - 2, "\x08\x00\x45\x00\x00", 5);
	ip[3] = FRAME - 14;
	ip[8] = 64;
	ip[9] = c->proto;
	if (endpoint(argv[3], ip + 16, l4 + 2))
		return -1;
	c->random = !strcmp(argv[4], "random");
	if (!c->random && endpoint(argv[4], ip + 12, l4))
		return -1;
	if (c->proto == IPPROTO_TCP)
		memcpy(l4 + 12, "\x50\x02\x04\x00", 4);
	else
		memcpy(l4 + 4, &length, 2);
	proto = htons(c->proto);
	c->ip_sum = sum(ip, 20);
	c->l4_sum = sum(l4, FRAME - 34) + sum(ip + 12, 8) + proto + length;
	if (!c->random) {
		put_sum(ip + 10, c->ip_sum);
		if (c->proto == IPPROTO_TCP)
			put_sum(l4 + 16, c->l4_sum);
	}
	return 0;
}

static void nothing(int sig)
{
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec +
	       (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t sent_so_far(struct bpf_object *o)
{
	const uint32_t zero = 0;
	uint64_t state[2] = { 0 };
	struct bpf_map *m;

	bpf_object__for_each_map (m, o)
		if (strstr(bpf_map__name(m), ".bss"))
			bpf_map__lookup_elem(m, &zero, sizeof(zero), state, sizeof(state), 0);
	return state[0];
}

/* One call that a timer ends: each call would pay for the set-up of a page pool. */
static int flood(const char *iface, char **argv)
{
	double seconds = atof(argv[5]), rate = atof(argv[6]), start, cpu;
	struct frames_config c = { .ifindex = if_nametoindex(iface) };
	struct itimerval timer = { .it_value.tv_sec = (time_t)seconds };
	struct sigaction action = { .sa_handler = nothing };
	struct xdp_md ctx = { .data_end = FRAME };
	uint8_t frame[FRAME] = { 0 };
	struct bpf_object *o;
	int fd, ret;

	if (!c.ifindex || seconds <= 0 || template(frame, &c, argv))
		return 2;
	c.gap_ns = rate > 0 ? 1e9 / rate : 0;
	fd = load("source", &c, &o);
	if (fd < 0)
		return fail("load");
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FRAME,
			    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1 << 30,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	sigaction(SIGALRM, &action, NULL);
	timer.it_value.tv_usec = (seconds - (time_t)seconds) * 1e6;
	setitimer(ITIMER_REAL, &timer, NULL);
	start = now();
	cpu = cpu_seconds();
	ret = bpf_prog_test_run_opts(fd, &opts);
	if (ret && ret != -EINTR) {
		errno = -ret;
		return fail("test run");
	}
	printf("{\"sent\": %llu, \"seconds\": %.4f, \"cpu\": %.4f}\n",
	       (unsigned long long)sent_so_far(o), now() - start, cpu_seconds() - cpu);
	bpf_object__close(o);
	return 0;
}

int main(int argc, char **argv)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s.bpf.o", argv[0]);
	object_file = path;
	if (argc == 4 && !strcmp(argv[1], "wire"))
		return attach(argv[2], "wire", if_nametoindex(argv[3]));
	if (argc == 3 && (!strcmp(argv[1], "drop") || !strcmp(argv[1], "stateful")))
		return attach(argv[2], argv[1], 0);
	if (argc == 10 && !strcmp(argv[1], "flood"))
		return flood(argv[2], argv + 3);
	fprintf(stderr, "usage: frames wire|drop|stateful|flood ..., see the head of frames.c\n");
	return 2;
}
