/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of fixed size from flow keys to values: struct hg_flow or struct hg_fragment. It is
 * found by hash, and a new entry takes the place of one that nobody has looked at lately.
 */
#ifndef HG_KMOD_TABLE_H
#define HG_KMOD_TABLE_H

#include <linux/spinlock.h>
#include "../core/flow.h"

struct hg_entry {
	u32 next;   /* index, or HG_TABLE_END and the bucket */
	u16 bucket; /* that it is in, if turn is even */
	u8 turn;    /* counts as a seqcount does; odd: free, or being written */
	u8 recent;  /* looked at since the hand came by */
	struct hg_flow_key key;
	u64 value[];
};

struct hg_flow_table {
	spinlock_t lock; /* of all below but size, mask, stride; readers take none */
	void *entries;
	u32 *heads;
	u32 size, mask, stride;
	u32 hand; /* where the next place is looked for */
	u32 used;
	bool pinned; /* only what is over is replaced */
};

int hg_table_init(struct hg_flow_table *t, u32 size, u32 value_size, bool pinned);
void hg_table_exit(struct hg_flow_table *t);
size_t hg_table_bytes(const struct hg_flow_table *t);

/*
 * Returns the key's value or NULL. Caller is in an RCU read section with softirqs off. The value
 * can be written to; it stays the key's unless another processor gives its place away, see table.c.
 */
void *hg_table_find(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash);

/*
 * Adds or replaces. A pinned table holds flows, and gives away only those that by c are over at
 * now_s. Returns -ENOSPC if there is none. Softirqs are off.
 */
int hg_table_add(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash, const void *value,
		 u32 value_size, const struct hg_guard_config *c, u32 now_s);
void hg_table_remove(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash);

/* Copies the flow in place i. False if that is free. From process context. */
bool hg_table_read(struct hg_flow_table *t, u32 i, struct hg_flow_key *k, struct hg_flow *f);

#endif
