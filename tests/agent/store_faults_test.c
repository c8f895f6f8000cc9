// SPDX-License-Identifier: MIT
/*
 * The store on a disk that fails, at every single operation on its files: the power goes, with
 * what no sync has made durable lost, torn, or there in any order; or the disk says "error" or
 * "full", once or for a while. After each: the file is whole, holds what was reported as done and
 * nothing half done, and gives no number twice. Planted faults must be noticed. (With sanitizers it
 * is not every operation, and the power does not go again while the store opens.)
 */
#include "../tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sqlite3.h>
#include "faultvfs.h"
#include "store_script.h"

#define STEPS_MAX 64
#define STEPS_AFTER 3 /* that are run after the disk is well again */
#define COMPLAINTS 6  /* shown, of one kind of fault */

/* Sanitizers look for other faults than the disk's, and need four times as long for each trial. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#define STRIDE 7
#else
#define SANITIZED false
#define STRIDE 1
#endif

static char base[64];
static const struct script *script;
static char *want[STEPS_MAX]; /* what the file holds after each step without a fault */
static int want_ret[STEPS_MAX];

struct trial {
	struct life life;
	struct fault_world world;
	size_t step;		     /* that runs; those before it are reported as done */
	uint8_t epoch[HG_EPOCH_LEN]; /* after the step before it */
	bool opening;		     /* what the first cut left */
	bool twice;		     /* cut the power again while what is left is opened */
	bool planted;		     /* stops at the first step that goes wrong */
	unsigned int depth;	     /* 1: what a cut has left is opened; 2: and cut again */
	uint64_t *seen;		     /* images judged at this step */
	size_t n_seen;
	unsigned long ops, images, doubts, wrong;
};

static const char *step_name(const struct trial *t)
{
	return t->step < script->len ? script->steps[t->step].name : "the end";
}

static void complain(struct trial *t, const char *what, const char *detail)
{
	if (t->wrong++ < (t->planted ? 1 : COMPLAINTS))
		printf("# operation %llu, depth %u, in \"%s\": %s%s%s\n",
		       (unsigned long long)t->world.ops, t->depth, step_name(t), what,
		       detail ? ":\n# " : "", detail ? detail : "");
}

static void make_dir(char *dir, size_t size, const char *name)
{
	snprintf(dir, size, "%s/%s", base, name);
	mkdir(dir, 0700);
}

static void empty_dir(const char *dir)
{
	static const char *const names[] = { "store.db", "store.db-journal", "lock" };
	char path[160];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}

/* Where the file's text is neither that of the step before nor of this one: the first such line. */
static void show_difference(struct trial *t, const char *got, const char *expected)
{
	char line[512];

	while (*got && *got == *expected)
		got++, expected++;
	snprintf(line, sizeof(line), "from '%.60s', want '%.60s'", got, expected);
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = '|';
	complain(t, "it holds neither the state before nor the one after", line);
}

static bool allowed(const struct trial *t, const char *got)
{
	return (t->step < script->len && !strcmp(got, want[t->step])) ||
	       (t->step && !strcmp(got, want[t->step - 1]));
}

static void check_numbers(struct trial *t, struct life *l)
{
	uint64_t n;

	for (int i = 0; i < HG_COUNTERS; i++)
		if (hg_store_next(l->s, i, &n) || n <= t->life.given[i])
			complain(t, "a number is given twice, or none", NULL);
}

/* Opens what is left in `dir` and judges it. */
static void judge(struct trial *t, const char *dir)
{
	struct life l = { 0 };
	const struct hg_store_cursors *c;
	bool renews;
	char *got;

	snprintf(l.dir, sizeof(l.dir), "%s", dir);
	t->images++;
	if (life_open(&l)) {
		complain(t, "what is left does not open", NULL);
		return;
	}
	t->opening = t->opening && t->depth == 2;
	got = store_dump(dir);
	if (!allowed(t, got))
		show_difference(t, got, want[t->step < script->len ? t->step : t->step - 1]);
	free(got);
	c = hg_store_cursors(l.s);
	renews = !strcmp(step_name(t), "renew");
	if (t->step && !renews && memcmp(c->epoch, t->epoch, sizeof(t->epoch)))
		complain(t, "its epoch is another one", NULL);
	if (script->file && c->epoch[1] != 0x11)
		complain(t, "its epoch is not that of the older file", NULL);
	check_numbers(t, &l);
	life_close(&l);
}

static bool seen_before(struct trial *t, uint64_t hash)
{
	for (size_t i = 0; i < t->n_seen; i++)
		if (t->seen[i] == hash)
			return true;
	t->seen = realloc(t->seen, (t->n_seen + 1) * sizeof(hash));
	t->seen[t->n_seen++] = hash;
	return false;
}

struct second {
	struct trial *trial;
	struct fault_world world;
	char dir[128];
};

static void cut_again(void *ctx)
{
	struct second *s = ctx;
	static const int survivors[] = { FAULT_NONE, FAULT_RANDOM };

	if (!s->trial->opening)
		return;
	s->trial->depth = 2;
	for (size_t i = 0; i < sizeof(survivors) / sizeof(survivors[0]); i++) {
		uint64_t h = fault_survive(&s->world, survivors[i], s->dir, s->trial->world.ops);

		if (!seen_before(s->trial, h))
			judge(s->trial, s->dir);
	}
	s->trial->depth = 1;
}

/* The same while the store is opened after the first cut, which rolls a transaction back. */
static void judge_twice(struct trial *t, const char *dir)
{
	struct second s = { .trial = t };

	make_dir(s.dir, sizeof(s.dir), "again");
	s.world.at_op = cut_again;
	s.world.ctx = &s;
	t->depth = 1;
	t->opening = true;
	fault_watch(&s.world, dir);
	judge(t, dir);
	fault_unwatch(&s.world);
	t->depth = 0;
}

/* The power goes now, and leaves one of these. */
static void cut_to(struct trial *t, int first, int last)
{
	char dir[128];

	make_dir(dir, sizeof(dir), "left");
	for (int i = first; i <= last; i++) {
		uint64_t h = fault_survive(&t->world, i, dir, t->world.ops);

		h ^= t->life.given[HG_COUNTER_SESSION] << 32 ^ t->life.given[HG_COUNTER_ALARM];
		if (seen_before(t, h))
			continue;
		if (i == FAULT_ALL && t->twice)
			judge_twice(t, dir);
		else
			judge(t, dir);
	}
}

static void cut(void *ctx)
{
	cut_to(ctx, 0, FAULT_SURVIVORS - 1);
}

static void next_step(struct trial *t)
{
	if (t->life.s)
		memcpy(t->epoch, hg_store_cursors(t->life.s)->epoch, sizeof(t->epoch));
	t->step++;
	t->n_seen = 0;
}

static void begin(struct trial *t, const char *name)
{
	make_dir(t->life.dir, sizeof(t->life.dir), name);
	empty_dir(t->life.dir);
	if (script->file)
		store_make_file(t->life.dir, script->file);
	fault_watch(&t->world, t->life.dir);
}

static void end(struct trial *t)
{
	life_close(&t->life);
	fault_unwatch(&t->world);
	free(t->seen);
}

/* Without faults: what is to be there after each step. */
static void rehearse(void)
{
	struct trial t = { 0 };

	begin(&t, "plain");
	for (size_t i = 0; i < STEPS_MAX; i++) {
		free(want[i]);
		want[i] = NULL;
	}
	for (size_t i = 0; i < script->len; i++) {
		want_ret[i] = script->steps[i].run(&t.life);
		want[i] = store_dump(t.life.dir);
		if (want_ret[i])
			printf("# %s: %d %s\n", script->steps[i].name, want_ret[i],
			       t.life.s ? hg_store_error(t.life.s) : "");
	}
	end(&t);
}

static void power_cuts(struct trial *t)
{
	begin(t, "cut");
	t->world.at_op = cut;
	t->world.ctx = t;
	while (t->step < script->len && !(t->planted && t->wrong)) {
		int ret = script->steps[t->step].run(&t->life);

		if (ret != want_ret[t->step])
			complain(t, "another result than without cuts", NULL);
		next_step(t);
	}
	cut(t);
	t->world.at_op = NULL;
	t->ops = t->world.ops;
	end(t);
}

static void test_power(void)
{
	struct trial t = { .twice = !SANITIZED || script != &store_life };

	power_cuts(&t);
	ok(!t.wrong && t.images > t.ops,
	   "%s: the power goes at each of %lu operations: %lu different things are left",
	   script->name, t.ops, t.images);
}

static int no_change(void *ctx, const struct hg_property *p)
{
	return 1;
}

static int no_report(void *ctx, const struct hg_journal_entry *e)
{
	return 1;
}

/* In doubt nothing is told to the mirror. The disk still fails. */
static void check_doubt(struct trial *t)
{
	uint64_t n;

	if (!t->life.s || !life_in_doubt(&t->life))
		return;
	t->doubts++;
	if (!hg_store_next(t->life.s, HG_COUNTER_SESSION, &n) ||
	    !hg_store_changes(t->life.s, 0, no_change, NULL) ||
	    !hg_store_reports(t->life.s, no_report, NULL))
		complain(t, "what may not be durable is told", NULL);
}

/* After a step that said it failed: all as before it, or, in doubt only, as after it. */
static void check_failed(struct trial *t, int ret)
{
	bool doubt;
	char *got;

	if (!t->life.s)
		return;
	doubt = life_in_doubt(&t->life);
	if (!hg_store_error(t->life.s)[0])
		complain(t, "it failed without a word", NULL);
	got = store_dump(t->life.dir);
	if (!allowed(t, got))
		show_difference(t, got, want[t->step]);
	else if (!doubt && t->step && strcmp(got, want[t->step - 1]))
		complain(t, "it said that it failed, and yet it was done", NULL);
	free(got);
	if (!doubt && !life_level(&t->life))
		complain(t, "memory and file differ", NULL);
}

/* The step met a fault and returned `ret`; then the disk is well again and it must come right. */
static void come_right(struct trial *t, int ret)
{
	const struct step *step = &script->steps[t->step];
	char *got;

	if (t->world.fail_on && (t->life.s || step->run == life_open))
		ret = step->run(&t->life);
	if (t->world.fail_on)
		check_doubt(t);
	t->world.fail_at = 0;
	if (ret == want_ret[t->step])
		return;
	check_failed(t, ret);
	cut_to(t, FAULT_NONE, FAULT_NONE);
	ret = step->run(&t->life);
	if (ret == want_ret[t->step])
		return;
	got = store_dump(t->life.dir);
	if (strcmp(got, want[t->step]))
		complain(t, "with the disk well again it fails",
			 t->life.s ? hg_store_error(t->life.s) : strerror(-ret));
	free(got);
}

/* One life in which operation `n` fails. Returns false when there is no such operation. */
static bool fail_at(struct trial *t, uint64_t n, bool on, int rc)
{
	size_t last = script->len;
	bool met;
	char *got;

	t->world = (struct fault_world){ .fail_at = n, .fail_on = on, .fail_rc = rc };
	memset(&t->life, 0, sizeof(t->life));
	t->step = t->n_seen = 0;
	begin(t, "fails");
	while (t->step < script->len && t->step <= last) {
		int ret = script->steps[t->step].run(&t->life);
		bool fault = t->world.failed && t->world.fail_at;

		if (fault)
			come_right(t, ret);
		else if (ret != want_ret[t->step])
			complain(t, "another result than without faults", NULL);
		next_step(t);
		if (!fault)
			continue;
		if (!life_level(&t->life))
			complain(t, "memory and file differ", NULL);
		last = t->step + STEPS_AFTER;
		cut_to(t, FAULT_NONE, FAULT_NONE); /* it was reported as done: durable */
	}
	t->step--;
	met = t->world.failed;
	t->world.fail_at = 0;
	got = store_dump(t->life.dir);
	if (strcmp(got, want[t->step]))
		show_difference(t, got, want[t->step]);
	free(got);
	end(t);
	t->seen = NULL;
	return met;
}

/* At each operation, or at one in `stride`. */
static void test_errors(const char *what, bool on, int rc, unsigned int stride)
{
	unsigned long lives = 0;
	struct trial t = { 0 };

	for (uint64_t n = 1; fail_at(&t, n, on, rc); n += stride)
		lives++;
	ok(!t.wrong && lives * stride > script->len * 10 && on == !!t.doubts,
	   "%s: the disk says %s%s at one operation in %u, %lu times; in doubt after %lu",
	   script->name, what, on ? " for a while" : " once", stride, lives, t.doubts);
}

static void test_script(const struct script *s, unsigned int stride)
{
	script = s;
	rehearse();
	test_power();
	test_errors("error", false, SQLITE_IOERR, STRIDE);
	test_errors("error", true, SQLITE_IOERR, stride);
	test_errors("full", false, SQLITE_FULL, stride);
	test_errors("full", true, SQLITE_FULL, STRIDE);
}

static void test_planted(const char *what, struct trial t)
{
	unsigned long shown;

	t.planted = true;
	power_cuts(&t);
	shown = t.wrong;
	ok(shown > 0, "planted and found (%lu times in %lu): %s", shown, t.images, what);
}

/* HG_FAULTS=all leaves nothing out. */
int main(void)
{
	const char *which = getenv("HG_FAULTS");
	unsigned int stride = which && !strcmp(which, "all") ? 1 : 5;
	pid_t pid;

	snprintf(base, sizeof(base), "%s/hg-faults.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(base))
		return 1;
	for (size_t i = 0; i < store_n_older; i++)
		test_script(&store_older[i], stride);
	test_script(&store_life, stride);
	test_planted("synchronous=OFF", (struct trial){ .life.sync_off = true });
	test_planted("the journal is not synced",
		     (struct trial){ .world.lies = FAULT_LIE_JOURNAL });
	test_planted("the database is not synced", (struct trial){ .world.lies = FAULT_LIE_MAIN });
	test_planted("a transaction in two halves", (struct trial){ .life.split = true });
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", base, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
