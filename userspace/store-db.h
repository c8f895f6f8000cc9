/* SPDX-License-Identifier: MIT */
/* What the store's own files share: the database handle and its statements. */
#ifndef HG_USERSPACE_STORE_DB_H
#define HG_USERSPACE_STORE_DB_H

#include <sqlite3.h>
#include "store.h"

#define HG_STORE_STATEMENTS 64

struct hg_store {
	sqlite3 *db;
	int lock_fd;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} statements[HG_STORE_STATEMENTS];
	struct hg_store_cursors cursors; /* as committed */
	struct {
		uint64_t next, limit; /* next <= limit: may be given out */
	} counters[HG_COUNTERS];
	uint64_t properties_max, journal_max;
	char boot[40];	  /* this boot's id: uptimes of another one cannot be compared */
	bool unconfirmed; /* there are rows of a former epoch of the mirror */
	char error[256];
};

/*
 * Prepares (once; `sql` is told apart by its address, so pass literals) and resets a statement.
 * NULL after hg_db_fail().
 */
sqlite3_stmt *hg_db_stmt(struct hg_store *s, const char *sql);

/* Runs a statement that returns no rows and resets it. */
int hg_db_run(struct hg_store *s, sqlite3_stmt *stmt);

/* Steps: 1 for a row, 0 at the end, -errno. The caller resets it with sqlite3_reset(). */
int hg_db_step(struct hg_store *s, sqlite3_stmt *stmt);

/* Keeps SQLite's message and returns its -errno. */
int hg_db_fail(struct hg_store *s, int rc);

/* Runs statements that return nothing of interest. */
int hg_db_exec(struct hg_store *s, const char *sql);

/*
 * Refuses, with -EUCLEAN and before anything is written, a file that is damaged, of another
 * program or of a newer version than is known here. *version: its schema, 0 for a new file.
 */
int hg_db_check(struct hg_store *s, int *version);
/* Brings a file of an older schema to the newest, step by step, each whole or not at all. */
int hg_db_migrate(struct hg_store *s, int version);

int hg_db_begin(struct hg_store *s);
/* Commits if ret is 0, else rolls back; in both cases nothing stays open. Returns the outcome. */
int hg_db_end(struct hg_store *s, int ret);

/* Writes a row as it is; `row` says whether there is one of that name. -EDQUOT for too many. */
int hg_db_property_put(struct hg_store *s, const struct hg_property *p, bool row);

void hg_db_bind_u64(sqlite3_stmt *stmt, int i, uint64_t value);
/* An empty slice is bound as NULL. */
void hg_db_bind_blob(sqlite3_stmt *stmt, int i, struct hg_slice value);
void hg_db_bind_text(sqlite3_stmt *stmt, int i, struct hg_slice value);
struct hg_slice hg_db_column(sqlite3_stmt *stmt, int i);

#endif
