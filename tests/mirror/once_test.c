// SPDX-License-Identifier: MIT
/* First flights are remembered, about as many as is said, and the oldest go first. */
#include "../../mirror/once.h"

#include <pthread.h>
#include <string.h>
#include <openssl/rand.h>

#include "../tap.h"

#define THREADS 4

static unsigned char randoms[2 * HG_ONCE_FLIGHTS][SSL3_RANDOM_SIZE];
static struct hg_once *once;

static int first_of(int from, int to)
{
	int n = 0;

	for (int i = from; i < to; i++)
		n += hg_once_first(once, randoms[i]);
	return n;
}

static void *take_all(void *arg)
{
	*(int *)arg = first_of(0, HG_ONCE_FLIGHTS / 4);
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	int firsts[THREADS], sum = 0, again;

	RAND_bytes(&randoms[0][0], sizeof(randoms));
	memset(randoms[0], 0, sizeof(randoms[0])); /* all zero is a random, too */
	once = hg_once_new();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_all, &firsts[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += firsts[i];
	}
	ok(sum >= HG_ONCE_FLIGHTS / 4 && sum < HG_ONCE_FLIGHTS / 4 * 102 / 100,
	   "each of %d flights is the first once, whoever asks: %d", HG_ONCE_FLIGHTS / 4, sum);
	hg_once_free(once);
	once = hg_once_new();
	ok(hg_once_first(once, randoms[0]) && !hg_once_first(once, randoms[0]), "of zeros, too");
	is_int(first_of(1, HG_ONCE_FLIGHTS), HG_ONCE_FLIGHTS - 1, "as many as there is room for");
	again = first_of(HG_ONCE_FLIGHTS / 2, HG_ONCE_FLIGHTS);
	ok(again < HG_ONCE_FLIGHTS / 20, "the newer half is remembered but for %d", again);
	first_of(HG_ONCE_FLIGHTS, 2 * HG_ONCE_FLIGHTS);
	again = first_of(0, 1000);
	ok(again > 500, "older ones are forgotten for newer: %d of 1000", again);
	hg_once_free(once);
	hg_once_free(NULL);
	return tap_done();
}
