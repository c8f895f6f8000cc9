// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of remote addresses from the device's own DNS answers: struct hg_bound by address,
 * at most HG_BOUND_MAX. User space writes, with hg_net.lock; the first packet of a flow reads, by
 * RCU. An entry is never changed but replaced.
 */
#include "guard.h"

#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include "../core/addr.h"

/* Keyed: who answers the device's DNS questions can choose addresses. */
static u32 head_of(const struct hg_guard *g, const struct hg_addr *a)
{
	return jhash(a, sizeof(*a), g->bound_key) & (HG_BOUND_HEADS - 1);
}

static struct hg_bound_node *node_of(const struct hg_guard *g, const struct hg_addr *a)
{
	const struct hlist_head *head = &g->bound[head_of(g, a)];
	struct hg_bound_node *n;

	hlist_for_each_entry_rcu(n, head, node, hg_guard_is_locked(g))
		if (hg_addr_equal(&n->addr, a))
			return n;
	return NULL;
}

const struct hg_bound *hg_bound_find(const struct hg_guard *g, const struct hg_addr *a)
{
	const struct hg_bound_node *n = node_of(g, a);

	return n ? &n->bound : NULL;
}

/* All zero: forgets the address. -E2BIG: no more fit. */
int hg_bound_set(struct hg_guard *g, const struct hg_addr *a, const struct hg_bound *b)
{
	struct hg_bound_node *old = node_of(g, a), *n;
	u32 *changes = &hg_net_of(g->net)->changes;

	if (!b->channels && !b->flags) {
		if (old) {
			hlist_del_rcu(&old->node);
			kfree_rcu(old, rcu);
			g->n_bound--;
			++*changes;
		}
		return 0;
	}
	if (!old && g->n_bound >= HG_BOUND_MAX)
		return -E2BIG;
	n = kmalloc(sizeof(*n), GFP_KERNEL);
	if (!n)
		return -ENOMEM;
	n->addr = *a;
	n->bound = *b;
	if (old) {
		hlist_replace_rcu(&old->node, &n->node);
		kfree_rcu(old, rcu);
	} else {
		hlist_add_head_rcu(&n->node, &g->bound[head_of(g, a)]);
		g->n_bound++;
	}
	++*changes;
	return 0;
}

/* No packet is judged any more. */
void hg_bound_exit(struct hg_guard *g)
{
	struct hg_bound_node *n;
	struct hlist_node *next;
	u32 i;

	for (i = 0; i < HG_BOUND_HEADS; i++)
		hlist_for_each_entry_safe(n, next, &g->bound[i], node)
			kfree(n);
}
