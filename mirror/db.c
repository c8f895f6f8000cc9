// SPDX-License-Identifier: MIT
/*
 * One synchronous connection for the command line. The SQL functions raise SQLSTATE HG001 with a
 * text for people; that text alone is what is printed then.
 */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PGconn *hg_db_open(const struct hg_mirror_conf *conf)
{
	const char *params[] = { conf->database.schema };
	PGconn *pg = PQconnectdb(conf->database.conninfo);

	if (PQstatus(pg) != CONNECTION_OK) {
		fprintf(stderr, "heliograph-mirror: database: %s", PQerrorMessage(pg));
		PQfinish(pg);
		return NULL;
	}
	if (hg_db_run(pg, NULL, "SELECT set_config('search_path', quote_ident($1), false)", 1,
		      params)) {
		PQfinish(pg);
		return NULL;
	}
	return pg;
}

static void complain(PGconn *pg, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = "";

	if (state && (!strcmp(state, "42883") || !strcmp(state, "42P01")))
		hint = "; run \"heliograph-mirror migrate\"?";
	if (text)
		fprintf(stderr, "heliograph-mirror: %s%s\n", text, hint);
	else
		fprintf(stderr, "heliograph-mirror: database: %s", PQerrorMessage(pg));
}

int hg_db_run(PGconn *pg, PGresult **res, const char *sql, int n, const char *const *params)
{
	PGresult *r = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(r);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		complain(pg, r);
		PQclear(r);
		return PQstatus(pg) == CONNECTION_OK ? HG_EXIT_FAILED : HG_EXIT_UNAVAILABLE;
	}
	if (res)
		*res = r;
	else
		PQclear(r);
	return HG_EXIT_OK;
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
