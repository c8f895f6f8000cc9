// SPDX-License-Identifier: MIT
/* CPU time of this process and of others, from /proc. */
#include "cpu.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

double load_cpu_self(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

/* Adds what one(pid, thread) has of each thread. */
static double of_threads(pid_t pid, double (*one)(pid_t pid, const char *thread))
{
	char path[PATH_MAX];
	struct dirent *e;
	double sum = -1, us;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = pid > 0 ? opendir(path) : NULL;
	while (dir && (e = readdir(dir))) {
		us = e->d_name[0] == '.' ? -1 : one(pid, e->d_name);
		if (us >= 0)
			sum = (sum < 0 ? 0 : sum) + us;
	}
	if (dir)
		closedir(dir);
	return sum;
}

static FILE *open_thread(pid_t pid, const char *thread, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", (int)pid, thread, name);
	return fopen(path, "re");
}

static double thread_us(pid_t pid, const char *thread)
{
	FILE *f = open_thread(pid, thread, "schedstat");
	unsigned long long ns;
	double us = f && fscanf(f, "%llu", &ns) == 1 ? ns / 1e3 : -1;

	if (f)
		fclose(f);
	return us;
}

double load_cpu_process(pid_t pid)
{
	return of_threads(pid, thread_us);
}

static double children_us(pid_t pid, const char *thread)
{
	FILE *f = open_thread(pid, thread, "children");
	double sum = f ? 0 : -1;
	int child;

	while (f && fscanf(f, "%d", &child) == 1) {
		double us = load_cpu_process(child);

		sum += us < 0 ? 0 : us; /* it ended meanwhile */
	}
	if (f)
		fclose(f);
	return sum;
}

/* Of children that ended: fields 16 and 17 of /proc/PID/stat, counted behind the name. */
static double ended_us(pid_t pid)
{
	char path[PATH_MAX], line[1024] = "";
	unsigned long long user, kernel;
	const char *rest;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	rest = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (f)
		fclose(f);
	if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu",
			    &user, &kernel) != 2)
		return -1;
	return (user + kernel) * 1e6 / sysconf(_SC_CLK_TCK);
}

double load_cpu_tree(pid_t pid)
{
	double own = load_cpu_process(pid), children = of_threads(pid, children_us);
	double ended = ended_us(pid);

	return own < 0 || children < 0 || ended < 0 ? -1 : own + children + ended;
}
