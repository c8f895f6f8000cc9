// SPDX-License-Identifier: MIT
/*
 * The command journal, and the taking of a response. Both hold one promise: a command is in the
 * journal before its number is acknowledged or its handler started, and it leaves the journal only
 * when the mirror has answered the request that reported its end.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "store-db.h"

#define FINAL "(state >= 4)" /* HG_COMMAND_DONE and above: FAILED, EXPIRED, CANCELLED, UNKNOWN */
_Static_assert(HG_COMMAND_DONE == 4 && HG_COMMAND_EXECUTING == 3, "FINAL");

#define COLUMNS                                                                                    \
	"SELECT seq, action, input, execute_within_ms, repeatable, state, exit_status, output,"    \
	" detail, received_ms, received_up_ms, boot FROM command "

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

/*
 * By the clock that never jumps if it is still the same boot; else by the wall clock, which a
 * device without a battery for it may have lost: then it stands before the time of receipt.
 */
static uint64_t age(const struct hg_store *s, sqlite3_stmt *stmt)
{
	struct hg_slice boot = hg_db_column(stmt, 11);
	uint64_t now, then;

	if (s->boot[0] && hg_slice_eq(boot, hg_slice_str(s->boot)))
		return clock_ms(CLOCK_BOOTTIME) - sqlite3_column_int64(stmt, 10);
	now = clock_ms(CLOCK_REALTIME);
	then = sqlite3_column_int64(stmt, 9);
	return now >= then ? now - then : UINT64_MAX;
}

static int visit_entries(struct hg_store *s, sqlite3_stmt *stmt, hg_journal_visit visit, void *ctx)
{
	int ret;

	if (!stmt)
		return -EIO;
	while ((ret = hg_db_step(s, stmt)) == 1) {
		struct hg_journal_entry e = {
			.seq = sqlite3_column_int64(stmt, 0),
			.action = hg_db_column(stmt, 1),
			.input = hg_db_column(stmt, 2),
			.execute_within_ms = sqlite3_column_int64(stmt, 3),
			.repeatable = sqlite3_column_int(stmt, 4),
			.state = sqlite3_column_int(stmt, 5),
			.exit_status = sqlite3_column_int(stmt, 6),
			.output = hg_db_column(stmt, 7),
			.detail = hg_db_column(stmt, 8),
			.age_ms = age(s, stmt),
		};

		if (visit(ctx, &e)) {
			ret = 0;
			break;
		}
	}
	sqlite3_reset(stmt);
	return ret;
}

int hg_store_journal(struct hg_store *s, unsigned int state, hg_journal_visit visit, void *ctx)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, COLUMNS "WHERE ?1 = 0 OR state = ?1 ORDER BY seq");

	if (stmt)
		sqlite3_bind_int(stmt, 1, state);
	return visit_entries(s, stmt, visit, ctx);
}

int hg_store_reports(struct hg_store *s, hg_journal_visit visit, void *ctx)
{
	int ret = hg_db_settle(s);

	return ret ? ret
		   : visit_entries(s, hg_db_stmt(s, COLUMNS "WHERE told <> state ORDER BY seq"),
				   visit, ctx);
}

int hg_store_reports_count(struct hg_store *s, size_t *n)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT count(*) FROM command WHERE " FINAL);
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret < 0)
		return ret;
	*n = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return 0;
}

int hg_store_recover(struct hg_store *s, size_t *n)
{
	int changes = sqlite3_total_changes(s->db);
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "UPDATE command SET state = iif(repeatable, 2, 8),"
			      " told = iif(repeatable, 2, told), detail = iif(repeatable, NULL,"
			      " 'the device stopped while the command ran') WHERE state = 3");
	int ret = hg_db_run(s, stmt);

	if (!ret)
		*n = sqlite3_total_changes(s->db) - changes;
	return ret;
}

int hg_store_started(struct hg_store *s, uint64_t seq)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "UPDATE command SET state = 3 WHERE seq = ?1 AND"
					   " (state = 2 OR (state = 3 AND ?2))");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, seq);
	sqlite3_bind_int(stmt, 2, s->starting == seq);
	ret = hg_db_run(s, stmt);
	s->starting = ret && s->doubt ? seq : 0;
	return ret ? ret : sqlite3_changes(s->db) ? 0 : -ESTALE;
}

/* Outputs stay until they are reported, which may be long. */
static int check_results(struct hg_store *s, size_t more)
{
	sqlite3_stmt *stmt;
	uint64_t held;
	int ret;

	if (!more)
		return 0;
	stmt = hg_db_stmt(s, "SELECT total(length(output)) FROM command");
	ret = stmt ? hg_db_step(s, stmt) : -EIO;
	if (ret < 0)
		return ret;
	held = (uint64_t)sqlite3_column_double(stmt, 0);
	sqlite3_reset(stmt);
	if (more <= s->results_max && held <= s->results_max - more)
		return 0;
	snprintf(s->error, sizeof(s->error),
		 "store: outputs of %llu bytes wait to be reported; raise [device] results_max",
		 (unsigned long long)held);
	return -EDQUOT;
}

int hg_store_finished(struct hg_store *s, const struct hg_journal_entry *e)
{
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "UPDATE command SET state = ?2, exit_status = ?3, output = ?4,"
			      " detail = ?5 WHERE seq = ?1 AND state IN (2, 3)");
	int ret = check_results(s, e->output.len);

	if (!stmt || ret)
		return ret ? ret : -EIO;
	hg_db_bind_u64(stmt, 1, e->seq);
	sqlite3_bind_int(stmt, 2, e->state);
	sqlite3_bind_int(stmt, 3, e->exit_status);
	hg_db_bind_blob(stmt, 4, e->output);
	hg_db_bind_text(stmt, 5, e->detail);
	ret = hg_db_run(s, stmt);
	return ret ? ret : sqlite3_changes(s->db) ? 0 : -ENOENT;
}

/*
 * The mirror lost its data or was restored: all it owns is sent again, and what it does not send
 * is gone; until then old values are kept for reading. Commands that have not started can no
 * longer be told apart from new ones and are dropped; it has given them up as well.
 */
static int meet_mirror(struct hg_store *s, struct hg_store_cursors *c, struct hg_slice epoch,
		       bool *new_mirror)
{
	sqlite3_stmt *stmt;
	int ret = 0;

	if (c->mirror_known && hg_slice_eq(hg_slice_of(c->mirror_epoch, HG_EPOCH_LEN), epoch))
		return 0;
	if (c->mirror_known) {
		*new_mirror = true;
		ret = hg_db_part_drop(s, INT64_MAX);
		if (!ret)
			ret = hg_db_run(
				s, hg_db_stmt(s, "UPDATE property SET seq = 0 WHERE owner = 1"));
		if (!ret)
			ret = hg_db_run(s, hg_db_stmt(s, "DELETE FROM command WHERE state = 2"));
		if (!ret)
			ret = hg_db_merge_new_mirror(s, &c->change_seq);
		c->mirror_cursor = c->command_cursor = c->change_acked = 0;
	}
	c->mirror_known = true;
	memcpy(c->mirror_epoch, epoch.ptr, HG_EPOCH_LEN);
	stmt = ret ? NULL : hg_db_stmt(s, "UPDATE state SET mirror_epoch = ?");
	if (stmt)
		hg_db_bind_blob(stmt, 1, epoch);
	return ret ? ret : hg_db_run(s, stmt);
}

static int drop(struct hg_store *s, struct hg_slice name)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "DELETE FROM property WHERE name = ? AND owner = 1");

	if (stmt)
		hg_db_bind_text(stmt, 1, name);
	return hg_db_run(s, stmt);
}

static int take_change(struct hg_store *s, const struct hg_wire_change *w, uint64_t acked,
		       struct hg_store_applied *applied)
{
	enum hg_merge rule = hg_db_rule(s, w->name);
	struct hg_property p = { .name = w->name,
				 .value = w->value,
				 .owner = HG_OWNER_MIRROR,
				 .seq = w->seq,
				 .time_ms = w->time_ms };
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT owner FROM property WHERE name = ?");
	bool row, ours;
	int ret;

	if (rule == HG_MERGE_COUNTER)
		return hg_db_take_counter(s, w, applied);
	if (rule == HG_MERGE_NEWEST)
		return hg_db_take_newest(s, w, acked, applied);
	if (!stmt)
		return -EIO;
	hg_db_bind_text(stmt, 1, w->name);
	ret = hg_db_step(s, stmt);
	row = ret == 1;
	ours = row && sqlite3_column_int(stmt, 0) == HG_OWNER_DEVICE;
	sqlite3_reset(stmt);
	if (ret < 0)
		return ret;
	if (ours) {
		applied->ignored++;
		return 0;
	}
	applied->changes++;
	return w->value.len ? hg_db_property_put(s, &p, row) : drop(s, w->name);
}

/* One that does not fit is passed over: the mirror has nobody to tell it to but us. */
static int take_part(struct hg_store *s, struct hg_store_cursors *c, const struct hg_wire_change *w,
		     struct hg_store_applied *applied)
{
	struct hg_wire_change whole = { w->seq, w->name, { 0 }, w->time_ms, { 0 } };
	int ret = hg_db_part_take(s, w, &whole.value);

	if (!ret) {
		applied->parts++;
		return 0;
	}
	if (ret == -EFBIG || ret == -EBADMSG) {
		applied->refused++;
	} else if (ret < 0) {
		return ret;
	} else {
		ret = take_change(s, &whole, c->change_acked, applied);
		free((void *)whole.value.ptr);
		if (ret)
			return ret;
	}
	c->mirror_cursor = w->seq;
	return 0;
}

static int take_changes(struct hg_store *s, struct hg_store_cursors *c,
			const struct hg_wire_response *r, struct hg_store_applied *applied)
{
	uint64_t before = c->mirror_cursor;
	int ret = 0;

	for (size_t i = 0; i < r->n_changes && !ret; i++) {
		const struct hg_wire_change *w = &r->changes[i];

		if (w->seq <= c->mirror_cursor)
			continue;
		if (w->part.total) {
			ret = take_part(s, c, w, applied);
		} else {
			ret = take_change(s, w, c->change_acked, applied);
			c->mirror_cursor = w->seq;
		}
	}
	if (!ret && c->mirror_cursor != before)
		ret = hg_db_part_drop(s, c->mirror_cursor);
	return ret;
}

/* One that is here although its number is new has come again with a new epoch of the mirror. */
static int take_command(struct hg_store *s, const struct hg_wire_command *w)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "INSERT OR IGNORE INTO command (seq, action, input,"
					   " execute_within_ms, repeatable, state, told,"
					   " received_ms, received_up_ms, boot)"
					   " VALUES (?, ?, ?, ?, ?, 2, 2, ?, ?, ?)");

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, w->seq);
	hg_db_bind_text(stmt, 2, w->action);
	hg_db_bind_blob(stmt, 3, w->input);
	hg_db_bind_u64(stmt, 4, w->execute_within_ms);
	sqlite3_bind_int(stmt, 5, w->repeatable);
	hg_db_bind_u64(stmt, 6, clock_ms(CLOCK_REALTIME));
	hg_db_bind_u64(stmt, 7, clock_ms(CLOCK_BOOTTIME));
	sqlite3_bind_text(stmt, 8, s->boot, -1, SQLITE_STATIC);
	return hg_db_run(s, stmt);
}

static int take_commands(struct hg_store *s, struct hg_store_cursors *c,
			 const struct hg_wire_response *r, struct hg_store_applied *applied)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "SELECT count(*) FROM command");
	uint64_t held;
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret < 0)
		return ret;
	held = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	ret = 0;
	for (size_t i = 0; i < r->n_commands && !ret; i++) {
		if (r->commands[i].seq <= c->command_cursor)
			continue;
		if (held + applied->commands >= s->journal_max) {
			applied->waiting = r->n_commands - i;
			break;
		}
		ret = take_command(s, &r->commands[i]);
		c->command_cursor = r->commands[i].seq;
		applied->commands++;
	}
	return ret;
}

static int take_told(struct hg_store *s, const struct hg_store_told *told, size_t n)
{
	sqlite3_stmt *stmt;
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++) {
		stmt = hg_db_stmt(s, told[i].state >= HG_COMMAND_DONE
					     ? "DELETE FROM command WHERE seq = ? AND state = ?"
					     : "UPDATE command SET told = ?2 WHERE seq = ?1");
		if (!stmt)
			return -EIO;
		hg_db_bind_u64(stmt, 1, told[i].seq);
		sqlite3_bind_int(stmt, 2, told[i].state);
		ret = hg_db_run(s, stmt);
	}
	return ret;
}

static int save_cursors(struct hg_store *s, const struct hg_store_cursors *c)
{
	sqlite3_stmt *stmt = hg_db_stmt(s, "UPDATE state SET change_acked = ?, mirror_cursor = ?,"
					   " command_cursor = ?");
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, c->change_acked);
	hg_db_bind_u64(stmt, 2, c->mirror_cursor);
	hg_db_bind_u64(stmt, 3, c->command_cursor);
	ret = hg_db_run(s, stmt);
	if (ret || c->change_acked <= s->cursors.change_acked)
		return ret;
	ret = hg_db_merge_acked(s, s->cursors.change_acked, c->change_acked);
	if (ret)
		return ret;
	stmt = hg_db_stmt(s, "DELETE FROM property WHERE owner = 0 AND value IS NULL AND seq <= ?");
	if (stmt)
		hg_db_bind_u64(stmt, 1, c->change_acked);
	return hg_db_run(s, stmt);
}

static int take(struct hg_store *s, struct hg_store_cursors *c, const struct hg_wire_response *r,
		const struct hg_store_told *told, size_t n_told, struct hg_store_applied *applied)
{
	bool last = !(r->flags & HG_RESPONSE_MORE);
	int ret = meet_mirror(s, c, r->mirror_epoch, &applied->new_mirror);

	if (!applied->new_mirror)
		c->change_acked = r->flags & HG_RESPONSE_FULL ? 0 : r->device_cursor;
	if (!ret)
		ret = take_changes(s, c, r, applied);
	/* What ended makes room for what comes, in the journal and in the file. */
	if (!ret && !applied->new_mirror)
		ret = take_told(s, told, n_told);
	if (!ret)
		ret = take_commands(s, c, r, applied);
	if (!ret && applied->new_mirror) /* one that comes again is to be known again */
		ret = take_told(s, told, n_told);
	if (!ret && last && (s->unconfirmed || applied->new_mirror))
		ret = hg_db_run(s,
				hg_db_stmt(s, "DELETE FROM property WHERE owner = 1 AND seq = 0"));
	if (!ret && last && (s->unconfirmed || applied->new_mirror))
		ret = hg_db_merge_settle(s);
	return ret ? ret : save_cursors(s, c);
}

/* An idle session writes nothing. */
static bool nothing_new(const struct hg_store *s, const struct hg_wire_response *r, size_t n_told)
{
	const struct hg_store_cursors *c = &s->cursors;

	return c->mirror_known && !s->unconfirmed &&
	       hg_slice_eq(hg_slice_of(c->mirror_epoch, HG_EPOCH_LEN), r->mirror_epoch) &&
	       r->device_cursor == c->change_acked && !(r->flags & HG_RESPONSE_FULL) &&
	       !r->n_changes && !r->n_commands && !n_told;
}

int hg_store_apply(struct hg_store *s, const struct hg_wire_response *r,
		   const struct hg_store_told *told, size_t n_told,
		   struct hg_store_applied *applied)
{
	struct hg_store_applied a = { 0 };
	struct hg_store_cursors c;
	int ret = hg_db_settle(s);

	if (ret)
		return ret;
	c = s->cursors;
	if (r->device_cursor > c.change_seq) {
		snprintf(s->error, sizeof(s->error),
			 "store: the mirror holds change %llu, the last made here is %llu",
			 (unsigned long long)r->device_cursor, (unsigned long long)c.change_seq);
		return -ESTALE;
	}
	if (!nothing_new(s, r, n_told)) {
		ret = hg_db_begin(s);
		if (ret)
			return ret;
		ret = hg_db_end(s, take(s, &c, r, told, n_told, &a));
		if (ret)
			return ret;
		s->cursors = c;
		s->unconfirmed = (s->unconfirmed || a.new_mirror) && r->flags & HG_RESPONSE_MORE;
	}
	*applied = a;
	return 0;
}
