/* SPDX-License-Identifier: MIT */
/*
 * PostgreSQL for an event loop: libpq in pipeline mode on libevent, a small pool of connections.
 * SQL functions are the API: callers send "SELECT ... FROM hg_xxx($1,...)" and get rows in a
 * callback. A lost connection fails its queries with an error and is opened again with backoff;
 * whatever of them was not begun then is not carried out any more.
 */
#ifndef HG_LIB_PG_H
#define HG_LIB_PG_H

#include <stdbool.h>
#include <libpq-fe.h>
#include <event2/event.h>

struct hg_pg;

struct hg_pg_options {
	const char *conninfo;
	unsigned int connections; /* 1..64 */
	unsigned int queue_max;	  /* queries waiting over all connections; more are refused */
	unsigned int timeout_ms;  /* of one query (statement_timeout and ours), of connecting */
	const char *search_path;  /* schema to set, as it is called; NULL: none */
};

/*
 * Starts connecting; queries may be sent at once. What is answered was committed durably: where
 * synchronous_commit is off, the pool's connections set it on. NULL with errno ENOMEM or EINVAL.
 */
struct hg_pg *hg_pg_new(struct event_base *base, const struct hg_pg_options *options);

/* Fails what is queued with "shutting down", then closes. Not from within a callback. */
void hg_pg_free(struct hg_pg *pg);

/*
 * res: PGRES_TUPLES_OK or PGRES_COMMAND_OK and error NULL; or error set: res may be NULL
 * (connection lost, timeout: whether the statement was committed is then unknown) or carry the
 * SQLSTATE. res is freed after the callback.
 */
typedef void (*hg_pg_done)(void *ctx, const PGresult *res, const char *error);

/*
 * Queues one statement (its own transaction) with text parameters. A statement text is prepared
 * once per connection. Parameters are copied. Returns 0, -EAGAIN when queue_max is reached (the
 * callback is not called), -ENOMEM.
 */
int hg_pg_query(struct hg_pg *pg, const char *sql, int n_params, const char *const *values,
		hg_pg_done done, void *ctx);

/* As many as hg_pg_new() was asked for. */
unsigned int hg_pg_connections(const struct hg_pg *pg);

/* True if at least one connection is up. */
bool hg_pg_ready(const struct hg_pg *pg);

/*
 * For command-line use: connect, apply the numbered migrations NNNN-name.sql of a directory that
 * the table <schema>.migrations does not name yet, each in its own transaction, under a lock; then,
 * if they changed, the files of its directory `functions`, all anew (pg_functions.c). Prints each
 * to stdout. Returns 0 or -errno with a message in err.
 */
int hg_pg_migrate(const char *conninfo, const char *schema, const char *dir, char *err,
		  size_t err_size);

/*
 * Likewise: prints rows as aligned columns under their names, "-" for what is empty; text of
 * strangers as hg_safe_text() makes it. Returns 0 or -ENOMEM; stdout's errors are not looked at.
 */
int hg_pg_print(const PGresult *res);

/*
 * Likewise: prints to stderr, in the name of `program`, why a statement failed, or (res NULL) why
 * there is no connection; what a missing schema needs is said, too.
 */
void hg_pg_complain(const char *program, const PGconn *pg, const PGresult *res);

#endif
