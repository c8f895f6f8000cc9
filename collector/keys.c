// SPDX-License-Identifier: MIT
/*
 * The key table of the listener: a hash of fixed size and a list by last use. The database holds
 * the facts; whatever is forgotten here is asked for again. Unknown ids are kept too, briefly, so
 * that a sender of junk cannot turn each datagram into a query.
 */
#include "keys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define UNKNOWN_S 2  /* short: the device may be enrolling at this moment */
#define REFUSED_S 10 /* perhaps our own clock was wrong, and nothing is with the certificate */

struct entry {
	TAILQ_ENTRY(entry) recent;
	LIST_ENTRY(entry) bucket;
	uint8_t id[HG_KEY_ID_LEN];
	time_t put_at;
	struct hg_key key;
};

TAILQ_HEAD(recency, entry);
LIST_HEAD(bucket, entry);

struct hg_keys {
	size_t max, n, n_buckets;
	struct recency recent;
	struct bucket *buckets;
};

/* The id is a hash already; nobody can choose where it falls without a certificate of that id. */
static struct bucket *bucket_of(const struct hg_keys *k, const uint8_t *id)
{
	uint64_t h;

	memcpy(&h, id, sizeof(h));
	return &k->buckets[h % k->n_buckets];
}

static struct entry *find(const struct hg_keys *k, const uint8_t *id)
{
	struct entry *e = LIST_FIRST(bucket_of(k, id));

	while (e && memcmp(e->id, id, HG_KEY_ID_LEN))
		e = LIST_NEXT(e, bucket);
	return e;
}

static void drop(struct hg_keys *k, struct entry *e)
{
	TAILQ_REMOVE(&k->recent, e, recent);
	LIST_REMOVE(e, bucket);
	EVP_PKEY_free(e->key.key);
	free(e);
	k->n--;
}

struct hg_keys *hg_keys_new(size_t max)
{
	struct hg_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->max = max;
	k->n_buckets = max / 2 + 1;
	k->buckets = calloc(k->n_buckets, sizeof(k->buckets[0]));
	TAILQ_INIT(&k->recent);
	if (!k->buckets) {
		free(k);
		return NULL;
	}
	return k;
}

void hg_keys_clear(struct hg_keys *k)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&k->recent)))
		drop(k, e);
}

void hg_keys_free(struct hg_keys *k)
{
	if (!k)
		return;
	hg_keys_clear(k);
	free(k->buckets);
	free(k);
}

static time_t kept_s(enum hg_key_state state)
{
	switch (state) {
	case HG_KEY_UNKNOWN:
		return UNKNOWN_S;
	case HG_KEY_REFUSED:
		return REFUSED_S;
	case HG_KEY_GOOD:
		break;
	}
	return INT_MAX;
}

const struct hg_key *hg_keys_find(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN],
				  time_t now)
{
	struct entry *e = find(k, id);

	if (!e)
		return NULL;
	if (now - e->put_at >= kept_s(e->key.state)) {
		drop(k, e);
		return NULL;
	}
	TAILQ_REMOVE(&k->recent, e, recent);
	TAILQ_INSERT_HEAD(&k->recent, e, recent);
	return &e->key;
}

void hg_keys_drop(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN])
{
	struct entry *e = find(k, id);

	if (e)
		drop(k, e);
}

int hg_keys_put(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN],
		const struct hg_key *entry, time_t now)
{
	struct entry *e = malloc(sizeof(*e)), *old = find(k, id);

	if (!e)
		return -ENOMEM;
	if (entry->key && EVP_PKEY_up_ref(entry->key) != 1) {
		free(e);
		return -ENOMEM;
	}
	memcpy(e->id, id, HG_KEY_ID_LEN);
	e->key = *entry;
	e->put_at = now;
	if (old)
		drop(k, old);
	else if (k->n == k->max)
		drop(k, TAILQ_LAST(&k->recent, recency));
	TAILQ_INSERT_HEAD(&k->recent, e, recent);
	LIST_INSERT_HEAD(bucket_of(k, id), e, bucket);
	k->n++;
	return 0;
}
