/* SPDX-License-Identifier: MIT */
/*
 * Group commit: the requests of many devices in one statement, which is one transaction. Each is
 * answered after that was committed, or is told that nothing was.
 */
#ifndef HG_MIRROR_BATCH_H
#define HG_MIRROR_BATCH_H

#include <time.h>
#include "../lib/pg.h"
#include "exchange.h"

#define HG_BATCH_MAX 1024 /* requests in one statement; more would only hold their rows longer */

struct hg_batcher;

/* How an ask ended. */
struct hg_answer {
	const PGresult *res; /* row is the request's; NULL: there is none */
	int row;
	const char *error; /* NULL: there is a row */
	bool bad_data;	   /* it is the request that the database refuses, and always will */
	bool late;	   /* it was never sent, or its device's row was held all the time */
};

typedef void (*hg_batch_done)(void *ctx, const struct hg_answer *answer);

struct hg_batch_options {
	unsigned int batch; /* requests in one statement, 1..HG_BATCH_MAX; 1: each by itself */
	unsigned int connections; /* of the pool */
	unsigned int queue_max;	  /* requests waiting or under way */
	unsigned int timeout_ms;  /* how long one waits for its turn */
	uint64_t object_max;	  /* bytes of a value */
};

/* NULL when out of memory. */
struct hg_batcher *hg_batcher_new(struct event_base *base, struct hg_pg *pg,
				  const struct hg_batch_options *o);

/* Called after the pool was freed, and with it all statements ended. */
void hg_batcher_free(struct hg_batcher *b);

/*
 * Queues one request: r, which was decoded from `message` and is changed. Everything is copied; two
 * of one device must not be under way at once. accepted (CLOCK_MONOTONIC): when its connection was.
 * `done` is called once, never from within. Returns 0, -EAGAIN when queue_max is reached or too
 * many large values are being put together, -ENOMEM.
 */
int hg_batch_ask(struct hg_batcher *b, struct hg_slice message, struct hg_wire_request *r,
		 const struct timespec *accepted, hg_batch_done done, void *ctx);

/* queue_max is reached. */
bool hg_batch_full(const struct hg_batcher *b);

/* Requests waiting or under way. */
size_t hg_batch_busy(const struct hg_batcher *b);

#endif
