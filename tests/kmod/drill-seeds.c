// SPDX-License-Identifier: MIT
/* Good messages, one of each command and some more: where fuzzing and failing begin. */
#include "drill.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <openssl/hmac.h>
#include <string.h>
#include <linux/genetlink.h>

#include "../net/send.h"

static const uint8_t key[HG_KEY_LENGTH] = "the drill's key, known to nobody";

static uint32_t below(uint32_t n)
{
	return (send_random() >> 32) % n;
}

static struct hg_addr address(const char *text)
{
	struct hg_addr a = { .a = { 0, 0, htonl(0xffff), 0 } };

	if (strchr(text, ':'))
		inet_pton(AF_INET6, text, &a);
	else
		inet_pton(AF_INET, text, &a.a[3]);
	return a;
}

static void put_u32(struct message *m, uint16_t type, uint32_t v)
{
	message_put(m, type, &v, sizeof(v));
}

static void put_config(struct message *m)
{
	struct hg_guard_config c = {
		.seed = send_random(),
		.abi = HG_GUARD_ABI,
		.policy = below(3),
		.udp_one_way_s = 30,
		.udp_two_way_s = 180,
		.tcp_opening_s = 30,
		.tcp_established_s = 7440,
		.tcp_closing_s = 10,
		.icmp_s = 30,
		.other_s = 60,
		.config_rate = 50,
		.flags = below(4),
	};

	message_put(m, HG_A_CONFIG, &c, sizeof(c));
}

static void fill_attach(struct message *m)
{
	uint32_t sizes[3] = { 1 + below(64), 1 + below(256), 1 + below(256) };
	struct hg_prefix trusted[] = { { .length = 120, .addr = address("10.99.0.0") },
				       { .length = 64, .addr = address("fd99::") } };

	put_config(m);
	put_u32(m, HG_A_IFINDEXES, if_nametoindex("v0"));
	if (below(2))
		message_put(m, HG_A_TRUSTED, trusted, sizeof(trusted[0]) * below(3));
	if (below(2))
		message_put(m, HG_A_SIZES, sizes, sizeof(sizes));
}

static void fill_nothing(struct message *m)
{
	(void)m;
}

static void fill_policy(struct message *m)
{
	put_u32(m, HG_A_POLICY, below(3));
	put_u32(m, HG_A_FLAGS_ON, below(16));
	put_u32(m, HG_A_FLAGS_OFF, below(16));
}

static void fill_profile(struct message *m)
{
	struct hg_peer peers[HG_PEERS_MAX] = { 0 };
	struct hg_rule rules[HG_RULES_MAX] = { 0 };
	static struct hg_bounds bounds[HG_CHANNELS_MAX];
	uint32_t n_peers = below(HG_PEERS_MAX + 1), n_rules = below(HG_RULES_MAX + 1);

	for (uint32_t i = 0; i < n_peers; i++)
		peers[i] = (struct hg_peer){ .addr = address("10.77.0.1"),
					     .port = htons(7000 + i),
					     .role = 1 + below(31) };
	for (uint32_t i = 0; i < n_rules; i++)
		rules[i] = (struct hg_rule){ .addr = address("10.77.0.0"),
					     .channel = 1 + below(HG_CHANNELS_MAX - 1),
					     .port_min = below(65536),
					     .port_max = 65535,
					     .prefix_len = below(129),
					     .proto = below(2) ? IPPROTO_UDP : 0,
					     .flags = below(8),
					     .peer_roles = below(4) ? 0 : 1 };
	for (uint32_t i = 0; i < HG_CHANNELS_MAX; i++)
		bounds[i] = (struct hg_bounds){
			.id = below(2) ? i + 1 : 0,
			.bytes = { 1000, 10000, 100000 },
			.packets = { 10, 100, 1000 },
			.flows = { 2, 20, 200 },
			.failed = { 1, 10, 100 },
			.size_max = 65535,
			.walk_limit = 100,
			.walk_up = 10,
			.walk_down = 5,
		};
	message_put(m, HG_A_PEERS, peers, n_peers * sizeof(*peers));
	message_put(m, HG_A_RULES, rules, n_rules * sizeof(*rules));
	if (below(2))
		message_put(m, HG_A_BOUNDS, bounds, sizeof(bounds));
}

static void fill_bound(struct message *m)
{
	struct hg_addr a = address("192.0.2.0");
	struct hg_bound b = { .channels = send_random(), .flags = HG_BOUND_NAMED };

	a.a[3] = htonl(ntohl(a.a[3]) + below(2048));
	if (!below(4))
		memset(&b, 0, sizeof(b));
	message_put(m, HG_A_ADDR, &a, sizeof(a));
	message_put(m, HG_A_BOUND, &b, sizeof(b));
}

static void fill_heartbeat(struct message *m)
{
	struct hg_peer to = { .addr = address(below(2) ? "10.77.0.99" : "fd77::99"),
			      .port = htons(7007) };
	uint8_t data[HG_DISTRESS_MAX];

	memset(data, 0x5a, sizeof(data));
	put_u32(m, HG_A_TIMEOUT, below(3) ? 1 : below(HG_HEARTBEAT_MAX + 1));
	message_put(m, HG_A_DISTRESS, data, 1 + below(sizeof(data)));
	message_put(m, HG_A_DISTRESS_TO, &to, sizeof(to));
}

static void fill_gate(struct message *m)
{
	put_u32(m, HG_A_TIMEOUT, below(3) ? below(3) : below(HG_HEARTBEAT_MAX + 1));
}

static void fill_lock(struct message *m)
{
	uint64_t after = below(1000);

	message_put(m, HG_A_KEY, key, sizeof(key));
	if (below(2))
		message_put(m, HG_A_SEAL_AFTER, &after, sizeof(after));
}

static void fill_test(struct message *m)
{
	uint8_t frame[200];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = send_random() >> 40;
	frame[12] = below(2) ? 0x08 : 0x86;
	frame[13] = frame[12] == 0x08 ? 0 : 0xdd;
	frame[14] = frame[12] == 0x08 ? 0x45 : 0x60;
	put_u32(m, HG_A_DIRECTION, below(2));
	put_u32(m, HG_A_LINK, 1);
	message_put(m, HG_A_FRAME, frame, 1 + below(sizeof(frame)));
	put_u32(m, HG_A_NOW, below(100000));
	if (below(2))
		put_u32(m, HG_A_SEGMENTS, 1 + below(64));
	if (below(2))
		put_u32(m, HG_A_LINEAR, below(200));
}

static void fill_close(struct message *m)
{
	put_u32(m, HG_A_SECONDS, below(4) ? 1 : send_random() >> 32);
}

const struct seed seeds[] = {
	{ "get", HG_CMD_GET, 0, fill_nothing },
	{ "attach", HG_CMD_ATTACH, 0, fill_attach },
	{ "policy", HG_CMD_SET_POLICY, 0, fill_policy },
	{ "profile", HG_CMD_SET_PROFILE, 0, fill_profile },
	{ "bounds", HG_CMD_GET_BOUNDS, NLM_F_DUMP, fill_nothing },
	{ "counters", HG_CMD_GET_COUNTERS, 0, fill_nothing },
	{ "windows", HG_CMD_GET_WINDOWS, NLM_F_DUMP, fill_nothing },
	{ "flows", HG_CMD_GET_FLOWS, NLM_F_DUMP, fill_nothing },
	{ "set-bound", HG_CMD_SET_BOUND, 0, fill_bound },
	{ "get-bound", HG_CMD_GET_BOUND, NLM_F_DUMP, fill_nothing },
	{ "rematch", HG_CMD_REMATCH, 0, fill_nothing },
	{ "heartbeat", HG_CMD_HEARTBEAT, 0, fill_heartbeat },
	{ "gate", HG_CMD_GATE, 0, fill_gate },
	{ "lock", HG_CMD_LOCK, 0, fill_lock },
	{ "unlock", HG_CMD_UNLOCK, 0, fill_nothing },
	{ "test", HG_CMD_TEST, 0, fill_test },
	{ "test-close", HG_CMD_TEST_CLOSE, 0, fill_close },
	{ "detach", HG_CMD_DETACH, 0, fill_nothing },
};
const size_t n_seeds = sizeof(seeds) / sizeof(*seeds);

const struct seed *seed_find(const char *name)
{
	for (size_t i = 0; i < n_seeds; i++)
		if (!strcmp(seeds[i].name, name))
			return &seeds[i];
	return NULL;
}

void seed_message(struct message *m, const struct seed *s, uint16_t family)
{
	message_begin(m, family, s->command, s->flags);
	s->fill(m);
}

void seed_seal(struct message *m, uint64_t counter)
{
	static const char label[] = "heliograph seal";
	const struct genlmsghdr *g = NLMSG_DATA(&m->head);
	const uint8_t *from = m->bytes + NLMSG_LENGTH(GENL_HDRLEN);
	size_t n = m->head.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), at = sizeof(label) - 1;
	static uint8_t said[sizeof(m->bytes) + 64];
	struct hg_seal seal = { .counter = counter };
	unsigned int length = sizeof(seal.mac);

	memcpy(said, label, at);
	for (int i = 0; i < 8; i++)
		said[at++] = counter >> (56 - 8 * i);
	said[at++] = g->cmd;
	memcpy(said + at, from, n);
	HMAC(EVP_sha256(), key, sizeof(key), said, at + n, seal.mac, &length);
	message_put(m, HG_A_SEAL, &seal, sizeof(seal));
}
