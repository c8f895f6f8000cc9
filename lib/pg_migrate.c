// SPDX-License-Identifier: MIT
/*
 * Migrations: the numbered files of a directory, applied once each and in order; then the
 * functions, see pg_functions.c.
 *
 * Called by the `migrate` subcommands of mirror and collector. Each file runs in one transaction
 * together with its row in <schema>.migrations, so it is applied whole or not at all. An advisory
 * lock keeps two migrating programs apart. The row keeps the file's SHA-256: an applied file that
 * was edited afterwards is an error, because its change would never reach the database.
 */
#include "pg.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pg_migrate.h"

#define FILE_MAX (1 << 20)
#define LOCK_CLASS                                                                                 \
	0x48656c69 /* first key of the advisory lock; the second is the schema's hash              \
		    */

int hg_migrate_fail(struct hg_migrate *m, int code, const char *what, const char *why)
{
	snprintf(m->err, m->err_size, "%s: %s", what, why);
	m->err[strcspn(m->err, "\n")] = '\0';
	return code;
}

/* Runs one command; *value (if wanted) is its first field or NULL, to be freed. */
int hg_migrate_run(struct hg_migrate *m, const char *what, const char *sql, int n,
		   const char *const *params, char **value)
{
	PGresult *res = n ? PQexecParams(m->pg, sql, n, NULL, params, NULL, NULL, 0)
			  : PQexec(m->pg, sql);
	ExecStatusType status = PQresultStatus(res);
	int r = 0;

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		const char *pos = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
		const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
		char where[512];
		unsigned int line = 1;

		for (long i = pos ? atol(pos) : 0; i > 1 && *sql; i--)
			line += *sql++ == '\n';
		snprintf(where, sizeof(where), "%s:%u", what, line);
		r = hg_migrate_fail(m, -EIO, pos ? where : what, PQresultErrorMessage(res));
		if (detail) /* one line of it: what depends on what, say */
			snprintf(m->err + strlen(m->err), m->err_size - strlen(m->err), ": %.*s",
				 (int)strcspn(detail, "\n"), detail);
	} else if (value) {
		*value = PQntuples(res) && !PQgetisnull(res, 0, 0) ? strdup(PQgetvalue(res, 0, 0))
								   : NULL;
	}
	PQclear(res);
	return r;
}

int hg_migrate_read(struct hg_migrate *m, const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	char *buf = NULL;

	if (fd < 0 || fstat(fd, &st))
		r = hg_migrate_fail(m, -errno, path, strerror(errno));
	else if (st.st_size > FILE_MAX)
		r = hg_migrate_fail(m, -EFBIG, path, "larger than 1 MiB");
	else if (!(buf = calloc(1, st.st_size + 1)))
		r = hg_migrate_fail(m, -ENOMEM, path, "out of memory");
	else if (read(fd, buf, st.st_size) != st.st_size)
		r = hg_migrate_fail(m, -EIO, path, "short read");
	if (fd >= 0)
		close(fd);
	if (r)
		free(buf);
	else
		*text = buf;
	return r;
}

int hg_migrate_begin(struct hg_migrate *m, const char *what)
{
	char sql[512];

	snprintf(sql, sizeof(sql), "BEGIN; SET LOCAL search_path = %s", m->schema);
	return hg_migrate_run(m, what, sql, 0, NULL, NULL);
}

int hg_migrate_end(struct hg_migrate *m, const char *what, int r)
{
	r = r ?: hg_migrate_run(m, what, "COMMIT", 0, NULL, NULL);
	if (r)
		PQclear(PQexec(m->pg, "ROLLBACK"));
	return r;
}

static int apply(struct hg_migrate *m, const char *name, const char *path, const char *text)
{
	const char *params[] = { name, text };
	int r = hg_migrate_begin(m, path);

	r = r ?: hg_migrate_run(m, path, text, 0, NULL, NULL);
	r = r
		    ?: hg_migrate_run(m, path,
				      "INSERT INTO migrations (name, sha256) "
				      "VALUES ($1, encode(sha256(convert_to($2, 'UTF8')), 'hex'))",
				      2, params, NULL);
	r = hg_migrate_end(m, path, r);
	if (!r)
		printf("applied %s\n", name);
	return r;
}

static int one_file(struct hg_migrate *m, const char *name)
{
	const char *params[] = { name, NULL };
	char path[4096], sql[512], *text = NULL, *same = NULL;
	int r;

	if (snprintf(path, sizeof(path), "%s/%s", m->dir, name) >= (int)sizeof(path))
		return hg_migrate_fail(m, -ENAMETOOLONG, name, "path too long");
	r = hg_migrate_read(m, path, &text);
	if (r)
		return r;
	params[1] = text;
	snprintf(sql, sizeof(sql),
		 "SELECT sha256 = encode(sha256(convert_to($2, 'UTF8')), 'hex') FROM %s.migrations "
		 "WHERE name = $1",
		 m->schema);
	r = hg_migrate_run(m, path, sql, 2, params, &same);
	if (!r && !same)
		r = apply(m, name, path, text);
	else if (!r && strcmp(same, "t"))
		r = hg_migrate_fail(
			m, -EINVAL, path,
			"was edited after it had been applied; restore it and add a new migration");
	free(same);
	free(text);
	return r;
}

static int select_sql(const struct dirent *d)
{
	return !fnmatch("[0-9][0-9][0-9][0-9]-*.sql", d->d_name, 0);
}

int hg_migrate_scan(struct hg_migrate *m, const char *dir, int (*select)(const struct dirent *),
		    struct dirent ***names)
{
	int n = scandir(dir, names, select, alphasort);

	return n < 0 ? hg_migrate_fail(m, -errno, dir, strerror(errno)) : n;
}

void hg_migrate_scan_free(struct dirent **names, int n)
{
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static int all_files(struct hg_migrate *m)
{
	struct dirent **names;
	int n = hg_migrate_scan(m, m->dir, select_sql, &names), r = 0;

	if (n < 0)
		return n;
	if (!n)
		r = hg_migrate_fail(m, -ENOENT, m->dir, "holds no NNNN-name.sql");
	for (int i = 0; i < n; i++) {
		if (!r && i && !strncmp(names[i - 1]->d_name, names[i]->d_name, 4))
			r = hg_migrate_fail(m, -EEXIST, names[i]->d_name,
					    "another migration has the same number");
		r = r ?: one_file(m, names[i]->d_name);
	}
	hg_migrate_scan_free(names, n);
	return r;
}

static int prepare(struct hg_migrate *m, const char *schema)
{
	const char *lock[] = { schema };
	char sql[512];
	int r;

	m->schema = PQescapeIdentifier(m->pg, schema, strlen(schema));
	if (!m->schema || strlen(m->schema) > 128)
		return hg_migrate_fail(m, -EINVAL, "schema", "name is not usable");
	r = hg_migrate_run(m, "client settings",
			   "SET client_min_messages = warning; SET client_encoding = 'UTF8'", 0,
			   NULL, NULL);
	snprintf(sql, sizeof(sql), "SELECT pg_advisory_lock(%d, hashtext($1))", LOCK_CLASS);
	r = r ?: hg_migrate_run(m, "migration lock", sql, 1, lock, NULL);
	snprintf(
		sql, sizeof(sql),
		"CREATE SCHEMA IF NOT EXISTS %s; CREATE TABLE IF NOT EXISTS %s.migrations (name text PRIMARY "
		"KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
		m->schema, m->schema);
	return r ?: hg_migrate_run(m, "schema", sql, 0, NULL, NULL);
}

int hg_pg_migrate(const char *conninfo, const char *schema, const char *dir, char *err,
		  size_t err_size)
{
	struct hg_migrate m = { .dir = dir, .err = err, .err_size = err_size };
	int r;

	m.pg = PQconnectdb(conninfo);
	if (!m.pg)
		return hg_migrate_fail(&m, -ENOMEM, "database", "out of memory");
	if (PQstatus(m.pg) != CONNECTION_OK)
		r = hg_migrate_fail(&m, -ECONNREFUSED, "database", PQerrorMessage(m.pg));
	else
		r = prepare(&m, schema) ?: all_files(&m) ?: hg_migrate_functions(&m);
	PQfreemem(m.schema);
	PQfinish(m.pg);
	return r;
}
