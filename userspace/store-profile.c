// SPDX-License-Identifier: MIT
/*
 * Which signed profiles the agent has taken: the serial of the last one of each model and firmware,
 * so that nobody puts an older one in its place. Called when the agent starts.
 */
#include "store.h"

#include <errno.h>
#include "store-db.h"

/* Firmware versions that a device sees in its life; of more the longest unused is forgotten. */
#define PROFILES_MAX 64

static int find(struct hg_store *s, const char *model, const char *firmware, uint64_t *serial)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "SELECT serial FROM profile WHERE model = ? AND firmware = ?");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, hg_slice_str(model));
	hg_db_bind_text(stmt, 2, hg_slice_str(firmware));
	ret = hg_db_step(s, stmt);
	if (ret == 1)
		*serial = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return ret;
}

static int replace(struct hg_store *s, const char *model, const char *firmware, uint64_t serial)
{
	sqlite3_stmt *stmt;
	int ret;

	stmt = hg_db_stmt(s, "INSERT INTO profile (used, model, firmware, serial) SELECT"
			     " coalesce(max(used), 0) + 1, ?1, ?2, ?3 FROM profile WHERE true"
			     " ON CONFLICT (model, firmware) DO UPDATE"
			     " SET used = excluded.used, serial = excluded.serial");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, hg_slice_str(model));
	hg_db_bind_text(stmt, 2, hg_slice_str(firmware));
	hg_db_bind_u64(stmt, 3, serial);
	ret = hg_db_run(s, stmt);
	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "DELETE FROM profile WHERE used NOT IN"
			     " (SELECT used FROM profile ORDER BY used DESC LIMIT ?1)");
	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, PROFILES_MAX);
	return hg_db_run(s, stmt);
}

int hg_store_profile(struct hg_store *s, const char *model, const char *firmware, uint64_t serial,
		     uint64_t *last)
{
	uint64_t had = 0;
	int ret = hg_db_settle(s);

	if (!ret)
		ret = find(s, model, firmware, &had);
	if (ret < 0)
		return ret;
	if (ret && serial < had) {
		*last = had;
		return -ESTALE;
	}
	if (ret && serial == had)
		return 0;
	ret = hg_db_begin(s);
	if (ret)
		return ret;
	return hg_db_end(s, replace(s, model, firmware, serial));
}
