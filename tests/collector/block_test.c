// SPDX-License-Identifier: MIT
/*
 * Blocks in a network namespace of its own: what is wanted runs, nested decisions share an element,
 * a difference leaves the rest alone, and ten thousand of them are applied in one go.
 */
#include "../tap.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../collector/block.h"

static char err[512];
static struct hg_block *block;
static uint64_t now_s = 1000;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void want(uint64_t id, const char *line, const char *target, uint16_t port, uint64_t seconds)
{
	struct hg_block_decision d = {
		.id = id, .proto = 6, .port = port, .until_s = now_s + seconds
	};

	if (hg_net_parse(line, &d.line) || hg_net_parse(target, &d.target))
		abort();
	hg_block_want(block, &d);
}

static int apply(void)
{
	err[0] = '\0';
	return hg_block_apply(block, now_s, err, sizeof(err));
}

/* How often nft's own view of the table has the text. */
static int nft_says(const char *text)
{
	static char all[4 << 20];
	int fd[2], n = 0, status;
	size_t len = 0;
	ssize_t got;
	pid_t pid;

	if (pipe(fd))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(fd[1], 1);
		close(fd[0]);
		execlp("nft", "nft", "list", "table", "inet", "hgtest", NULL);
		_exit(127);
	}
	close(fd[1]);
	while (len < sizeof(all) - 1 && (got = read(fd[0], all + len, sizeof(all) - 1 - len)) > 0)
		len += (size_t)got;
	all[len] = '\0';
	close(fd[0]);
	waitpid(pid, &status, 0);
	for (const char *p = all; (p = strstr(p, text)); p++)
		n++;
	return status ? -1 : n;
}

static void no_hit(void *ctx, uint64_t id, uint64_t packets)
{
	++*(int *)ctx;
}

static void elements(void)
{
	int hits = 0;

	want(1, "203.0.113.1", "192.0.2.7", 0, 300);
	want(2, "203.0.113.1", "192.0.2.0/24", 0, 100);
	want(3, "203.0.113.1", "192.0.2.7", 80, 300);
	want(4, "203.0.113.1", "192.0.2.7", 0, 400);
	want(5, "203.0.113.2", "192.0.2.7", 0, 300);
	want(6, "2001:db8:1::/64", "2001:db8:9::1", 0, 300);
	want(7, "203.0.113.1", "2001:db8:9::1", 0, 300);
	ok(!apply(), "applied %s", err);
	is_int((long long)hg_block_count(block), 4,
	       "nested decisions share an element, families do not mix");
	is_int(nft_says("203.0.113.1 . 192.0.2.0/24 "), 1, "the network stands for its host");
	is_int(nft_says("203.0.113.1 . 192.0.2.7 counter"), 0, "which has no element of its own");
	is_int(nft_says("203.0.113.1 . 192.0.2.7 . tcp . 80 "), 1, "a port has");
	is_int(nft_says("2001:db8:1::/64 . 2001:db8:9::1 "), 1, "IPv6");
	hg_block_unwant(block, 2);
	ok(!apply(), "without the network %s", err);
	is_int(nft_says("203.0.113.1 . 192.0.2.7 counter"), 1, "the host has its element");
	is_int(nft_says("timeout 6m40s"), 1, "with the later end of two");
	ok(!hg_block_hits(block, now_s, no_hit, &hits, err, sizeof(err)) && !hits,
	   "no packets, no hits %s", err);
	want(1, "203.0.113.1", "192.0.2.7", 0, 301);
	ok(!apply(), "a second more %s", err);
	is_int(nft_says("timeout 6m40s"), 1, "changes nothing");
	hg_block_unwant_all(block);
	ok(!apply() && hg_block_count(block) == 0, "nothing is wanted %s", err);
	is_int(nft_says("counter packets"), 0, "nothing runs");
}

static void adoption(void)
{
	static const struct hg_conf_list none;

	want(1, "203.0.113.1", "192.0.2.7", 0, 300);
	want(2, "203.0.113.2", "192.0.2.7", 23, 300);
	apply();
	hg_block_free(block);
	block = hg_block_new("hgtest", &none, 5, err, sizeof(err));
	ok(block && hg_block_count(block) == 2, "another one adopts what runs");
	now_s = 5;
	want(2, "203.0.113.2", "192.0.2.7", 23, 300);
	ok(!apply() && hg_block_count(block) == 1 && nft_says("counter packets") == 1,
	   "and takes out what is not wanted");
	hg_block_unwant_all(block);
	apply();
}

static void many(void)
{
	double t0, t1, t2;
	char line[32];

	for (uint64_t i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "10.%d.%d.%d", (int)(i >> 14), (int)(i >> 7 & 127),
			 (int)(i & 127));
		want(100000 - i, line, "192.0.2.7", 0, 600);
	}
	t0 = now();
	ok(!apply() && hg_block_count(block) == 10000, "10,000 decisions %s", err);
	t1 = now();
	hg_block_unwant(block, 95000);
	want(200000, "203.0.113.9", "192.0.2.7", 0, 600);
	ok(!apply() && hg_block_count(block) == 10000, "one more, one less %s", err);
	t2 = now();
	printf("# all in %.3f s, the difference in %.3f s\n", t1 - t0, t2 - t1);
	ok(t1 - t0 < 30, "in bounded time");
	hg_block_unwant_all(block);
	apply();
}

int main(void)
{
	static const struct hg_conf_list none;

	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP no network namespace: %s\n", strerror(errno));
		return 0;
	}
	block = hg_block_new("hgtest", &none, now_s, err, sizeof(err));
	ok(block != NULL, "a table");
	if (block) {
		elements();
		adoption();
		many();
	}
	hg_block_free(block);
	ok(!hg_block_remove("hgtest", err, sizeof(err)), "the table is removed");
	ok(!hg_block_remove("hgtest", err, sizeof(err)), "also when there is none");
	return tap_done();
}
