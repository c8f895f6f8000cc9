// SPDX-License-Identifier: MIT
/*
 * Properties that both sides write, as the store keeps them: which value wins, what is said of the
 * one that lost, and that a counter is the sum of what was added, whatever is lost or comes twice.
 */
#include "../tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
#include "../../lib/cbor.h"
#include "../../userspace/store.h"

static char dir[64] = "/tmp/hg-merge.XXXXXX";
static char err[512];
static const uint8_t epoch_a[HG_EPOCH_LEN] = "mirror-epoch-aa",
		     epoch_b[HG_EPOCH_LEN] = "mirror-epoch-bb";

static enum hg_merge rule(void *ctx, const char *name)
{
	(void)ctx;
	return name[0] == 'n' ? HG_MERGE_NEWEST : name[0] == 'c' ? HG_MERGE_COUNTER : HG_MERGE_NONE;
}

static struct hg_store *open_store(void)
{
	struct hg_store_options o = { dir, 1 << 20, 64, 4, 0, 0 };
	struct hg_store *s = NULL;

	if (hg_store_open(&o, &s, err, sizeof(err)))
		printf("# open: %s\n", err);
	else
		hg_store_rules(s, rule, NULL);
	return s;
}

static struct hg_store *reopen(struct hg_store *s)
{
	hg_store_close(s);
	return open_store();
}

/* One CBOR integer; at most four are in use at a time. */
static struct hg_slice number(int64_t n)
{
	static uint8_t buf[4][9];
	static int turn;
	struct hg_cbor_out out;

	turn = (turn + 1) % 4;
	out = hg_cbor_out_of(buf[turn], 9);
	hg_cbor_put_int(&out, n);
	return hg_slice_of(buf[turn], out.len);
}

static int set(struct hg_store *s, const char *name, int64_t value, uint64_t now_ms)
{
	struct hg_property p = { .name = hg_slice_str(name), .value = number(value) };
	size_t changed = 0;
	int ret = hg_store_set(s, &p, 1, now_ms, &changed);

	return ret ? ret : (int)changed;
}

static int unset(struct hg_store *s, const char *name, uint64_t now_ms)
{
	struct hg_property p = { .name = hg_slice_str(name) };
	size_t changed;

	return hg_store_set(s, &p, 1, now_ms, &changed);
}

static int append(void *ctx, const struct hg_property *p)
{
	size_t used = strlen(ctx);
	struct hg_cbor_in in = hg_cbor_in_of(p->value);

	snprintf((char *)ctx + used, 256 - used, "%.*s=", (int)p->name.len,
		 (const char *)p->name.ptr);
	used = strlen(ctx);
	if (p->value.len)
		snprintf((char *)ctx + used, 256 - used, "%lld@%llu ",
			 (long long)hg_cbor_get_int(&in), (unsigned long long)p->time_ms);
	else
		snprintf((char *)ctx + used, 256 - used, "-@%llu ", (unsigned long long)p->time_ms);
	return 0;
}

static const char *get(struct hg_store *s, const char *name)
{
	static char text[256];

	text[0] = '\0';
	return hg_store_get(s, hg_slice_str(name), append, text) ? "(none)" : text;
}

/* What is to be said to the mirror. */
static const char *unsaid(struct hg_store *s)
{
	static char text[256];

	text[0] = '\0';
	hg_store_changes(s, hg_store_cursors(s)->change_acked, append, text);
	return text;
}

static int append_lost(void *ctx, const struct hg_conflict *c)
{
	struct hg_property p = { .name = c->name, .value = c->value, .time_ms = c->time_ms };

	return append(ctx, &p);
}

static const char *lost(struct hg_store *s, uint64_t after)
{
	static char text[256];

	text[0] = '\0';
	hg_store_conflicts(s, after, append_lost, text);
	return text;
}

/* A response that carries one change, if a name is given, and acknowledges ours up to `acked`. */
static struct hg_store_applied hear(struct hg_store *s, const uint8_t *epoch, uint64_t acked,
				    uint64_t seq, const char *name, struct hg_slice value,
				    uint64_t time_ms)
{
	struct hg_wire_change c = { .seq = seq, .value = value, .time_ms = time_ms };
	struct hg_wire_response r = { .mirror_epoch = hg_slice_of(epoch, HG_EPOCH_LEN),
				      .device_cursor = acked,
				      .changes = &c };
	struct hg_store_applied done = { 0 };
	int ret;

	if (name) {
		c.name = hg_slice_str(name);
		r.n_changes = 1;
	}
	ret = hg_store_apply(s, &r, NULL, 0, &done);
	if (ret)
		printf("# apply: %d %s\n", ret, hg_store_error(s));
	return done;
}

static uint64_t last(struct hg_store *s)
{
	return hg_store_cursors(s)->change_seq;
}

static void test_newest(struct hg_store *s)
{
	struct hg_store_applied done;

	is_int(set(s, "n1", 5, 1000), 1, "the device writes");
	is_str(unsaid(s), "n1=5@1000 ", "and says so, with its time");
	done = hear(s, epoch_a, 0, 1, "n1", number(6), 900);
	ok(!done.changes && done.lost, "an older write of the mirror does not count");
	is_str(lost(s, done.last_conflict), "n1=6@900 ", "and is named");
	is_str(get(s, "n1"), "n1=5@1000 ", "ours stays");
	is_str(unsaid(s), "n1=5@1000 ", "to be said");
	done = hear(s, epoch_a, 0, 2, "n1", number(7), 1000);
	ok(done.changes == 1 && done.lost, "one as old wins, for it is the mirror's");
	is_str(get(s, "n1"), "n1=7@1000 ", "it is the value");
	is_str(unsaid(s), "", "and ours is not said any more");
	is_str(lost(s, done.last_conflict), "n1=5@1000 ", "but what it was is kept");
	is_int(set(s, "n1", 8, 10), 1, "a device whose clock is behind writes");
	is_str(get(s, "n1"), "n1=8@1001 ", "behind what it holds, for it has seen that");
	is_int(set(s, "n1", 8, 5000), 0, "an equal value is no write");

	done = hear(s, epoch_a, last(s), 3, "n1", number(9), 20);
	ok(done.changes == 1 && done.lost,
	   "what the mirror judged counts, whatever the device's clock says");
	is_str(lost(s, done.last_conflict), "n1=8@1001 ", "and the loser is named");
	is_int(set(s, "n1", 1, 2000), 1, "again");
	hear(s, epoch_a, last(s), 3, NULL, number(0), 0);
	done = hear(s, epoch_a, last(s), 4, "n1", number(2), 3000);
	ok(done.changes == 1 && !done.lost, "what follows an acknowledged write is no conflict");
	is_int(set(s, "n1", 3, 4000), 1, "once more");
	done = hear(s, epoch_a, last(s) - 1, 5, "n1", number(3), 5000);
	ok(done.changes == 1 && !done.lost, "nor are equal values");
}

static void test_removal(struct hg_store *s)
{
	is_int(set(s, "n2", 5, 1000), 1, "one is set");
	is_int(unset(s, "n2", 2000), 0, "and removed");
	is_str(unsaid(s), "n2=-@2000 ", "which is a write");
	hear(s, epoch_a, 0, 6, "n2", number(1), 1500);
	is_str(get(s, "n2"), "(none)", "an older value does not bring it back");
	hear(s, epoch_a, 0, 7, "n2", number(1), 2500);
	is_str(get(s, "n2"), "n2=1@2500 ", "a newer one does");
	hear(s, epoch_a, 0, 8, "n2", hg_slice_of(NULL, 0), 2600);
	is_str(get(s, "n2"), "(none)", "the mirror removes it");
}

/* What a write made at now_ms by the device's clock is timed. */
static uint64_t timed(struct hg_store *s, const char *name, int64_t value, uint64_t now_ms)
{
	char text[256] = "";

	set(s, name, value, now_ms);
	hg_store_get(s, hg_slice_str(name), append, text);
	return strtoull(strchr(text, '@') + 1, NULL, 10);
}

static bool around(uint64_t ms, uint64_t from)
{
	return ms >= from && ms < from + 60000; /* the machine may be slow */
}

static void test_clock(struct hg_store *s)
{
	const uint64_t there = UINT64_C(1763762400000);

	hg_store_clock(s, there, 70, 90);
	ok(around(timed(s, "n3", 1, 77), there), "a device without a clock writes by the mirror's");
	hg_store_clock(s, there, there + 100000, there + 100030);
	ok(around(timed(s, "n5", 2, there + 200000), there + 30),
	   "so does one whose clock is ahead");
	hg_store_clock(s, there, there - 10, there + 500);
	ok(around(timed(s, "n6", 3, 5), there + 500), "a clock that may be right is kept");
}

static void test_counter(struct hg_store *s)
{
	int64_t sum = -1;

	is_int(hg_store_add(s, hg_slice_str("c1"), 5, 1, &sum), 0, "the device adds");
	is_int(sum, 5, "the sum is told");
	hear(s, epoch_a, last(s), 9, "c1", number(10), 1);
	is_str(get(s, "c1"), "c1=15@1 ", "the mirror's part is added");
	hear(s, epoch_a, last(s), 9, "c1", number(10), 1);
	is_str(get(s, "c1"), "c1=15@1 ", "once, though it came twice");
	is_int(hg_store_add(s, hg_slice_str("c1"), -2, 2, &sum), 0, "less is added, too");
	is_int(sum, 13, "to what both have");
	is_str(unsaid(s), "c1=3@2 ", "what is said is the device's part, whole");
	hear(s, epoch_a, last(s) - 1, 10, "c1", number(12), 1);
	is_str(get(s, "c1"), "c1=15@2 ", "a newer part replaces the older");
	is_int(set(s, "c1", 100, 3), 1, "setting adds what is missing");
	is_str(unsaid(s), "c1=88@3 ", "to the device's part");
	is_int(set(s, "c1", 100, 3), 0, "or nothing");
	is_int(unset(s, "c1", 4), -EINVAL, "a counter cannot be removed");
	ok(hg_store_add(s, hg_slice_str("c1"), INT64_MAX, 4, &sum) == -ERANGE &&
		   hg_store_add(s, hg_slice_str("c1"), HG_COUNTER_MAX, 4, &sum) == -ERANGE,
	   "too much is refused");
	is_int(hg_store_add(s, hg_slice_str("n1"), 1, 4, &sum), -EINVAL,
	       "and adding to what is no counter");
	is_str(get(s, "c1"), "c1=100@3 ", "nothing came of that");
	ok(hear(s, epoch_a, 0, 11, "c1", hg_slice_str("\x61x"), 1).ignored == 1,
	   "a part that is no number is not taken");
	is_str(get(s, "c1"), "c1=100@3 ", "and changes nothing");
}

/* The mirror was put back from a backup and has lost what it wrote last; the device says it. */
static struct hg_store *test_new_mirror(struct hg_store *s)
{
	struct hg_store_applied done;

	hear(s, epoch_a, last(s), 20, "n4", number(4), 4000);
	hear(s, epoch_a, last(s), 21, "m", number(1), 4000);
	hear(s, epoch_a, last(s), 22, "c2", number(7), 1);
	set(s, "n7", 7, 4000);
	hear(s, epoch_a, last(s), 23, NULL, number(0), 0);
	done = hear(s, epoch_b, 0, 1, "n7", number(8), UINT64_C(1) << 60);
	ok(done.new_mirror && done.lost, "a new epoch of the mirror, with another value");
	ok(strstr(lost(s, done.last_conflict), "n7=7@"), "what it had and may have lost is named");
	hear(s, epoch_b, 0, 2, "c1", number(1), 1);
	s = reopen(s);
	ok(strstr(unsaid(s), "n4=4@4000 "), "what it wrote to both sides' is said to it");
	ok(!strstr(unsaid(s), "m="), "not what it owns");
	is_str(get(s, "c1"), "c1=89@3 ", "its part of a counter is what it says");
	is_str(get(s, "c2"), "c2=0@0 ", "and nothing where it says nothing");
	return s;
}

/* An old copy of the store is in use: the mirror has its part of each counter already. */
static struct hg_store *test_renew(struct hg_store *s)
{
	int64_t sum;

	hg_store_add(s, hg_slice_str("c3"), 5, 1, &sum);
	hear(s, epoch_b, last(s), 30, NULL, number(0), 0);
	hg_store_add(s, hg_slice_str("c3"), 2, 2, &sum);
	is_int(hg_store_renew(s), 0, "our epoch is renewed");
	s = reopen(s);
	ok(strstr(unsaid(s), "c3=2@2 "), "what the mirror was not told of is said: %s", unsaid(s));
	hear(s, epoch_b, last(s), 31, "c3", number(5), 1);
	is_str(get(s, "c3"), "c3=7@2 ", "the mirror has added the rest to its own part");
	return s;
}

static int count_lost(void *ctx, const struct hg_conflict *c)
{
	(void)c;
	++*(int *)ctx;
	return 0;
}

/* What lost is kept as long as it leaves the store for what counts. */
static void test_small(void)
{
	struct hg_store_options o = { dir, 256 << 10, 64, 4, 0, 0 };
	static uint8_t value[16000] = { 0x59, 0x3e, 0x7d }; /* 15,997 bytes */
	struct hg_property p = { .name = hg_slice_str("n1") };
	struct hg_store_applied done = { .changes = 1 };
	struct hg_store *s = NULL;
	int n = 0, kept = 0;
	size_t changed;

	strcat(dir, "/small");
	if (hg_store_open(&o, &s, err, sizeof(err)))
		return (void)ok(false, "a small store: %s", err);
	hg_store_rules(s, rule, NULL);
	p.value = hg_slice_of(value, sizeof(value));
	for (; n < 100 && done.changes == 1; n++) {
		value[3] = (uint8_t)n;
		if (hg_store_set(s, &p, 1, 1000, &changed))
			break;
		value[4] = (uint8_t)~n;
		done = hear(s, epoch_a, 0, n + 1, "n1", p.value, (uint64_t)(n + 1) << 30);
		value[4] = 0;
	}
	is_int(n, 100, "large values may lose again and again in a small store");
	hg_store_conflicts(s, 0, count_lost, &kept);
	ok(kept >= 1 && kept < 64, "the last of them are kept (%d)", kept);
	hg_store_close(s);
	*strrchr(dir, '/') = '\0';
}

int main(void)
{
	struct hg_store *s;
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	s = open_store();
	test_newest(s);
	test_removal(s);
	test_counter(s);
	test_clock(s);
	s = test_new_mirror(s);
	s = test_renew(s);
	hg_store_close(s);
	test_small();
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
