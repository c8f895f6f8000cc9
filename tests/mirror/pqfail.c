// SPDX-License-Identifier: MIT
/*
 * Preloaded before libpq by pqfail.t: of the calls below, counted together, number HG_PQFAIL fails
 * as libpq says it does; all others go through. Writes "failed NAME" to descriptor 2 then.
 */
#include <dlfcn.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

static int fails(const char *name)
{
	static int count, which = -1;

	if (which < 0)
		which = getenv("HG_PQFAIL") ? atoi(getenv("HG_PQFAIL")) : 0;
	if (++count != which)
		return 0;
	fprintf(stderr, "failed %s\n", name);
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int PQflush(PGconn *conn)
{
	return fails("PQflush") ? -1 : REAL(PQflush)(conn);
}

int PQconsumeInput(PGconn *conn)
{
	return fails("PQconsumeInput") ? 0 : REAL(PQconsumeInput)(conn);
}

int PQpipelineSync(PGconn *conn)
{
	return fails("PQpipelineSync") ? 0 : REAL(PQpipelineSync)(conn);
}

int PQenterPipelineMode(PGconn *conn)
{
	return fails("PQenterPipelineMode") ? 0 : REAL(PQenterPipelineMode)(conn);
}

PostgresPollingStatusType PQconnectPoll(PGconn *conn)
{
	return fails("PQconnectPoll") ? PGRES_POLLING_FAILED : REAL(PQconnectPoll)(conn);
}

PGconn *PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
	return fails("PQconnectStartParams") ? NULL
					     : REAL(PQconnectStartParams)(keywords, values, expand);
}

int PQsendPrepare(PGconn *conn, const char *name, const char *query, int n, const Oid *types)
{
	return fails("PQsendPrepare") ? 0 : REAL(PQsendPrepare)(conn, name, query, n, types);
}

int PQsendQueryPrepared(PGconn *conn, const char *name, int n, const char *const *values,
			const int *lengths, const int *formats, int result_format)
{
	return fails("PQsendQueryPrepared")
		       ? 0
		       : REAL(PQsendQueryPrepared)(conn, name, n, values, lengths, formats,
						   result_format);
}

int PQsendQueryParams(PGconn *conn, const char *command, int n, const Oid *types,
		      const char *const *values, const int *lengths, const int *formats,
		      int result_format)
{
	return fails("PQsendQueryParams")
		       ? 0
		       : REAL(PQsendQueryParams)(conn, command, n, types, values, lengths, formats,
						 result_format);
}
