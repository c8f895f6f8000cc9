// SPDX-License-Identifier: MIT
/*
 * Properties in the store: rows of both owners in one table. A write of ours takes the next
 * change number; only the newest value of a property is kept, so what is to be sent is bounded by
 * the number of properties. A removed row of ours stays, without value, until the mirror knows.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include "store-db.h"

#define ROW_BYTES 128 /* about what a property takes beside its value, in table and indexes */

/* *row, *owner, *time_ms and whether the value is equal; a removed row is one without value. */
static int look(struct hg_store *s, const struct hg_property *p, bool *row, bool *equal,
		enum hg_owner *owner, uint64_t *time_ms)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "SELECT owner, value, time_ms FROM property WHERE name = ?");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, p->name);
	ret = hg_db_step(s, stmt);
	*row = ret == 1;
	*equal = false;
	if (ret == 1) {
		*owner = sqlite3_column_int(stmt, 0);
		*equal = hg_slice_eq(hg_db_column(stmt, 1), p->value);
		*time_ms = sqlite3_column_int64(stmt, 2);
	}
	sqlite3_reset(stmt);
	return ret < 0 ? ret : 0;
}

/* Per owner, so that applications of the device cannot shut the mirror out. */
static int check_quota(struct hg_store *s, enum hg_owner owner)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT count(*) FROM property WHERE owner = ?");
	int ret;

	if (!stmt)
		return -EIO;
	sqlite3_bind_int(stmt, 1, owner);
	ret = hg_db_step(s, stmt);
	if (ret < 0)
		return ret;
	ret = (uint64_t)sqlite3_column_int64(stmt, 0) < s->properties_max ? 0 : -EDQUOT;
	sqlite3_reset(stmt);
	if (ret)
		snprintf(s->error, sizeof(s->error),
			 "store: %llu properties; raise [device] properties_max",
			 (unsigned long long)s->properties_max);
	return ret;
}

/* Bytes of the file that hold something. */
static int used_bytes(struct hg_store *s, uint64_t *bytes)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT (page_count - freelist_count) * page_size FROM"
					   " pragma_page_count(), pragma_freelist_count(),"
					   " pragma_page_size()");
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret < 0)
		return ret;
	*bytes = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return 0;
}

/*
 * Values of ours take at most half of the store, so that the mirror's, the journal and the
 * replacing of a value have room. One that replaces a larger one is always taken.
 */
static int check_bytes(struct hg_store *s, const struct hg_property *p)
{
	sqlite3_stmt *stmt;
	uint64_t used, held, now;
	int ret = used_bytes(s, &used);

	if (ret || used + p->value.len + ROW_BYTES <= s->size_max / 2)
		return ret;
	stmt = hg_db_stmt(s, "SELECT total(iif(name = ?1, 0, length(value) + ?2)),"
			     " total(iif(name = ?1, length(value), 0))"
			     " FROM property WHERE owner = 0");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, p->name);
	hg_db_bind_u64(stmt, 2, ROW_BYTES);
	ret = hg_db_step(s, stmt);
	if (ret < 0)
		return ret;
	held = (uint64_t)sqlite3_column_double(stmt, 0);
	now = (uint64_t)sqlite3_column_double(stmt, 1);
	sqlite3_reset(stmt);
	if (p->value.len <= now || held + p->value.len + ROW_BYTES <= s->size_max / 2)
		return 0;
	snprintf(s->error, sizeof(s->error),
		 "store: %.*s: values of more than half of [device] store_max; raise it",
		 (int)p->name.len, (const char *)p->name.ptr);
	return -EDQUOT;
}

int hg_db_property_put(struct hg_store *s, const struct hg_property *p, bool row)
{
	sqlite3_stmt *stmt;
	int ret = row ? 0 : check_quota(s, p->owner);

	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "INSERT INTO property (name, owner, value, seq, time_ms)"
			     " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE"
			     " SET owner = ?2, value = ?3, seq = ?4, time_ms = ?5,"
			     " theirs = NULL, theirs_seq = 0, told = NULL");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, p->name);
	sqlite3_bind_int(stmt, 2, p->owner);
	hg_db_bind_blob(stmt, 3, p->value);
	hg_db_bind_u64(stmt, 4, p->seq);
	hg_db_bind_u64(stmt, 5, p->time_ms);
	return hg_db_run(s, stmt);
}

/* Returns 1 if the row changed. */
static int set_one(struct hg_store *s, struct hg_property p)
{
	enum hg_merge rule = hg_db_rule(s, p.name);
	enum hg_owner owner = HG_OWNER_DEVICE;
	uint64_t time_ms = 0;
	bool row, equal;
	int ret;

	if (rule == HG_MERGE_COUNTER)
		return hg_db_counter_set(s, p);
	ret = look(s, &p, &row, &equal, &owner, &time_ms);
	if (ret)
		return ret;
	if (rule == HG_MERGE_NEWEST) {
		p.time_ms = hg_db_clock(s, p.time_ms);
		if (p.time_ms <= time_ms)
			p.time_ms = time_ms + 1;
	} else if (row && owner == HG_OWNER_MIRROR) {
		snprintf(s->error, sizeof(s->error), "%.*s: owned by the mirror", (int)p.name.len,
			 (const char *)p.name.ptr);
		return -EPERM;
	}
	if (!p.value.len && (!row || equal)) {
		snprintf(s->error, sizeof(s->error), "%.*s: no such property", (int)p.name.len,
			 (const char *)p.name.ptr);
		return -ENOENT;
	}
	if (row && equal)
		return 0;
	ret = check_bytes(s, &p);
	if (!ret)
		ret = hg_db_property_put(s, &p, row);
	return ret ? ret : 1;
}

int hg_store_set(struct hg_store *s, const struct hg_property *list, size_t n, uint64_t now_ms,
		 size_t *changed)
{
	uint64_t before, seq;
	sqlite3_stmt *stmt;
	int ret;

	ret = hg_db_begin(s);
	if (ret)
		return ret;
	before = seq = s->cursors.change_seq;
	for (size_t i = 0; i < n && ret >= 0; i++) {
		struct hg_property p = list[i];

		p.owner = HG_OWNER_DEVICE;
		p.seq = seq + 1;
		p.time_ms = now_ms;
		ret = set_one(s, p);
		seq += ret == 1;
	}
	if (ret >= 0 && seq != before) {
		stmt = hg_db_stmt(s, "UPDATE state SET change_seq = ?");
		if (stmt)
			hg_db_bind_u64(stmt, 1, seq);
		ret = hg_db_run(s, stmt);
	}
	ret = hg_db_end(s, ret < 0 ? ret : 0);
	if (ret)
		return ret;
	*changed = seq - before;
	s->cursors.change_seq = seq;
	return 0;
}

/*
 * Visits the rows of a statement of name, owner, value, seq, time_ms and, if counters are to be
 * summed, theirs; 1: there were some.
 */
static int visit_rows(struct hg_store *s, sqlite3_stmt *stmt, hg_property_visit visit, void *ctx)
{
	bool sums = sqlite3_column_count(stmt) > 5;
	int ret, any = 0;
	uint8_t sum[9];

	while ((ret = hg_db_step(s, stmt)) == 1) {
		struct hg_property p = {
			.name = hg_db_column(stmt, 0),
			.owner = sqlite3_column_int(stmt, 1),
			.value = hg_db_column(stmt, 2),
			.seq = sqlite3_column_int64(stmt, 3),
			.time_ms = sqlite3_column_int64(stmt, 4),
		};

		any = 1;
		if (sums && sqlite3_column_type(stmt, 5) != SQLITE_NULL)
			p.value = hg_db_counter_sum(p.value, sqlite3_column_int64(stmt, 5), sum);
		if (visit(ctx, &p)) {
			ret = 0;
			break;
		}
	}
	sqlite3_reset(stmt);
	return ret < 0 ? ret : any;
}

int hg_store_get(struct hg_store *s, struct hg_slice name, hg_property_visit visit, void *ctx)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT name, owner, value, seq, time_ms, theirs"
					   " FROM property WHERE name = ? AND value IS NOT NULL");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, name);
	ret = visit_rows(s, stmt, visit, ctx);
	return ret < 0 ? ret : ret ? 0 : -ENOENT;
}

int hg_store_list(struct hg_store *s, struct hg_slice after, hg_property_visit visit, void *ctx)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "SELECT name, owner, value, seq, time_ms, theirs"
			      " FROM property WHERE value IS NOT NULL AND name > ifnull(?, '')"
			      " ORDER BY name");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, after);
	ret = visit_rows(s, stmt, visit, ctx);
	return ret < 0 ? ret : 0;
}

int hg_store_changes(struct hg_store *s, uint64_t after, hg_property_visit visit, void *ctx)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT name, owner, value, seq, time_ms FROM property"
					   " WHERE owner = 0 AND seq > ? ORDER BY seq");
	int ret = stmt ? hg_db_settle(s) : -EIO;

	if (ret)
		return ret;
	hg_db_bind_u64(stmt, 1, after);
	ret = visit_rows(s, stmt, visit, ctx);
	return ret < 0 ? ret : 0;
}
