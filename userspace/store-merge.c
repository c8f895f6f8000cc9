// SPDX-License-Identifier: MIT
/*
 * Properties that both sides write, by the rule that the Thing Model gives them.
 *
 * Newest: the row holds the value that won, `owner` says who wrote it; one of ours is a change to
 * be said like any other. Against a change of the mirror the later time wins, and the mirror's if
 * they are equal; but what the mirror has judged already (it holds our change and sent another
 * value since) is not judged again by our clock, which may be wrong. What loses is kept in the
 * table conflict.
 *
 * Counter: each side adds to a contribution of its own and says its total; a total that comes twice
 * counts once. A side whose epoch is new begins a new contribution, and the other side adds the old
 * one to its own. The mirror does so when our epoch is new (hg_db_merge_renew()); a new epoch of
 * the mirror is not such a case, for it comes back with a contribution, if with an older one.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include "store-db.h"
#include "../lib/cbor.h"

#define CONFLICTS_KEPT 64
#define CONFLICTS_SHARE 16 /* what they may take of the store */
#define CONFLICT_ROW 100   /* of a conflict, beside its value */

struct counter {
	bool row;     /* there is a row of that name */
	bool counter; /* and it is one of a counter */
	int64_t own, theirs;
};

static void sql_rule(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct hg_store *s = sqlite3_user_data(ctx);
	const char *name = (const char *)sqlite3_value_text(argv[0]);

	(void)argc;
	sqlite3_result_int(ctx, name && s->rule ? s->rule(s->rule_ctx, name) : HG_MERGE_NONE);
}

int hg_db_merge_init(struct hg_store *s)
{
	int rc = sqlite3_create_function_v2(s->db, "hg_rule", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, s,
					    sql_rule, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : hg_db_fail(s, rc);
}

void hg_store_rules(struct hg_store *s, enum hg_merge (*rule)(void *ctx, const char *name),
		    void *ctx)
{
	s->rule = rule;
	s->rule_ctx = ctx;
}

enum hg_merge hg_db_rule(struct hg_store *s, struct hg_slice name)
{
	char text[HG_WIRE_NAME_MAX + 1];

	if (!s->rule || name.len > HG_WIRE_NAME_MAX)
		return HG_MERGE_NONE;
	snprintf(text, sizeof(text), "%.*s", (int)name.len, (const char *)name.ptr);
	return s->rule(s->rule_ctx, text);
}

static uint64_t uptime_ms(void)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return up.tv_sec * UINT64_C(1000) + up.tv_nsec / 1000000;
}

void hg_store_clock(struct hg_store *s, uint64_t mirror_ms, uint64_t sent_ms, uint64_t now_ms)
{
	/* It cannot have gone further than the answer took; within that, ours may be right. */
	uint64_t most = mirror_ms + (now_ms > sent_ms ? now_ms - sent_ms : 0);

	s->base_ms = now_ms < mirror_ms ? mirror_ms : now_ms > most ? most : now_ms;
	s->base_up_ms = uptime_ms();
}

uint64_t hg_db_clock(const struct hg_store *s, uint64_t now_ms)
{
	return s->base_ms ? s->base_ms + uptime_ms() - s->base_up_ms : now_ms;
}

/* -EINVAL if it is not an integer that a contribution may be. */
static int contribution(struct hg_slice value, int64_t *n)
{
	struct hg_cbor_in in = hg_cbor_in_of(value);

	*n = hg_cbor_get_int(&in);
	if (hg_cbor_end(&in))
		return -EINVAL;
	return *n < -HG_COUNTER_MAX || *n > HG_COUNTER_MAX ? -ERANGE : 0;
}

static struct hg_slice int_cbor(int64_t n, uint8_t buf[9])
{
	struct hg_cbor_out out = hg_cbor_out_of(buf, 9);

	hg_cbor_put_int(&out, n);
	return hg_slice_of(buf, out.len);
}

struct hg_slice hg_db_counter_sum(struct hg_slice own, int64_t theirs, uint8_t buf[9])
{
	int64_t n = 0;

	if (contribution(own, &n))
		n = 0;
	return int_cbor(n + theirs, buf);
}

static int counter_get(struct hg_store *s, struct hg_slice name, struct counter *c)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT theirs, value FROM property WHERE name = ?");
	int ret;

	*c = (struct counter){ 0 };
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, name);
	ret = hg_db_step(s, stmt);
	c->row = ret == 1;
	c->counter = c->row && sqlite3_column_type(stmt, 0) != SQLITE_NULL;
	if (c->counter) {
		c->theirs = sqlite3_column_int64(stmt, 0);
		if (contribution(hg_db_column(stmt, 1), &c->own))
			c->own = 0;
	}
	sqlite3_reset(stmt);
	return ret < 0 ? ret : 0;
}

/* A row that is none of a counter becomes one with nothing in it. */
static int counter_make(struct hg_store *s, const struct counter *c, struct hg_slice name)
{
	uint8_t zero[9];
	struct hg_property p = { .name = name, .value = int_cbor(0, zero) };
	sqlite3_stmt *stmt;
	int ret;

	if (c->counter)
		return 0;
	ret = hg_db_property_put(s, &p, c->row);
	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "UPDATE property SET theirs = 0 WHERE name = ?");
	if (stmt)
		hg_db_bind_text(stmt, 1, name);
	return hg_db_run(s, stmt);
}

/* p->seq and p->time_ms go with our contribution `own`. Returns 1 if the row changed. */
static int counter_put(struct hg_store *s, const struct counter *c, const struct hg_property *p,
		       int64_t own)
{
	sqlite3_stmt *stmt;
	uint8_t buf[9];
	int ret;

	if (c->counter && own == c->own)
		return 0;
	if (own < -HG_COUNTER_MAX || own > HG_COUNTER_MAX) {
		snprintf(s->error, sizeof(s->error), "%.*s: a counter cannot take so much",
			 (int)p->name.len, (const char *)p->name.ptr);
		return -ERANGE;
	}
	ret = counter_make(s, c, p->name);
	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "UPDATE property SET value = ?2, seq = ?3, time_ms = ?4"
			     " WHERE name = ?1");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, p->name);
	hg_db_bind_blob(stmt, 2, int_cbor(own, buf));
	hg_db_bind_u64(stmt, 3, p->seq);
	hg_db_bind_u64(stmt, 4, p->time_ms);
	ret = hg_db_run(s, stmt);
	return ret ? ret : 1;
}

int hg_db_counter_set(struct hg_store *s, struct hg_property p)
{
	struct counter c;
	int64_t sum;
	int ret;

	if (!p.value.len || contribution(p.value, &sum)) {
		snprintf(s->error, sizeof(s->error),
			 "%.*s: a counter is a whole number below 2^62, and cannot be removed",
			 (int)p.name.len, (const char *)p.name.ptr);
		return -EINVAL;
	}
	ret = counter_get(s, p.name, &c);
	return ret ? ret : counter_put(s, &c, &p, sum - c.theirs);
}

static int save_change_seq(struct hg_store *s, uint64_t seq)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "UPDATE state SET change_seq = ?1");

	if (stmt)
		hg_db_bind_u64(stmt, 1, seq);
	return hg_db_run(s, stmt);
}

/* Returns 1 if the row changed. */
static int add(struct hg_store *s, const struct hg_property *p, int64_t delta, int64_t *sum)
{
	struct counter c;
	int64_t own;
	int ret = counter_get(s, p->name, &c);

	if (ret)
		return ret;
	if (__builtin_add_overflow(c.own, delta, &own))
		own = delta > 0 ? INT64_MAX : INT64_MIN; /* is refused as too much */
	ret = counter_put(s, &c, p, own);
	if (ret < 0)
		return ret;
	*sum = own + c.theirs;
	return ret;
}

int hg_store_add(struct hg_store *s, struct hg_slice name, int64_t delta, uint64_t now_ms,
		 int64_t *sum)
{
	struct hg_property p = { .name = name, .time_ms = now_ms };
	int64_t after = 0;
	int ret, changed;

	if (hg_db_rule(s, name) != HG_MERGE_COUNTER) {
		snprintf(s->error, sizeof(s->error), "%.*s: is not a counter", (int)name.len,
			 (const char *)name.ptr);
		return -EINVAL;
	}
	ret = hg_db_begin(s);
	if (ret)
		return ret;
	p.seq = s->cursors.change_seq + 1;
	changed = add(s, &p, delta, &after);
	ret = changed == 1 ? save_change_seq(s, p.seq) : changed;
	ret = hg_db_end(s, ret);
	if (ret)
		return ret;
	if (changed)
		s->cursors.change_seq = p.seq;
	*sum = after;
	return 0;
}

/* Of those that lost the newest stay, one in any case. */
static int forget_lost(struct hg_store *s)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "DELETE FROM conflict WHERE id IN (SELECT id FROM (SELECT id,"
			      " row_number() OVER newest AS n,"
			      " sum(?3 + ifnull(length(value), 0)) OVER newest AS bytes"
			      " FROM conflict WINDOW newest AS (ORDER BY id DESC))"
			      " WHERE n > ?1 OR (n > 1 AND bytes > ?2))");

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, CONFLICTS_KEPT);
	hg_db_bind_u64(stmt, 2, s->size_max / CONFLICTS_SHARE);
	hg_db_bind_u64(stmt, 3, CONFLICT_ROW);
	return hg_db_run(s, stmt);
}

/* Remembers a value that lost: the row of the name of w, or, if the row stays, w itself. */
static int keep_lost(struct hg_store *s, const struct hg_wire_change *w, bool stays,
		     struct hg_store_applied *applied)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT ifnull(max(id), 0) FROM conflict");
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret < 0)
		return ret;
	if (!applied->lost)
		applied->last_conflict = sqlite3_column_int64(stmt, 0);
	applied->lost = true;
	sqlite3_reset(stmt);
	stmt = hg_db_stmt(s, "INSERT INTO conflict (name, owner, value, time_ms)"
			     " SELECT name, iif(?2, 1, owner), iif(?2, ?3, value),"
			     " iif(?2, ?4, time_ms) FROM property WHERE name = ?1");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, w->name);
	sqlite3_bind_int(stmt, 2, stays);
	hg_db_bind_blob(stmt, 3, w->value);
	hg_db_bind_u64(stmt, 4, w->time_ms);
	ret = hg_db_run(s, stmt);
	return ret ? ret : forget_lost(s);
}

/*
 * Whether our row stays against w, and whether what does not stay is lost: the mirror had not
 * heard ours, or may have lost it since.
 */
static int judge(struct hg_store *s, const struct hg_wire_change *w, uint64_t acked,
		 bool new_mirror, bool *row, bool *stays, bool *lost)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "SELECT owner, seq, time_ms, value FROM property WHERE name = ?");
	uint64_t known = new_mirror ? 0 : s->cursors.change_acked;
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, w->name);
	ret = hg_db_step(s, stmt);
	*row = ret == 1;
	*stays = *lost = false;
	if (ret == 1 && sqlite3_column_int(stmt, 0) == HG_OWNER_DEVICE) {
		uint64_t seq = sqlite3_column_int64(stmt, 1);

		*stays = seq > acked && (uint64_t)sqlite3_column_int64(stmt, 2) > w->time_ms;
		*lost = (*stays || seq > known) && !hg_slice_eq(hg_db_column(stmt, 3), w->value);
	}
	sqlite3_reset(stmt);
	return ret < 0 ? ret : 0;
}

int hg_db_take_newest(struct hg_store *s, const struct hg_wire_change *w, uint64_t acked,
		      struct hg_store_applied *applied)
{
	struct hg_property p = { .name = w->name,
				 .value = w->value,
				 .owner = HG_OWNER_MIRROR,
				 .seq = w->seq,
				 .time_ms = w->time_ms };
	bool row, stays, lost;
	sqlite3_stmt *stmt;
	int ret;

	ret = judge(s, w, acked, applied->new_mirror, &row, &stays, &lost);
	if (!ret && lost)
		ret = keep_lost(s, w, stays, applied);
	if (ret || stays) /* the next request says ours, and the mirror will see that it is newer */
		return ret;
	applied->changes++;
	if (w->value.len)
		return hg_db_property_put(s, &p, row);
	stmt = hg_db_stmt(s, "DELETE FROM property WHERE name = ?");
	if (stmt)
		hg_db_bind_text(stmt, 1, w->name);
	return hg_db_run(s, stmt);
}

int hg_db_take_counter(struct hg_store *s, const struct hg_wire_change *w,
		       struct hg_store_applied *applied)
{
	struct counter c;
	sqlite3_stmt *stmt;
	int64_t theirs = 0;
	int ret;

	if (w->value.len && contribution(w->value, &theirs)) {
		applied->ignored++;
		return 0;
	}
	ret = counter_get(s, w->name, &c);
	if (!ret)
		ret = counter_make(s, &c, w->name);
	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "UPDATE property SET theirs = ?2, theirs_seq = ?3 WHERE name = ?1");
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, w->name);
	sqlite3_bind_int64(stmt, 2, theirs);
	hg_db_bind_u64(stmt, 3, w->seq);
	applied->changes++;
	return hg_db_run(s, stmt);
}

/*
 * The mirror may have lost values of its own that we hold; so those of both sides' properties are
 * ours to say now, with the time at which they were made.
 */
int hg_db_merge_new_mirror(struct hg_store *s, uint64_t *change_seq)
{
	sqlite3_stmt *stmt;
	uint64_t before = *change_seq;
	int ret, changes;

	stmt = hg_db_stmt(s, "UPDATE property SET theirs_seq = 0 WHERE theirs IS NOT NULL");
	ret = hg_db_run(s, stmt);
	if (ret)
		return ret;
	changes = sqlite3_total_changes(s->db);
	stmt = hg_db_stmt(s, "UPDATE property SET owner = 0, seq = ?1 + mine.n FROM"
			     " (SELECT name AS x, row_number() OVER (ORDER BY name) AS n"
			     " FROM property WHERE owner = 1 AND hg_rule(name) = 1) AS mine"
			     " WHERE property.name = mine.x");
	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, before);
	ret = hg_db_run(s, stmt);
	*change_seq = before + (sqlite3_total_changes(s->db) - changes);
	return ret || *change_seq == before ? ret : save_change_seq(s, *change_seq);
}

int hg_db_merge_settle(struct hg_store *s)
{
	return hg_db_run(s, hg_db_stmt(s, "UPDATE property SET theirs = 0"
					  " WHERE theirs <> 0 AND theirs_seq = 0"));
}

int hg_db_merge_acked(struct hg_store *s, uint64_t before, uint64_t acked)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "UPDATE property SET told = value WHERE owner = 0 AND"
					   " seq > ?1 AND seq <= ?2 AND theirs IS NOT NULL");

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, before);
	hg_db_bind_u64(stmt, 2, acked);
	return hg_db_run(s, stmt);
}

/* 1: a contribution was lessened by what the mirror keeps of it; 0: there is none left. */
static int renew_one(struct hg_store *s)
{
	sqlite3_stmt *stmt = hg_db_stmt(s,
					"SELECT rowid, value, told FROM property"
					" WHERE theirs IS NOT NULL AND told IS NOT NULL LIMIT 1");
	int64_t own = 0, told = 0, id;
	uint8_t buf[9];
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret != 1)
		return ret;
	id = sqlite3_column_int64(stmt, 0);
	if (contribution(hg_db_column(stmt, 1), &own) || contribution(hg_db_column(stmt, 2), &told))
		own = told = 0;
	sqlite3_reset(stmt);
	stmt = hg_db_stmt(s, "UPDATE property SET value = ?2, told = NULL WHERE rowid = ?1");
	if (!stmt)
		return -EIO;
	sqlite3_bind_int64(stmt, 1, id);
	hg_db_bind_blob(stmt, 2, int_cbor(own - told, buf));
	ret = hg_db_run(s, stmt);
	return ret ? ret : 1;
}

int hg_db_merge_renew(struct hg_store *s)
{
	int ret;

	do
		ret = renew_one(s);
	while (ret == 1);
	return ret;
}

int hg_store_conflicts(struct hg_store *s, uint64_t after, hg_conflict_visit visit, void *ctx)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT id, name, value, time_ms, owner FROM conflict"
					   " WHERE id > ? ORDER BY id");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, after);
	while ((ret = hg_db_step(s, stmt)) == 1) {
		struct hg_conflict c = {
			.id = sqlite3_column_int64(stmt, 0),
			.name = hg_db_column(stmt, 1),
			.value = hg_db_column(stmt, 2),
			.time_ms = sqlite3_column_int64(stmt, 3),
			.owner = sqlite3_column_int(stmt, 4),
		};

		if (visit(ctx, &c)) {
			ret = 0;
			break;
		}
	}
	sqlite3_reset(stmt);
	return ret;
}
