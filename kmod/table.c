// SPDX-License-Identifier: GPL-2.0
/*
 * The flow tables: chains of indexes through one array, so that nothing is allocated or freed while
 * packets come.
 *
 * Readers take no lock. An entry changes its key only between two odd turns, which a reader
 * compares; and a reader that was led into another chain by an entry that moved finds the wrong
 * bucket at its end, and begins anew. Writers hold the table's lock.
 *
 * Places are given away by a hand that goes round (second chance): who was looked at since it came
 * by last stays, unless so were HG_TABLE_STEPS in a row. Whose finder still holds the pointer then
 * counts one packet in the flow that came instead. A place that was freed is marked like one that
 * was looked at. Two processors that write to one flow at once may lose a count, see core/host.h.
 */
#include "table.h"

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/overflow.h>

#define HG_TABLE_END 0x80000000u
#define HG_TABLE_HEADS 65536u
#define HG_TABLE_STEPS 64 /* of the hand, then it takes what it points to */
#define HG_TABLE_TRIES 4  /* of a reader that is led astray */

static struct hg_entry *entry_at(const struct hg_flow_table *t, u32 i)
{
	return t->entries + (size_t)i * t->stride;
}

int hg_table_init(struct hg_flow_table *t, u32 size, u32 value_size, bool pinned)
{
	u32 i, heads = min_t(u32, roundup_pow_of_two(size), HG_TABLE_HEADS);

	spin_lock_init(&t->lock);
	t->size = size;
	t->mask = heads - 1;
	t->stride = sizeof(struct hg_entry) + value_size;
	t->pinned = pinned;
	t->heads = kvmalloc_array(heads, sizeof(*t->heads), GFP_KERNEL);
	t->entries = kvcalloc(size, t->stride, GFP_KERNEL);
	if (!t->heads || !t->entries) {
		hg_table_exit(t);
		return -ENOMEM;
	}
	for (i = 0; i < heads; i++)
		t->heads[i] = HG_TABLE_END | i;
	for (i = 0; i < size; i++)
		entry_at(t, i)->turn = 1;
	return 0;
}

void hg_table_exit(struct hg_flow_table *t)
{
	kvfree(t->heads);
	kvfree(t->entries);
	t->heads = NULL;
	t->entries = NULL;
}

size_t hg_table_bytes(const struct hg_flow_table *t)
{
	return (size_t)t->size * t->stride + (t->mask + 1) * sizeof(*t->heads);
}

static bool key_equal(const struct hg_flow_key *a, const struct hg_flow_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Is this the key's entry, now and while it was compared? */
static bool entry_has(const struct hg_entry *e, const struct hg_flow_key *k)
{
	u8 turn = smp_load_acquire(&e->turn); /* before the key, as entry_write() releases it */

	if (turn & 1 || !key_equal(&e->key, k))
		return false;
	smp_rmb(); /* the key before the turn: pairs with the one of entry_write() */
	return READ_ONCE(e->turn) == turn;
}

void *hg_table_find(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash)
{
	u32 bucket = hash & t->mask, tries = HG_TABLE_TRIES, left, i;
	struct hg_entry *e;

	do {
		left = t->size;
		i = READ_ONCE(t->heads[bucket]);
		for (; !(i & HG_TABLE_END) && left; left--, i = READ_ONCE(e->next)) {
			e = entry_at(t, i);
			if (!entry_has(e, k))
				continue;
			if (!READ_ONCE(e->recent))
				WRITE_ONCE(e->recent, 1);
			return e->value;
		}
	} while (i != (HG_TABLE_END | bucket) && --tries);
	return NULL;
}

/* The link that points to the key's entry, or the link at the chain's end. With the lock. */
static u32 *link_of(struct hg_flow_table *t, const struct hg_flow_key *k, u32 bucket)
{
	u32 *link = &t->heads[bucket];

	while (!(*link & HG_TABLE_END) && !key_equal(&entry_at(t, *link)->key, k))
		link = &entry_at(t, *link)->next;
	return link;
}

/* Takes the entry out of its chain and makes its turn odd. With the lock. */
static void entry_free(struct hg_flow_table *t, struct hg_entry *e)
{
	u32 *link = link_of(t, &e->key, e->bucket);

	WRITE_ONCE(*link, e->next);
	WRITE_ONCE(e->turn, e->turn + 1);
	t->used--;
}

/* Into a free entry. With the lock. */
static void entry_write(struct hg_flow_table *t, u32 i, const struct hg_flow_key *k, u32 bucket,
			const void *value, u32 value_size)
{
	struct hg_entry *e = entry_at(t, i);

	smp_wmb(); /* the odd turn before the key: pairs with the one of entry_has() */
	e->bucket = bucket;
	e->key = *k;
	memcpy(e->value, value, value_size);
	WRITE_ONCE(e->recent, 0);
	WRITE_ONCE(e->next, t->heads[bucket]);
	smp_store_release(&e->turn, e->turn + 1); /* after the key, see entry_has() */
	smp_store_release(&t->heads[bucket], i);  /* after all of the entry */
	t->used++;
}

/* May the hand give this place away? */
static bool entry_yields(const struct hg_flow_table *t, struct hg_entry *e,
			 const struct hg_guard_config *c, u32 now_s)
{
	if (e->recent) {
		WRITE_ONCE(e->recent, 0);
		return false;
	}
	if (!t->pinned || e->turn & 1)
		return true;
	return !hg_flow_is_alive(c, e->key.proto, (const struct hg_flow *)e->value, now_s);
}

/* A place for a new entry, or -ENOSPC. With the lock. */
static int place_take(struct hg_flow_table *t, const struct hg_guard_config *c, u32 now_s)
{
	/* Once round takes the marks away, twice looks at all. */
	u32 steps = t->pinned ? 2 * t->size : HG_TABLE_STEPS, i;

	while (steps--) {
		i = t->hand;
		t->hand = i + 1 < t->size ? i + 1 : 0;
		if (entry_yields(t, entry_at(t, i), c, now_s))
			return i;
	}
	return t->pinned ? -ENOSPC : (int)i;
}

int hg_table_add(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash, const void *value,
		 u32 value_size, const struct hg_guard_config *c, u32 now_s)
{
	u32 bucket = hash & t->mask, *link;
	struct hg_entry *e;
	int i;

	spin_lock(&t->lock);
	link = link_of(t, k, bucket);
	if (!(*link & HG_TABLE_END)) {
		memcpy(entry_at(t, *link)->value, value, value_size);
		i = 0;
		goto out;
	}
	i = place_take(t, c, now_s);
	if (i < 0)
		goto out;
	e = entry_at(t, i);
	if (!(e->turn & 1))
		entry_free(t, e);
	entry_write(t, i, k, bucket, value, value_size);
	i = 0;
out:
	spin_unlock(&t->lock);
	return i;
}

void hg_table_remove(struct hg_flow_table *t, const struct hg_flow_key *k, u32 hash)
{
	struct hg_entry *e;
	u32 *link;

	spin_lock(&t->lock);
	link = link_of(t, k, hash & t->mask);
	if (!(*link & HG_TABLE_END)) {
		e = entry_at(t, *link);
		entry_free(t, e);
		WRITE_ONCE(e->recent, 1);
	}
	spin_unlock(&t->lock);
}

bool hg_table_read(struct hg_flow_table *t, u32 i, struct hg_flow_key *k, struct hg_flow *f)
{
	const struct hg_entry *e = entry_at(t, i);
	bool used;

	if (READ_ONCE(e->turn) & 1)
		return false;
	spin_lock_bh(&t->lock);
	used = !(e->turn & 1);
	if (used) {
		*k = e->key;
		*f = *(const struct hg_flow *)e->value;
	}
	spin_unlock_bh(&t->lock);
	return used;
}
