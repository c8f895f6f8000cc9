// SPDX-License-Identifier: MIT
/*
 * The pool: a few connections in pipeline mode, one queue of queries in front of them.
 *
 * A query waits in pool->waiting, then in the `sent` list of the connection it was written to, and
 * leaves by query_end(), which calls its owner exactly once. Each query is followed by its own
 * Sync: it is a transaction of its own, and its failure touches no other. hg_pg_query() only
 * queues; writing happens in one event per loop turn, so that the queries of many peers share one
 * write and callbacks never nest. A connection moves between its states in conn_set() only. What
 * was sent on a connection that is lost may or may not have been committed: it is failed, never
 * sent again. It may even lie on its way yet, and would be carried out after what is asked later:
 * so the first thing that the next connection does is to end the server process of the lost one.
 */
#include "pg.h"
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <time.h>

#define STATEMENTS_MAX 256 /* distinct texts of one program; further ones are sent unprepared */
/* In flight per connection; more only lengthens the line behind a slow one. */
#define PIPELINE_DEPTH 16
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define TICK_MS 100 /* how finely deadlines are kept */
/* The server's statement_timeout comes first; then the connection is given up. */
#define GRACE_MS 1000
#define ERROR_MAX 256
#define SETUP_PARAMS 3
#define SETUP_BACKEND 4 /* the last column of its answer */
#define BACKEND_MAX 48	/* its process and when that began */

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_SETUP, CONN_READY };

struct query {
	TAILQ_ENTRY(query) entry;
	hg_pg_done done;
	void *ctx;
	const char *sql; /* of the pool's statement, or of this block */
	int statement;	 /* index, -1: unprepared */
	bool preparing;	 /* the next result answers the Parse that went before */
	PGresult *result;
	uint64_t deadline_ms;
	int n_params;
	const char *params[];
};

TAILQ_HEAD(query_list, query);

struct conn {
	struct hg_pg *pool;
	PGconn *pg;
	enum conn_state state;
	struct event *io, *retry;
	int fd;
	short wanted;
	struct query_list sent;
	unsigned int n_sent;
	unsigned int failures;
	uint64_t deadline_ms; /* of CONNECTING and SETUP */
	bool stale;	      /* a prepared plan no longer fits the schema: reopen when drained */
	char backend[BACKEND_MAX]; /* which serves it, or served the one before */
	bool prepared[STATEMENTS_MAX];
};

struct hg_pg {
	struct event_base *base;
	struct event *kick, *tick;
	char *conninfo, *search_path, timeout[16];
	unsigned int timeout_ms, queue_max, n_conns, n_queued;
	struct query_list waiting;
	char *statements[STATEMENTS_MAX];
	int n_statements;
	bool closing;
	struct conn conns[];
};

static void conn_open(struct conn *c);
static void on_io(evutil_socket_t fd, short what, void *arg);

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct timeval timeval_ms(uint64_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

/* Calls the owner and frees. The query is in no list any more. */
static void query_end(struct hg_pg *pool, struct query *q, const char *error)
{
	pool->n_queued--;
	if (!error && q->result) {
		ExecStatusType status = PQresultStatus(q->result);

		if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
			error = PQresultErrorField(q->result, PG_DIAG_MESSAGE_PRIMARY);
			error = error ? error : PQresStatus(status);
		}
	}
	if (!error && !q->result)
		error = "no result";
	q->done(q->ctx, q->result, error);
	PQclear(q->result);
	free(q);
}

static void conn_want(struct conn *c, short what)
{
	int fd = PQsocket(c->pg);

	if (c->io && c->fd == fd && c->wanted == what)
		return;
	if (c->io)
		event_free(c->io);
	c->io = event_new(c->pool->base, fd, what | EV_PERSIST, on_io, c);
	c->fd = fd;
	c->wanted = what;
	if (c->io)
		event_add(c->io, NULL);
}

static void conn_set(struct conn *c, enum conn_state state)
{
	c->state = state;
	switch (state) {
	case CONN_DOWN:
		if (c->io)
			event_free(c->io);
		c->io = NULL;
		PQfinish(c->pg);
		c->pg = NULL;
		c->stale = false;
		memset(c->prepared, 0, sizeof(c->prepared));
		break;
	case CONN_CONNECTING:
		c->deadline_ms = now_ms() + c->pool->timeout_ms;
		break;
	case CONN_SETUP:
		break;
	case CONN_READY:
		c->failures = 0;
		event_active(c->pool->kick, 0, 0);
		break;
	}
}

/* Full jitter: all mirrors of a restarted database come back spread over the whole delay. */
static uint64_t backoff_ms(unsigned int failures)
{
	uint64_t top = BACKOFF_MIN_MS << (failures < 8 ? failures : 8);
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)now_ms();
	top = top < BACKOFF_MAX_MS ? top : BACKOFF_MAX_MS;
	return 1 + r % top;
}

static void conn_lose(struct conn *c, const char *why)
{
	struct query_list lost = TAILQ_HEAD_INITIALIZER(lost);
	char error[ERROR_MAX];
	struct timeval tv = timeval_ms(backoff_ms(c->failures));
	struct query *q;

	snprintf(error, sizeof(error), "%s", why);
	error[strcspn(error, "\n")] = '\0';
	TAILQ_CONCAT(&lost, &c->sent, entry);
	c->n_sent = 0;
	c->failures++;
	conn_set(c, CONN_DOWN);
	if (!c->pool->closing)
		event_add(c->retry, &tv);
	while ((q = TAILQ_FIRST(&lost))) {
		TAILQ_REMOVE(&lost, q, entry);
		PQclear(q->result);
		q->result = NULL;
		query_end(c->pool, q, error);
	}
}

static void conn_lose_pg(struct conn *c)
{
	char why[ERROR_MAX];

	snprintf(why, sizeof(why), "connection lost: %s", PQerrorMessage(c->pg));
	conn_lose(c, why);
}

static bool conn_flush(struct conn *c)
{
	int left = PQflush(c->pg);

	if (left < 0) {
		conn_lose_pg(c);
		return false;
	}
	conn_want(c, left ? EV_READ | EV_WRITE : EV_READ);
	return true;
}

/*
 * What every connection says first; its answer makes it ready. What is answered after a commit is
 * promised to be there after a power cut, whatever this database allows other programs.
 */
static void conn_setup(struct conn *c)
{
	static const char sql[] =
		"SELECT set_config('statement_timeout', $1, false),"
		" set_config('search_path',"
		" coalesce(quote_ident($2), current_setting('search_path')), false),"
		" set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
		" WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false),"
		" (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
		" WHERE concat_ws(' ', pid, extract(epoch FROM backend_start)) = $3),"
		" (SELECT concat_ws(' ', pid, extract(epoch FROM backend_start))"
		" FROM pg_stat_activity WHERE pid = pg_backend_pid())";
	const char *params[SETUP_PARAMS] = { c->pool->timeout, c->pool->search_path, c->backend };

	conn_set(c, CONN_SETUP);
	if (PQsetnonblocking(c->pg, 1) || !PQenterPipelineMode(c->pg) ||
	    !PQsendQueryParams(c->pg, sql, SETUP_PARAMS, NULL, params, NULL, NULL, 0) ||
	    !PQpipelineSync(c->pg))
		conn_lose_pg(c);
	else
		conn_flush(c);
}

static void conn_poll(struct conn *c)
{
	switch (PQconnectPoll(c->pg)) {
	case PGRES_POLLING_READING:
		conn_want(c, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		conn_want(c, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		conn_setup(c);
		break;
	default:
		conn_lose_pg(c);
	}
}

static void conn_open(struct conn *c)
{
	static const char *const keys[] = { "dbname", "fallback_application_name", NULL };
	const char *values[] = { c->pool->conninfo, "heliograph", NULL };

	c->pg = PQconnectStartParams(keys, values, 1);
	conn_set(c, CONN_CONNECTING);
	if (!c->pg)
		conn_lose(c, "out of memory");
	else if (PQstatus(c->pg) == CONNECTION_BAD)
		conn_lose_pg(c);
	else
		conn_want(c, EV_WRITE); /* libpq: behave as if the last poll had said WRITING */
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	conn_open(arg);
}

/* A plan that the schema outgrew, or a Parse that failed earlier in the pipeline. */
static bool plan_is_stale(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return state && (!strcmp(state, "0A000") || !strcmp(state, "26000"));
}

static void conn_take(struct conn *c, PGresult *res)
{
	struct query *q = TAILQ_FIRST(&c->sent);

	if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		PQclear(res);
		TAILQ_REMOVE(&c->sent, q, entry);
		c->n_sent--;
		query_end(c->pool, q, NULL);
		return;
	}
	if (PQresultStatus(res) == PGRES_FATAL_ERROR) {
		if (plan_is_stale(res))
			c->stale = true;
		if (q->preparing)
			c->prepared[q->statement] = false;
		/* A row may be here already: then it is the commit that failed, behind it. */
		PQclear(q->result);
		q->result = NULL;
	}
	if (q->result || (q->preparing && PQresultStatus(res) == PGRES_COMMAND_OK))
		PQclear(res);
	else
		q->result = res;
	q->preparing = false;
}

/* The answer to conn_setup(). Returns false when the connection was given up. */
static bool conn_take_setup(struct conn *c, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_PIPELINE_SYNC)
		conn_set(c, CONN_READY);
	else if (status != PGRES_TUPLES_OK)
		conn_lose(c, PQresultErrorMessage(res));
	else
		snprintf(c->backend, sizeof(c->backend), "%s", PQgetvalue(res, 0, SETUP_BACKEND));
	PQclear(res);
	return c->state != CONN_DOWN;
}

static void conn_read(struct conn *c)
{
	if (!PQconsumeInput(c->pg)) {
		conn_lose_pg(c);
		return;
	}
	while ((c->state == CONN_SETUP || c->n_sent) && !PQisBusy(c->pg)) {
		PGresult *res = PQgetResult(c->pg);

		if (PQstatus(c->pg) == CONNECTION_BAD) {
			PQclear(res);
			conn_lose_pg(c);
			return;
		}
		if (!res)
			continue;
		if (c->state != CONN_SETUP)
			conn_take(c, res);
		else if (!conn_take_setup(c, res))
			return;
	}
	if (c->stale && !c->n_sent) {
		conn_set(c, CONN_DOWN);
		conn_open(c);
		return;
	}
	if (!TAILQ_EMPTY(&c->pool->waiting))
		event_active(c->pool->kick, 0, 0);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_CONNECTING) {
		conn_poll(c);
		return;
	}
	if ((what & EV_WRITE) && !conn_flush(c))
		return;
	if (what & EV_READ)
		conn_read(c);
}

/*
 * Writes one query into the connection's buffer, without the Sync that would commit it.
 */
static bool conn_send(struct conn *c, struct query *q)
{
	char name[16];
	bool good;

	if (q->statement < 0) {
		good = PQsendQueryParams(c->pg, q->sql, q->n_params, NULL, q->params, NULL, NULL,
					 0);
	} else {
		snprintf(name, sizeof(name), "s%d", q->statement);
		q->preparing = !c->prepared[q->statement];
		good = (!q->preparing || PQsendPrepare(c->pg, name, q->sql, 0, NULL)) &&
		       PQsendQueryPrepared(c->pg, name, q->n_params, q->params, NULL, NULL, 0);
		c->prepared[q->statement] = true;
	}
	if (!good)
		q->preparing = false;
	return good;
}

static struct conn *pool_pick(struct hg_pg *pool)
{
	struct conn *best = NULL;

	for (unsigned int i = 0; i < pool->n_conns; i++) {
		struct conn *c = &pool->conns[i];

		if (c->state == CONN_READY && !c->stale && c->n_sent < PIPELINE_DEPTH &&
		    (!best || c->n_sent < best->n_sent))
			best = c;
	}
	return best;
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_pg *pool = arg;
	struct query *q;
	struct conn *c;

	while ((q = TAILQ_FIRST(&pool->waiting)) && (c = pool_pick(pool))) {
		if (!conn_send(c, q)) {
			conn_lose_pg(c); /* the query waits for another */
			continue;
		}
		TAILQ_REMOVE(&pool->waiting, q, entry);
		TAILQ_INSERT_TAIL(&c->sent, q, entry);
		c->n_sent++;
		/* Even if this fails it may be committed: closing writes what is buffered. */
		if (!PQpipelineSync(c->pg))
			conn_lose_pg(c);
	}
	for (unsigned int i = 0; i < pool->n_conns; i++)
		if (pool->conns[i].state == CONN_READY && pool->conns[i].n_sent)
			conn_flush(&pool->conns[i]);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_pg *pool = arg;
	uint64_t now = now_ms();
	struct query *q;

	for (unsigned int i = 0; i < pool->n_conns; i++) {
		struct conn *c = &pool->conns[i];

		q = TAILQ_FIRST(&c->sent);
		if ((c->state == CONN_CONNECTING || c->state == CONN_SETUP) && now > c->deadline_ms)
			conn_lose(c, "timeout while connecting");
		else if (q && now > q->deadline_ms + GRACE_MS)
			conn_lose(c, "timeout: no answer from the database");
	}
	while ((q = TAILQ_FIRST(&pool->waiting)) && now > q->deadline_ms) {
		TAILQ_REMOVE(&pool->waiting, q, entry);
		query_end(pool, q, "timeout: no connection to the database was free; not sent");
	}
}

/* Index of the statement's text, or -1 when the table is full. */
static int pool_statement(struct hg_pg *pool, const char *sql)
{
	for (int i = 0; i < pool->n_statements; i++)
		if (!strcmp(pool->statements[i], sql))
			return i;
	if (pool->n_statements == STATEMENTS_MAX)
		return -1;
	pool->statements[pool->n_statements] = strdup(sql);
	return pool->statements[pool->n_statements] ? pool->n_statements++ : -1;
}

static struct query *query_new(int n_params, const char *const *values, const char *sql)
{
	size_t size = sizeof(struct query) + n_params * sizeof(char *) + strlen(sql) + 1;
	struct query *q;
	char *at;

	for (int i = 0; i < n_params; i++)
		size += values[i] ? strlen(values[i]) + 1 : 0;
	q = calloc(1, size);
	if (!q)
		return NULL;
	at = (char *)&q->params[n_params];
	q->sql = at;
	at = stpcpy(at, sql) + 1;
	q->n_params = n_params;
	for (int i = 0; i < n_params; i++) {
		q->params[i] = values[i] ? at : NULL;
		if (values[i])
			at = stpcpy(at, values[i]) + 1;
	}
	return q;
}

int hg_pg_query(struct hg_pg *pool, const char *sql, int n_params, const char *const *values,
		hg_pg_done done, void *ctx)
{
	struct query *q;

	if (pool->closing || pool->n_queued >= pool->queue_max)
		return -EAGAIN;
	q = query_new(n_params, values, sql);
	if (!q)
		return -ENOMEM;
	q->done = done;
	q->ctx = ctx;
	q->statement = pool_statement(pool, sql);
	q->deadline_ms = now_ms() + pool->timeout_ms;
	TAILQ_INSERT_TAIL(&pool->waiting, q, entry);
	pool->n_queued++;
	event_active(pool->kick, 0, 0);
	return 0;
}

unsigned int hg_pg_connections(const struct hg_pg *pool)
{
	return pool->n_conns;
}

bool hg_pg_ready(const struct hg_pg *pool)
{
	for (unsigned int i = 0; i < pool->n_conns; i++)
		if (pool->conns[i].state == CONN_READY)
			return true;
	return false;
}

static int pool_init(struct hg_pg *pool, const struct hg_pg_options *o)
{
	struct timeval tick = timeval_ms(TICK_MS);

	pool->conninfo = strdup(o->conninfo);
	pool->search_path = o->search_path ? strdup(o->search_path) : NULL;
	pool->kick = event_new(pool->base, -1, 0, on_kick, pool);
	pool->tick = event_new(pool->base, -1, EV_PERSIST, on_tick, pool);
	if (!pool->conninfo || (o->search_path && !pool->search_path) || !pool->kick ||
	    !pool->tick || event_add(pool->tick, &tick))
		return -ENOMEM;
	for (unsigned int i = 0; i < pool->n_conns; i++) {
		struct conn *c = &pool->conns[i];

		c->pool = pool;
		TAILQ_INIT(&c->sent);
		c->retry = event_new(pool->base, -1, 0, on_retry, c);
		if (!c->retry)
			return -ENOMEM;
	}
	return 0;
}

struct hg_pg *hg_pg_new(struct event_base *base, const struct hg_pg_options *o)
{
	struct hg_pg *pool;

	if (!o->conninfo || o->connections < 1 || o->connections > 64 || !o->queue_max ||
	    !o->timeout_ms) {
		errno = EINVAL;
		return NULL;
	}
	pool = calloc(1, sizeof(*pool) + o->connections * sizeof(struct conn));
	if (!pool)
		return NULL;
	pool->base = base;
	pool->n_conns = o->connections;
	pool->queue_max = o->queue_max;
	pool->timeout_ms = o->timeout_ms;
	snprintf(pool->timeout, sizeof(pool->timeout), "%u", o->timeout_ms);
	TAILQ_INIT(&pool->waiting);
	if (pool_init(pool, o)) {
		hg_pg_free(pool);
		errno = ENOMEM;
		return NULL;
	}
	for (unsigned int i = 0; i < pool->n_conns; i++)
		conn_open(&pool->conns[i]);
	return pool;
}

void hg_pg_free(struct hg_pg *pool)
{
	struct query *q;

	if (!pool)
		return;
	pool->closing = true;
	for (unsigned int i = 0; i < pool->n_conns; i++) {
		struct conn *c = &pool->conns[i];

		if (c->pool)
			conn_lose(c, "shutting down");
		if (c->retry)
			event_free(c->retry);
	}
	while ((q = TAILQ_FIRST(&pool->waiting))) {
		TAILQ_REMOVE(&pool->waiting, q, entry);
		query_end(pool, q, "shutting down");
	}
	for (int i = 0; i < pool->n_statements; i++)
		free(pool->statements[i]);
	if (pool->kick)
		event_free(pool->kick);
	if (pool->tick)
		event_free(pool->tick);
	free(pool->conninfo);
	free(pool->search_path);
	free(pool);
}
