// SPDX-License-Identifier: MIT
/*
 * A large value of the mirror on its way to us: the bytes of one change at most, each part in a row
 * of its own, so that a part costs the flash no more than itself. When the last part has come the
 * value is put together, checked as any value is that comes whole, and the rows go.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include "store-db.h"
#include "../lib/cbor.h"

/* Of what is held: the first bytes of this change? */
struct held {
	bool same;
	uint64_t have; /* 0 if it is not */
};

int hg_store_partial(struct hg_store *s, struct hg_wire_partial *p)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT seq, have FROM partial");
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret == 1)
		*p = (struct hg_wire_partial){ HG_WIRE_CHANGE, sqlite3_column_int64(stmt, 0),
					       sqlite3_column_int64(stmt, 1) };
	if (stmt)
		sqlite3_reset(stmt);
	return ret;
}

int hg_db_part_drop(struct hg_store *s, uint64_t seq)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "DELETE FROM partial WHERE seq <= ?");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, seq);
	ret = hg_db_run(s, stmt);
	if (ret || !sqlite3_changes(s->db))
		return ret;
	return hg_db_run(s, hg_db_stmt(s, "DELETE FROM partial_part"));
}

static int look(struct hg_store *s, const struct hg_wire_change *w, struct held *held)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT have FROM partial WHERE seq = ? AND time_ms = ?"
					   " AND name = ? AND total = ?");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, w->seq);
	hg_db_bind_u64(stmt, 2, w->time_ms);
	hg_db_bind_text(stmt, 3, w->name);
	hg_db_bind_u64(stmt, 4, w->part.total);
	ret = hg_db_step(s, stmt);
	held->same = ret == 1;
	held->have = ret == 1 ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_reset(stmt);
	return ret < 0 ? ret : 0;
}

/* Forgets what is held and begins with this change. */
static int begin(struct hg_store *s, const struct hg_wire_change *w)
{
	int ret = hg_db_part_drop(s, INT64_MAX);
	sqlite3_stmt *stmt = ret ? NULL
				 : hg_db_stmt(s, "INSERT INTO partial (one, seq, time_ms, name,"
						 " total, have) VALUES (1, ?, ?, ?, ?, 0)");

	if (!stmt)
		return ret ? ret : -EIO;
	hg_db_bind_u64(stmt, 1, w->seq);
	hg_db_bind_u64(stmt, 2, w->time_ms);
	hg_db_bind_text(stmt, 3, w->name);
	hg_db_bind_u64(stmt, 4, w->part.total);
	return hg_db_run(s, stmt);
}

static int keep(struct hg_store *s, const struct hg_wire_part *p)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "INSERT INTO partial_part (start, bytes) VALUES (?, ?)");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, p->offset);
	hg_db_bind_blob(stmt, 2, p->bytes);
	ret = hg_db_run(s, stmt);
	stmt = ret ? NULL : hg_db_stmt(s, "UPDATE partial SET have = ?");
	if (!stmt)
		return ret ? ret : -EIO;
	hg_db_bind_u64(stmt, 1, p->offset + p->bytes.len);
	return hg_db_run(s, stmt);
}

/* What is held, and the last part behind it, in memory of the value's size. */
static int join(struct hg_store *s, const struct hg_wire_part *last, uint8_t *to)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT bytes FROM partial_part ORDER BY start");
	size_t used = 0;
	int ret;

	if (!stmt)
		return -EIO;
	while ((ret = hg_db_step(s, stmt)) == 1) {
		struct hg_slice bytes = hg_db_column(stmt, 0);

		if (bytes.len > last->offset - used)
			break;
		memcpy(to + used, bytes.ptr, bytes.len);
		used += bytes.len;
	}
	sqlite3_reset(stmt);
	if (ret < 0)
		return ret;
	if (ret || used != last->offset)
		return -EBADMSG;
	memcpy(to + used, last->bytes.ptr, last->bytes.len);
	return 0;
}

static bool is_value(struct hg_slice bytes)
{
	struct hg_cbor_in in = hg_cbor_in_of(bytes);

	hg_cbor_get_value(&in);
	return !hg_cbor_end(&in);
}

/* The rows stay until the cursor has passed them: hg_db_part_drop(). */
static int complete(struct hg_store *s, const struct hg_wire_part *last, struct hg_slice *whole)
{
	uint8_t *bytes = malloc(last->total);
	int ret = -ENOMEM;

	if (bytes)
		ret = last->offset ? join(s, last, bytes) : 0;
	if (!ret && !last->offset)
		memcpy(bytes, last->bytes.ptr, last->bytes.len);
	if (!ret && !is_value(hg_slice_of(bytes, last->total)))
		ret = -EBADMSG;
	if (ret) {
		free(bytes);
		return ret;
	}
	*whole = hg_slice_of(bytes, last->total);
	return 1;
}

int hg_db_part_take(struct hg_store *s, const struct hg_wire_change *w, struct hg_slice *whole)
{
	struct held held;
	int ret = look(s, w, &held);

	if (w->part.total > s->object_max)
		return -EFBIG;
	if (ret || (w->part.offset && (!held.same || held.have != w->part.offset)))
		return ret;
	if (hg_wire_part_ends(&w->part))
		return complete(s, &w->part, whole);
	if (!w->part.offset)
		ret = begin(s, w);
	return ret ? ret : keep(s, &w->part);
}
