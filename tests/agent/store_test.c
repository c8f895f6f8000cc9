// SPDX-License-Identifier: MIT
/*
 * The store: what it acknowledged is there after SIGKILL at any moment and after a full disk;
 * numbers are never given twice; foreign and damaged files are refused and left as they are.
 */
#include "../tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sqlite3.h>
#include "../../userspace/store.h"

static char dir[64];
static char err[512];
static const uint8_t epoch_a[HG_EPOCH_LEN] = "mirror-epoch-aa",
		     epoch_b[HG_EPOCH_LEN] = "mirror-epoch-bb";

static struct hg_store *open_store(const char *where, int *ret)
{
	struct hg_store_options o = { where, 1 << 20, 64, 4, 64 << 10, 64 << 10 };
	struct hg_store *s = NULL;

	*ret = hg_store_open(&o, &s, err, sizeof(err));
	if (*ret)
		printf("# open: %s\n", err);
	return s;
}

static int set(struct hg_store *s, const char *name, const char *value)
{
	struct hg_property p = { .name = hg_slice_str(name), .value = hg_slice_str(value) };
	size_t changed;
	int ret = hg_store_set(s, &p, 1, 1000, &changed);

	return ret ? ret : (int)changed;
}

static int copy_value(void *ctx, const struct hg_property *p)
{
	snprintf(ctx, 64, "%.*s", (int)p->value.len, (const char *)p->value.ptr);
	return 0;
}

static const char *get(struct hg_store *s, const char *name)
{
	static char value[64];

	return hg_store_get(s, hg_slice_str(name), copy_value, value) ? "(none)" : value;
}

static int append_seq(void *ctx, const struct hg_property *p)
{
	size_t used = strlen(ctx);

	snprintf((char *)ctx + used, 256 - used, "%llu:%.*s ", (unsigned long long)p->seq,
		 (int)p->name.len, (const char *)p->name.ptr);
	return 0;
}

static const char *changes(struct hg_store *s, uint64_t after)
{
	static char text[256];

	text[0] = '\0';
	return hg_store_changes(s, after, append_seq, text) ? "(error)" : text;
}

static int append_entry(void *ctx, const struct hg_journal_entry *e)
{
	size_t used = strlen(ctx);

	snprintf((char *)ctx + used, 256 - used, "%llu:%d ", (unsigned long long)e->seq, e->state);
	return 0;
}

static const char *journal(struct hg_store *s)
{
	static char text[256];

	text[0] = '\0';
	return hg_store_journal(s, 0, append_entry, text) ? "(error)" : text;
}

static void test_properties(void)
{
	int ret;
	struct hg_store *s = open_store(dir, &ret);
	struct hg_store *second;

	is_int(ret, 0, "a new store opens");
	second = open_store(dir, &ret);
	ok(ret == -EBUSY && !second, "a second agent is refused");
	is_int(set(s, "a", "1"), 1, "a property is set");
	is_int(set(s, "a", "1"), 0, "an equal value is no change");
	is_int(set(s, "b", "2"), 1, "another is set");
	is_int(set(s, "a", "3"), 1, "the first is set again");
	is_str(changes(s, 0), "2:b 3:a ", "only newest values are changes");
	is_int(set(s, "c", ""), -ENOENT, "removing what is not there fails");
	is_int(set(s, "b", ""), 1, "removing works");
	is_str(get(s, "b"), "(none)", "a removed one cannot be read");
	is_str(changes(s, 0), "3:a 4:b ", "its removal is a change");
	hg_store_close(s);
	s = open_store(dir, &ret);
	is_str(get(s, "a"), "3", "values are there after opening again");
	hg_store_close(s);
}

static void test_all_or_none(void)
{
	struct hg_property list[] = {
		{ .name = hg_slice_str("x"), .value = hg_slice_str("1") },
		{ .name = hg_slice_str("nothing"), .value = hg_slice_str("") },
	};
	size_t changed = 77;
	int ret;
	struct hg_store *s = open_store(dir, &ret);
	uint64_t seq = hg_store_cursors(s)->change_seq;

	is_int(hg_store_set(s, list, 2, 1, &changed), -ENOENT, "a set with one bad name fails");
	ok(changed == 77 && hg_store_cursors(s)->change_seq == seq, "outputs are untouched");
	is_str(get(s, "x"), "(none)", "and nothing of it is kept");
	for (int i = 0; !ret && i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", i);
		ret = set(s, name, "v") == 1 ? 0 : -1;
		if (ret)
			is_int(set(s, name, "v"), -EDQUOT, "one property too many is refused");
	}
	is_int(set(s, "p0", "w"), 1, "known ones can still be changed");
	hg_store_close(s);
}

static void test_profiles(void)
{
	int ret, stale = 0;
	struct hg_store *s = open_store(dir, &ret);
	uint64_t last = 0;
	char firmware[16];

	ok(!hg_store_profile(s, "cam", "1", 5, &last), "a profile is used");
	ok(!hg_store_profile(s, "cam", "1", 5, &last), "and again");
	ok(hg_store_profile(s, "cam", "1", 4, &last) == -ESTALE && last == 5, "no older one");
	ok(!hg_store_profile(s, "cam", "2", 3, &last), "of another firmware any");
	ok(!hg_store_profile(s, "cam", "1", (1ull << 53) - 1, &last), "the newest there can be");
	hg_store_close(s);
	s = open_store(dir, &ret);
	ok(hg_store_profile(s, "cam", "1", 6, &last) == -ESTALE && last == (1ull << 53) - 1,
	   "it is known after a restart");
	for (int i = 0; i < 63; i++) {
		snprintf(firmware, sizeof(firmware), "x%d", i);
		hg_store_profile(s, "cam", firmware, 2, &last);
	}
	for (int i = 0; i < 63; i++) {
		snprintf(firmware, sizeof(firmware), "x%d", i);
		stale += hg_store_profile(s, "cam", firmware, 1, &last) == -ESTALE;
	}
	is_int(stale, 63, "the last 63 of others are known");
	is_int(hg_store_profile(s, "cam", "1", 6, &last), -ESTALE, "and the one before them");
	ok(!hg_store_profile(s, "cam", "2", 1, &last), "but not the one before that");
	hg_store_close(s);
}

static void test_counters(void)
{
	uint64_t last = (uint64_t)time(NULL) * 1000 - 60000, n;
	int ret, good = 1;

	/* The store is new, perhaps after another was lost of which alarms were taken. */
	for (int round = 0; round < 3; round++) {
		struct hg_store *s = open_store(dir, &ret);

		for (int i = 0; i < 1500; i++) {
			good &= !hg_store_next(s, HG_COUNTER_ALARM, &n) && n > last;
			last = n;
		}
		hg_store_close(s);
	}
	for (int round = 0; round < 2; round++) {
		struct hg_store *s = open_store(dir, &ret);

		last += 5000;
		good &= !hg_store_raise(s, HG_COUNTER_ALARM, last);
		good &= !hg_store_next(s, HG_COUNTER_ALARM, &n) && n == last;
		good &= !hg_store_raise(s, HG_COUNTER_ALARM, last + 100);
		good &= !hg_store_raise(s, HG_COUNTER_ALARM, last);
		good &= !hg_store_next(s, HG_COUNTER_ALARM, &n) && n == last + 100;
		last = n;
		hg_store_close(s);
	}
	ok(good, "numbers of alarms begin with the time and only grow, over restarts too");
}

static struct hg_wire_response response(const uint8_t *epoch, uint64_t device_cursor)
{
	return (struct hg_wire_response){ .mirror_epoch = hg_slice_of(epoch, HG_EPOCH_LEN),
					  .device_cursor = device_cursor };
}

static void test_apply(void)
{
	struct hg_wire_change c[] = {
		{ 5, hg_slice_str("goal"), hg_slice_str("20"), 9, { 0 } },
		{ 6, hg_slice_str("a"), hg_slice_str("!"), 9, { 0 } },
	};
	struct hg_wire_command m[] = {
		{ 1, hg_slice_str("one"), hg_slice_str(""), 0, false },
		{ 2, hg_slice_str("two"), hg_slice_str("in"), 500, true },
	};
	struct hg_wire_response r = response(epoch_a, 4);
	struct hg_store_applied done;
	struct hg_store_told told = { 1, HG_COMMAND_DONE };
	struct hg_journal_entry e = { .seq = 1, .state = HG_COMMAND_DONE };
	size_t n;
	int ret;
	struct hg_store *s = open_store(dir, &ret);

	r.changes = c, r.n_changes = 2, r.commands = m, r.n_commands = 2;
	is_int(hg_store_apply(s, &r, NULL, 0, &done), 0, "a response is taken");
	ok(done.changes == 1 && done.ignored == 1 && done.commands == 2, "with what it held");
	is_str(get(s, "goal"), "20", "a mirror's property can be read");
	is_str(get(s, "a"), "3", "the mirror cannot write what the device owns");
	is_int(set(s, "goal", "1"), -EPERM, "nor the device what the mirror owns");
	ok(hg_store_cursors(s)->change_acked == 4 && hg_store_cursors(s)->mirror_cursor == 6 &&
		   hg_store_cursors(s)->command_cursor == 2,
	   "cursors moved");
	is_int(hg_store_apply(s, &r, NULL, 0, &done), 0, "the same response again");
	ok(!done.changes && !done.commands, "changes nothing");

	is_int(hg_store_started(s, 1), 0, "a command starts");
	is_int(hg_store_started(s, 1), -ESTALE, "but once");
	is_int(hg_store_started(s, 2), 0, "the repeatable one too");
	hg_store_close(s);
	s = open_store(dir, &ret);
	ok(!hg_store_recover(s, &n) && n == 2, "after a crash both are found");
	is_str(journal(s), "1:8 2:2 ", "one is unknown, the repeatable one runs again");
	is_int(hg_store_finished(s, &e), -ENOENT, "an unknown one cannot end as done");
	told.state = HG_COMMAND_UNKNOWN;
	r = response(epoch_a, 4);
	is_int(hg_store_apply(s, &r, &told, 1, &done), 0, "its report is answered");
	is_str(journal(s), "2:2 ", "then it leaves the journal");
	r.device_cursor = 1 << 20;
	is_int(hg_store_apply(s, &r, NULL, 0, &done), -ESTALE, "a cursor that we never reached");
	hg_store_close(s);
}

static void test_new_mirror(void)
{
	struct hg_wire_change c[] = { { 1, hg_slice_str("other"), hg_slice_str("1"), 9, { 0 } } };
	struct hg_wire_command m[6];
	struct hg_wire_response r = response(epoch_b, 0);
	struct hg_store_told told[4];
	struct hg_store_applied done;
	int ret;
	struct hg_store *s = open_store(dir, &ret);

	r.changes = c, r.n_changes = 1, r.flags = HG_RESPONSE_MORE;
	ok(!hg_store_apply(s, &r, NULL, 0, &done) && done.new_mirror, "a new mirror is noticed");
	ok(hg_store_cursors(s)->change_acked == 0 && hg_store_cursors(s)->mirror_cursor == 1 &&
		   hg_store_cursors(s)->command_cursor == 0,
	   "cursors begin again");
	is_str(get(s, "goal"), "20", "old values stay while it is still sending");
	is_str(journal(s), "", "commands that have not started are dropped");
	hg_store_close(s);
	s = open_store(dir, &ret);
	r = response(epoch_b, 0);
	is_int(hg_store_apply(s, &r, NULL, 0, &done), 0, "it has sent all");
	is_str(get(s, "goal"), "(none)", "what it did not send is gone");
	is_str(get(s, "other"), "1", "what it sent is there");

	for (int i = 0; i < 6; i++)
		m[i] = (struct hg_wire_command){ i + 3, hg_slice_str("x"), hg_slice_str(""), 0, 0 };
	r.commands = m, r.n_commands = 6;
	ok(!hg_store_apply(s, &r, NULL, 0, &done) && done.commands == 4 && done.waiting == 2,
	   "commands over journal_max stay with the mirror");
	is_int(hg_store_cursors(s)->command_cursor, 6, "and are not acknowledged");
	for (int i = 0; i < 4; i++) {
		struct hg_journal_entry e = { .seq = i + 3, .state = HG_COMMAND_DONE };

		told[i] = (struct hg_store_told){ e.seq, e.state };
		hg_store_finished(s, &e);
	}
	ok(!hg_store_apply(s, &r, told, 4, &done) && done.commands == 2 && !done.waiting,
	   "the response that takes ended ones away brings the others");
	is_str(journal(s), "7:2 8:2 ", "they have their places");
	hg_store_close(s);
}

/* Writes numbers and says each on the pipe once it is acknowledged, until killed. */
static void writer(const char *where, int fd)
{
	int ret;
	struct hg_store *s = open_store(where, &ret);
	char value[16];

	for (int i = 0; !ret; i++) {
		snprintf(value, sizeof(value), "%d", i);
		if (set(s, "k", value) < 0 || write(fd, &i, sizeof(i)) != sizeof(i))
			break;
	}
	_exit(1);
}

static void test_kill(void)
{
	char where[96];
	int good = 1, acked_total = 0;

	snprintf(where, sizeof(where), "%s/kill", dir);
	for (int round = 0; round < 30; round++) {
		struct timespec pause = { 0, (rand() % 20000 + 500) * 1000 };
		int fds[2], i, last = -1, ret;
		struct hg_store *s;
		pid_t pid;

		if (pipe(fds))
			break;
		pid = fork();
		if (!pid)
			writer(where, fds[1]);
		close(fds[1]);
		if (read(fds[0], &i, sizeof(i)) == sizeof(i)) /* it has opened the store */
			last = i;
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &i, sizeof(i)) == sizeof(i))
			last = i;
		close(fds[0]);
		acked_total += last + 1;
		s = open_store(where, &ret);
		good &= !ret && last >= 0 &&
			(atoi(get(s, "k")) == last || atoi(get(s, "k")) == last + 1);
		hg_store_close(s);
	}
	ok(good, "after SIGKILL the last acknowledged value is there (30 kills, %d writes)",
	   acked_total);
}

static void fill_disk(const char *where, char *path, size_t size)
{
	char block[512] = { 0 };
	int fd;

	snprintf(path, size, "%s/filler", where);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	while (write(fd, block, sizeof(block)) == sizeof(block))
		;
	close(fd);
}

static void test_full_disk(void)
{
	char where[96], filler[128], name[16], value[2048];
	int ret, i, full = 0, bad = 0;
	struct hg_store *s;
	uint64_t n;

	snprintf(where, sizeof(where), "%s/full", dir);
	mkdir(where, 0700);
	if (mount("tmpfs", where, "tmpfs", 0, "size=256k")) {
		tap_skip("full disk", "cannot mount a tmpfs");
		return;
	}
	s = open_store(where, &ret);
	set(s, "kept", "yes");
	fill_disk(where, filler, sizeof(filler));
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < 64 && !full; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		ret = set(s, name, value);
		full = ret == -ENOSPC;
		bad |= ret != 1 && !full;
	}
	ok(full && !bad, "a write to a full disk says so");
	ok(strstr(hg_store_error(s), "full") != NULL, "in words: %s", hg_store_error(s));
	is_str(get(s, "kept"), "yes", "reading goes on");
	is_str(get(s, name), "(none)", "nothing of the refused write is there");
	is_int(hg_store_next(s, HG_COUNTER_SESSION, &n), 0, "a small write fits the kept journal");
	unlink(filler);
	is_int(set(s, name, value), 1, "with space again, writes succeed");
	is_int(hg_store_next(s, HG_COUNTER_SESSION, &n), 0, "and numbers go on");
	hg_store_close(s);
	s = open_store(where, &ret);
	is_str(get(s, "kept"), "yes", "after opening again all is there");
	hg_store_close(s);
	umount(where);
}

#define SMALL (256 << 10) /* the least store_max */

/* Takes one change of the mirror; what came of it is in *done. */
static int hear(struct hg_store *s, struct hg_wire_change *c, struct hg_store_applied *done)
{
	struct hg_wire_response r = response(epoch_a, 0);

	r.changes = c, r.n_changes = 1;
	return hg_store_apply(s, &r, NULL, 0, done);
}

/* However much of it applications fill, the mirror and the journal have room. */
static void test_quota_size(void)
{
	char where[96], name[16], value[16000];
	struct hg_store_options o = { where, SMALL, 1000, 4, 1 << 20, 0 };
	struct hg_wire_change c = { .seq = 1, .name = hg_slice_str("map"), .time_ms = 9 };
	struct hg_wire_command m[4];
	struct hg_wire_response r = response(epoch_a, 0);
	struct hg_store_applied done = { 0 };
	struct hg_store *s;
	struct stat st;
	int ret = 0, n = 0;

	snprintf(where, sizeof(where), "%s/small", dir);
	is_int(hg_store_open(&o, &s, err, sizeof(err)), 0, "a small store opens");
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (; n < 100 && ret >= 0; n++) {
		snprintf(name, sizeof(name), "q%d", n);
		ret = set(s, name, value);
	}
	is_int(ret, -EDQUOT, "values of ours have half of it");
	is_int(n, SMALL / 2 / (int)sizeof(value) + 1, "not less");
	is_int(set(s, "q0", "tiny"), 1, "one can be made smaller");
	for (ret = 0, n = 0; n < 1000 && ret >= 0; n++) {
		snprintf(name, sizeof(name), "t%d", n);
		ret = set(s, name, "1");
	}
	ok(ret == -EDQUOT && n > 100, "small ones are counted, too (%d)", n);
	is_int(set(s, "q1", ""), 1, "one can be removed");
	for (int i = 0; i < 4; i++)
		m[i] = (struct hg_wire_command){ i + 1, hg_slice_str("x"), hg_slice_str(value), 0,
						 0 };
	r.commands = m, r.n_commands = 4;
	ok(!hg_store_apply(s, &r, NULL, 0, &done) && done.commands == 4,
	   "large commands of the mirror are taken all the same");
	c.part = (struct hg_wire_part){ SMALL / 8 + 1, 0, hg_slice_str(value) };
	ok(!hear(s, &c, &done) && done.refused == 1, "a value over an eighth of it is left out");
	is_int((long long)hg_store_cursors(s)->mirror_cursor, 1, "and does not stop what follows");
	hg_store_close(s);
	snprintf(name, sizeof(name), "store.db");
	ok(!stat(strcat(strcat(where, "/"), name), &st) && st.st_size <= SMALL,
	   "the file is no larger than store_max");
}

static void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (write(fd, data, len) != (ssize_t)len)
		printf("# cannot write %s\n", path);
	close(fd);
}

static void test_foreign(void)
{
	char where[96], path[128], garbage[8192];
	struct stat before, after;
	sqlite3 *db;
	int ret;

	snprintf(where, sizeof(where), "%s/foreign", dir);
	mkdir(where, 0700);
	snprintf(path, sizeof(path), "%s/store.db", where);
	memset(garbage, 'G', sizeof(garbage));
	write_file(path, garbage, sizeof(garbage));
	stat(path, &before);
	ok(!open_store(where, &ret) && ret == -EUCLEAN, "garbage is refused");
	stat(path, &after);
	ok(before.st_size == after.st_size && before.st_mtime == after.st_mtime, "and left alone");
	ok(strstr(err, "move it away") != NULL, "the message says what to do");
	unlink(path);
	sqlite3_open(path, &db);
	sqlite3_exec(db, "CREATE TABLE x(y)", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(!open_store(where, &ret) && ret == -EUCLEAN, "another program's database is refused");
	unlink(path);
	hg_store_close(open_store(where, &ret));
	sqlite3_open(path, &db);
	sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(!open_store(where, &ret) && ret == -EUCLEAN, "a newer schema is refused");
	unlink(path);
	hg_store_close(open_store(where, &ret));
	stat(path, &before);
	ret = truncate(path, before.st_size - 4096);
	ok(!open_store(where, &ret) && ret == -EUCLEAN, "a truncated store is refused");
}

int main(void)
{
	char cmd_dir[] = "/tmp/hg-store.XXXXXX";
	pid_t pid;

	srand(1);
	if (!mkdtemp(cmd_dir))
		return 1;
	snprintf(dir, sizeof(dir), "%s", cmd_dir);
	test_properties();
	test_all_or_none();
	test_counters();
	test_profiles();
	test_apply();
	test_new_mirror();
	test_kill();
	test_full_disk();
	test_quota_size();
	test_foreign();
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
