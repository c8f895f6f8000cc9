/* SPDX-License-Identifier: MIT */
/* What the two parts of hg_pg_migrate() share: pg_migrate.c and pg_functions.c. */
#ifndef HG_LIB_PG_MIGRATE_H
#define HG_LIB_PG_MIGRATE_H

#include <stddef.h>
#include <dirent.h>
#include <libpq-fe.h>

struct hg_migrate {
	PGconn *pg;
	const char *dir;
	char *schema; /* quoted */
	char *err;
	size_t err_size;
};

/* Writes "what: why" to err, one line of it; returns code. */
int hg_migrate_fail(struct hg_migrate *m, int code, const char *what, const char *why);

/*
 * Runs one command, or without parameters several; `what` is for the message. *value (may be NULL:
 * not wanted) is the first field, to be freed, or NULL. Returns 0 or -EIO with the line in err.
 */
int hg_migrate_run(struct hg_migrate *m, const char *what, const char *sql, int n,
		   const char *const *params, char **value);

/* BEGIN, with the schema as search path. */
int hg_migrate_begin(struct hg_migrate *m, const char *what);
/* COMMIT if r is 0, else ROLLBACK. Returns what failed first. */
int hg_migrate_end(struct hg_migrate *m, const char *what, int r);

/* Reads the whole of a file of at most 1 MiB. *text is to be freed. */
int hg_migrate_read(struct hg_migrate *m, const char *path, char **text);

/* The names in a directory that `select` wants, sorted; their number or -errno with err. */
int hg_migrate_scan(struct hg_migrate *m, const char *dir, int (*select)(const struct dirent *),
		    struct dirent ***names);
void hg_migrate_scan_free(struct dirent **names, int n);

/* The files of DIR/functions, if there is such a directory. */
int hg_migrate_functions(struct hg_migrate *m);

#endif
