/* SPDX-License-Identifier: MIT */
/* CPU time in microseconds, by the scheduler's own clock where there is one. < 0: not to be had. */
#ifndef TESTS_LOAD_CPU_H
#define TESTS_LOAD_CPU_H

#include <sys/types.h>

double load_cpu_self(void);

/* Of all threads that a process has; 0 for pid: nobody's, < 0. */
double load_cpu_process(pid_t pid);

/* And of its children, those that ended as well (these to 10 ms). */
double load_cpu_tree(pid_t pid);

static inline double load_cpu_since(double before, double now)
{
	return before < 0 || now < 0 ? -1 : now - before;
}

#endif
