// SPDX-License-Identifier: GPL-2.0
/* The flow table: what was put in is found, other things are not; who goes when it is full. */
#include "suites.h"

#include <linux/prandom.h>
#include <linux/string.h>

#define SIZE 64
#define STEPS 20000
#define KEYS 256

static const struct hg_guard_config config = { .udp_one_way_s = 30, .udp_two_way_s = 180 };

static struct hg_flow_key key_of(u32 i)
{
	struct hg_flow_key k = { .local_port = htons(i), .proto = 17 };

	k.remote.a[3] = htonl(i);
	return k;
}

/* Few buckets are used, so that chains are long. */
static u32 hash_of(u32 i)
{
	return i & 3;
}

static int add(struct hg_flow_table *t, u32 i, u32 now_s)
{
	const struct hg_flow f = { .bytes_out = i, .opened_s = now_s, .last_s = now_s };
	const struct hg_flow_key k = key_of(i);
	int ret;

	local_bh_disable();
	ret = hg_table_add(t, &k, hash_of(i), &f, sizeof(f), &config, now_s);
	local_bh_enable();
	return ret;
}

/* The number in the flow, or -1. */
static long find(struct hg_flow_table *t, u32 i)
{
	const struct hg_flow_key k = key_of(i);
	const struct hg_flow *f;
	long n;

	local_bh_disable();
	rcu_read_lock();
	f = hg_table_find(t, &k, hash_of(i));
	n = f ? (long)f->bytes_out : -1;
	rcu_read_unlock();
	local_bh_enable();
	return n;
}

static void remove(struct hg_flow_table *t, u32 i)
{
	const struct hg_flow_key k = key_of(i);

	local_bh_disable();
	hg_table_remove(t, &k, hash_of(i));
	local_bh_enable();
}

static void table_finds(struct kunit *test)
{
	struct hg_flow_table t = { 0 };
	u32 i;

	KUNIT_ASSERT_EQ(test, hg_table_init(&t, SIZE, sizeof(struct hg_flow), false), 0);
	KUNIT_EXPECT_EQ(test, find(&t, 1), -1L);
	for (i = 0; i < SIZE; i++)
		KUNIT_EXPECT_EQ(test, add(&t, i, 1), 0);
	for (i = 0; i < SIZE; i++)
		KUNIT_EXPECT_EQ(test, find(&t, i), (long)i);
	KUNIT_EXPECT_EQ(test, find(&t, SIZE), -1L);
	KUNIT_EXPECT_EQ(test, t.used, (u32)SIZE);
	remove(&t, 5);
	KUNIT_EXPECT_EQ(test, find(&t, 5), -1L);
	KUNIT_EXPECT_EQ(test, t.used, (u32)SIZE - 1);
	hg_table_exit(&t);
}

/* What somebody looks at stays; what nobody looks at goes. */
static void table_evicts_the_idle(struct kunit *test)
{
	struct hg_flow_table t = { 0 };
	u32 i, round, kept = 0;

	KUNIT_ASSERT_EQ(test, hg_table_init(&t, SIZE, sizeof(struct hg_flow), false), 0);
	for (i = 0; i < SIZE; i++)
		add(&t, i, 1);
	for (round = 0; round < 10 * SIZE; round++) {
		for (i = 0; i < 8; i++)
			find(&t, i);
		KUNIT_EXPECT_EQ(test, add(&t, 1000 + round, 1), 0);
		KUNIT_EXPECT_EQ(test, t.used, (u32)SIZE);
	}
	for (i = 0; i < 8; i++)
		kept += find(&t, i) == (long)i;
	KUNIT_EXPECT_EQ(test, kept, 8u);
	for (i = 8; i < SIZE; i++)
		KUNIT_EXPECT_EQ(test, find(&t, i), -1L);
	hg_table_exit(&t);
}

/* Flows to the mirror are not replaced while they live. */
static void table_pins(struct kunit *test)
{
	struct hg_flow_table t = { 0 };
	u32 i;

	KUNIT_ASSERT_EQ(test, hg_table_init(&t, 4, sizeof(struct hg_flow), true), 0);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, add(&t, i, 100), 0);
	KUNIT_EXPECT_EQ(test, add(&t, 4, 101), -ENOSPC);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, find(&t, i), (long)i);
	KUNIT_EXPECT_EQ(test, add(&t, 4, 100 + 31), 0); /* all are over by then */
	KUNIT_EXPECT_EQ(test, find(&t, 4), 4L);
	KUNIT_EXPECT_EQ(test, t.used, 4u);
	hg_table_exit(&t);
}

/* Whoever found a flow may still write to it: its place is not given away at once. */
static void table_keeps_freed_places(struct kunit *test)
{
	struct hg_flow_table t = { 0 };
	const struct hg_flow_key k = key_of(3);
	struct hg_flow *f;
	u32 i;

	KUNIT_ASSERT_EQ(test, hg_table_init(&t, 8, sizeof(struct hg_flow), false), 0);
	for (i = 0; i < 4; i++)
		add(&t, i, 1);
	local_bh_disable();
	f = hg_table_find(&t, &k, hash_of(3));
	local_bh_enable();
	KUNIT_ASSERT_NOT_NULL(test, f);
	remove(&t, 3);
	for (i = 4; i < 8; i++)
		add(&t, i, 1);
	KUNIT_EXPECT_EQ(test, f->bytes_out, 3ull);
	hg_table_exit(&t);
}

/* Against a plain list of what must be there: nothing is found that was not put in. */
static void table_random(struct kunit *test)
{
	struct hg_flow_table t = { 0 };
	struct rnd_state rnd;
	bool *in = kunit_kzalloc(test, KEYS, GFP_KERNEL);
	u32 step, used = 0, wrong = 0, i;

	KUNIT_ASSERT_NOT_NULL(test, in);
	KUNIT_ASSERT_EQ(test, hg_table_init(&t, SIZE, sizeof(struct hg_flow), false), 0);
	prandom_seed_state(&rnd, 77);
	for (step = 0; step < STEPS; step++) {
		long got;

		i = prandom_u32_state(&rnd) % KEYS;
		switch (prandom_u32_state(&rnd) % 4) {
		case 0:
			add(&t, i, 1);
			in[i] = true;
			wrong += find(&t, i) != (long)i;
			break;
		case 1:
			remove(&t, i);
			in[i] = false;
			wrong += find(&t, i) != -1;
			break;
		default:
			got = find(&t, i);
			wrong += got != -1 && (!in[i] || got != (long)i);
		}
	}
	for (i = 0; i < KEYS; i++)
		used += find(&t, i) != -1;
	KUNIT_EXPECT_EQ(test, wrong, 0u);
	KUNIT_EXPECT_EQ(test, used, t.used);
	KUNIT_EXPECT_LE(test, t.used, (u32)SIZE);
	hg_table_exit(&t);
}

static struct kunit_case cases[] = { KUNIT_CASE(table_finds),  KUNIT_CASE(table_evicts_the_idle),
				     KUNIT_CASE(table_pins),   KUNIT_CASE(table_keeps_freed_places),
				     KUNIT_CASE(table_random), {} };

struct kunit_suite hg_table_suite = { .name = "heliograph_table", .test_cases = cases };
