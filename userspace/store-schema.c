// SPDX-License-Identifier: MIT
/*
 * The store's tables, by schema version. The file says its version in user_version; steps[n] leads
 * from version n to n + 1, so a new file goes through all of them, and an older one through those
 * that it has not seen.
 *
 * Rules for a new step: append it, never change one that was released; it runs in a transaction of
 * its own, together with its version number, so after a power cut it was taken whole or not at all;
 * it keeps what is there. tests/agent/schema_test.c needs a file of the version before it.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include "store-db.h"

#define APPLICATION_ID 0x48475354 /* "HGST" */

static const char *const steps[] = {
	/* 1 */
	"CREATE TABLE state ("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" epoch BLOB NOT NULL CHECK (length(epoch) = 16),"
	" change_seq INTEGER NOT NULL DEFAULT 0,"
	" change_acked INTEGER NOT NULL DEFAULT 0,"
	" mirror_epoch BLOB CHECK (length(mirror_epoch) = 16),"
	" mirror_cursor INTEGER NOT NULL DEFAULT 0,"
	" command_cursor INTEGER NOT NULL DEFAULT 0,"
	" session_limit INTEGER NOT NULL DEFAULT 0," /* highest number that may have been used */
	" alarm_limit INTEGER NOT NULL DEFAULT 0"
	") STRICT;"
	/* A collector may have taken numbers of a store that was lost: begin above them (ms since
	 * 1970), if the clock is right. Only new files take this step, so it could be changed. */
	"INSERT INTO state (one, epoch, alarm_limit)"
	" VALUES (1, randomblob(16), max(0, strftime('%s', 'now') * 1000));"
	"CREATE TABLE property ("
	" name TEXT PRIMARY KEY,"
	" owner INTEGER NOT NULL CHECK (owner IN (0, 1)),"
	" value BLOB,"		 /* CBOR; NULL: removed, and the mirror is yet to be told */
	" seq INTEGER NOT NULL," /* 0: of a former epoch of the mirror, not confirmed yet */
	" time_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX property_seq ON property (owner, seq);"
	"CREATE TABLE command ("
	" seq INTEGER PRIMARY KEY,"
	" action TEXT NOT NULL,"
	" input BLOB,"
	" execute_within_ms INTEGER NOT NULL,"
	" repeatable INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" told INTEGER NOT NULL," /* the last state that the mirror knows of */
	" received_ms INTEGER NOT NULL,"
	" received_up_ms INTEGER NOT NULL," /* uptime, of the boot that `boot` names */
	" boot TEXT NOT NULL,"
	" exit_status INTEGER NOT NULL DEFAULT 0,"
	" output BLOB,"
	" detail TEXT"
	") STRICT;",
	/* 2: the last signed profile that was taken, by what it is for. */
	"CREATE TABLE profile ("
	" used INTEGER PRIMARY KEY," /* grows with each that is new */
	" model TEXT NOT NULL,"
	" firmware TEXT NOT NULL,"
	" serial INTEGER NOT NULL,"
	" UNIQUE (model, firmware)"
	") STRICT;",
	/*
	 * 3: properties that both sides write. A counter's value is our contribution, `theirs` that
	 * of the mirror (NULL: no counter), as of its change theirs_seq (0: not confirmed in this
	 * epoch of the mirror), `told` what the mirror is known to hold of ours. And what lost
	 * against a newer write.
	 */
	"ALTER TABLE property ADD COLUMN theirs INTEGER;"
	"ALTER TABLE property ADD COLUMN theirs_seq INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE property ADD COLUMN told BLOB;"
	"CREATE TABLE conflict ("
	" id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL,"
	" owner INTEGER NOT NULL,"
	" value BLOB,"
	" time_ms INTEGER NOT NULL"
	") STRICT;",
	/* 4: what has come of a change of the mirror that travels in parts. */
	"CREATE TABLE partial ("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" seq INTEGER NOT NULL,"
	" time_ms INTEGER NOT NULL,"
	" name TEXT NOT NULL,"
	" total INTEGER NOT NULL,"
	" have INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE partial_part ("
	" start INTEGER PRIMARY KEY,"
	" bytes BLOB NOT NULL"
	") STRICT;",
};

#define VERSION ((int)(sizeof(steps) / sizeof(steps[0])))

static int pragma_int(struct hg_store *s, const char *sql, int *value)
{
	sqlite3_stmt *stmt;
	int rc;

	rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return hg_db_fail(s, rc);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*value = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : hg_db_fail(s, rc);
}

int hg_db_check(struct hg_store *s, int *version)
{
	int id = 0, objects = 0, bad = 0, ret;

	ret = pragma_int(s, "PRAGMA application_id", &id);
	if (!ret)
		ret = pragma_int(s, "PRAGMA user_version", version);
	if (!ret)
		ret = pragma_int(s, "SELECT count(*) FROM sqlite_schema", &objects);
	if (ret)
		return ret;
	if ((objects || *version || id) && id != APPLICATION_ID) {
		snprintf(s->error, sizeof(s->error), "store: a database of another program");
		return -EUCLEAN;
	}
	if (*version > VERSION) {
		snprintf(s->error, sizeof(s->error),
			 "store: made by a newer version (schema %d, this program knows %d)",
			 *version, VERSION);
		return -EUCLEAN;
	}
	ret = pragma_int(s, "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check <> 'ok'",
			 &bad);
	if (!ret && bad) {
		snprintf(s->error, sizeof(s->error), "store: damaged");
		return -EUCLEAN;
	}
	return ret;
}

int hg_db_migrate(struct hg_store *s, int version)
{
	char sql[96];
	int ret = 0;

	for (; !ret && version < VERSION; version++) {
		ret = hg_db_begin(s);
		if (ret)
			break;
		ret = hg_db_exec(s, steps[version]);
		if (!ret) {
			snprintf(sql, sizeof(sql),
				 "PRAGMA application_id = %d; PRAGMA user_version = %d",
				 APPLICATION_ID, version + 1);
			ret = hg_db_exec(s, sql);
		}
		ret = hg_db_end(s, ret);
	}
	return ret;
}

int hg_db_touch(struct hg_store *s)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", VERSION);
	return hg_db_exec(s, sql);
}
