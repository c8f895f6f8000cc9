// SPDX-License-Identifier: GPL-2.0
/*
 * Seals. The good one was made by another implementation, for a message as a little-endian machine
 * has it:
 *
 *   key      32 bytes, 1 to 32
 *   said     "heliograph seal", 5 as 8 bytes in big-endian, the command HEARTBEAT, TIMEOUT 0
 *
 * python3: hmac.new(bytes(range(1, 33)), b"heliograph seal" + (5).to_bytes(8, "big") +
 *                   bytes([13]) + bytes([8, 0, 26, 0, 0, 0, 0, 0]), "sha256")
 */
#include "suites.h"

#include <linux/skbuff.h>
#include <net/genetlink.h>

#define COMMAND HG_CMD_HEARTBEAT
#define COUNTER 5

static const u8 good[32] = {
	0x94, 0xfd, 0xc4, 0x5d, 0x14, 0x83, 0xa6, 0x03, 0xf9, 0x9a, 0x85,
	0x38, 0x46, 0x40, 0x99, 0x97, 0x06, 0xe7, 0x77, 0x7a, 0x35, 0x44,
	0x84, 0x14, 0xe8, 0x68, 0x5d, 0x3b, 0x88, 0x01, 0x37, 0xb3,
};

/* A message with TIMEOUT 0 and a seal, and what the family makes of it. */
struct sealed {
	struct sk_buff *skb;
	struct genl_info info;
	struct netlink_ext_ack extack;
	struct nlattr *attrs[HG_A_MAX + 1];
	u8 key[HG_KEY_LENGTH];
};

static void seal_make(struct kunit *test, struct sealed *s, u8 command, u64 counter,
		      const u8 mac[32])
{
	struct hg_seal seal = { .counter = counter };
	struct nlmsghdr *head;
	struct genlmsghdr *g;
	u32 i;

	memset(s, 0, sizeof(*s));
	s->skb = nlmsg_new(512, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->skb);
	head = nlmsg_put(s->skb, 0, 0, 0, GENL_HDRLEN, 0);
	g = nlmsg_data(head);
	memset(g, 0, sizeof(*g));
	g->cmd = command;
	memcpy(seal.mac, mac, sizeof(seal.mac));
	s->attrs[HG_A_TIMEOUT] = (struct nlattr *)skb_tail_pointer(s->skb);
	KUNIT_ASSERT_EQ(test, nla_put_u32(s->skb, HG_A_TIMEOUT, 0), 0);
	s->attrs[HG_A_SEAL] = (struct nlattr *)skb_tail_pointer(s->skb);
	KUNIT_ASSERT_EQ(test, nla_put(s->skb, HG_A_SEAL, sizeof(seal), &seal), 0);
	nlmsg_end(s->skb, head);
	s->info.nlhdr = head;
	s->info.genlhdr = g;
	s->info.attrs = s->attrs;
	s->info.extack = &s->extack;
	for (i = 0; i < sizeof(s->key); i++)
		s->key[i] = i + 1;
}

static int seal_check(struct hg_guard *g, struct sealed *s)
{
	int ret;

	mutex_lock(&hg_test_net.lock);
	ret = hg_lock_check(g, &s->info);
	mutex_unlock(&hg_test_net.lock);
	nlmsg_free(s->skb);
	s->skb = NULL;
	return ret;
}

static void lock(struct kunit *test, struct hg_guard *g, const u8 *key, u64 after)
{
	struct netlink_ext_ack extack = { 0 };

	mutex_lock(&hg_test_net.lock);
	KUNIT_EXPECT_EQ(test, hg_lock_close(g, key, after, &extack), 0);
	mutex_unlock(&hg_test_net.lock);
}

static void lock_takes_the_good_seal_once(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	struct sealed s;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		kunit_skip(test, "the vector is for little-endian machines");
	seal_make(test, &s, COMMAND, COUNTER, good);
	lock(test, g, s.key, 0);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), 0);
	KUNIT_EXPECT_EQ(test, g->lock.counter, (u64)COUNTER);
	seal_make(test, &s, COMMAND, COUNTER, good);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	hg_test_guard_free(g);
}

static void lock_refuses_others(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	u8 bad[32];
	struct sealed s;
	int i;

	seal_make(test, &s, COMMAND, COUNTER, good);
	lock(test, g, s.key, 0);
	nlmsg_free(s.skb);
	for (i = 0; i < 32; i++) { /* one bit wrong in each byte */
		memcpy(bad, good, sizeof(bad));
		bad[i] ^= 1 << i % 8;
		seal_make(test, &s, COMMAND, COUNTER, bad);
		KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	}
	seal_make(test, &s, HG_CMD_DETACH, COUNTER, good); /* for another command */
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	seal_make(test, &s, COMMAND, COUNTER + 1, good); /* for another counter */
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	seal_make(test, &s, COMMAND, COUNTER, good); /* over other bytes */
	*(u8 *)nla_data(s.attrs[HG_A_TIMEOUT]) ^= 1;
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	seal_make(test, &s, COMMAND, COUNTER, good); /* something behind it */
	KUNIT_EXPECT_EQ(test, nla_put_u32(s.skb, HG_A_TIMEOUT, 9), 0);
	nlmsg_end(s.skb, s.info.nlhdr);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EINVAL);
	seal_make(test, &s, COMMAND, COUNTER, good); /* none at all */
	s.attrs[HG_A_SEAL] = NULL;
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	KUNIT_EXPECT_NOT_NULL(test, s.extack._msg);
	KUNIT_EXPECT_EQ(test, g->lock.counter, 0ull);
	hg_test_guard_free(g);
}

static void lock_counts_from(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	struct sealed s;

	seal_make(test, &s, COMMAND, COUNTER, good);
	lock(test, g, s.key, COUNTER);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	lock(test, g, s.key, 0); /* again: what was counted stays so */
	seal_make(test, &s, COMMAND, COUNTER, good);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), -EACCES);
	hg_test_guard_free(g);
}

static void lock_open_asks_nothing(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	struct sealed s;

	seal_make(test, &s, COMMAND, COUNTER, good);
	KUNIT_EXPECT_EQ(test, seal_check(g, &s), 0);
	hg_test_guard_free(g);
}

static struct kunit_case cases[] = { KUNIT_CASE(lock_takes_the_good_seal_once),
				     KUNIT_CASE(lock_refuses_others),
				     KUNIT_CASE(lock_counts_from),
				     KUNIT_CASE(lock_open_asks_nothing),
				     {} };

struct kunit_suite hg_lock_suite = { .name = "heliograph_lock", .test_cases = cases };
