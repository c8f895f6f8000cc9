// SPDX-License-Identifier: MIT
/*
 * drill COMMAND ...: hammers heliograph.ko from inside a guest; see tests/kmod/debug.t.
 *
 *   load-nth PATH              loads the module with each of its allocations failing in turn
 *   command-nth [NAME...]      each command, likewise
 *   fuzz SEED ROUNDS MESSAGES  random and mutated messages, each round in a namespace
 *   packets SEED COUNT [FILE]  hostile frames of each kind: none is answered, all are counted
 *   load PATH TIMES            load, attach and unload while packets run
 *   namespaces TIMES           namespaces with a guard come and go
 *   insmod PATH, rmmod         by system call: without the retries of the usual tools
 *   hold                       a namespace with a guard; says its MEMORY, ends at the end of input
 *
 * Prints "ok - ..." or "not ok - ..." and says by its exit status which.
 */
#include "drill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define UNLOAD_S 60 /* namespaces go in the background, and hold what is locked in them */

int module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int module_unload(void)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct timespec now, end;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += UNLOAD_S;
	do {
		ret = syscall(SYS_delete_module, "heliograph", O_NONBLOCK) ? -errno : 0;
		if (ret != -EAGAIN && ret != -EWOULDBLOCK && ret != -EBUSY)
			break;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return ret;
}

static int tell(int ret, const char *what)
{
	if (ret)
		printf("not ok - %s: %s\n", what, strerror(-ret));
	else
		printf("ok - %s\n", what);
	return !!ret;
}

static int drill_insmod(int argc, char **argv)
{
	return argc == 1 ? tell(module_load(argv[0]), "loaded") : 2;
}

static int drill_rmmod(int argc, char **argv)
{
	(void)argv;
	return argc ? 2 : tell(module_unload(), "unloaded");
}

/*
 * From here on this process gets no two pages in a row, so that large tables come from vmalloc,
 * whose bytes the kernel lists with who asked for them.
 */
static void pages_apart(void)
{
	static const char *const set[][2] = {
		{ "/sys/kernel/debug/fail_page_alloc/task-filter", "Y" },
		{ "/sys/kernel/debug/fail_page_alloc/min-order", "1" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/times", "-1" },
		{ "/sys/kernel/debug/fail_page_alloc/probability", "100" },
		{ "/proc/self/make-it-fail", "1" },
	};

	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++) {
		int fd = open(set[i][0], O_WRONLY | O_CLOEXEC);
		ssize_t n = strlen(set[i][1]);

		if (fd < 0 || write(fd, set[i][1], n) != n)
			printf("# %s: %s\n", set[i][0], strerror(errno));
		if (fd >= 0)
			close(fd);
	}
}

static int drill_hold(int argc, char **argv)
{
	static struct message m;
	struct channel c;
	struct state s;
	char line[8];
	int ret = world_enter();

	(void)argv;
	if (argc)
		return 2;
	if (!ret)
		ret = channel_open(&c);
	if (ret)
		return tell(ret, "a namespace to hold a guard in");
	pages_apart();
	seed_message(&m, seed_find("attach"), c.family);
	ret = channel_ask(&c, m.bytes, m.head.nlmsg_len);
	for (int i = 0; !ret && i < 50; i++) {
		seed_message(&m, seed_find("set-bound"), c.family);
		ret = channel_ask(&c, m.bytes, m.head.nlmsg_len);
	}
	if (!ret)
		ret = channel_get(&c, &s);
	if (ret)
		return tell(ret, "a guard to hold");
	printf("memory %u\n", s.memory);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	seed_message(&m, seed_find("detach"), c.family);
	return tell(channel_ask(&c, m.bytes, m.head.nlmsg_len), "held and let go");
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "load-nth", drill_load_nth }, { "command-nth", drill_command_nth },
	{ "fuzz", drill_fuzz },		{ "load", drill_load },
	{ "insmod", drill_insmod },	{ "namespaces", drill_namespaces },
	{ "rmmod", drill_rmmod },	{ "hold", drill_hold },
	{ "packets", drill_packets },
};

int main(int argc, char **argv)
{
	int ret = 2;

	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			ret = commands[i].run(argc - 2, argv + 2);
	if (ret == 2)
		fprintf(stderr,
			"usage: drill load-nth PATH | command-nth [NAME...] | fuzz SEED ROUNDS "
			"MESSAGES | packets SEED COUNT [FILE] | load PATH TIMES | namespaces TIMES | insmod PATH | rmmod | hold\n");
	return ret;
}
