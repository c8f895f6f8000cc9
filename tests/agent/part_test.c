// SPDX-License-Identifier: MIT
/*
 * Large values of the mirror in the store: part after part, over restarts, with every part that
 * does not belong left out; limits of values and outputs.
 */
#include "../tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "../../userspace/store.h"

#define TOTAL 50000
#define OBJECT_MAX 60000
#define RESULTS_MAX 40000

static char dir[] = "/tmp/hg-part.XXXXXX";
static const uint8_t epoch_a[HG_EPOCH_LEN] = "mirror-epoch-aa",
		     epoch_b[HG_EPOCH_LEN] = "mirror-epoch-bb";
static uint8_t value[TOTAL]; /* a text as CBOR */
static struct hg_store *s;
static struct hg_store_applied done;

static void open_store(void)
{
	struct hg_store_options o = { dir, 1 << 20, 64, 64, OBJECT_MAX, RESULTS_MAX };
	char err[256];

	if (hg_store_open(&o, &s, err, sizeof(err)))
		printf("Bail out! %s\n", err);
}

static void restart(void)
{
	hg_store_close(s);
	open_store();
}

static int take(const uint8_t *epoch, struct hg_wire_change c)
{
	struct hg_wire_response r = { .mirror_epoch = hg_slice_of(epoch, HG_EPOCH_LEN),
				      .flags = HG_RESPONSE_MORE,
				      .changes = &c,
				      .n_changes = 1 };

	return hg_store_apply(s, &r, NULL, 0, &done);
}

/* A part of `value` as change `seq`, made at `time_ms`. */
static int part(uint64_t seq, uint64_t time_ms, uint64_t total, uint64_t from, size_t len)
{
	return take(epoch_a,
		    (struct hg_wire_change){ seq,
					     hg_slice_str("map"),
					     { NULL, 0 },
					     time_ms,
					     { total, from, hg_slice_of(value + from, len) } });
}

static int same(void *ctx, const struct hg_property *p)
{
	*(bool *)ctx = hg_slice_eq(p->value, hg_slice_of(value, TOTAL));
	return 0;
}

static bool is_there(void)
{
	bool equal = false;

	return !hg_store_get(s, hg_slice_str("map"), same, &equal) && equal;
}

static long long have(uint64_t seq)
{
	struct hg_wire_partial p = { 0 };
	int ret = hg_store_partial(s, &p);

	return ret != 1 ? ret - 1 : p.seq == seq ? (long long)p.have : -100;
}

static void test_parts(void)
{
	ok(!part(3, 9, TOTAL, 20000, 20000) && have(3) == -1, "a part without its beginning");
	ok(!part(3, 9, TOTAL, 0, 20000) && done.parts == 1, "the first part");
	is_int(have(3), 20000, "is held");
	is_int((long long)hg_store_cursors(s)->mirror_cursor, 0, "the cursor waits");
	restart();
	is_int(have(3), 20000, "over a restart, too");
	ok(!part(3, 9, TOTAL, 0, 20000) && have(3) == 20000, "the first again begins again");
	ok(!part(3, 9, TOTAL, 10000, 20000) && have(3) == 20000, "one that overlaps is left out");
	ok(!part(3, 9, TOTAL, 30000, 1000) && have(3) == 20000, "one behind a gap, too");
	ok(!part(3, 9, TOTAL - 1, 20000, 1000) && have(3) == 20000, "one of another size");
	ok(!part(3, 8, TOTAL, 20000, 1000) && have(3) == 20000, "one of another time");
	ok(!part(3, 9, TOTAL, 20000, 20000) && have(3) == 40000, "the next");
	ok(!is_there(), "no value yet");
	restart();
	ok(!part(3, 9, TOTAL, 40000, 10000) && done.changes == 1, "the last");
	ok(is_there(), "the value is there");
	is_int(have(3), -1, "nothing is held any more");
	is_int((long long)hg_store_cursors(s)->mirror_cursor, 3, "and the cursor has passed it");
}

static void test_replaced(void)
{
	struct hg_wire_change small = { 6, hg_slice_str("map"), hg_slice_str("\1"), 9, { 0 } };

	ok(!part(4, 9, TOTAL, 0, 20000) && have(4) == 20000, "another begins");
	ok(!part(5, 9, TOTAL, 0, 10000) && have(5) == 10000, "a newer one takes its place");
	ok(!part(4, 9, TOTAL, 20000, 20000) && have(5) == 10000, "the older does not go on");
	ok(!take(epoch_a, small) && have(5) == -1, "a small one that is newer ends it");
	ok(!part(7, 9, TOTAL, 0, 20000) && have(7) == 20000, "one begins");
	small.seq = 1;
	ok(!take(epoch_b, small) && done.new_mirror && have(7) == -1,
	   "a new epoch of the mirror ends it");
	ok(!take(epoch_a, small), "back to the first");
}

static void test_refused(void)
{
	ok(!part(8, 9, OBJECT_MAX + 1, 0, 20000) && done.refused == 1 && have(8) == -1,
	   "one over object_max is left out");
	is_int((long long)hg_store_cursors(s)->mirror_cursor, 8, "the cursor passes it");
	value[0] = 0xff;
	ok(!part(9, 9, 20000, 0, 20000) && done.refused == 1, "one that is no CBOR when whole");
	is_int((long long)hg_store_cursors(s)->mirror_cursor, 9, "the cursor passes it");
	value[0] = 0x79;
	ok(!part(10, 9, TOTAL, 0, TOTAL) && is_there(), "one that is a single part");
}

static int set(const char *name, size_t len)
{
	struct hg_property p = { .name = hg_slice_str(name), .value = hg_slice_of(value, len) };
	size_t changed;

	return hg_store_set(s, &p, 1, 1, &changed);
}

static void test_quotas(void)
{
	struct hg_wire_command m[2] = { { 1, hg_slice_str("a"), { NULL, 0 }, 0, false },
					{ 2, hg_slice_str("b"), { NULL, 0 }, 0, false } };
	struct hg_wire_response r = { .mirror_epoch = hg_slice_of(epoch_a, HG_EPOCH_LEN),
				      .commands = m,
				      .n_commands = 2 };
	struct hg_journal_entry e = { .seq = 1, .state = HG_COMMAND_DONE };
	char name[8];
	int n = 0, ret = 0;

	for (; n < 20 && !ret; n++) {
		snprintf(name, sizeof(name), "p%d", n);
		ret = set(name, TOTAL);
	}
	is_int(ret, -EDQUOT, "large values of ours have half of the store");
	is_int(n, (1 << 19) / TOTAL + 1, "not less");
	ok(strstr(hg_store_error(s), "store_max"), "in words: %s", hg_store_error(s));
	is_int(set("small", 100), 0, "a small one is still taken");
	is_int(set("p0", TOTAL - 1), 0, "and a large one replaced");

	ok(!hg_store_apply(s, &r, NULL, 0, &done) && done.commands == 2, "two commands");
	e.output = hg_slice_of(value, RESULTS_MAX - 10);
	is_int(hg_store_finished(s, &e), 0, "the first ends with a large output");
	e.seq = 2;
	e.output.len = 11;
	is_int(hg_store_finished(s, &e), -EDQUOT, "more than results_max is not kept");
	ok(strstr(hg_store_error(s), "results_max"), "in words: %s", hg_store_error(s));
	e.output.len = 10;
	is_int(hg_store_finished(s, &e), 0, "results_max is");
}

int main(void)
{
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	memset(value, 'x', sizeof(value));
	memcpy(value, "\x79\xc3\x4d", 3); /* text of 49,997 bytes */
	open_store();
	test_parts();
	test_replaced();
	test_refused();
	test_quotas();
	hg_store_close(s);
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
