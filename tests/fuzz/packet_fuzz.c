/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a row of frames, in and out, through the core. Each frame is a byte (1: out, 2: no
 * link header, the rest: segments), two of length, and its bytes, which stand at the end of memory
 * that is theirs alone. The first byte of all also says (32, 64) if the guard confines or polices.
 * What comes in never adds a flow, and what goes out passes or is refused for a reason of its own.
 */
#define HG_NATIVE_FLOWS 512
#include "fuzz.h"

#include <arpa/inet.h>
#include "../core/native.h"

#define FRAMES_MAX 128 /* so that no table fills up */

static struct hg_host host;

static size_t flows(void)
{
	return (size_t)host.flows[0].n + host.flows[1].n + host.flows[2].n;
}

static void begin(uint8_t flags)
{
	memset(&host, 0, sizeof(host));
	host.now_s = 1000;
	host.config = (struct hg_guard_config){
		.seed = 1,
		.abi = HG_GUARD_ABI,
		.policy = HG_POLICY_INITIATED,
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 60,
		.tcp_established_s = 7440,
		.tcp_closing_s = 20,
		.icmp_s = 10,
		.other_s = 600,
		.config_rate = 20,
		.flags = flags & HG_GUARD_FLAGS,
	};
	host.bounds[0] =
		(struct hg_bounds){ .id = 1, .packets[0] = 3, .bytes[0] = 999, .flows[0] = 2 };
	host.peers[0] = (struct hg_peer){ .addr.a = { 0, 0, htonl(0xffff), htonl(0xc0000201) },
					  .role = HG_PEER_MIRROR };
	host.rules[0] = (struct hg_rule){ .channel = 1, .port_max = 65535, .flags = HG_RULE_LOCAL };
}

static void judge(const uint8_t *bytes, size_t length, uint8_t how)
{
	int out = how & 1, plain = how & 2, reason;
	/* A frame's network header is aligned, as the kernel aligns it. */
	size_t before = plain ? 0 : 2, had = flows();
	uint8_t *room = malloc(before + length + !length);
	struct hg_frame f = { .data = room + before,
			      .end = room + before + length,
			      .wire = length };
	struct hg_packet p;

	f.network = f.data + (plain ? 0 : 14);
	memcpy(room + before, bytes, length);
	reason = hg_native_run(&host, &p, &f, out, how >> 2);
	holds(reason >= 0 && reason < HG_REASON_MAX);
	holds(out ==
	      (reason == HG_PASS_OUT || reason == HG_DROP_CONFINED || reason == HG_DROP_POLICED));
	holds(host.config.flags || reason < HG_DROP_CONFINED);
	holds(reason != HG_DROP_CONFINED || host.config.flags & HG_GUARD_CONFINE);
	holds(reason != HG_DROP_POLICED || host.config.flags & HG_GUARD_POLICE);
	holds(reason != HG_DROP_GATE || host.config.flags & HG_GUARD_GATE);
	holds(reason != HG_PASS_FLOW || !(host.config.flags & HG_GUARD_GATE));
	holds(out || flows() == had);
	holds(reason != HG_PASS_FLOW || hg_flow_find(&host, &p.key, 0));
	holds(reason != HG_PASS_RELATED || hg_flow_find(&host, &p.key, 0));
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin(size ? data[0] >> 5 : 0);
	for (int i = 0; i < FRAMES_MAX && size >= 3; i++) {
		size_t length = data[1] | data[2] << 8;
		uint8_t how = data[0];

		data += 3;
		size -= 3;
		length = length < size ? length : size;
		judge(data, length, how);
		data += length;
		size -= length;
		host.now_s += how >> 7;
	}
	return 0;
}
