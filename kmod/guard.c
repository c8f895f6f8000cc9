// SPDX-License-Identifier: GPL-2.0
/*
 * The guard: made by ATTACH, freed by DETACH or with its namespace. All its memory but what is
 * known of names is taken here, at once, so that nothing that comes over the network can make it
 * grow. Everything here is called with hg_net.lock.
 *
 * Settings are copied, changed and put in the place of the old ones, which go after a grace period.
 */
#include "guard.h"

#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#define HG_FRAGMENTS 512 /* datagrams in pieces; a device has few at a time */

static int tables_init(struct hg_guard *g, const u32 sizes[3])
{
	int i, ret = 0;

	for (i = 0; !ret && i < 3; i++)
		ret = hg_table_init(&g->tables[i], sizes[i], sizeof(struct hg_flow),
				    i == HG_TABLE_KEPT);
	if (!ret)
		ret = hg_table_init(&g->fragments, HG_FRAGMENTS, sizeof(struct hg_fragment), false);
	return ret;
}

static void tables_exit(struct hg_guard *g)
{
	int i;

	for (i = 0; i < 3; i++)
		hg_table_exit(&g->tables[i]);
	hg_table_exit(&g->fragments);
}

static int cpus_init(struct hg_guard *g)
{
	int cpu;

	g->cpus = alloc_percpu(struct hg_cpu);
	if (!g->cpus)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		seqcount_init(&per_cpu_ptr(g->cpus, cpu)->turn);
	return 0;
}

void hg_guard_free(struct hg_guard *g)
{
	hg_hooks_detach(g);
	hg_clock_stop(g);
	hg_distress_stop(g);
	hg_lock_open(g);
	hg_bound_exit(g);
	kvfree(rcu_dereference_protected(g->settings, true));
	kfree(rcu_dereference_protected(g->interfaces, true));
	free_percpu(g->cpus);
	tables_exit(g);
	kvfree(g);
}

/* Interfaces, hooks and the clock are to follow. */
struct hg_guard *hg_guard_new(struct net *net, const struct hg_settings *s, const u32 sizes[3],
			      struct netlink_ext_ack *extack)
{
	struct hg_guard *g = kvzalloc(sizeof(*g), GFP_KERNEL);
	struct hg_settings *copy;

	if (!g)
		goto no_memory;
	g->net = net;
	hg_clock_init(g);
	hg_distress_init(g);
	g->bound_key = get_random_u32();
	copy = kvmalloc(sizeof(*copy), GFP_KERNEL);
	if (!copy)
		goto failed;
	*copy = *s;
	if (!copy->config.seed)
		copy->config.seed = get_random_u64();
	RCU_INIT_POINTER(g->settings, copy);
	if (tables_init(g, sizes) || cpus_init(g))
		goto failed;
	return g;
failed:
	hg_guard_free(g);
no_memory:
	NL_SET_ERR_MSG(extack, "no memory for the guard's tables");
	return ERR_PTR(-ENOMEM);
}

/* A copy to change. NULL: no memory. */
struct hg_settings *hg_settings_copy(const struct hg_guard *g)
{
	struct hg_settings *s = kvmalloc(sizeof(*s), GFP_KERNEL);

	if (s)
		*s = *hg_settings_of(g, hg_net_of(g->net));
	return s;
}

/* Takes s over. */
void hg_settings_put(struct hg_guard *g, struct hg_settings *s)
{
	struct hg_settings *old;

	old = rcu_replace_pointer(g->settings, s, hg_guard_is_locked(g));
	synchronize_net();
	kvfree(old);
	hg_net_of(g->net)->changes++;
}

const struct hg_settings *hg_settings_of(const struct hg_guard *g, const struct hg_net *n)
{
	return rcu_dereference_protected(g->settings, lockdep_is_held(&n->lock));
}

u32 hg_guard_bytes(const struct hg_guard *g)
{
	size_t n = sizeof(*g) + sizeof(struct hg_settings) + sizeof(struct hg_interfaces);
	int i;

	for (i = 0; i < 3; i++)
		n += hg_table_bytes(&g->tables[i]);
	n += hg_table_bytes(&g->fragments);
	n += num_possible_cpus() * sizeof(struct hg_cpu);
	n += g->n_bound * sizeof(struct hg_bound_node);
	return n;
}

/* One processor's numbers, none of them half of an old and half of a new one. */
static unsigned int turn_begin(const struct hg_cpu *c)
{
	return BITS_PER_LONG < 64 ? read_seqcount_begin(&c->turn) : 0;
}

static bool turn_retry(const struct hg_cpu *c, unsigned int turn)
{
	return BITS_PER_LONG < 64 && read_seqcount_retry(&c->turn, turn);
}

static void read_numbers(const struct hg_cpu *c, const u64 *from, u64 *to, u32 n)
{
	unsigned int turn;
	u32 i;

	/* A reader must not interrupt the writer that it waits for. */
	local_bh_disable();
	do {
		turn = turn_begin(c);
		for (i = 0; i < n; i++)
			to[i] = READ_ONCE(from[i]);
	} while (turn_retry(c, turn));
	local_bh_enable();
}

void hg_guard_counters(const struct hg_guard *g, u64 by_reason[HG_REASON_MAX])
{
	u64 one[HG_REASON_MAX];
	int cpu, i;

	memset(by_reason, 0, sizeof(one));
	for_each_possible_cpu(cpu) {
		const struct hg_cpu *c = per_cpu_ptr(g->cpus, cpu);

		read_numbers(c, c->counters, one, HG_REASON_MAX);
		for (i = 0; i < HG_REASON_MAX; i++)
			by_reason[i] += one[i];
	}
}

/* The channel's windows of all processors together. */
void hg_guard_window(const struct hg_guard *g, u32 channel, struct hg_window *sum)
{
	const u32 n = sizeof(*sum) / sizeof(u64);
	u64 one[sizeof(*sum) / sizeof(u64)], *to = (u64 *)sum;
	int cpu;
	u32 i;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct hg_cpu *c = per_cpu_ptr(g->cpus, cpu);

		read_numbers(c, (const u64 *)&c->windows[channel], one, n);
		for (i = 0; i < n; i++)
			to[i] += one[i];
	}
}
