// SPDX-License-Identifier: MIT
/*
 * Block: `wanted` are decisions, `running` are the elements the kernel has, as far as we know.
 * apply() makes the elements of what is wanted and walks both side by side, in one order. Elements
 * of one set may not overlap, so of nested decisions of one line the widest stands for all. Each
 * element has its decision's end as its timeout: if the collector dies, blocks end all the same.
 *
 * Traffic to open addresses (the mirror above all) is accepted before the sets are looked at.
 */
#include "block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nft.h"

/* Two readings of one end may differ by this much, as seconds are rounded on the way. */
#define SLACK_S 2

/*
 * The kernel takes an element out of an interval set in a time that grows with the set (measured:
 * two seconds for a hundred out of ten thousand), but drops a whole table at once.
 */
#define RENEW 100000

struct wanted {
	uint64_t id;
	struct hg_element e;
	size_t cover; /* index of its element in `running` */
};

struct hg_block {
	struct hg_nft *nft;
	bool matched;	       /* every `cover` is right */
	bool doubtful;	       /* running may differ from the kernel: rebuild */
	struct wanted *wanted; /* in the order of ids */
	size_t n_wanted, room;
	struct hg_elements running; /* in the order of elements */
};

static bool covers(const struct hg_element *x, const struct hg_element *y)
{
	return x->port == y->port && x->proto == y->proto &&
	       !memcmp(&x->line, &y->line, sizeof(x->line)) &&
	       hg_net_covers(&x->target, &y->target);
}

/* Where the decision with this id is, or would be. */
static size_t place_of(const struct hg_block *b, uint64_t id)
{
	size_t low = 0, high = b->n_wanted;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->wanted[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(const struct hg_block *b, size_t at, uint64_t id)
{
	return at < b->n_wanted && b->wanted[at].id == id;
}

static int make_room(struct hg_block *b)
{
	size_t room = b->room ? b->room * 2 : 64;
	struct wanted *more;

	if (b->n_wanted < b->room)
		return 0;
	more = realloc(b->wanted, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	b->wanted = more;
	b->room = room;
	return 0;
}

int hg_block_want(struct hg_block *b, const struct hg_block_decision *d)
{
	size_t at = place_of(b, d->id);

	if (d->line.family != d->target.family)
		return 0;
	if (!is_at(b, at, d->id)) {
		if (make_room(b))
			return -ENOMEM;
		memmove(&b->wanted[at + 1], &b->wanted[at],
			(b->n_wanted - at) * sizeof(b->wanted[0]));
		b->n_wanted++;
	}
	b->wanted[at] = (struct wanted){ .id = d->id,
					 .e = { .line = d->line,
						.target = d->target,
						.proto = d->port ? d->proto : 0,
						.port = d->port,
						.until_s = d->until_s } };
	b->matched = false;
	return 0;
}

void hg_block_unwant(struct hg_block *b, uint64_t id)
{
	size_t at = place_of(b, id);

	if (!is_at(b, at, id))
		return;
	b->n_wanted--;
	memmove(&b->wanted[at], &b->wanted[at + 1], (b->n_wanted - at) * sizeof(b->wanted[0]));
	b->matched = false;
}

void hg_block_unwant_all(struct hg_block *b)
{
	b->n_wanted = 0;
	b->matched = false;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *const *x = a, *const *y = b;

	return hg_element_compare(&(*x)->e, &(*y)->e);
}

/* The elements that stand for what is wanted, in order; each decision learns which is its own. */
static int elements_of(struct hg_block *b, struct hg_elements *out)
{
	struct wanted **order = calloc(b->n_wanted + 1, sizeof(*order));
	int ret = order ? 0 : -ENOMEM;

	if (!order)
		return ret;
	for (size_t i = 0; i < b->n_wanted; i++)
		order[i] = &b->wanted[i];
	qsort(order, b->n_wanted, sizeof(*order), compare_wanted);
	for (size_t i = 0; !ret && i < b->n_wanted; i++) {
		struct hg_element *last = out->n ? &out->e[out->n - 1] : NULL;
		const struct hg_element *e = &order[i]->e;

		if (!last || !covers(last, e))
			ret = hg_elements_push(out, e);
		else if (e->until_s > last->until_s && !hg_element_compare(last, e))
			last->until_s = e->until_s;
		order[i]->cover = out->n - 1;
	}
	free(order);
	b->matched = !ret;
	return ret;
}

static bool same_end(uint64_t a, uint64_t b)
{
	return a > b ? a - b <= SLACK_S : b - a <= SLACK_S;
}

/* Are so many to be taken out that a new table is cheaper? */
static bool is_renewal(const struct hg_block *b, const struct hg_elements *next)
{
	size_t gone = b->running.n > next->n ? b->running.n - next->n : 0;

	return gone * b->running.n > RENEW;
}

/* Notes what turns `running` into `next`; what stays keeps its counter. */
static void note_difference(struct hg_block *b, struct hg_elements *next, uint64_t now_s)
{
	size_t i = 0, k = 0;

	while (i < b->running.n || k < next->n) {
		const struct hg_element *old = i < b->running.n ? &b->running.e[i] : NULL;
		struct hg_element *new = k < next->n ? &next->e[k] : NULL;
		int c = !old ? 1 : !new ? -1 : hg_element_compare(old, new);

		if (!c && same_end(old->until_s, new->until_s)) {
			new->packets = old->packets;
			new->until_s = old->until_s;
			i++;
			k++;
			continue;
		}
		if (c <= 0 && old) {
			hg_nft_note_delete(b->nft, old);
			i++;
		}
		if (c >= 0 && new) {
			hg_nft_note_add(b->nft, new, now_s);
			k++;
		}
	}
}

/* What ends now has gone from the kernel by itself, or is about to. */
static void drop_ended(struct hg_block *b, uint64_t now_s)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_wanted; i++)
		if (b->wanted[i].e.until_s > now_s + 1)
			b->wanted[n++] = b->wanted[i];
	b->n_wanted = n;
	n = 0;
	for (size_t i = 0; i < b->running.n; i++)
		if (b->running.e[i].until_s > now_s + 1)
			b->running.e[n++] = b->running.e[i];
	b->running.n = n;
}

/* The table goes and comes anew, filled, in one transaction: no packet sees it empty. */
static int rebuild(struct hg_block *b, struct hg_elements *next, uint64_t now_s, char *err,
		   size_t err_size)
{
	char other[256];
	size_t n = 0;

	hg_nft_note_renew(b->nft);
	for (size_t i = 0; i < next->n; i++) {
		next->e[i].packets = 0;
		hg_nft_note_add(b->nft, &next->e[i], now_s);
	}
	if (!hg_nft_commit(b->nft, err, err_size))
		return 0;
	/* One of them is at fault: each by itself, so that the others stand. */
	hg_nft_note_renew(b->nft);
	hg_nft_commit(b->nft, other, sizeof(other));
	for (size_t i = 0; i < next->n; i++) {
		hg_nft_note_add(b->nft, &next->e[i], now_s);
		if (!hg_nft_commit(b->nft, other, sizeof(other)))
			next->e[n++] = next->e[i];
	}
	next->n = n;
	b->matched = false;
	return -EIO;
}

int hg_block_apply(struct hg_block *b, uint64_t now_s, char *err, size_t err_size)
{
	struct hg_elements next = { 0 };
	int ret = -EIO;

	drop_ended(b, now_s);
	if (elements_of(b, &next)) {
		snprintf(err, err_size, "nftables: out of memory");
		free(next.e);
		return -EIO;
	}
	if (!b->doubtful && !is_renewal(b, &next)) {
		note_difference(b, &next, now_s);
		ret = hg_nft_commit(b->nft, err, err_size);
	}
	if (ret)
		ret = rebuild(b, &next, now_s, err, err_size);
	b->doubtful = ret != 0;
	free(b->running.e);
	b->running = next;
	return ret;
}

size_t hg_block_count(const struct hg_block *b)
{
	return b->running.n;
}

/* Takes the counters over; fresh[i] are the packets since. 1: the sets differ from ours. */
static int take_counters(struct hg_block *b, const struct hg_elements *now, uint64_t now_s,
			 uint64_t *fresh)
{
	int differ = now->n > b->running.n;
	size_t i = 0;

	for (size_t k = 0; k < b->running.n; k++) {
		struct hg_element *e = &b->running.e[k];

		while (i < now->n && hg_element_compare(&now->e[i], e) < 0)
			i++;
		if (i < now->n && !hg_element_compare(&now->e[i], e)) {
			fresh[k] = now->e[i].packets;
			if (fresh[k] >= e->packets) /* else somebody reset it */
				fresh[k] -= e->packets;
			e->packets = now->e[i].packets;
		} else if (e->until_s > now_s + SLACK_S) {
			differ = 1;
		}
	}
	return differ;
}

int hg_block_hits(struct hg_block *b, uint64_t now_s,
		  void (*each)(void *ctx, uint64_t id, uint64_t packets), void *ctx, char *err,
		  size_t err_size)
{
	uint64_t *fresh = calloc(b->running.n + 1, sizeof(*fresh));
	struct hg_elements now = { 0 };
	int ret;

	if (!fresh) {
		snprintf(err, err_size, "nftables: out of memory");
		return -EIO;
	}
	ret = hg_nft_read(b->nft, now_s, &now, err, err_size);
	if (!ret) {
		ret = take_counters(b, &now, now_s, fresh);
		for (size_t i = 0; b->matched && i < b->n_wanted; i++)
			if (fresh[b->wanted[i].cover])
				each(ctx, b->wanted[i].id, fresh[b->wanted[i].cover]);
	}
	b->doubtful |= ret != 0;
	free(now.e);
	free(fresh);
	return ret;
}

struct hg_block *hg_block_new(const char *table, const struct hg_conf_list *open, uint64_t now_s,
			      char *err, size_t err_size)
{
	struct hg_block *b = calloc(1, sizeof(*b));

	snprintf(err, err_size, "nftables: out of memory");
	if (!b)
		return NULL;
	b->nft = hg_nft_new(table, open);
	if (b->nft && !hg_nft_make(b->nft, err, err_size) &&
	    !hg_nft_read(b->nft, now_s, &b->running, err, err_size))
		return b;
	hg_block_free(b);
	return NULL;
}

void hg_block_free(struct hg_block *b)
{
	if (!b)
		return;
	hg_nft_free(b->nft);
	free(b->wanted);
	free(b->running.e);
	free(b);
}

int hg_block_remove(const char *table, char *err, size_t err_size)
{
	static const struct hg_conf_list none;
	struct hg_nft *nft = hg_nft_new(table, &none);
	int ret = -EIO;

	snprintf(err, err_size, "nftables: out of memory");
	if (nft)
		ret = hg_nft_remove(nft, err, err_size);
	hg_nft_free(nft);
	return ret;
}
