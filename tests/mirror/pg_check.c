// SPDX-License-Identifier: MIT
/*
 * TAP over lib/pg against the database that argv[1] (a conninfo) names; run by pg.t.
 */
#include "../../lib/pg.h"
#include <errno.h>
#include <stdlib.h>
#include "../tap.h"

#define MANY 2000

struct answer {
	int calls, good, lost;
	char value[64], error[128], state[8];
};

static struct event_base *base;
static struct hg_pg *pool;

static void take(void *ctx, const PGresult *res, const char *error)
{
	struct answer *a = ctx;
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	a->calls++;
	a->good += !error;
	a->lost += error && !res;
	snprintf(a->error, sizeof(a->error), "%s", error ? error : "");
	snprintf(a->state, sizeof(a->state), "%s", state ? state : "");
	if (!error && PQntuples(res))
		snprintf(a->value, sizeof(a->value), "%s", PQgetvalue(res, 0, 0));
}

/* Runs the loop until *counter reaches want, at most ten seconds. */
static bool until(const int *counter, int want)
{
	for (int i = 0; i < 1000 && *counter < want; i++) {
		struct timeval tv = { .tv_usec = 10000 };

		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	return *counter >= want;
}

static void ask(struct answer *a, const char *sql, int n, const char *const *params)
{
	memset(a, 0, sizeof(*a));
	if (!hg_pg_query(pool, sql, n, params, take, a))
		until(&a->calls, 1);
}

static void check_plain(void)
{
	const char *params[] = { "40", "it's" };
	struct answer a;

	ask(&a, "SELECT $1::int + 2", 1, params);
	is_str(a.value, "42", "a parameter goes and a row comes back");
	ask(&a, "SELECT $1::text || $2::text", 2, params);
	is_str(a.value, "40it's", "a second statement is prepared beside the first");
	ask(&a, "SELECT current_setting('search_path')", 0, NULL);
	is_str(a.value, "\"Quiet-1\"", "search_path is set, whatever the schema is called");
	ask(&a, "SELECT current_setting('synchronous_commit')", 0, NULL);
	is_str(a.value, "on",
	       "a commit is durable before it is answered, in a database that wants none");
	ask(&a, "SELECT 1 / $1::int", 1, (const char *[]){ "0" });
	is_str(a.state, "22012", "an error carries its SQLSTATE");
	ask(&a, "SELECT nonsense(", 0, NULL);
	is_str(a.state, "42601", "a statement that cannot be prepared says so");
	ask(&a, "SELECT nonsense(", 0, NULL);
	is_str(a.state, "42601", "and says so the second time");
	ask(&a, "SELECT coalesce($1::text, 'null')", 1, (const char *[]){ NULL });
	is_str(a.value, "null", "a null parameter is null");
	ask(&a, "INSERT INTO late VALUES (1) RETURNING n", 0, NULL);
	is_str(a.state, "23505", "a commit that fails behind its row is an error");
	ok(a.calls == 1 && !a.good, "told once");
}

static void check_pipeline(void)
{
	struct answer a = { 0 }, bad = { 0 };

	for (int i = 0; i < MANY; i++) {
		char text[16];
		const char *params[] = { text };

		snprintf(text, sizeof(text), "%d", i % 100 == 7 ? 0 : 1);
		hg_pg_query(pool, "SELECT 1 / $1::int", 1, params, take, i % 100 == 7 ? &bad : &a);
	}
	until(&a.calls, MANY - MANY / 100);
	until(&bad.calls, MANY / 100);
	is_int(a.good, MANY - MANY / 100, "pipelined statements all answer");
	is_int(bad.calls, MANY / 100, "failing ones among them answer too");
	is_int(bad.good, 0, "with an error, and abort no other");
}

static void check_limits(void)
{
	struct answer a = { 0 };
	int r = 0, accepted = 0;

	while (!(r = hg_pg_query(pool, "SELECT 1", 0, NULL, take, &a)))
		accepted++;
	is_int(r, -EAGAIN, "a full queue refuses");
	ok(accepted >= MANY, "after it took queue_max statements");
	ok(until(&a.calls, accepted), "each accepted one is answered");
	is_int(a.good, accepted, "and well");
	ask(&a, "SELECT pg_sleep(30)", 0, NULL);
	is_str(a.state, "57014", "a statement over its time is cancelled by the server");
}

static void check_loss(void)
{
	struct answer a;
	const char *kill_others =
		"SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE "
		"application_name = 'heliograph' AND pid <> pg_backend_pid()";
	struct answer rest = { 0 };

	ask(&a, "SELECT pg_terminate_backend(pg_backend_pid())", 0, NULL);
	ok(a.calls == 1 && !a.good, "losing the connection fails what was under way: %s", a.error);
	ask(&a, kill_others, 0, NULL);
	for (int i = 0; i < 100; i++)
		hg_pg_query(pool, "SELECT 2", 0, NULL, take, &rest);
	ok(until(&rest.calls, 100), "every statement is answered after connections were cut");
	ask(&a, "SELECT 3", 0, NULL);
	is_str(a.value, "3", "and the pool has come back");
}

static void check_schema_change(void)
{
	struct answer a;

	ask(&a, "CREATE TEMP TABLE IF NOT EXISTS unused (a int)", 0, NULL);
	ask(&a,
	    "CREATE OR REPLACE FUNCTION public.pg_check() RETURNS int LANGUAGE sql AS 'SELECT 1'",
	    0, NULL);
	ask(&a, "SELECT * FROM public.pg_check()", 0, NULL);
	is_str(a.value, "1", "a function is called");
	ask(&a, "DROP FUNCTION public.pg_check()", 0, NULL);
	ask(&a,
	    "CREATE FUNCTION public.pg_check() RETURNS text LANGUAGE sql AS $$SELECT 'two'::text$$",
	    0, NULL);
	for (int i = 0; i < 10; i++) {
		ask(&a, "SELECT * FROM public.pg_check()", 0, NULL);
		if (a.good)
			break;
	}
	is_str(a.value, "two", "a plan that the schema outgrew heals");
}

int main(int argc, char **argv)
{
	struct hg_pg_options o = { .conninfo = argv[1],
				   .connections = 3,
				   .queue_max = MANY + 100,
				   .timeout_ms = 1500,
				   .search_path = "Quiet-1" };
	struct answer a = { 0 };

	base = event_base_new();
	pool = hg_pg_new(base, &o);
	if (!pool)
		return 1;
	check_plain();
	check_pipeline();
	check_limits();
	check_loss();
	check_schema_change();
	hg_pg_query(pool, "SELECT pg_sleep(1)", 0, NULL, take, &a);
	hg_pg_free(pool);
	is_str(a.error, "shutting down", "closing the pool answers what waits");
	o.conninfo = "host=/nonexistent dbname=x";
	pool = hg_pg_new(base, &o);
	ok(!hg_pg_ready(pool), "a database that is away is not ready");
	ask(&a, "SELECT 1", 0, NULL);
	ok(a.calls == 1 && a.lost == 1, "its statements fail in time: %s", a.error);
	hg_pg_free(pool);
	event_base_free(base);
	return tap_done();
}
