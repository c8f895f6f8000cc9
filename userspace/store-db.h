/* SPDX-License-Identifier: MIT */
/* What the store's own files share: the database handle and its statements. */
#ifndef HG_USERSPACE_STORE_DB_H
#define HG_USERSPACE_STORE_DB_H

#include <sqlite3.h>
#include "store.h"

#define HG_STORE_STATEMENTS 96 /* more than there are */

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
	uint64_t properties_max, journal_max, object_max, results_max, size_max;
	char boot[40];	  /* this boot's id: uptimes of another one cannot be compared */
	bool unconfirmed; /* there are rows of a former epoch of the mirror */
	enum hg_merge (*rule)(void *ctx, const char *name);
	void *rule_ctx;
	uint64_t base_ms, base_up_ms; /* Unix time by the mirror, and our uptime then; or 0 */
	bool ready;		      /* it is open */
	bool doubt;		      /* the file may have what is not durable */
	uint64_t starting;	      /* the command whose start was left in doubt */
	char error[256];
};

/*
 * Prepares (once; `sql` is told apart by its address, so pass literals) and resets a statement.
 * NULL after hg_db_fail().
 */
sqlite3_stmt *hg_db_stmt(struct hg_store *s, const char *sql);

/* Runs a statement that returns no rows and resets it; outside a transaction, in one of its own. */
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
/* A durable write that changes nothing. Only of a file of the newest schema. */
int hg_db_touch(struct hg_store *s);
/* Reads the cursors from the file and, as it is opened, the counters. */
int hg_db_load(struct hg_store *s);
/* Before anything is told to the mirror: makes what is in the file durable, if that is in doubt. */
int hg_db_settle(struct hg_store *s);

int hg_db_begin(struct hg_store *s);
/*
 * Commits if ret is 0, else rolls back; in both cases nothing stays open. Returns the outcome. What
 * was read from s->cursors before hg_db_begin() may have changed with it.
 */
int hg_db_end(struct hg_store *s, int ret);

/* Writes a row as it is; `row` says whether there is one of that name. -EDQUOT for too many. */
int hg_db_property_put(struct hg_store *s, const struct hg_property *p, bool row);

/* store-merge.c: properties that both sides write. */

/* Makes the rule known to SQL as hg_rule(name). Called once the database is open. */
int hg_db_merge_init(struct hg_store *s);
enum hg_merge hg_db_rule(struct hg_store *s, struct hg_slice name);
/* When a write of ours is made: by the mirror's clock if it was heard since the start. */
uint64_t hg_db_clock(const struct hg_store *s, uint64_t now_ms);
/* Our write p of a counter: adds what makes it p->value. Returns 1 if the row changed. */
int hg_db_counter_set(struct hg_store *s, struct hg_property p);
/* The value of a counter, as CBOR in buf: our contribution `own` (CBOR) and theirs. */
struct hg_slice hg_db_counter_sum(struct hg_slice own, int64_t theirs, uint8_t buf[9]);
/* A change of the mirror to a property of these rules. `acked`: what it holds of ours. */
int hg_db_take_newest(struct hg_store *s, const struct hg_wire_change *w, uint64_t acked,
		      struct hg_store_applied *applied);
int hg_db_take_counter(struct hg_store *s, const struct hg_wire_change *w,
		       struct hg_store_applied *applied);
/* The mirror's epoch is new: *change_seq grows by what is ours to say now. */
int hg_db_merge_new_mirror(struct hg_store *s, uint64_t *change_seq);
/* It has said everything that it has. */
int hg_db_merge_settle(struct hg_store *s);
/* It holds our changes up to `acked`, which was `before`. */
int hg_db_merge_acked(struct hg_store *s, uint64_t before, uint64_t acked);
/* Our epoch is new. */
int hg_db_merge_renew(struct hg_store *s);

/*
 * Takes a part of a mirror's change, in a transaction of the caller. Returns 1 if the value is
 * whole now: *whole is the caller's to free; 0 if there is more to come, or the part does not
 * continue what is held; -EFBIG if it is over object_max, -EBADMSG if it is whole and no value.
 */
int hg_db_part_take(struct hg_store *s, const struct hg_wire_change *w, struct hg_slice *whole);
/* Forgets what is held of changes up to `seq`. */
int hg_db_part_drop(struct hg_store *s, uint64_t seq);

void hg_db_bind_u64(sqlite3_stmt *stmt, int i, uint64_t value);
/* An empty slice is bound as NULL. */
void hg_db_bind_blob(sqlite3_stmt *stmt, int i, struct hg_slice value);
void hg_db_bind_text(sqlite3_stmt *stmt, int i, struct hg_slice value);
struct hg_slice hg_db_column(sqlite3_stmt *stmt, int i);

#endif
