// SPDX-License-Identifier: MIT
/*
 * One synchronous connection for the command line. The SQL functions raise errors with a text for
 * people; that text alone is what is printed then.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../lib/pg.h"

/* A revocation that was reported must outlive a power cut, as what lib/pg.c answers does. */
static const char setup_sql[] =
	"SELECT set_config('search_path', quote_ident($1), false),"
	" set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
	" WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)";

PGconn *hg_db_open(const struct hg_mirror_conf *conf)
{
	const char *params[] = { conf->database.schema };
	PGconn *pg = PQconnectdb(conf->database.conninfo);

	if (PQstatus(pg) != CONNECTION_OK) {
		hg_pg_complain("heliograph-mirror", pg, NULL);
		PQfinish(pg);
		return NULL;
	}
	if (hg_db_run(pg, NULL, setup_sql, 1, params)) {
		PQfinish(pg);
		return NULL;
	}
	return pg;
}

int hg_db_run(PGconn *pg, PGresult **res, const char *sql, int n, const char *const *params)
{
	PGresult *r = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(r);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		hg_pg_complain("heliograph-mirror", pg, r);
		PQclear(r);
		return PQstatus(pg) == CONNECTION_OK ? HG_EXIT_FAILED : HG_EXIT_UNAVAILABLE;
	}
	if (res)
		*res = r;
	else
		PQclear(r);
	return HG_EXIT_OK;
}

int hg_db_one(const struct hg_mirror_conf *conf, const char *sql, int n, const char *const *params,
	      bool print)
{
	PGconn *pg = hg_db_open(conf);
	PGresult *res = NULL;
	int rc;

	if (!pg)
		return HG_EXIT_UNAVAILABLE;
	rc = hg_db_run(pg, &res, sql, n, params);
	if (!rc && print && hg_pg_print(res))
		rc = HG_EXIT_FAILED;
	PQclear(res);
	PQfinish(pg);
	return rc;
}

char *hg_db_array(const char *const *items, size_t count)
{
	size_t size = 3;
	char *out, *at;

	for (size_t i = 0; i < count; i++)
		size += 2 * strlen(items[i]) + 3;
	out = malloc(size);
	if (!out)
		return NULL;
	at = out;
	*at++ = '{';
	for (size_t i = 0; i < count; i++) {
		if (i)
			*at++ = ',';
		*at++ = '"';
		for (const char *s = items[i]; *s; s++) {
			if (*s == '"' || *s == '\\')
				*at++ = '\\';
			*at++ = *s;
		}
		*at++ = '"';
	}
	*at++ = '}';
	*at = '\0';
	return out;
}
