/* SPDX-License-Identifier: MIT */
/*
 * Score: what breaks, in which window, what it is called, when an episode begins and ends, and that
 * walk and sums see what no rate sees.
 */
#include "../tap.h"
#include <string.h>
#include "../../core/score.h"

/* A device whose counters the test moves. */
struct device {
	struct hg_score_state st;
	struct hg_window now;
	struct hg_spots spots;
	struct hg_bounds b;
	struct hg_flow_key key;
	__u32 channel;
	struct hg_score_event e;
};

static const struct hg_bounds unbounded = {
	.id = 1,
	.bytes = { HG_UNBOUNDED_BYTES, HG_UNBOUNDED_BYTES, HG_UNBOUNDED_BYTES },
	.sum_bytes_limit = HG_UNBOUNDED_BYTES,
	.packets = { HG_UNBOUNDED, HG_UNBOUNDED, HG_UNBOUNDED },
	.flows = { HG_UNBOUNDED, HG_UNBOUNDED, HG_UNBOUNDED },
	.failed = { HG_UNBOUNDED, HG_UNBOUNDED, HG_UNBOUNDED },
	.destinations = { HG_UNBOUNDED, HG_UNBOUNDED, HG_UNBOUNDED },
	.fresh = { HG_UNBOUNDED, HG_UNBOUNDED, HG_UNBOUNDED },
	.ports = HG_UNBOUNDED,
	.sources = HG_UNBOUNDED,
	.sum_flows_limit = HG_UNBOUNDED,
	.size_max = 65535,
};

static void second(struct device *d)
{
	hg_score_step(&d->st, &d->b, &d->now, &d->spots, d->channel, 1, &d->e);
}

static struct device begin(__u32 channel)
{
	struct device d = { .b = unbounded, .channel = channel };

	d.key.remote.a[2] = (__be32)HG_NET32(0xffff);
	d.key.proto = 6;
	second(&d);
	return d;
}

/* Opens a flow of `packets` of `size` bytes to host and port. */
static void open_flow(struct device *d, __u32 host, __u16 port, __u32 packets, __u32 size,
		      int answered)
{
	d->key.remote.a[3] = host;
	d->key.remote_port = (__be16)HG_NET16(port);
	d->now.flows++;
	d->now.fresh += hg_spots_add(&d->spots, 42, &d->key, d->key.remote_port);
	d->now.unnamed++;
	d->now.packets_out += packets;
	d->now.tcp += packets;
	d->now.syn++;
	d->now.bytes_out += packets * size;
	d->now.answered += answered;
	d->now.packets_in += answered ? packets : 0;
}

/* Seconds until an event of this kind, at most `most`; -1: none. */
static int until(struct device *d, int news, int most)
{
	for (int i = 1; i <= most; i++) {
		second(d);
		if (d->e.news == news)
			return i;
	}
	return -1;
}

static void windows(void)
{
	struct device d = begin(1);

	d.b.packets[HG_WINDOW_SECOND] = 100;
	open_flow(&d, 1, 443, 100, 60, 1);
	second(&d);
	is_int(d.e.news, HG_EPISODE_NONE, "at its bound nothing breaks");
	d.now.packets_out += 101;
	d.now.udp += 101;
	second(&d);
	ok(d.e.news == HG_EPISODE_START && d.e.feature == HG_FEATURE_PACKETS && d.e.value == 101 &&
		   d.e.bound == 100 && d.e.window == HG_WINDOW_SECOND,
	   "one packet more begins an episode that says what broke");
	is_int(d.e.attack, HG_ATTACK_UDP_FLOOD, "and what it looks like");
	is_int(until(&d, HG_EPISODE_END, 60), HG_SCORE_QUIET, "ten quiet seconds end it");
	is_int(until(&d, HG_EPISODE_END, 60), -1, "once");

	d = begin(1);
	d.b.packets[HG_WINDOW_MINUTE] = 300;
	for (int i = 0; i < 29; i++) {
		d.now.packets_out += 10;
		second(&d);
	}
	d.now.packets_out += 10;
	second(&d);
	is_int(d.e.news, HG_EPISODE_NONE, "300 packets in half a minute: at the bound");
	d.now.packets_out += 1000;
	second(&d);
	ok(d.e.news == HG_EPISODE_START && d.e.window == HG_WINDOW_MINUTE && d.e.value == 1300,
	   "the minute is not waited for");
	is_int(until(&d, HG_EPISODE_END, 120), HG_SCORE_QUIET_MINUTE,
	       "what lies behind does not break again: it ends when a minute has not filled");

	d = begin(0);
	d.b.packets[HG_WINDOW_SECOND] = 40;
	d.b.packets[HG_WINDOW_MINUTE] = 120;
	d.b.packets[HG_WINDOW_HOUR] = 1200;
	for (int i = 0; i < 20; i++) {
		d.now.packets_out += 2000;
		d.now.udp += 2000;
		second(&d);
	}
	is_int(until(&d, HG_EPISODE_END, 4000), HG_SCORE_QUIET,
	       "a flood that is over is over, whatever the hour has seen");
}

static void lateness(void)
{
	struct device d = begin(1);

	d.b.packets[HG_WINDOW_SECOND] = 100;
	d.now.packets_out += 300;
	hg_score_step(&d.st, &d.b, &d.now, &d.spots, 1, 3, &d.e);
	is_int(d.e.news, HG_EPISODE_NONE, "three seconds closed at once have three bounds");
	d.now.packets_out = 5;
	second(&d);
	is_int(d.e.news, HG_EPISODE_NONE, "a reading that went back is a new base");
	d.now.packets_out += 101;
	second(&d);
	is_int(d.e.news, HG_EPISODE_START, "from which counting goes on");
}

static void another_channel(void)
{
	struct device d = begin(1);

	d.b.packets[HG_WINDOW_MINUTE] = 100;
	open_flow(&d, 1, 443, 90, 60, 1);
	second(&d);
	d.b.id = 2;
	d.now.packets_out += 20;
	second(&d);
	d.now.packets_out += 20;
	second(&d);
	ok(d.e.news == HG_EPISODE_NONE && d.st.minute.packets == 20 && !d.spots.n[1],
	   "another definition of the channel begins anew");
	d.now.packets_out += 900;
	second(&d);
	is_int(d.e.news, HG_EPISODE_START, "and is scored from there");
	d.b.packets[HG_WINDOW_MINUTE] = 10000;
	is_int(until(&d, HG_EPISODE_END, 90), HG_SCORE_QUIET_MINUTE,
	       "the same one with other bounds goes on");
}

static void walks(void)
{
	struct device d = begin(0);
	int at = -1;

	d.b.walk_limit = 20;
	d.b.walk_up = 2;
	d.b.walk_down = 1;
	for (int i = 0; i < 20 && at < 0; i++) {
		open_flow(&d, 100 + i, 23, 1, 60, 0);
		at = until(&d, HG_EPISODE_START, 60) > 0 ? i : -1;
	}
	is_int(at, 9, "one SYN a minute to new hosts is a scan at the tenth");
	ok(d.e.feature == HG_FEATURE_WALK && d.e.attack == HG_ATTACK_HORIZONTAL_SCAN,
	   "told as a horizontal scan by the walk");

	d = begin(0);
	d.b.walk_limit = 20;
	d.b.walk_up = 2;
	d.b.walk_down = 1;
	for (int i = 0; i < 500; i++) {
		open_flow(&d, 7, 443, 1, 60, 0);
		if (until(&d, HG_EPISODE_START, 5) > 0)
			break;
	}
	ok(!d.st.active, "a device that tries its lost server 500 times does not scan");

	d = begin(0);
	d.b.walk_limit = 20;
	d.b.walk_up = 2;
	d.b.walk_down = 1;
	for (int i = 0; i < 200; i++) {
		open_flow(&d, 1000 + i, 443, 1, 60, i % 3 != 0);
		second(&d);
	}
	ok(!d.st.active, "nor one that meets a dead peer with every third");
}

static void sums(void)
{
	struct device d = begin(0);
	int minutes = -1;

	d.b.sum_flows_rate = 6;
	d.b.sum_flows_limit = 10;
	for (int i = 0; i < 120 && minutes < 0; i++) {
		open_flow(&d, 9, 6667, 3, 80, 1);
		minutes = until(&d, HG_EPISODE_START, 60) > 0 ? i + 1 : -1;
	}
	ok(minutes >= 10 && minutes <= 13, "a beacon a minute adds up in %d minutes", minutes);
	is_int(d.e.attack, HG_ATTACK_BOT_CONTROL, "to a bare address: control of a bot");

	d = begin(0);
	d.b.sum_flows_rate = 6;
	d.b.sum_flows_limit = 10;
	for (int i = 0; i < 100; i++) {
		open_flow(&d, 9, 6667, 3, 80, 1);
		if (until(&d, HG_EPISODE_START, 600) > 0)
			break;
	}
	ok(!d.st.active, "at the rate that is usual it never does");
}

/* What has added up goes down slowly: the minutes without traffic name nothing anew. */
static void sum_that_stands(void)
{
	struct device d = begin(1);
	int other = 0, more = 0;

	d.b.sum_flows_rate = 6;
	d.b.sum_flows_limit = 10;
	for (int i = 0; i < 30; i++) {
		open_flow(&d, 9, 443, 3, 80, 1);
		until(&d, HG_EPISODE_END, 60);
	}
	ok(d.st.active && d.st.attack == HG_ATTACK_DRIFT, "in a channel, answered: drift");
	for (int i = 0; i < 20000 && d.e.news != HG_EPISODE_END; i++) {
		second(&d);
		more += d.e.news == HG_EPISODE_MORE;
		other += d.e.news != HG_EPISODE_NONE && d.e.attack != HG_ATTACK_DRIFT;
	}
	ok(d.e.news == HG_EPISODE_END && more > 10 && !other,
	   "and stays so until the sum is small");
	is_int(until(&d, HG_EPISODE_START, 3600), -1, "which is the end of it");
}

/* The device is faster than the agent, with each new address: it opens outside, and is moved. */
static void moved(void)
{
	struct device d = begin(0);
	int told = 0;

	d.b.flows[HG_WINDOW_SECOND] = 2;
	d.b.flows[HG_WINDOW_MINUTE] = 4;
	d.b.sum_flows_rate = 6;
	d.b.sum_flows_limit = 12;
	d.b.walk_limit = 20;
	d.b.walk_up = 2;
	d.b.walk_down = 1;
	for (int i = 0; i < 600; i++) {
		open_flow(&d, 1000 + i, 443, 1, 60, 1);
		if (i % 2) /* in the second of the opening, or after it was closed */
			second(&d);
		d.now.moved++;
		second(&d);
		told += d.e.news != HG_EPISODE_NONE;
		told += until(&d, HG_EPISODE_START, 5) > 0;
	}
	ok(!told, "600 in an hour are moved: nothing to tell");
	is_int((long long)d.st.hour.unnamed, 0, "nor has it opened to bare addresses");
	ok(!d.st.hour.flows && !d.st.hour.fresh && !d.st.walk, "nor anything new");
	for (int i = 0; i < 5; i++)
		open_flow(&d, 5000 + i, 23, 1, 60, 0);
	second(&d);
	is_int((long long)d.e.sample.flows, 5, "what is not moved counts");
	ok(d.e.feature == HG_FEATURE_FLOWS || d.st.mild, "and breaks");
}

static void no_echo(void)
{
	struct device d = begin(0);

	d.b.flows[HG_WINDOW_SECOND] = 4;
	d.b.sum_flows_rate = 6;
	d.b.sum_flows_limit = 12;
	for (int i = 0; i < 30; i++) {
		for (int k = 0; k < 100; k++)
			open_flow(&d, 100 * i + k, 23, 1, 60, 0);
		second(&d);
	}
	ok(until(&d, HG_EPISODE_END, 60) > 0, "a scan is over");
	is_int(until(&d, HG_EPISODE_START, 7200), -1, "and does not come back as a sum");
}

static void mildness(void)
{
	struct device d = begin(0);

	d.b.packets[HG_WINDOW_SECOND] = 10;
	for (int i = 0; i < (int)HG_SCORE_MILD - 1; i++) {
		d.now.packets_out += 12;
		d.now.tcp += 12;
		second(&d);
	}
	ok(!d.st.active, "a little outside the profile is not told at once");
	d.now.packets_out += 12;
	d.now.tcp += 12;
	second(&d);
	ok(d.e.news == HG_EPISODE_START && d.e.attack == HG_ATTACK_DRIFT,
	   "when it goes on it is drift");
	d = begin(0);
	d.b.packets[HG_WINDOW_SECOND] = 10;
	d.now.packets_out += 41;
	d.now.icmp += 41;
	second(&d);
	ok(d.e.news == HG_EPISODE_START && d.e.attack == HG_ATTACK_ICMP_FLOOD,
	   "four times the bound is told at once, as what it is");
}

/* A window as it is given, and what it is called. */
static const struct {
	const char *name;
	__u32 channel, destinations, ports, sources;
	__u8 feature, window, attack;
	__u64 value;
	struct hg_sample s;
} named[] = {
	{ "SYNs to many hosts",
	  0,
	  100,
	  1,
	  1,
	  HG_FEATURE_FLOWS,
	  0,
	  HG_ATTACK_HORIZONTAL_SCAN,
	  160,
	  { .packets = 160, .flows = 160, .tcp = 160, .syn = 160 } },
	{ "SYNs to many ports of one host",
	  0,
	  1,
	  200,
	  1,
	  HG_FEATURE_FLOWS,
	  0,
	  HG_ATTACK_VERTICAL_SCAN,
	  400,
	  { .packets = 400, .flows = 400, .tcp = 400, .syn = 400 } },
	{ "SYNs to one port of one host",
	  0,
	  1,
	  1,
	  1,
	  HG_FEATURE_PACKETS,
	  0,
	  HG_ATTACK_SYN_FLOOD,
	  9000,
	  { .packets = 9000, .flows = 9000, .tcp = 9000, .syn = 9000 } },
	{ "the same from many own addresses",
	  0,
	  1,
	  1,
	  60,
	  HG_FEATURE_FLOWS,
	  0,
	  HG_ATTACK_SPOOFED_SOURCE,
	  9000,
	  { .packets = 9000, .flows = 9000, .tcp = 9000, .syn = 9000 } },
	{ "segments that nobody answers",
	  1,
	  1,
	  1,
	  1,
	  HG_FEATURE_PACKETS,
	  0,
	  HG_ATTACK_ACK_FLOOD,
	  9000,
	  { .packets = 9000, .flows = 1, .tcp = 9000 } },
	{ "datagrams that nobody answers",
	  1,
	  1,
	  1,
	  1,
	  HG_FEATURE_BYTES,
	  0,
	  HG_ATTACK_UDP_FLOOD,
	  9000,
	  { .packets = 9000, .flows = 1, .udp = 9000 } },
	{ "answers to questions that nobody here asked",
	  0,
	  30,
	  30,
	  1,
	  HG_FEATURE_BYTES,
	  0,
	  HG_ATTACK_REFLECTION,
	  9000,
	  { .packets = 900, .flows = 30, .udp = 900, .reflect = 900 } },
	{ "seven connections to an SSH server",
	  0,
	  1,
	  1,
	  1,
	  HG_FEATURE_FLOWS,
	  0,
	  HG_ATTACK_BRUTE_FORCE,
	  7,
	  { .packets = 60, .flows = 7, .answered = 7, .login = 7, .tcp = 60, .packets_in = 50 } },
	{ "four times what is usual of an own server, answered",
	  1,
	  1,
	  1,
	  1,
	  HG_FEATURE_BYTES,
	  0,
	  HG_ATTACK_DRIFT,
	  90000000,
	  { .packets = 60000, .bytes = 90000000, .flows = 1, .tcp = 60000, .packets_in = 30000 } },
	{ "as much to a bare address",
	  0,
	  1,
	  1,
	  1,
	  HG_FEATURE_BYTES,
	  1,
	  HG_ATTACK_EXFILTRATION,
	  90000000,
	  { .packets = 60000,
	    .bytes = 90000000,
	    .flows = 1,
	    .unnamed = 1,
	    .tcp = 60000,
	    .packets_in = 30000 } },
	{ "a little talk with a bare address",
	  0,
	  1,
	  1,
	  1,
	  HG_FEATURE_PACKETS,
	  1,
	  HG_ATTACK_BOT_CONTROL,
	  130,
	  { .packets = 130,
	    .bytes = 9000,
	    .flows = 1,
	    .answered = 1,
	    .unnamed = 1,
	    .tcp = 130,
	    .packets_in = 90 } },
	{ "a little talk with a new name",
	  0,
	  1,
	  1,
	  1,
	  HG_FEATURE_PACKETS,
	  1,
	  HG_ATTACK_DRIFT,
	  130,
	  { .packets = 130,
	    .bytes = 9000,
	    .flows = 1,
	    .answered = 1,
	    .tcp = 130,
	    .packets_in = 90 } },
	{ "some more name lookups in an hour",
	  1,
	  1,
	  1,
	  1,
	  HG_FEATURE_FLOWS,
	  2,
	  HG_ATTACK_DRIFT,
	  130,
	  { .packets = 130, .flows = 130, .answered = 130, .udp = 130, .packets_in = 130 } },
};

static void names(void)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		struct hg_score_event e = { .value = named[i].value,
					    .bound = 40,
					    .feature = named[i].feature,
					    .window = named[i].window,
					    .destinations = named[i].destinations,
					    .ports = named[i].ports,
					    .sources = named[i].sources,
					    .sample = named[i].s };

		is_int(hg_attack_of(&e, named[i].channel), named[i].attack, named[i].name);
	}
}

static void updates(void)
{
	struct device d = begin(1);
	int told = 0;

	d.b.packets[HG_WINDOW_SECOND] = 10;
	for (int i = 0; i < 60; i++) {
		d.now.packets_out += 100;
		d.now.udp += 100;
		second(&d);
		told += d.e.news != HG_EPISODE_NONE;
	}
	is_int(told, 5, "a minute of flood: at once, after 2 s, then each 15 s");
}

int main(void)
{
	windows();
	lateness();
	another_channel();
	walks();
	sums();
	sum_that_stands();
	moved();
	no_echo();
	mildness();
	names();
	updates();
	return tap_done();
}
