/* SPDX-License-Identifier: MIT */
/*
 * Device keys kept in memory: what the database says of a key id, least recently used forgotten.
 */
#ifndef HG_COLLECTOR_KEYS_H
#define HG_COLLECTOR_KEYS_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "../lib/alarm.h"

enum hg_key_state {
	HG_KEY_UNKNOWN, /* not in the database; believed for a few seconds */
	HG_KEY_GOOD,
	HG_KEY_REFUSED, /* its certificate is expired or revoked; believed for some seconds */
};

struct hg_key {
	enum hg_key_state state;
	char uid[HG_UID_MAX + 1];
	EVP_PKEY *key; /* NULL if unknown */
	time_t not_after;
};

struct hg_keys;

struct hg_keys *hg_keys_new(size_t max); /* NULL: out of memory */
void hg_keys_free(struct hg_keys *k);

/*
 * NULL: not in memory (or an unknown or refused one whose time is over). now is in seconds of a
 * clock that does not jump. The entry is the table's, and good until the next call that puts or
 * clears.
 */
const struct hg_key *hg_keys_find(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN],
				  time_t now);

/* Keeps a copy of *entry; takes its own reference of the key. Returns 0 or -ENOMEM. */
int hg_keys_put(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN],
		const struct hg_key *entry, time_t now);

/* Forgets one, if it is there: the database knows better now. */
void hg_keys_drop(struct hg_keys *k, const uint8_t id[static HG_KEY_ID_LEN]);

/* Forgets all: certificates must be checked again (a new revocation list). */
void hg_keys_clear(struct hg_keys *k);

#endif
