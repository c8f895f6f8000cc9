// SPDX-License-Identifier: MIT
/* See store_script.h. Each step is one promise of the store: one transaction at most. */
#include "store_script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include "store_files.h"
#include "../../userspace/store-db.h"

#define MANY 18

static const uint8_t epoch_a[HG_EPOCH_LEN] = "mirror-epoch-aa",
		     epoch_b[HG_EPOCH_LEN] = "mirror-epoch-bb";

/* By the first letters, as a Thing Model would say it. */
static enum hg_merge rule(void *ctx, const char *name)
{
	(void)ctx;
	return !strncmp(name, "sum-", 4)   ? HG_MERGE_COUNTER
	       : !strncmp(name, "new-", 4) ? HG_MERGE_NEWEST
					   : HG_MERGE_NONE;
}

int life_open(struct life *l)
{
	struct hg_store_options o = {
		.dir = l->dir,
		.size_max = 1 << 20,
		.properties_max = 64,
		.journal_max = 4,
		.object_max = 64 << 10,
	};
	char err[512];
	int ret;

	life_close(l);
	ret = hg_store_open(&o, &l->s, err, sizeof(err));
	if (!ret)
		hg_store_rules(l->s, rule, NULL);
	if (!ret && l->sync_off)
		hg_db_exec(l->s, "PRAGMA synchronous = OFF");
	return ret;
}

void life_close(struct life *l)
{
	hg_store_close(l->s);
	l->s = NULL;
}

/* A value that tells by its bytes which it is. */
static struct hg_slice value(char mark, size_t len)
{
	static char bytes[3][HG_WIRE_VALUE_MAX];
	static int turn;

	turn = (turn + 1) % 3;
	memset(bytes[turn], mark, len);
	return hg_slice_of(bytes[turn], len);
}

static int set(struct life *l, struct hg_property *list, size_t n)
{
	size_t changed;

	return hg_store_set(l->s, list, n, 1000, &changed);
}

static int set_one(struct life *l, const char *name, struct hg_slice v)
{
	struct hg_property p = { .name = hg_slice_str(name), .value = v };

	return set(l, &p, 1);
}

static int set_a(struct life *l)
{
	return set_one(l, "a", value('1', 1));
}

static int set_three(struct life *l)
{
	struct hg_property list[] = {
		{ .name = hg_slice_str("b"), .value = value('b', 3000) },
		{ .name = hg_slice_str("c"), .value = value('c', 100) },
		{ .name = hg_slice_str("d"), .value = value('d', 1) },
	};
	int ret;

	if (!l->split)
		return set(l, list, 3);
	ret = set(l, list, 1);
	return ret ? ret : set(l, list + 1, 2);
}

/* Numbers until so many have been taken in this life. */
static int take(struct life *l, enum hg_store_counter which, unsigned int until)
{
	uint64_t n;
	int ret;

	for (; l->taken[which] < until; l->taken[which]++) {
		ret = hg_store_next(l->s, which, &n);
		if (ret)
			return ret;
		if (n <= l->given[which])
			return -EEXIST;
		l->given[which] = n;
	}
	return 0;
}

static int take_session(struct life *l)
{
	return take(l, HG_COUNTER_SESSION, 1);
}

static int take_alarm(struct life *l)
{
	return take(l, HG_COUNTER_ALARM, 1);
}

static int take_sessions(struct life *l)
{
	return take(l, HG_COUNTER_SESSION, 600);
}

static int take_alarms(struct life *l)
{
	return take(l, HG_COUNTER_ALARM, 600);
}

/* Far above what was given, as when a collector refuses. */
static int raise_alarms(struct life *l)
{
	int ret = hg_store_raise(l->s, HG_COUNTER_ALARM, l->given[HG_COUNTER_ALARM] + 5000);

	return ret ? ret : take(l, HG_COUNTER_ALARM, 602);
}

static int apply(struct life *l, struct hg_wire_response *r, const uint8_t *epoch,
		 const struct hg_store_told *told, size_t n_told)
{
	struct hg_store_applied done;

	r->mirror_epoch = hg_slice_of(epoch, HG_EPOCH_LEN);
	return hg_store_apply(l->s, r, told, n_told, &done);
}

static int first_contact(struct life *l)
{
	struct hg_wire_change c[] = {
		{ 5, hg_slice_str("goal"), value('g', 2), 9, { 0 } },
		{ 6, hg_slice_str("label"), value('l', HG_WIRE_VALUE_MAX), 9, { 0 } },
	};
	struct hg_wire_command m[] = {
		{ 1, hg_slice_str("once"), hg_slice_str(""), 0, false },
		{ 2, hg_slice_str("again"), hg_slice_str("in"), 500, true },
	};
	struct hg_wire_response r = {
		.device_cursor = 4, .changes = c, .n_changes = 2, .commands = m, .n_commands = 2
	};

	return apply(l, &r, epoch_a, NULL, 0);
}

static int start_1(struct life *l)
{
	return hg_store_started(l->s, 1);
}

static int start_2(struct life *l)
{
	return hg_store_started(l->s, 2);
}

static int start_3(struct life *l)
{
	return hg_store_started(l->s, 3);
}

static int finish_1(struct life *l)
{
	struct hg_journal_entry e = { .seq = 1,
				      .state = HG_COMMAND_DONE,
				      .exit_status = 7,
				      .output = value('o', 5000),
				      .detail = hg_slice_str("well") };

	return hg_store_finished(l->s, &e);
}

static int recover(struct life *l)
{
	size_t n;

	return hg_store_recover(l->s, &n);
}

static int told_1(struct life *l)
{
	static const struct hg_store_told told[] = { { 1, HG_COMMAND_DONE },
						     { 2, HG_COMMAND_RECEIVED } };
	struct hg_wire_change c[] = { { 7, hg_slice_str("label"), hg_slice_str(""), 9, { 0 } } };
	struct hg_wire_response r = { .device_cursor = 4, .changes = c, .n_changes = 1 };

	return apply(l, &r, epoch_a, told, 2);
}

#define LARGE 20000 /* bytes of CBOR */

/* A byte string in two parts. */
static int part(struct life *l, size_t from, size_t to)
{
	static uint8_t bytes[LARGE] = { 0x59, (LARGE - 3) >> 8, (LARGE - 3) & 0xff };
	struct hg_wire_part p = { LARGE, from, hg_slice_of(bytes + from, to - from) };
	struct hg_wire_change c[] = { { 8, hg_slice_str("large"), { 0 }, 9, p } };
	struct hg_wire_response r = { .device_cursor = 4, .changes = c, .n_changes = 1 };

	return apply(l, &r, epoch_a, NULL, 0);
}

static int first_part(struct life *l)
{
	return part(l, 0, 12000);
}

static int last_part(struct life *l)
{
	return part(l, 12000, LARGE);
}

static int write_both(struct life *l)
{
	struct hg_property list[] = {
		{ .name = hg_slice_str("sum-a"), .value = hg_slice_of("\x07", 1) },
		{ .name = hg_slice_str("new-a"), .value = hg_slice_of("\x01", 1) },
	};

	return set(l, list, 2);
}

/* The mirror has written the same: its 3 is added, its newer value wins. */
static int merge(struct life *l)
{
	struct hg_wire_change c[] = {
		{ 9, hg_slice_str("sum-a"), hg_slice_of("\x03", 1), 5000, { 0 } },
		{ 10, hg_slice_str("new-a"), hg_slice_of("\x02", 1), 5000, { 0 } },
	};
	struct hg_wire_response r = { .device_cursor = 4, .changes = c, .n_changes = 2 };

	return apply(l, &r, epoch_a, NULL, 0);
}

static int remove_b(struct life *l)
{
	return set_one(l, "b", hg_slice_str(""));
}

static int grow_a(struct life *l)
{
	return set_one(l, "a", value('A', 16000));
}

static int idle(struct life *l)
{
	struct hg_wire_response r = { .device_cursor = 4 };

	return apply(l, &r, epoch_a, NULL, 0);
}

static int acknowledge(struct life *l)
{
	struct hg_wire_response r = { .device_cursor = hg_store_cursors(l->s)->change_seq };

	return apply(l, &r, epoch_a, NULL, 0);
}

static int acknowledge_b(struct life *l)
{
	struct hg_wire_response r = { .device_cursor = hg_store_cursors(l->s)->change_seq };

	return apply(l, &r, epoch_b, NULL, 0);
}

static int overflow(struct life *l)
{
	struct hg_wire_command m[4];
	struct hg_wire_response r = { .device_cursor = hg_store_cursors(l->s)->change_seq,
				      .commands = m,
				      .n_commands = 4 };

	for (int i = 0; i < 4; i++)
		m[i] = (struct hg_wire_command){ i + 3, hg_slice_str("x"), value('i', 900), 0, 0 };
	return apply(l, &r, epoch_a, NULL, 0);
}

static int profile(struct life *l, uint64_t serial)
{
	uint64_t last;

	return hg_store_profile(l->s, "cam", "1.0", serial, &last);
}

static int profile_5(struct life *l)
{
	return profile(l, 5);
}

static int profile_6(struct life *l)
{
	return profile(l, 6);
}

static int new_mirror(struct life *l)
{
	struct hg_wire_change c[] = { { 1, hg_slice_str("other"), value('o', 3), 9, { 0 } } };
	struct hg_wire_response r = { .flags = HG_RESPONSE_MORE, .changes = c, .n_changes = 1 };

	return apply(l, &r, epoch_b, NULL, 0);
}

static int new_mirror_end(struct life *l)
{
	struct hg_wire_response r = { .device_cursor = 2 };

	return apply(l, &r, epoch_b, NULL, 0);
}

static int say_all(struct life *l)
{
	struct hg_wire_response r = { .flags = HG_RESPONSE_FULL };

	return apply(l, &r, epoch_b, NULL, 0);
}

static int renew(struct life *l)
{
	return hg_store_renew(l->s);
}

/* Many at once, so that the rollback journal outgrows what is kept of it. */
static int set_many(struct life *l, struct hg_slice v)
{
	struct hg_property list[MANY];
	char names[MANY][8];

	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "m%d", i);
		list[i] = (struct hg_property){ .name = hg_slice_str(names[i]), .value = v };
	}
	return set(l, list, MANY);
}

static int many(struct life *l)
{
	return set_many(l, value('m', 4000));
}

static int many_anew(struct life *l)
{
	return set_many(l, value('M', 4000));
}

static int many_removed(struct life *l)
{
	return set_many(l, hg_slice_str(""));
}

static const struct step life[] = {
	{ "open", life_open },
	{ "set", set_a },
	{ "set three", set_three },
	{ "set the same", set_a },
	{ "take a session number", take_session },
	{ "take an alarm number", take_alarm },
	{ "first contact", first_contact },
	{ "start", start_1 },
	{ "finish", finish_1 },
	{ "start the repeatable", start_2 },
	{ "restart", life_open },
	{ "recover", recover },
	{ "told", told_1 },
	{ "first part", first_part },
	{ "restart within a value", life_open },
	{ "last part", last_part },
	{ "write what both write", write_both },
	{ "merge", merge },
	{ "remove", remove_b },
	{ "grow", grow_a },
	{ "idle", idle },
	{ "acknowledge", acknowledge },
	{ "take session numbers", take_sessions },
	{ "full journal", overflow },
	{ "profile", profile_5 },
	{ "newer profile", profile_6 },
	{ "start one of them", start_3 },
	{ "new mirror", new_mirror },
	{ "restart meanwhile", life_open },
	{ "new mirror's last", new_mirror_end },
	{ "renew", renew },
	{ "say all again", say_all },
	{ "many", many },
	{ "many anew", many_anew },
	{ "many removed", many_removed },
	{ "acknowledge all", acknowledge_b },
	{ "many again", many },
	{ "take alarm numbers", take_alarms },
	{ "raise alarm numbers", raise_alarms },
	{ "last restart", life_open },
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

const struct script store_life = { "a life", life, LEN(life), NULL };

static int finish_3(struct life *l)
{
	struct hg_journal_entry e = { .seq = 3, .state = HG_COMMAND_DONE };

	return hg_store_finished(l->s, &e);
}

static const struct step open_older[] = {
	{ "open an older file", life_open },
	{ "finish", finish_3 },
	{ "write what both write", write_both },
	{ "restart", life_open },
};

#define OLDER(n)                                                                                   \
	{                                                                                          \
		"a file of schema " #n, open_older, LEN(open_older), STORE_FILE_##n                \
	}
const struct script store_older[] = { OLDER(1), OLDER(2), OLDER(3) };
const size_t store_n_older = LEN(store_older);
_Static_assert(LEN(store_older) == STORE_FILES, "a script for each file");

void store_make_file(const char *dir, const char *sql)
{
	char path[160], *message = NULL;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/store.db", dir);
	sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		printf("# %s\n", message);
	sqlite3_close(db);
}

struct text {
	char *at;
	size_t len, size;
};

static void add(struct text *t, const char *s, size_t len)
{
	if (t->len + len + 1 > t->size) {
		t->size = (t->len + len + 1) * 2;
		t->at = realloc(t->at, t->size);
		if (!t->at)
			abort();
	}
	memcpy(t->at + t->len, s, len);
	t->len += len;
	t->at[t->len] = '\0';
}

static bool differs(const char *column)
{
	static const char *const names[] = { "epoch", "received_ms", "received_up_ms", "boot" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(column, names[i]))
			return true;
	return false;
}

static void add_column(struct text *t, sqlite3_stmt *stmt, int i)
{
	const uint8_t *p = sqlite3_column_blob(stmt, i);
	int len = sqlite3_column_bytes(stmt, i);
	uint64_t h = 7;
	char buf[64];

	if (differs(sqlite3_column_name(stmt, i)))
		return;
	if (!strcmp(sqlite3_column_name(stmt, i), "alarm_limit")) {
		/* Begins at whole seconds since 1970 in ms: what is left are its blocks of 1024. */
		snprintf(buf, sizeof(buf), "%d ", (int)(sqlite3_column_int64(stmt, i) % 1000));
		add(t, buf, strlen(buf));
		return;
	}
	if (len <= 40) {
		add(t, p ? (const char *)p : "-", p ? (size_t)len : 1);
		add(t, " ", 1);
		return;
	}
	for (int j = 0; j < len; j++)
		h = h * 31 + p[j];
	snprintf(buf, sizeof(buf), "%d:%016llx ", len, (unsigned long long)h);
	add(t, buf, strlen(buf));
}

static void add_rows(struct text *t, sqlite3 *db, const char *sql, const char *what)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		add(t, what, strlen(what));
		add(t, ": ", 2);
		for (int i = 0; i < sqlite3_column_count(stmt); i++)
			add_column(t, stmt, i);
		add(t, "\n", 1);
	}
	if (rc != SQLITE_DONE) {
		add(t, sqlite3_errmsg(db), strlen(sqlite3_errmsg(db)));
		add(t, "\n", 1);
	}
	sqlite3_finalize(stmt);
}

char *store_dump(const char *dir)
{
	struct text t = { 0 };
	char path[160], sql[160];
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/store.db", dir);
	sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	add_rows(&t, db, "PRAGMA integrity_check", "integrity");
	add_rows(&t, db, "PRAGMA user_version", "version");
	sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
			   -1, &stmt, NULL);
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		snprintf(sql, sizeof(sql), "SELECT * FROM %s ORDER BY 1", name);
		add_rows(&t, db, sql, name);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return t.at;
}

bool life_in_doubt(const struct life *l)
{
	return l->s->doubt;
}

bool life_level(const struct life *l)
{
	const struct hg_store_cursors *c = hg_store_cursors(l->s);
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	char path[160];
	bool level;

	snprintf(path, sizeof(path), "%s/store.db", l->dir);
	sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	sqlite3_prepare_v2(db,
			   "SELECT epoch, change_seq, change_acked, mirror_cursor, command_cursor,"
			   " mirror_epoch FROM state",
			   -1, &stmt, NULL);
	level = stmt && sqlite3_step(stmt) == SQLITE_ROW &&
		!memcmp(sqlite3_column_blob(stmt, 0), c->epoch, HG_EPOCH_LEN) &&
		sqlite3_column_int64(stmt, 1) == (sqlite3_int64)c->change_seq &&
		sqlite3_column_int64(stmt, 2) == (sqlite3_int64)c->change_acked &&
		sqlite3_column_int64(stmt, 3) == (sqlite3_int64)c->mirror_cursor &&
		sqlite3_column_int64(stmt, 4) == (sqlite3_int64)c->command_cursor &&
		(sqlite3_column_type(stmt, 5) != SQLITE_NULL) == c->mirror_known &&
		(!c->mirror_known ||
		 !memcmp(sqlite3_column_blob(stmt, 5), c->mirror_epoch, HG_EPOCH_LEN));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return level;
}
