// SPDX-License-Identifier: GPL-2.0
/* Numbers of all processors together, and settings that are replaced under a reader. */
#include "suites.h"

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/percpu.h>

#define SWAPS 200

static void guard_sums_windows(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	struct hg_window w;
	u64 sum = 0, counters[HG_REASON_MAX], all = 0;
	int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct hg_cpu *c = per_cpu_ptr(g->cpus, cpu);

		if (!cpu_possible(cpu))
			continue;
		c->windows[7].packets_out = 1000 + cpu;
		c->windows[7].bytes_in = 0x100000000ull + cpu;
		c->windows[8].flows = 1;
		c->counters[HG_DROP_NO_FLOW] = 3 + cpu;
		sum += 1000 + cpu;
		all += 3 + cpu;
	}
	hg_guard_window(g, 7, &w);
	KUNIT_EXPECT_EQ(test, w.packets_out, sum);
	KUNIT_EXPECT_EQ(test, w.bytes_in, sum + num_possible_cpus() * (0x100000000ull - 1000));
	KUNIT_EXPECT_EQ(test, w.flows, 0ull);
	hg_guard_window(g, 8, &w);
	KUNIT_EXPECT_EQ(test, w.flows, (u64)num_possible_cpus());
	hg_guard_counters(g, counters);
	KUNIT_EXPECT_EQ(test, counters[HG_DROP_NO_FLOW], all);
	KUNIT_EXPECT_EQ(test, counters[HG_PASS_FLOW], 0ull);
	hg_test_guard_free(g);
}

/* Says how much it is; never less than the parts that can be seen from here. */
static void guard_tells_its_memory(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	u32 empty = hg_guard_bytes(g);
	const struct hg_addr a = { .a = { 1, 2, 3, 4 } };
	struct hg_bound b = { .channels = 2, .flags = HG_BOUND_NAMED };

	KUNIT_EXPECT_GT(test, empty, (u32)(sizeof(*g) + sizeof(struct hg_settings)));
	mutex_lock(&hg_test_net.lock);
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &b), 0);
	KUNIT_EXPECT_EQ(test, hg_guard_bytes(g), empty + (u32)sizeof(struct hg_bound_node));
	b = (struct hg_bound){ 0 };
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &b), 0);
	KUNIT_EXPECT_EQ(test, hg_guard_bytes(g), empty);
	mutex_unlock(&hg_test_net.lock);
	hg_test_guard_free(g);
}

static void guard_limits_names(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	const struct hg_bound b = { .channels = 2, .flags = HG_BOUND_NAMED }, none = { 0 };
	struct hg_addr a = { 0 };
	u32 i, wrong = 0;

	mutex_lock(&hg_test_net.lock);
	for (i = 0; i < HG_BOUND_MAX; i++) {
		a.a[3] = htonl(i);
		wrong += hg_bound_set(g, &a, &b) != 0;
	}
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &b), 0); /* again is no further one */
	a.a[3] = htonl(i);
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &b), -E2BIG);
	a.a[3] = 0;
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &none), 0);
	a.a[3] = htonl(i);
	KUNIT_EXPECT_EQ(test, hg_bound_set(g, &a, &b), 0);
	mutex_unlock(&hg_test_net.lock);
	KUNIT_EXPECT_EQ(test, wrong, 0u);
	hg_test_guard_free(g);
}

struct reader {
	struct hg_guard *guard;
	unsigned long seen, torn;
};

/* Every setting says its generation in three places; a reader sees them agree. */
static int read_settings(void *data)
{
	struct reader *r = data;

	while (!kthread_should_stop()) {
		const struct hg_settings *s;
		u32 i;

		local_bh_disable();
		rcu_read_lock();
		s = rcu_dereference(r->guard->settings);
		for (i = 0; i < 50; i++) {
			r->torn += s->bounds[1].id != s->config.generation;
			r->torn += s->rules[HG_RULES_MAX - 1].port_max != (u16)s->config.generation;
			cpu_relax();
		}
		rcu_read_unlock();
		local_bh_enable();
		r->seen++;
		cond_resched();
	}
	return 0;
}

static void guard_swaps_settings(struct kunit *test)
{
	struct hg_guard *g = hg_test_guard(test);
	struct reader r = { .guard = g };
	struct task_struct *task = kthread_run(read_settings, &r, "hg-reader");
	u32 i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < SWAPS; i++) {
		struct hg_settings *s;

		mutex_lock(&hg_test_net.lock);
		s = hg_settings_copy(g);
		if (s) {
			s->config.generation++;
			s->bounds[1].id = s->config.generation;
			s->rules[HG_RULES_MAX - 1].port_max = s->config.generation;
			hg_settings_put(g, s);
		}
		mutex_unlock(&hg_test_net.lock);
		KUNIT_EXPECT_NOT_NULL(test, s);
	}
	while (!READ_ONCE(r.seen))
		usleep_range(1000, 2000);
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, r.torn, 0ul);
	hg_test_guard_free(g);
}

static struct kunit_case cases[] = { KUNIT_CASE(guard_sums_windows),
				     KUNIT_CASE(guard_tells_its_memory),
				     KUNIT_CASE(guard_limits_names),
				     KUNIT_CASE(guard_swaps_settings),
				     {} };

struct kunit_suite hg_guard_suite = { .name = "heliograph_guard", .test_cases = cases };
