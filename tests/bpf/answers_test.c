// SPDX-License-Identifier: MIT
/*
 * DNS answers as the guard tells of them: byte for byte what came, of every length, behind every
 * kind of header, through XDP and tc; cut where they are too long; no more than the rate of them.
 */
#include "../tap.h"
#include "testrun.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "../../core/tables.h"
#include "../../userspace/guard.h"

#define LENGTHS 1500 /* of messages that are tried: 0 and up */
#define RATE 50

static struct testrun *t;
static struct play_world world;

static struct told {
	unsigned int n;
	size_t size;
	struct hg_answer_event e;
} told;

static int take(void *ctx, void *data, size_t size)
{
	const struct hg_event *head = data;

	if (head->type != HG_EVENT_ANSWER)
		return 0;
	told.n++;
	told.size = size;
	memset(&told.e, 0xee, sizeof(told.e));
	memcpy(&told.e, data, size < sizeof(told.e) ? size : sizeof(told.e));
	return 0;
}

static struct frame frame_of(const struct player *p, int out, const char *words)
{
	struct frame f;
	const char *bad = NULL;

	if (frame_from_words(&f, out, words, &bad)) {
		printf("Bail out! %s: %s\n", words, bad);
		exit(1);
	}
	f.plain = p->plain;
	return f;
}

/* Name server N, and channel 1 of any answers from port 53 of R. */
static void make_world(void)
{
	struct hg_guard_options o;

	hg_guard_options_init(&o);
	world.config = o.config;
	world.config.seed = 1;
	world.config.abi = HG_GUARD_ABI;
	for (int v6 = 0; v6 < 2; v6++) {
		frame_address("N", v6, &world.peers[v6].addr);
		world.peers[v6].port = htons(53);
		world.peers[v6].role = HG_PEER_DNS;
	}
	world.rules[0] = (struct hg_rule){ .channel = 1,
					   .proto = 17,
					   .port_min = 53,
					   .port_max = 53,
					   .flags = HG_RULE_PREFIX,
					   .prefix_len = 128 };
	frame_address("R", 0, &world.rules[0].addr);
	world.now_s = 100000;
}

static void no_rate(void)
{
	const __u32 key = HG_RATE_ANSWER;
	const struct hg_rate none = { 0 };

	if (bpf_map_update_elem(testrun_map(t, "hg_rates"), &key, &none, BPF_ANY))
		puts("Bail out! hg_rates");
}

/* One answer of this length; true if what was told of it is right. */
static bool answer_is_told(struct player *p, struct ring_buffer *ring, const char *headers,
			   unsigned int length)
{
	char words[128];
	struct frame f;
	uint8_t *data;

	snprintf(words, sizeof(words), "%s udp 4000 53 data=%u", headers, length);
	f = frame_of(p, 0, words);
	data = f.data + f.length - length;
	for (unsigned int i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 7 + length);
	told.n = 0;
	no_rate();
	if (p->run(p, &f) != HG_PASS_FLOW || ring_buffer__consume(ring) < 0)
		return false;
	if (length < 12)
		return !told.n;
	if (told.n != 1 || told.size != told.e.head.length)
		return false;
	if (told.e.length != (length < HG_ANSWER_MAX ? length : HG_ANSWER_MAX) ||
	    told.size != offsetof(struct hg_answer_event, data) + told.e.length)
		return false;
	return told.e.cut == (length > HG_ANSWER_MAX) &&
	       !memcmp(told.e.data, data, told.e.length) && told.e.key.remote_port == htons(53) &&
	       told.e.key.local_port == htons(4000) && !told.e.head.channel && told.e.head.time_ns;
}

static void check_lengths(struct player *p, struct ring_buffer *ring)
{
	static const char *const headers[] = { "ip4 r=N",	    "ip6 r=N",
					       "ip4 options=5 r=N", "tag=7 ip4 r=N",
					       "pppoe ip6 r=N",	    "ip6 r=N hbh words=3" };

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		unsigned int length;
		struct frame f = frame_of(p, 1,
					  strchr(headers[i], '6') ? "ip6 r=N udp 4000 53"
								  : "ip4 r=N udp 4000 53");

		if (p->plain && strncmp(headers[i], "ip", 2))
			continue;
		p->begin(p, &world);
		p->configure(p, &world);
		p->run(p, &f);
		for (length = 0; length < LENGTHS; length++)
			if (!answer_is_told(p, ring, headers[i], length))
				break;
		ok(length == LENGTHS, "%s: %s: messages of 0 to %d bytes", p->name, headers[i],
		   LENGTHS - 1);
		if (length != LENGTHS)
			printf("# of %u: %u told, %zu bytes\n", length, told.n, told.size);
	}
}

static void check_others(struct player *p, struct ring_buffer *ring)
{
	struct frame f = frame_of(p, 1, "ip4 r=R udp 4000 53");

	p->begin(p, &world);
	p->configure(p, &world);
	p->run(p, &f);
	f = frame_of(p, 0, "ip4 r=R udp 4000 53 data=64");
	told.n = 0;
	p->run(p, &f);
	ring_buffer__consume(ring);
	ok(told.n == 1 && told.e.head.channel == 1, "%s: of a server of the profile", p->name);
	f = frame_of(p, 1, "ip4 r=X udp 4000 53");
	p->run(p, &f);
	f = frame_of(p, 0, "ip4 r=X udp 4000 53 data=64");
	told.n = 0;
	ok(p->run(p, &f) == HG_PASS_FLOW, "%s: a stranger's answer gets in", p->name);
	ring_buffer__consume(ring);
	ok(!told.n, "%s: and is not told", p->name);
	f = frame_of(p, 1, "ip4 r=N udp 4000 53");
	p->run(p, &f);
	f = frame_of(p, 0, "ip4 r=N mf id=9 udp 4000 53 data=1000");
	p->run(p, &f);
	ring_buffer__consume(ring);
	ok(told.n == 1 && told.e.length == 1000 && told.e.cut, "%s: the first of fragments",
	   p->name);
	f = frame_of(p, 0, "ip4 r=N udp 4000 53 data=64");
	told.n = 0;
	no_rate();
	for (int i = 0; i < 4 * RATE; i++)
		p->run(p, &f);
	ring_buffer__consume(ring);
	ok(told.n >= RATE && told.n <= 2 * RATE, "%s: %u of %d at once are told", p->name, told.n,
	   4 * RATE);
}

int main(void)
{
	const char *why;
	struct ring_buffer *ring;

	t = testrun_new(64, &why);
	if (!t) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	ring = ring_buffer__new(testrun_map(t, "hg_events"), take, NULL, NULL);
	make_world();
	for (int kind = TESTRUN_XDP; ring && kind <= TESTRUN_TC_L3; kind++) {
		check_lengths(testrun_player(t, kind), ring);
		check_others(testrun_player(t, kind), ring);
	}
	ok(ring, "the ring buffer was there");
	ring_buffer__free(ring);
	testrun_free(t);
	return tap_done();
}
