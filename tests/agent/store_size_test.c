// SPDX-License-Identifier: MIT
/*
 * What the store costs a flash chip, in bytes and for ever: an idle session writes nothing, a block
 * of session numbers one small transaction; a hundred thousand properties that came and went leave
 * no larger file; neither file outgrows its bound; removed properties go once the mirror knows.
 */
#include "../tap.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sqlite3.h>
#include "faultvfs.h"
#include "../../userspace/store.h"

#define BLOCK 1024		/* session numbers */
#define JOURNAL_KEPT (64 << 10) /* of the rollback journal, between transactions */
#define PAGE 4096
#define BATCH 32

static char dir[64];
static struct fault_world world;
static const uint8_t mirror_epoch[HG_EPOCH_LEN] = "mirror-epoch-aa";

static struct hg_store *open_store(uint64_t size_max, uint64_t properties_max)
{
	struct hg_store_options o = {
		.dir = dir, .size_max = size_max, .properties_max = properties_max, .journal_max = 4
	};
	struct hg_store *s = NULL;
	char err[512];

	if (hg_store_open(&o, &s, err, sizeof(err)))
		printf("# %s\n", err);
	return s;
}

static uint64_t file_size(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

/* The mirror says that it holds everything, and nothing else. */
static int acknowledge(struct hg_store *s)
{
	struct hg_wire_response r = { .mirror_epoch = hg_slice_of(mirror_epoch, HG_EPOCH_LEN),
				      .device_cursor = hg_store_cursors(s)->change_seq };
	struct hg_store_applied done;

	return hg_store_apply(s, &r, NULL, 0, &done);
}

/* Sets (len 0: removes) BATCH properties whose names begin at `from`. */
static int set_batch(struct hg_store *s, unsigned int from, size_t len)
{
	static char names[BATCH][16], bytes[HG_WIRE_VALUE_MAX];
	struct hg_property list[BATCH];
	size_t changed;

	memset(bytes, 'v', sizeof(bytes));
	for (unsigned int i = 0; i < BATCH; i++) {
		snprintf(names[i], sizeof(names[i]), "p%u", from + i);
		list[i] = (struct hg_property){ .name = hg_slice_str(names[i]),
						.value = hg_slice_of(bytes, len) };
	}
	return hg_store_set(s, list, BATCH, 1000, &changed);
}

static int count(void *ctx, const struct hg_property *p)
{
	(void)p;
	++*(unsigned int *)ctx;
	return 0;
}

/* Of ours, removed ones that are still to be said among them. */
static unsigned int rows(struct hg_store *s)
{
	unsigned int n = 0;

	hg_store_changes(s, 0, count, &n);
	return n;
}

/* A session in which nobody has anything to say. */
static int idle_session(struct hg_store *s)
{
	uint64_t number;
	unsigned int told = 0;
	int ret = hg_store_next(s, HG_COUNTER_SESSION, &number);

	if (!ret)
		ret = hg_store_changes(s, hg_store_cursors(s)->change_acked, count, &told);
	return ret ? ret : told ? -EIO : acknowledge(s);
}

static void test_idle(void)
{
	struct hg_store *s = open_store(1 << 20, 64);
	uint64_t bytes, syncs;
	int bad;

	bad = set_batch(s, 0, 100) || acknowledge(s) || idle_session(s);
	bytes = world.bytes;
	syncs = world.syncs;
	for (int i = 0; i < 100; i++)
		bad |= idle_session(s);
	ok(!bad && world.bytes == bytes && world.syncs == syncs,
	   "100 idle sessions write and sync nothing");
	for (int i = 0; i < BLOCK; i++)
		bad |= idle_session(s);
	bytes = world.bytes - bytes;
	syncs = world.syncs - syncs;
	ok(!bad && bytes && bytes < 5 * PAGE,
	   "%d idle sessions, a block of numbers, write %llu bytes with %llu syncs", BLOCK,
	   (unsigned long long)bytes, (unsigned long long)syncs);
	hg_store_close(s);
}

/* One round of coming and going; sizes vary, so that pages are shared and split differently. */
static int cycle(struct hg_store *s, unsigned int from)
{
	int ret = set_batch(s, from, 1 + from * 7 % 3000);

	if (!ret)
		ret = set_batch(s, from, 0);
	return ret ? ret : acknowledge(s);
}

static void test_cycles(void)
{
	struct hg_store *s = open_store(1 << 20, 64);
	uint64_t early = 0, journal = 0;
	unsigned int n;
	int bad = 0;

	for (n = 1000; n < 101000 && !bad; n += BATCH) {
		bad = cycle(s, n);
		if (file_size("store.db-journal") > journal)
			journal = file_size("store.db-journal");
		if (n < 11000)
			early = file_size("store.db");
	}
	ok(!bad && file_size("store.db") <= early,
	   "%u properties that came and went leave %llu bytes; 10,000 of them %llu", n - 1000,
	   (unsigned long long)file_size("store.db"), (unsigned long long)early);
	ok(journal <= JOURNAL_KEPT, "the journal between transactions has at most %llu bytes",
	   (unsigned long long)journal);
	is_int(rows(s), BATCH, "of ours only what stayed is there");
	hg_store_close(s);
}

static void test_removed(void)
{
	struct hg_store *s = open_store(1 << 20, 128);
	unsigned int n = 0;
	int ret = 0;

	while (!ret && n < 1000) {
		ret = set_batch(s, 200000 + n, 10);
		if (!ret)
			ret = set_batch(s, 200000 + n, 0);
		n += BATCH;
	}
	ok(ret == -EDQUOT && rows(s) <= 128,
	   "removed properties that the mirror does not know of count: %u rows", rows(s));
	is_int(acknowledge(s), 0, "it hears of them");
	is_int(rows(s), BATCH, "and they are gone");
	is_int(set_batch(s, 300000, 10), 0, "there is room again");
	hg_store_close(s);
}

/* The mirror's values take what ours leave. Returns 0 or -errno. */
static int fill(struct hg_store *s)
{
	struct hg_wire_change c = { .time_ms = 1 };
	struct hg_wire_response r = { .mirror_epoch = hg_slice_of(mirror_epoch, HG_EPOCH_LEN),
				      .changes = &c,
				      .n_changes = 1 };
	struct hg_store_applied done;
	static uint8_t bytes[1500];
	char name[16];
	int ret = 0;

	c.value = hg_slice_of(bytes, sizeof(bytes));
	while (!ret && c.seq < 1000) {
		snprintf(name, sizeof(name), "m%u", (unsigned int)++c.seq);
		c.name = hg_slice_str(name);
		r.device_cursor = hg_store_cursors(s)->change_acked;
		ret = hg_store_apply(s, &r, NULL, 0, &done);
	}
	return ret;
}

static void test_full(void)
{
	struct hg_store *s = open_store(256 << 10, 1000);
	uint64_t before, journal;
	unsigned int n = 400000;
	int ret = 0;

	while (!ret && n < 410000) {
		before = hg_store_cursors(s)->change_seq;
		ret = set_batch(s, n, 1500);
		n += BATCH;
	}
	ok(ret == -EDQUOT && hg_store_cursors(s)->change_seq == before,
	   "what ours may have is full: it has nothing of what did not fit");
	is_int(fill(s), -ENOSPC, "a full store says so");
	ok(file_size("store.db") <= 256 << 10, "its file has %llu bytes of 262144",
	   (unsigned long long)file_size("store.db"));
	world.files[0].size_max = world.files[1].size_max = 0;
	for (unsigned int i = 400000; i < n - BATCH; i += BATCH)
		ret = set_batch(s, i, 0);
	is_int(ret, 0, "removing works in a full store");
	is_int(acknowledge(s), 0, "and so does a session");
	journal = world.files[0].size_max > world.files[1].size_max ? world.files[0].size_max
								    : world.files[1].size_max;
	ok(journal <= (256 << 10) / PAGE * (PAGE + 8) + 2 * PAGE,
	   "the largest file meanwhile, the journal of a transaction, had %llu bytes",
	   (unsigned long long)journal);
	is_int(set_batch(s, 500000, 1500), 0, "there is room again");
	hg_store_close(s);
}

int main(void)
{
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/hg-size.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(dir))
		return 1;
	fault_watch(&world, dir);
	test_idle();
	test_cycles();
	test_removed();
	test_full();
	fault_unwatch(&world);
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
