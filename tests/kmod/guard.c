/* SPDX-License-Identifier: MIT */
/*
 * A guard of the module in one line, for benchmarks in guests without the agent.
 *
 *   guard attach INTERFACE ADDRESS PORT   guards, policy initiated; ADDRESS is the mirror
 *   guard show                            flows kept, inside, outside; bytes; passed, dropped
 */
#include "../tap.h"
#include "genl.h"

#include <stdlib.h>
#include <arpa/inet.h>
#include <net/if.h>

static struct genl *genl;

static int attach(const char *interface, const char *address, const char *port)
{
	struct hg_guard_config c = {
		.seed = 0x243f6a8885a308d3,
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
	};
	struct hg_peer mirror = { .port = htons((__u16)atoi(port)),
				  .proto = 6,
				  .role = HG_PEER_MIRROR };

	mirror.addr.a[2] = htonl(0xffff);
	if (inet_pton(AF_INET, address, &mirror.addr.a[3]) != 1)
		return -1;
	genl_begin(genl, HG_CMD_ATTACH, 0);
	genl_put(genl, HG_A_CONFIG, &c, sizeof(c));
	genl_put32(genl, HG_A_IFINDEXES, if_nametoindex(interface));
	if (genl_call(genl))
		return -1;
	genl_begin(genl, HG_CMD_SET_PROFILE, 0);
	genl_put(genl, HG_A_PEERS, &mirror, sizeof(mirror));
	genl_put(genl, HG_A_RULES, NULL, 0);
	return genl_call(genl);
}

static void print_guard(void *ctx, const struct genl_answer *a)
{
	const __u32 *counts = a->at[HG_A_COUNTS], *memory = a->at[HG_A_MEMORY];

	if (counts && memory)
		printf("%u %u %u %u", counts[0], counts[1], counts[2], *memory);
}

static void print_counters(void *ctx, const struct genl_answer *a)
{
	__u64 n[HG_REASON_MAX] = { 0 }, passed = 0, dropped = 0;

	if (a->length[HG_A_COUNTERS] == sizeof(n))
		memcpy(n, a->at[HG_A_COUNTERS], sizeof(n));
	for (int i = 0; i < HG_REASON_MAX; i++)
		*(i < HG_DROP_NO_FLOW ? &passed : &dropped) += n[i];
	printf(" %llu %llu\n", passed, dropped);
}

int main(int argc, char **argv)
{
	const char *why = "";

	genl = genl_open(&why);
	if (!genl) {
		fprintf(stderr, "guard: %s\n", why);
		return 1;
	}
	if (argc == 5 && !strcmp(argv[1], "attach")) {
		if (!attach(argv[2], argv[3], argv[4]))
			return 0;
		fprintf(stderr, "guard: %s\n", genl_error(genl));
		return 1;
	}
	genl_begin(genl, HG_CMD_GET, 0);
	genl_exchange(genl, 1, print_guard, NULL);
	genl_begin(genl, HG_CMD_GET_COUNTERS, 0);
	genl_exchange(genl, 1, print_counters, NULL);
	return 0;
}
