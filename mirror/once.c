// SPDX-License-Identifier: MIT
/*
 * A table of sets. Where a flight goes and what is kept of it are parts of its random, which a
 * device that has the key chose: who only copies flights can fill no set but with what was there.
 */
#include "once.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 16 /* of a set; more would be looked through for less that is forgotten by chance */
#define SETS (HG_ONCE_FLIGHTS / WAYS)

struct hg_once {
	pthread_mutex_t lock;
	uint64_t sets[SETS][WAYS]; /* the newest first; 0: none */
};

struct hg_once *hg_once_new(void)
{
	struct hg_once *once = calloc(1, sizeof(*once));

	if (once)
		pthread_mutex_init(&once->lock, NULL);
	return once;
}

void hg_once_free(struct hg_once *once)
{
	if (once)
		pthread_mutex_destroy(&once->lock);
	free(once);
}

bool hg_once_first(struct hg_once *once, const unsigned char *random)
{
	uint64_t parts[2], *set;
	bool first = true;

	memcpy(parts, random, sizeof(parts));
	set = once->sets[parts[0] % SETS];
	parts[1] |= !parts[1];
	pthread_mutex_lock(&once->lock);
	for (int i = 0; i < WAYS; i++)
		first &= set[i] != parts[1];
	if (first) {
		memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
		set[0] = parts[1];
	}
	pthread_mutex_unlock(&once->lock);
	return first;
}

/* Called when all else allows early data. */
static int allow(SSL *ssl, void *arg)
{
	unsigned char random[SSL3_RANDOM_SIZE];

	return SSL_get_client_random(ssl, random, sizeof(random)) == sizeof(random) &&
	       hg_once_first(arg, random);
}

void hg_once_serve(SSL_CTX *ctx, struct hg_once *once)
{
	SSL_CTX_set_allow_early_data_cb(ctx, allow, once);
}
