// SPDX-License-Identifier: MIT
/*
 * The batcher of one loop, between its sessions and its pool. An ask waits in `waiting` while
 * batches are under way; then as many as allowed go as one sync_batch(), and are in that batch's
 * list until its transaction has ended. One whose row somebody holds is put back after a moment,
 * until its time is over: a connection that waited for the lock would be missed. One that raised an
 * error waits in `alone` and goes as a sync() of its own, which fails for itself. Each ask ends by
 * ask_end(), once. Nothing is sent twice unless the database said that the first was not committed.
 */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "dbclock.h"

/*
 * While one batch executes or waits for its commit to be durable, the next fills. A second one
 * keeps the database busy meanwhile; more would only make all of them smaller.
 */
#define BATCHES_MAX 2
#define LINE 4	    /* batches of one on a connection; none waits for a lock */
#define TICK_MS 100 /* how finely deadlines are kept */
#define HELD_MS 10  /* applications hold rows for a statement or two */
/*
 * Of values as text: more in one statement saves nothing and lengthens it; more that wait are not
 * taken. One request alone may have more than the first.
 */
#define BATCH_BYTES (1 << 20)
#define QUEUE_BYTES (64 << 20)
#define LARGE_MAX (32 << 20) /* bytes of large values that are put together at once, or one value */

struct ask {
	TAILQ_ENTRY(ask) entry;
	struct hg_batcher *batcher;
	hg_batch_done done;
	void *ctx;
	struct timespec accepted;
	uint64_t deadline_ms;
	struct hg_exchange_params params;
	size_t large;		 /* of LARGE_MAX */
	size_t bytes;		 /* of QUEUE_BYTES */
	struct hg_slice message; /* until what is held of a large value is here */
};

TAILQ_HEAD(ask_list, ask);

struct batch {
	struct hg_batcher *batcher;
	size_t count;
	struct ask *asks[];
};

struct hg_batcher {
	struct hg_pg *pg;
	struct event *kick, *tick, *retry;
	struct hg_batch_options o;
	struct ask_list waiting, held, alone;
	size_t n_waiting, n_busy, large, bytes;
	unsigned int n_batches, n_alone; /* under way */
	struct hg_exchange_arrays arrays;
	struct hg_dbclock clock;
};

static uint64_t ms_of(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ms_of(&ts);
}

static void ask_end(struct ask *a, const struct hg_answer *answer)
{
	a->batcher->n_busy--;
	a->batcher->large -= a->large;
	a->batcher->bytes -= a->bytes;
	a->done(a->ctx, answer);
	hg_exchange_params_free(&a->params);
	free((void *)a->message.ptr);
	free(a);
}

static void ask_fail(struct ask *a, const PGresult *res, const char *error, bool bad_data)
{
	const struct hg_answer answer = { .res = res, .error = error, .bad_data = bad_data };

	ask_end(a, &answer);
}

static bool state_is(const PGresult *res, const char *class)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	return state && !strncmp(state, class, 2);
}

/* What SQL itself cannot take (data exceptions, broken constraints) would fail for ever. */
static bool is_data_error(const PGresult *res)
{
	return state_is(res, "22") || state_is(res, "23");
}

/* One of the batch is to blame (or a deadlock, or a bug), and nothing of it was committed. */
static bool may_split(const PGresult *res)
{
	return is_data_error(res) || state_is(res, "40") || state_is(res, "P0") ||
	       state_is(res, "XX");
}

static void ask_alone(struct ask *a)
{
	TAILQ_INSERT_TAIL(&a->batcher->alone, a, entry);
	event_active(a->batcher->kick, 0, 0);
}

static void ask_again(struct ask *a)
{
	const struct timeval tv = { .tv_usec = HELD_MS * 1000 };
	struct hg_batcher *b = a->batcher;

	TAILQ_INSERT_TAIL(&b->held, a, entry);
	if (!event_pending(b->retry, EV_TIMEOUT, NULL))
		event_add(b->retry, &tv);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct hg_batcher *b = arg;
	struct ask *a;

	while ((a = TAILQ_LAST(&b->held, ask_list))) {
		TAILQ_REMOVE(&b->held, a, entry);
		TAILQ_INSERT_HEAD(&b->waiting, a, entry);
		b->n_waiting++;
	}
	event_active(b->kick, 0, 0);
}

/* The last row was made last. */
static void hear_clock(struct hg_batcher *b, const PGresult *res)
{
	int n = PQntuples(res);
	uint64_t ms = n ? hg_exchange_time(res, n - 1) : 0;

	if (ms)
		hg_dbclock_heard(&b->clock, now_ms(), ms);
}

static void on_alone(void *ctx, const PGresult *res, const char *error)
{
	struct ask *a = ctx;
	struct hg_answer answer = { .res = res };

	a->batcher->n_alone--;
	event_active(a->batcher->kick, 0, 0);
	if (error) {
		ask_fail(a, res, error, is_data_error(res));
		return;
	}
	hear_clock(a->batcher, res);
	ask_end(a, &answer);
}

/* The row of each ask by its number, which is the last column; -1 where there is none. */
static void find_rows(const PGresult *res, const struct batch *batch, int *rows)
{
	int last = PQnfields(res) - 1;

	for (size_t i = 0; i < batch->count; i++)
		rows[i] = -1;
	for (int r = 0; r < PQntuples(res); r++) {
		unsigned long n = strtoul(PQgetvalue(res, r, last), NULL, 10);

		if (n && n <= batch->count)
			rows[n - 1] = r;
	}
}

static void on_batch(void *ctx, const PGresult *res, const char *error)
{
	struct batch *batch = ctx;
	bool split = error && may_split(res);
	int rows[HG_BATCH_MAX];

	batch->batcher->n_batches--;
	event_active(batch->batcher->kick, 0, 0);
	if (!error) {
		hear_clock(batch->batcher, res);
		find_rows(res, batch, rows);
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct ask *a = batch->asks[i];
		struct hg_answer answer = { .res = res, .row = error ? 0 : rows[i] };
		enum hg_exchange_kept kept = HG_EXCHANGE_FAILED;

		if (!error && answer.row >= 0)
			kept = hg_exchange_kept(res, answer.row);
		if (split || (!error && answer.row >= 0 && kept == HG_EXCHANGE_FAILED))
			ask_alone(a);
		else if (error || answer.row < 0)
			ask_fail(a, NULL, error ? error : "no row for this request", false);
		else if (kept == HG_EXCHANGE_HELD)
			ask_again(a);
		else
			ask_end(a, &answer);
	}
	free(batch);
}

/* A time and no age: whatever waits, here or on the way, must not make it look younger. */
static void ask_date(struct ask *a)
{
	hg_exchange_set_accepted(&a->params,
				 hg_dbclock_of(&a->batcher->clock, ms_of(&a->accepted)));
}

/* One that is alone in its batch is spared the arrays. */
static int batch_query(struct hg_batcher *b, struct batch *batch)
{
	const char *values[HG_EXCHANGE_PARAMS];

	if (batch->count == 1)
		return hg_pg_query(b->pg, HG_EXCHANGE_ONE_SQL, HG_EXCHANGE_PARAMS,
				   batch->asks[0]->params.values, on_batch, batch);
	hg_exchange_arrays_begin(&b->arrays);
	for (size_t i = 0; i < batch->count; i++)
		hg_exchange_arrays_add(&b->arrays, &batch->asks[i]->params);
	if (hg_exchange_arrays_end(&b->arrays, values))
		return -ENOMEM;
	return hg_pg_query(b->pg, HG_EXCHANGE_BATCH_SQL, HG_EXCHANGE_PARAMS, values, on_batch,
			   batch);
}

/* Sends as many as wait and fit. False: not now. */
static bool send_batch(struct hg_batcher *b)
{
	size_t count = b->n_waiting < b->o.batch ? b->n_waiting : b->o.batch;
	struct batch *batch = malloc(sizeof(*batch) + count * sizeof(struct ask *));
	size_t bytes = 0;
	struct ask *a;

	if (!batch)
		return false;
	batch->batcher = b;
	batch->count = 0;
	TAILQ_FOREACH (a, &b->waiting, entry) {
		ask_date(a);
		batch->asks[batch->count++] = a;
		bytes += a->bytes;
		if (batch->count == count || bytes > BATCH_BYTES)
			break;
	}
	if (batch_query(b, batch)) {
		free(batch);
		return false;
	}
	for (size_t i = 0; i < batch->count; i++)
		TAILQ_REMOVE(&b->waiting, batch->asks[i], entry);
	b->n_waiting -= batch->count;
	b->n_batches++;
	return true;
}

static bool send_alone(struct hg_batcher *b)
{
	struct ask *a = TAILQ_FIRST(&b->alone);

	ask_date(a);
	if (hg_pg_query(b->pg, a->params.alone ? HG_EXCHANGE_LARGE_SQL : HG_EXCHANGE_SQL,
			a->params.alone ? HG_EXCHANGE_LARGE_PARAMS : HG_EXCHANGE_PARAMS,
			a->params.values, on_alone, a))
		return false;
	TAILQ_REMOVE(&b->alone, a, entry);
	b->n_alone++;
	return true;
}

/*
 * Those that go alone may wait for locks after all, and what was sent on the same connection with
 * them: they never take the last one.
 */
static unsigned int alone_max(const struct hg_batcher *b)
{
	return b->o.connections > 1 ? b->o.connections - 1 : 1;
}

/*
 * One by one, each waits for a commit of its own. Behind the one that a connection works at others
 * wait in its pipeline: neither side sleeps between two, and what is read or written goes together.
 */
static unsigned int batches_max(const struct hg_batcher *b)
{
	return b->o.batch > 1 ? BATCHES_MAX : LINE * b->o.connections;
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_batcher *b = arg;

	while (!TAILQ_EMPTY(&b->alone) && b->n_alone < alone_max(b) && send_alone(b))
		;
	while (b->n_waiting && b->n_batches < batches_max(b) && send_batch(b))
		;
}

static void ask_expire(struct ask *a)
{
	const struct hg_answer answer = { .error = "not answered in time", .late = true };

	ask_end(a, &answer);
}

static void expire(struct ask_list *list, uint64_t now, size_t *count)
{
	struct ask *a, *next;

	for (a = TAILQ_FIRST(list); a && a->deadline_ms <= now; a = next) {
		next = TAILQ_NEXT(a, entry);
		TAILQ_REMOVE(list, a, entry);
		if (count)
			--*count;
		ask_expire(a);
	}
}

/* Also tries again what could not be sent. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_batcher *b = arg;
	uint64_t now = now_ms();

	expire(&b->waiting, now, &b->n_waiting);
	expire(&b->held, now, NULL);
	expire(&b->alone, now, NULL);
	on_kick(-1, 0, b);
}

/* before: see hg_large_split(). */
static int ask_params(struct ask *a, struct hg_wire_request *r, const PGresult *before)
{
	struct hg_large large;
	int ret = hg_large_split(r, before, a->batcher->o.object_max, &large);

	if (!ret)
		ret = hg_exchange_params(r, &large, &a->params);
	hg_large_free(&large);
	if (ret)
		return ret;
	a->bytes = (a->params.changes ? strlen(a->params.changes) : 0) +
		   (a->params.reports ? strlen(a->params.reports) : 0) +
		   (a->params.parts ? strlen(a->params.parts) : 0);
	a->batcher->bytes += a->bytes;
	return 0;
}

/* What is held of a large value that ends with this request. */
static void on_before(void *ctx, const PGresult *res, const char *error)
{
	static _Thread_local struct hg_wire_room room; /* large, and done with on return */
	struct ask *a = ctx;
	struct hg_wire_request r;
	size_t at;

	if (error)
		ask_fail(a, NULL, error, false);
	else if (hg_wire_get_request(a->message, &room, &r, &at) || ask_params(a, &r, res))
		ask_fail(a, NULL, "out of memory", false);
	else
		ask_alone(a);
}

static int ask_before(struct ask *a, struct hg_slice message, const struct hg_large_params *p)
{
	uint8_t *copy = malloc(message.len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, message.ptr, message.len);
	a->message = hg_slice_of(copy, message.len);
	return hg_pg_query(a->batcher->pg, HG_LARGE_SQL, HG_LARGE_PARAMS, p->values, on_before, a);
}

static void ask_wait(struct ask *a)
{
	struct hg_batcher *b = a->batcher;

	if (a->params.alone) {
		ask_alone(a);
		return;
	}
	TAILQ_INSERT_TAIL(&b->waiting, a, entry);
	b->n_waiting++;
	event_active(b->kick, 0, 0);
}

int hg_batch_ask(struct hg_batcher *b, struct hg_slice message, struct hg_wire_request *r,
		 const struct timespec *accepted, hg_batch_done done, void *ctx)
{
	struct hg_large_params before;
	size_t large = hg_large_size(r);
	struct ask *a;
	int ret;

	if (hg_batch_full(b) || (large && b->large && b->large + large > LARGE_MAX))
		return -EAGAIN;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->batcher = b;
	a->done = done;
	a->ctx = ctx;
	a->accepted = *accepted;
	a->deadline_ms = now_ms() + b->o.timeout_ms;
	a->large = large;
	if (hg_large_before(r, &before)) {
		ret = ask_before(a, message, &before);
	} else {
		ret = ask_params(a, r, NULL);
		if (!ret)
			ask_wait(a);
	}
	if (ret) {
		hg_exchange_params_free(&a->params);
		free((void *)a->message.ptr);
		free(a);
		return ret;
	}
	b->large += large;
	b->n_busy++;
	return 0;
}

bool hg_batch_full(const struct hg_batcher *b)
{
	return b->n_busy >= b->o.queue_max || b->bytes > QUEUE_BYTES;
}

size_t hg_batch_busy(const struct hg_batcher *b)
{
	return b->n_busy;
}

struct hg_batcher *hg_batcher_new(struct event_base *base, struct hg_pg *pg,
				  const struct hg_batch_options *o)
{
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	struct hg_batcher *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->pg = pg;
	b->o = *o;
	TAILQ_INIT(&b->waiting);
	TAILQ_INIT(&b->held);
	TAILQ_INIT(&b->alone);
	b->kick = event_new(base, -1, 0, on_kick, b);
	b->tick = event_new(base, -1, EV_PERSIST, on_tick, b);
	b->retry = event_new(base, -1, 0, on_retry, b);
	if (!b->kick || !b->tick || !b->retry || event_add(b->tick, &tick)) {
		hg_batcher_free(b);
		return NULL;
	}
	return b;
}

static void fail_all(struct ask_list *list)
{
	struct ask *a;

	while ((a = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, a, entry);
		ask_fail(a, NULL, "shutting down", false);
	}
}

void hg_batcher_free(struct hg_batcher *b)
{
	if (!b)
		return;
	fail_all(&b->waiting);
	fail_all(&b->held);
	fail_all(&b->alone);
	hg_exchange_arrays_free(&b->arrays);
	if (b->kick)
		event_free(b->kick);
	if (b->tick)
		event_free(b->tick);
	if (b->retry)
		event_free(b->retry);
	free(b);
}
