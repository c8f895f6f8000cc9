// SPDX-License-Identifier: MIT
/*
 * What a schema holds besides data: the files DIR/functions/NAME.sql make functions, views and the
 * types that these return. Nothing is migrated here: when any file changed, all that they made is
 * dropped and all files run again, in the order of their names and in one transaction, so each is
 * edited where it stands. The table <schema>.made names what they made, and nothing else is
 * dropped. Something of another owner that depends on it (a view of the operator's, say) stops the
 * migration with PostgreSQL's words, and nothing is changed.
 */
#include "pg_migrate.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "functions" /* of the directory, and of its row in <schema>.migrations */

static const char made_table[] =
	"CREATE TABLE IF NOT EXISTS made "
	"(kind text NOT NULL, name text NOT NULL, PRIMARY KEY (kind, name))";

/* What drops one kind: one statement, so that those that need each other may go. */
static const char drop_sql[] =
	"SELECT format('DROP %s IF EXISTS %s', kind, string_agg(name, ', ')) FROM made "
	"WHERE kind = $1 GROUP BY kind";

/* All that this transaction made: rows of the catalogue that it inserted. */
static const char note_sql[] =
	"DELETE FROM made;"
	"INSERT INTO made SELECT 'ROUTINE', oid::regprocedure FROM pg_proc "
	"WHERE pronamespace = current_schema()::regnamespace AND xmin = pg_current_xact_id()::xid;"
	"INSERT INTO made SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TYPE' END, oid::regclass "
	"FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('v', 'c') "
	"AND xmin = pg_current_xact_id()::xid";

struct files {
	struct dirent **names;
	int n;
	char **paths, **texts;
};

static int select_any_sql(const struct dirent *d)
{
	return !fnmatch("*.sql", d->d_name, FNM_PERIOD);
}

static void files_free(struct files *f)
{
	for (int i = 0; i < f->n; i++) {
		if (f->paths)
			free(f->paths[i]);
		if (f->texts)
			free(f->texts[i]);
	}
	free(f->paths);
	free(f->texts);
	hg_migrate_scan_free(f->names, f->n);
}

static int files_read(struct hg_migrate *m, const char *dir, struct files *f)
{
	int r = hg_migrate_scan(m, dir, select_any_sql, &f->names);

	if (r < 0)
		return r;
	f->n = r;
	f->paths = calloc(f->n + 1, sizeof(*f->paths));
	f->texts = calloc(f->n + 1, sizeof(*f->texts));
	if (!f->paths || !f->texts)
		return hg_migrate_fail(m, -ENOMEM, dir, "out of memory");
	for (int i = 0; i < f->n; i++) {
		if (asprintf(&f->paths[i], "%s/%s", dir, f->names[i]->d_name) < 0) {
			f->paths[i] = NULL;
			return hg_migrate_fail(m, -ENOMEM, dir, "out of memory");
		}
		r = hg_migrate_read(m, f->paths[i], &f->texts[i]);
		if (r)
			return r;
	}
	return 0;
}

/* Names and texts of all files, one after the other, to be freed; NULL when out of memory. */
static char *files_whole(const struct files *f)
{
	size_t size = 1, used = 0;
	char *whole;

	for (int i = 0; i < f->n; i++)
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): files_read() has them */
		size += strlen(f->names[i]->d_name) + strlen(f->texts[i]) + 1;
	whole = malloc(size);
	if (!whole)
		return NULL;
	whole[0] = '\0';
	for (int i = 0; i < f->n; i++)
		used += (size_t)snprintf(whole + used, size - used, "%s\n%s", f->names[i]->d_name,
					 f->texts[i]);
	return whole;
}

static int drop(struct hg_migrate *m, const char *dir, const char *kind)
{
	char *sql = NULL;
	int r = hg_migrate_run(m, dir, drop_sql, 1, &kind, &sql);

	if (!r && sql)
		r = hg_migrate_run(m, dir, sql, 0, NULL, NULL);
	free(sql);
	return r;
}

static int make(struct hg_migrate *m, const char *dir, const struct files *f, const char *whole)
{
	const char *params[] = { NAME, whole };
	int r = hg_migrate_begin(m, dir);

	r = r ?: hg_migrate_run(m, dir, made_table, 0, NULL, NULL);
	r = r ?: drop(m, dir, "VIEW");
	r = r ?: drop(m, dir, "ROUTINE");
	r = r ?: drop(m, dir, "TYPE");
	for (int i = 0; i < f->n; i++)
		r = r ?: hg_migrate_run(m, f->paths[i], f->texts[i], 0, NULL, NULL);
	r = r ?: hg_migrate_run(m, dir, note_sql, 0, NULL, NULL);
	r = r
		    ?: hg_migrate_run(
			       m, dir,
			       "INSERT INTO migrations (name, sha256) "
			       "VALUES ($1, encode(sha256(convert_to($2, 'UTF8')), 'hex')) ON CONFLICT (name) "
			       "DO UPDATE SET sha256 = excluded.sha256, applied_at = now()",
			       2, params, NULL);
	return hg_migrate_end(m, dir, r);
}

int hg_migrate_functions(struct hg_migrate *m)
{
	const char *params[] = { NAME, NULL };
	struct files f = { 0 };
	char dir[4096], sql[512], *whole = NULL, *same = NULL;
	int r;

	if (snprintf(dir, sizeof(dir), "%s/%s", m->dir, NAME) >= (int)sizeof(dir))
		return hg_migrate_fail(m, -ENAMETOOLONG, m->dir, "path too long");
	r = files_read(m, dir, &f);
	if (r == -ENOENT) {
		r = 0; /* a schema of tables only */
		goto out;
	}
	if (r)
		goto out;
	whole = files_whole(&f);
	if (!whole) {
		r = hg_migrate_fail(m, -ENOMEM, dir, "out of memory");
		goto out;
	}
	params[1] = whole;
	snprintf(sql, sizeof(sql),
		 "SELECT 1 FROM %s.migrations WHERE name = $1 "
		 "AND sha256 = encode(sha256(convert_to($2, 'UTF8')), 'hex')",
		 m->schema);
	r = hg_migrate_run(m, dir, sql, 2, params, &same);
	if (!r && !same) {
		r = make(m, dir, &f, whole);
		if (!r)
			printf("applied %s\n", NAME);
	}
out:
	free(same);
	free(whole);
	files_free(&f);
	return r;
}
