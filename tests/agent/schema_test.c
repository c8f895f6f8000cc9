// SPDX-License-Identifier: MIT
/*
 * Files of earlier versions of the store: each opens, keeps everything and is then like a new one;
 * a newer one is refused and left as it is. The files are made from text, not by the program, so
 * that a change of an old step shows.
 */
#include "../tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
#include <sqlite3.h>
#include "store_files.h"
#include "../../userspace/store.h"

static char dir[] = "/tmp/hg-schema.XXXXXX", path[64], err[512];

static struct hg_store *open_store(int *ret)
{
	struct hg_store_options o = { dir, 1 << 20, 64, 4, 0, 0 };
	struct hg_store *s = NULL;

	*ret = hg_store_open(&o, &s, err, sizeof(err));
	if (*ret)
		printf("# open: %s\n", err);
	return s;
}

static void make_file(const char *text)
{
	char *message = NULL;
	sqlite3 *db;

	unlink(path);
	sqlite3_open(path, &db);
	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		printf("# %s\n", message);
	sqlite3_close(db);
}

static int add_row(void *ctx, int n, char **values, char **names)
{
	size_t used = strlen(ctx);

	(void)names;
	for (int i = 0; i < n; i++)
		used += snprintf((char *)ctx + used, used < 8000 ? 8000 - used : 0, "%s ",
				 values[i] ? values[i] : "-");
	return 0;
}

/* What a query of the file says, as text. */
static const char *ask(const char *sql)
{
	static char text[2][8192];
	static int turn;
	sqlite3 *db;

	turn = !turn;
	text[turn][0] = '\0';
	sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
	if (sqlite3_exec(db, sql, add_row, text[turn], NULL) != SQLITE_OK)
		snprintf(text[turn], sizeof(text[turn]), "error: %s", sqlite3_errmsg(db));
	sqlite3_close(db);
	return text[turn];
}

static int append_change(void *ctx, const struct hg_property *p)
{
	size_t used = strlen(ctx);

	snprintf((char *)ctx + used, 256 - used, "%.*s=%llu%s ", (int)p->name.len,
		 (const char *)p->name.ptr, (unsigned long long)p->seq, p->value.len ? "" : "!");
	return 0;
}

static int append_entry(void *ctx, const struct hg_journal_entry *e)
{
	size_t used = strlen(ctx);

	snprintf((char *)ctx + used, 256 - used, "%llu:%.*s:%d:%d:%zu:%zu:%.*s ",
		 (unsigned long long)e->seq, (int)e->action.len, (const char *)e->action.ptr,
		 e->state, e->exit_status, e->input.len, e->output.len, (int)e->detail.len,
		 (const char *)e->detail.ptr);
	return 0;
}

static void check_kept(struct hg_store *s, int version)
{
	const struct hg_store_cursors *c = hg_store_cursors(s);
	uint64_t session = 0, alarm = 0, last = 0;
	char text[256] = "";

	ok(c->epoch[1] == 0x11 && c->mirror_known && c->mirror_epoch[1] == 0xee &&
		   c->change_seq == 9 && c->change_acked == 7 && c->mirror_cursor == 40 &&
		   c->command_cursor == 3,
	   "version %d: epochs and cursors are kept", version);
	hg_store_changes(s, 0, append_change, text);
	is_str(text, "old=3 mine=8 removed=9! ", "changes, removals too");
	text[0] = '\0';
	hg_store_get(s, hg_slice_str("goal"), append_change, text);
	is_str(text, "goal=40 ", "what the mirror owns");
	text[0] = '\0';
	hg_store_journal(s, 0, append_entry, text);
	is_str(text, "2:ends:4:3:0:1:text 3:waits:2:0:1:0: ", "the journal");
	ok(!hg_store_next(s, HG_COUNTER_SESSION, &session) && session == 1025 &&
		   !hg_store_next(s, HG_COUNTER_ALARM, &alarm) && alarm == 2049,
	   "version %d: counters go on where they may have been", version);
	if (version >= 2)
		ok(hg_store_profile(s, "cam", "1.0", 11, &last) == -ESTALE && last == 12,
		   "version %d: the profile's serial", version);
}

static void test_older(void)
{
	static const char schema[] = "SELECT type, name, replace(replace(sql, x'0a', ''), ' ', '')"
				     " FROM sqlite_schema ORDER BY 1, 2";
	struct hg_store *s;
	char newest[8192];
	int ret, version;

	unlink(path);
	hg_store_close(open_store(&ret));
	snprintf(newest, sizeof(newest), "%s", ask(schema));
	version = atoi(ask("PRAGMA user_version"));
	ok(version >= STORE_FILES && version <= STORE_FILES + 1,
	   "the newest version is %d; a file of each before it is tried, %d in all", version,
	   STORE_FILES);
	for (int i = 0; i < STORE_FILES; i++) {
		make_file(store_files[i]);
		s = open_store(&ret);
		ok(!ret, "a store of version %d opens", i + 1);
		if (s)
			check_kept(s, i + 1);
		hg_store_close(s);
		is_int(atoi(ask("PRAGMA user_version")), version, "it is of the newest version");
		is_str(ask(schema), newest, "and has the tables of a new one");
		is_str(ask("PRAGMA integrity_check"), "ok ", "whole");
	}
}

static size_t read_file(uint8_t *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, data, size);

	close(fd);
	return n > 0 ? n : 0;
}

static void test_newer(void)
{
	static uint8_t before[65536], after[65536];
	size_t n;
	int ret;

	make_file(STORE_HEAD(99) STORE_TABLES_1 STORE_ROWS_1 "CREATE TABLE later (x);");
	n = read_file(before, sizeof(before));
	ok(!open_store(&ret) && ret == -EUCLEAN, "a newer version is refused");
	ok(strstr(err, "schema 99") && strstr(err, "newer"), "in words");
	ok(n && read_file(after, sizeof(after)) == n && !memcmp(before, after, n),
	   "and left as it is, %zu bytes", n);
}

int main(void)
{
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/store.db", dir);
	test_older();
	test_newer();
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
