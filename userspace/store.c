// SPDX-License-Identifier: MIT
/*
 * The store as a file: opening, statements, counters. Transactions are in store-commit.c, tables in
 * store-schema.c, properties in store-property.c and store-merge.c, values that come in parts in
 * store-part.c, the journal and the taking of responses in store-journal.c, what it knows of
 * profiles in store-profile.c.
 *
 * The rollback journal is kept between transactions (PERSIST): its end is made durable by a
 * write and a sync of that file, not by an unlink, which a power cut can undo; and while the disk
 * is full, space that the journal already has lets small writes go on. The agent is the only
 * writer: it holds a lock on DIR/lock for its lifetime. Others may read the file.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "store-db.h"

#define PAGE_SIZE 4096
#define BUSY_MS 1000 /* for a person who reads the file with other tools */
#define JOURNAL_KEPT (64 << 10)
/*
 * The part of the store that a value of the mirror may have: for a moment it is there three times,
 * old, new and in parts, beside half of the store that is our applications'.
 */
#define OBJECT_SHARE 8
/* A power cut wastes at most one block; idle devices need a write once per block. */
#define COUNTER_BLOCK 1024

int hg_db_fail(struct hg_store *s, int rc)
{
	int sys = sqlite3_system_errno(s->db);

	snprintf(s->error, sizeof(s->error), "store: %s", sqlite3_errmsg(s->db));
	switch (rc & 0xff) {
	case SQLITE_FULL:
		snprintf(s->error, sizeof(s->error),
			 "store: no space: the disk or [device] store_max is full");
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EAGAIN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EACCES;
	default:
		if (sys == ENOSPC || sys == EDQUOT)
			return -ENOSPC;
		return -EIO;
	}
}

sqlite3_stmt *hg_db_stmt(struct hg_store *s, const char *sql)
{
	size_t i;
	int rc;

	for (i = 0; i < HG_STORE_STATEMENTS && s->statements[i].sql; i++) {
		if (s->statements[i].sql == sql) {
			sqlite3_reset(s->statements[i].stmt);
			sqlite3_clear_bindings(s->statements[i].stmt);
			return s->statements[i].stmt;
		}
	}
	if (i == HG_STORE_STATEMENTS) {
		snprintf(s->error, sizeof(s->error), "store: too many statements");
		return NULL;
	}
	rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i].stmt,
				NULL);
	if (rc != SQLITE_OK) {
		hg_db_fail(s, rc);
		return NULL;
	}
	s->statements[i].sql = sql;
	return s->statements[i].stmt;
}

int hg_db_step(struct hg_store *s, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return hg_db_fail(s, rc);
}

int hg_db_exec(struct hg_store *s, const char *sql)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : hg_db_fail(s, rc);
}

void hg_db_bind_u64(sqlite3_stmt *stmt, int i, uint64_t value)
{
	sqlite3_bind_int64(stmt, i, (sqlite3_int64)value);
}

void hg_db_bind_blob(sqlite3_stmt *stmt, int i, struct hg_slice value)
{
	if (value.len)
		sqlite3_bind_blob64(stmt, i, value.ptr, value.len, SQLITE_STATIC);
}

void hg_db_bind_text(sqlite3_stmt *stmt, int i, struct hg_slice value)
{
	if (value.len)
		sqlite3_bind_text64(stmt, i, (const char *)value.ptr, value.len, SQLITE_STATIC,
				    SQLITE_UTF8);
}

struct hg_slice hg_db_column(sqlite3_stmt *stmt, int i)
{
	const void *ptr = sqlite3_column_blob(stmt, i);

	return hg_slice_of(ptr, sqlite3_column_bytes(stmt, i));
}

static int configure(struct hg_store *s, uint64_t size_max)
{
	char sql[320];

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	snprintf(
		sql, sizeof(sql),
		"PRAGMA page_size = %d; PRAGMA journal_mode = PERSIST; PRAGMA synchronous = FULL;"
		"PRAGMA journal_size_limit = %d; PRAGMA max_page_count = %llu;"
		"PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON",
		PAGE_SIZE, JOURNAL_KEPT, (unsigned long long)(size_max / PAGE_SIZE));
	return hg_db_exec(s, sql);
}

int hg_db_load(struct hg_store *s)
{
	struct hg_store_cursors *c = &s->cursors;
	sqlite3_stmt *stmt =
		hg_db_stmt(s, "SELECT epoch, change_seq, change_acked, mirror_epoch, mirror_cursor,"
			      " command_cursor, session_limit, alarm_limit,"
			      " EXISTS (SELECT 1 FROM property WHERE (owner = 1 AND seq = 0) OR"
			      " (theirs <> 0 AND theirs_seq = 0)) FROM state");
	int ret = stmt ? hg_db_step(s, stmt) : -EIO;

	if (ret != 1) {
		snprintf(s->error, sizeof(s->error), "store: damaged: no state");
		return ret < 0 ? ret : -EUCLEAN;
	}
	memcpy(c->epoch, sqlite3_column_blob(stmt, 0), HG_EPOCH_LEN);
	c->change_seq = sqlite3_column_int64(stmt, 1);
	c->change_acked = sqlite3_column_int64(stmt, 2);
	c->mirror_known = sqlite3_column_type(stmt, 3) != SQLITE_NULL;
	if (c->mirror_known)
		memcpy(c->mirror_epoch, sqlite3_column_blob(stmt, 3), HG_EPOCH_LEN);
	c->mirror_cursor = sqlite3_column_int64(stmt, 4);
	c->command_cursor = sqlite3_column_int64(stmt, 5);
	for (int i = 0; i < HG_COUNTERS && !s->ready; i++) {
		s->counters[i].limit = sqlite3_column_int64(stmt, 6 + i);
		s->counters[i].next = s->counters[i].limit + 1;
	}
	s->unconfirmed = sqlite3_column_int(stmt, 8);
	sqlite3_reset(stmt);
	return 0;
}

static void read_boot_id(struct hg_store *s)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, s->boot, sizeof(s->boot) - 1);

	if (fd >= 0)
		close(fd);
	s->boot[n > 0 ? n : 0] = '\0';
	s->boot[strcspn(s->boot, "\n")] = '\0';
}

/*
 * A power cut that takes the new directory away would take the store with it. A parent that may not
 * be read, or cannot be synced, is no reason to do without a store.
 */
static int make_dir(const char *dir)
{
	char parent[4200];
	int fd, ret;

	if (mkdir(dir, 0700))
		return errno == EEXIST ? 0 : -errno;
	snprintf(parent, sizeof(parent), "%s", dir);
	fd = open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ret = fsync(fd) && errno == EIO ? -EIO : 0;
	close(fd);
	if (ret)
		rmdir(dir);
	return ret;
}

static int lock_dir(struct hg_store *s, const char *dir, char *err, size_t err_size)
{
	char path[4200];
	int ret = 0;

	ret = make_dir(dir);
	if (ret) {
		snprintf(err, err_size, "%s: %s; make the directory of [device] state_dir", dir,
			 strerror(-ret));
		return ret;
	}
	snprintf(path, sizeof(path), "%s/lock", dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0) {
		ret = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return ret;
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		snprintf(err, err_size, "%s: %s", path,
			 ret == -EBUSY ? "another agent uses this directory; stop it first"
				       : strerror(errno));
	}
	return ret;
}

int hg_store_open(const struct hg_store_options *options, struct hg_store **store, char *err,
		  size_t err_size)
{
	struct hg_store *s = calloc(1, sizeof(*s));
	char path[4200];
	int version = 0, ret;

	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	s->properties_max = options->properties_max;
	s->journal_max = options->journal_max;
	s->object_max = options->object_max ? options->object_max : HG_WIRE_VALUE_MAX;
	if (s->object_max > options->size_max / OBJECT_SHARE)
		s->object_max = options->size_max / OBJECT_SHARE;
	s->results_max = options->results_max ? options->results_max : UINT64_MAX;
	s->size_max = options->size_max;
	read_boot_id(s);
	ret = lock_dir(s, options->dir, err, err_size);
	if (ret)
		goto close;
	snprintf(path, sizeof(path), "%s/store.db", options->dir);
	ret = sqlite3_open_v2(path, &s->db,
			      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				      SQLITE_OPEN_NOFOLLOW,
			      NULL);
	if (ret != SQLITE_OK)
		ret = hg_db_fail(s, ret);
	if (!ret)
		ret = hg_db_check(s, &version);
	if (!ret)
		ret = configure(s, options->size_max);
	if (!ret)
		ret = hg_db_migrate(s, version);
	if (!ret)
		ret = hg_db_merge_init(s);
	if (!ret)
		ret = hg_db_load(s);
	if (!ret && chmod(path, 0600))
		ret = -errno;
	if (ret) {
		snprintf(err, err_size, "%s: %s%s", path, s->error[0] ? s->error : strerror(-ret),
			 ret == -EUCLEAN ? "; move it away to start afresh, with a new epoch" : "");
		goto close;
	}
	s->ready = true;
	*store = s;
	return 0;
close:
	hg_store_close(s);
	return ret;
}

void hg_store_close(struct hg_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < HG_STORE_STATEMENTS && s->statements[i].sql; i++)
		sqlite3_finalize(s->statements[i].stmt);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}

const char *hg_store_error(const struct hg_store *s)
{
	return s->error;
}

const struct hg_store_cursors *hg_store_cursors(const struct hg_store *s)
{
	return &s->cursors;
}

/* Numbers up to limit may be used, once this is durable. */
static int reserve(struct hg_store *s, enum hg_store_counter which, uint64_t limit)
{
	static const char *const sql[HG_COUNTERS] = {
		"UPDATE state SET session_limit = ?",
		"UPDATE state SET alarm_limit = ?",
	};
	sqlite3_stmt *stmt = hg_db_stmt(s, sql[which]);
	int ret;

	if (!stmt)
		return -EIO;
	hg_db_bind_u64(stmt, 1, limit);
	ret = hg_db_run(s, stmt);
	if (!ret)
		s->counters[which].limit = limit;
	return ret;
}

int hg_store_raise(struct hg_store *s, enum hg_store_counter which, uint64_t least)
{
	int ret = 0;

	if (s->counters[which].next >= least)
		return 0;
	if (s->counters[which].limit < least)
		ret = reserve(s, which, least + COUNTER_BLOCK);
	if (!ret)
		s->counters[which].next = least;
	return ret;
}

int hg_store_next(struct hg_store *s, enum hg_store_counter which, uint64_t *number)
{
	uint64_t left = s->counters[which].limit + 1 - s->counters[which].next;
	int ret;

	if (which == HG_COUNTER_SESSION) { /* a session tells what is durable only */
		ret = hg_db_settle(s);
		if (ret)
			return ret;
	}
	/* From half a block on, so that a full disk is noticed while numbers are left. */
	if (left <= COUNTER_BLOCK / 2) {
		ret = reserve(s, which, s->counters[which].limit + COUNTER_BLOCK);
		if (ret && !left)
			return ret;
	}
	*number = s->counters[which].next++;
	return 0;
}

int hg_store_renew(struct hg_store *s)
{
	uint8_t epoch[HG_EPOCH_LEN];
	sqlite3_stmt *stmt;
	int ret;

	if (getrandom(epoch, sizeof(epoch), 0) != sizeof(epoch))
		return -EIO;
	stmt = hg_db_stmt(s, "UPDATE state SET epoch = ?, change_acked = 0");
	if (!stmt)
		return -EIO;
	ret = hg_db_begin(s);
	if (ret)
		return ret;
	hg_db_bind_blob(stmt, 1, hg_slice_of(epoch, sizeof(epoch)));
	ret = hg_db_run(s, stmt);
	if (!ret)
		ret = hg_db_merge_renew(s);
	ret = hg_db_end(s, ret);
	if (ret)
		return ret;
	memcpy(s->cursors.epoch, epoch, sizeof(epoch));
	s->cursors.change_acked = 0;
	return 0;
}
