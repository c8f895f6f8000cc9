// SPDX-License-Identifier: MIT
/*
 * Transactions of the store. Always true: what returned 0 is durable, and memory is level with the
 * file.
 *
 * When the very last sync of a commit fails, SQLite reports an error although the file has the new
 * content; and it is not durable, for a power cut may bring the rollback journal back. So after a
 * failure the state is read again, and if the transaction is there one more durable write decides:
 * it went well after all, or the store is in doubt. In doubt nothing is told to the mirror, for it
 * would hold a change whose number is given again after a power cut.
 */
#include "store.h"

#include <errno.h>
#include <string.h>
#include "store-db.h"

/* Where a database file counts its commits, four bytes. */
#define CHANGE_COUNTER 24

/* Each transaction that is in the file has changed this. */
static uint32_t commits(struct hg_store *s)
{
	sqlite3_file *file = NULL;
	uint8_t b[4] = { 0 };

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
	    file && file->pMethods)
		file->pMethods->xRead(file, b, sizeof(b), CHANGE_COUNTER);
	return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

int hg_db_settle(struct hg_store *s)
{
	int ret;

	if (!s->doubt)
		return 0;
	ret = hg_db_load(s);
	if (!ret)
		ret = hg_db_touch(s);
	if (!ret)
		s->doubt = false;
	return ret;
}

/* A transaction failed with `ret`; the file had seen `before` commits. Returns what came of it. */
static int after_failure(struct hg_store *s, int ret, uint32_t before)
{
	char error[sizeof(s->error)];
	int loaded;

	if (!s->ready)
		return ret;
	memcpy(error, s->error, sizeof(error));
	loaded = hg_db_load(s); /* rolls back what can be rolled back */
	if (loaded || commits(s) != before) {
		s->doubt = true;
		if (!loaded && !hg_db_settle(s))
			return 0;
	}
	memcpy(s->error, error, sizeof(error));
	return ret;
}

static int run(struct hg_store *s, sqlite3_stmt *stmt)
{
	int ret = hg_db_step(s, stmt);

	sqlite3_reset(stmt);
	return ret < 0 ? ret : 0;
}

int hg_db_run(struct hg_store *s, sqlite3_stmt *stmt)
{
	int ret;

	if (!stmt)
		return -EIO;
	if (!sqlite3_get_autocommit(s->db))
		return run(s, stmt);
	ret = hg_db_begin(s);
	return ret ? ret : hg_db_end(s, run(s, stmt));
}

int hg_db_begin(struct hg_store *s)
{
	int ret = hg_db_settle(s);

	return ret ? ret : hg_db_exec(s, "BEGIN IMMEDIATE");
}

int hg_db_end(struct hg_store *s, int ret)
{
	uint32_t before = commits(s);
	bool commit = !ret;

	if (commit)
		ret = hg_db_exec(s, "COMMIT");
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return ret && commit ? after_failure(s, ret, before) : ret;
}
