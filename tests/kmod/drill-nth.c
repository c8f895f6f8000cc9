// SPDX-License-Identifier: MIT
/*
 * Every allocation fails once: /proc/thread-self/fail-nth makes the nth one of the system call fail
 * that follows. What is tried then either failed and left nothing, or succeeded all the same.
 */
#include "drill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../net/send.h"

#define NTH_MAX 5000 /* no command makes more allocations */

struct tally {
	unsigned int failed, tolerated, wrong;
};

/* What the injector passes over unless told: allocations that may wait, and pages. */
static void setup(void)
{
	static const char *const no[] = {
		"/sys/kernel/debug/failslab/ignore-gfp-wait",
		"/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait",
		"/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem",
		"/sys/kernel/debug/failslab/verbose",
		"/sys/kernel/debug/fail_page_alloc/verbose",
		"/sys/kernel/debug/fail_page_alloc/min-order",
	};

	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		int fd = open(no[i], O_WRONLY);

		if (fd < 0 || write(fd, i < 3 ? "N" : "0", 1) != 1)
			printf("# %s: %s\n", no[i], strerror(errno));
		if (fd >= 0)
			close(fd);
	}
}

static int nth_open(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

int nth_arm(unsigned int nth)
{
	char text[16];
	int fd = nth_open(), n = snprintf(text, sizeof(text), "%u", nth);
	bool good = fd >= 0 && write(fd, text, n) == n;

	if (fd >= 0)
		close(fd);
	return good ? 0 : -1;
}

unsigned int nth_left(void)
{
	char text[16] = "";
	int fd = nth_open();

	if (fd < 0)
		return 0; /* opening was what failed */
	if (pread(fd, text, sizeof(text) - 1, 0) < 0 || pwrite(fd, "0", 1, 0) < 0)
		perror("fail-nth");
	close(fd);
	return strtoul(text, NULL, 10);
}

static void count(struct tally *t, int ret)
{
	if (ret)
		t->failed++;
	else
		t->tolerated++;
}

static int tell(const char *name, const struct tally *t, unsigned int n)
{
	bool good = !t->wrong && n > 1 && n < NTH_MAX;

	printf("%sok - %s: %u allocations failed in turn, %u times refused, %u times done without\n",
	       good ? "" : "not ", name, n - 1, t->failed, t->tolerated);
	fflush(stdout);
	return good ? 0 : 1;
}

int drill_load_nth(int argc, char **argv)
{
	struct tally t = { 0 };
	unsigned int n, left = 0;

	if (argc != 1)
		return 2;
	setup();
	for (n = 1; n < NTH_MAX; n++) {
		int ret;

		if (nth_arm(n))
			return 1;
		ret = module_load(argv[0]);
		left = nth_left();
		if (!ret && module_unload()) {
			printf("# loaded with allocation %u failed, but not unloaded\n", n);
			t.wrong++;
		} else if (ret && module_unload() != -ENOENT) {
			printf("# half loaded after allocation %u failed\n", n);
			t.wrong++;
		}
		if (left)
			break;
		count(&t, ret);
	}
	return tell("load", &t, n);
}

/* The state that a command begins from: a guard, or none for the one that makes it. */
static int prepare(struct channel *c, const struct seed *s)
{
	struct message m;
	struct state now;
	int ret = channel_get(c, &now);

	if (!ret && now.attached) {
		seed_message(&m, seed_find("detach"), c->family);
		if (now.locked)
			seed_seal(&m, UINT32_MAX);
		ret = channel_ask(c, m.bytes, m.head.nlmsg_len);
	}
	if (ret || s->command == HG_CMD_ATTACH)
		return ret;
	seed_message(&m, seed_find("attach"), c->family);
	return channel_ask(c, m.bytes, m.head.nlmsg_len);
}

static bool changes(const struct seed *s)
{
	return s->command == HG_CMD_SET_PROFILE || s->command == HG_CMD_REMATCH;
}

/* Has the command had its effect? */
static bool is_done(const struct seed *s, const struct state *before, const struct state *after)
{
	switch (s->command) {
	case HG_CMD_ATTACH:
		return after->attached;
	case HG_CMD_DETACH:
		return !after->attached;
	case HG_CMD_SET_PROFILE:
	case HG_CMD_REMATCH:
		return after->generation != before->generation;
	case HG_CMD_LOCK:
		return after->locked;
	}
	return true;
}

/* After a refusal all is as it was; after success it is as asked. */
static bool is_consistent(struct channel *c, const struct seed *s, const struct state *before,
			  int ret)
{
	struct state after;

	if (channel_get(c, &after))
		return false;
	if (ret == -EAGAIN ||
	    ret == -ENOBUFS) /* the answer itself found no memory: either is right */
		ret = is_done(s, before, &after) ? 0 : -ENOMEM;
	switch (s->command) {
	case HG_CMD_ATTACH:
	case HG_CMD_DETACH:
	case HG_CMD_LOCK:
		return is_done(s, before, &after) == !ret;
	default:
		return after.attached &&
		       after.generation == before->generation + (changes(s) && !ret);
	}
}

static int command_nth(struct channel *c, const struct seed *s)
{
	struct tally t = { 0 };
	unsigned int n, left = 0;
	struct state before;
	struct message m;

	for (n = 1; n < NTH_MAX && !left; n++) {
		int ret = prepare(c, s);

		if (ret || channel_get(c, &before)) {
			printf("# %s: %s %s\n", s->name, strerror(-ret), c->sentence);
			return 1;
		}
		send_seed(7); /* the same message each time */
		seed_message(&m, s, c->family);
		ret = channel_ask_nth(c, &m, n, &left);
		if (!is_consistent(c, s, &before, ret)) {
			printf("# %s: allocation %u failed, said %d: half done\n", s->name, n, ret);
			t.wrong++;
		}
		if (left)
			break;
		count(&t, ret);
	}
	return tell(s->name, &t, n);
}

/* Names of commands; all without. In a namespace of its own. */
int drill_command_nth(int argc, char **argv)
{
	struct channel c;
	int ret, bad = 0;

	setup();
	ret = world_enter();
	if (!ret)
		ret = channel_open(&c);
	if (ret) {
		printf("# world: %s\n", strerror(-ret));
		return 1;
	}
	for (size_t i = 0; i < n_seeds; i++) {
		bool wanted = !argc;

		for (int k = 0; k < argc; k++)
			wanted |= !strcmp(argv[k], seeds[i].name);
		if (wanted)
			bad |= command_nth(&c, &seeds[i]);
	}
	channel_close(&c);
	return bad;
}
