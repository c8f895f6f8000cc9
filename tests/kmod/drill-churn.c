// SPDX-License-Identifier: MIT
/* The module and namespaces come and go while packets run. */
#include "drill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../net/send.h"

#define HANDS 4 /* processes that make namespaces */

static int attach(struct channel *c)
{
	static struct message m;

	seed_message(&m, seed_find("attach"), c->family);
	return channel_ask(c, m.bytes, m.head.nlmsg_len);
}

static int failed(const char *what, unsigned long i, int ret, const char *sentence)
{
	printf("# %s, time %lu: %s %s\n", what, i, strerror(-ret), sentence);
	return 1;
}

/* For who follows the console: there a round may take a second. */
static void tell_progress(const char *what, unsigned long i)
{
	if (i && !(i % 100))
		printf("# %lu %s\n", i, what);
	fflush(stdout); /* what a child would write a second time */
}

static int load_once(const char *path, unsigned long i)
{
	static struct message m;
	struct channel c;
	int ret = module_load(path);

	if (ret)
		return failed("load", i, ret, "");
	ret = channel_open(&c);
	if (ret)
		return failed("family", i, ret, "");
	ret = attach(&c);
	if (ret)
		failed("attach", i, ret, c.sentence);
	seed_message(&m, seed_find(i % 3 ? "heartbeat" : "profile"), c.family);
	if (!ret)
		channel_ask(&c, m.bytes, m.head.nlmsg_len);
	if (!ret && i % 2) { /* every other time the module takes a running guard with it */
		seed_message(&m, seed_find("detach"), c.family);
		ret = channel_ask(&c, m.bytes, m.head.nlmsg_len);
	}
	channel_close(&c);
	if (ret)
		return 1;
	ret = module_unload();
	return ret ? failed("unload", i, ret, "") : 0;
}

/* PATH TIMES: load, attach, unload, while packets run through the interface. */
int drill_load(int argc, char **argv)
{
	unsigned long times, i, bad = 0;
	int ret, pid;

	if (argc != 2)
		return 2;
	times = strtoul(argv[1], NULL, 10);
	ret = world_enter();
	if (ret)
		return failed("world", 0, ret, "");
	pid = world_traffic_start();
	for (i = 0; i < times && !bad; i++) {
		tell_progress("loads", i);
		bad = load_once(argv[0], i);
	}
	world_traffic_stop(pid);
	printf("%sok - load and unload under traffic: %lu times\n", bad ? "not " : "", i);
	return bad;
}

/* A namespace of its own, with a guard and packets; its end is the process's. */
static int namespace_once(unsigned long i)
{
	static struct message m;
	struct channel c;
	int ret = world_enter();

	if (ret)
		return failed("world", i, ret, "");
	send_seed(i + 1);
	ret = channel_open(&c);
	if (!ret)
		ret = attach(&c);
	if (ret)
		return failed("attach", i, ret, c.sentence);
	world_traffic();
	/* Alive in every way when the namespace goes: heartbeat run out, locked, names known, and
	 * packets on their way from a sender that ends with us. */
	if (world_traffic_start() < 0)
		return failed("traffic", i, -EAGAIN, "");
	for (size_t k = 0; k < 3; k++) {
		static const char *const names[] = { "heartbeat", "set-bound", "lock" };

		if (k > i % 4)
			break;
		seed_message(&m, seed_find(names[k]), c.family);
		channel_ask(&c, m.bytes, m.head.nlmsg_len);
	}
	return 0;
}

/* Every HANDSth of them; the first is this one's. */
static int namespaces_in_turn(unsigned long first, unsigned long times)
{
	for (unsigned long i = first; i < times; i += HANDS) {
		int status = 1, pid;

		tell_progress("namespaces", i);
		pid = fork();
		if (!pid) {
			status = namespace_once(i);
			fflush(stdout);
			_exit(status);
		}
		if (pid > 0)
			waitpid(pid, &status, 0);
		if (status)
			return 1;
	}
	return 0;
}

/* TIMES, by some processes at once: one comes while another goes. */
int drill_namespaces(int argc, char **argv)
{
	unsigned long times, bad = 0;
	int pids[HANDS];

	if (argc != 1)
		return 2;
	times = strtoul(argv[0], NULL, 10);
	fflush(stdout);
	for (int i = 0; i < HANDS; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(namespaces_in_turn(i, times));
	}
	for (int i = 0; i < HANDS; i++) {
		int status = 1;

		if (pids[i] > 0)
			waitpid(pids[i], &status, 0);
		bad |= status != 0;
	}
	printf("%sok - namespaces with a guard made and destroyed: %lu times, %d at once\n",
	       bad ? "not " : "", times, HANDS);
	return bad;
}
