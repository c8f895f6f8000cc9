#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, a library of our own is loaded first
"""
A device that was suspended: the clock that counts that time (CLOCK_BOOTTIME) has gone on, that of the event loop has
not. Played by a library that moves the former, and the timers that follow it, as the kernel does.
"""
import os, shutil, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, ok, skip, wait_for
from fakemirror import FakeMirror

SHIM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int timer = -1;

static time_t slept(void)
{
	return syscall(SYS_access, getenv("SLEPT"), F_OK) ? 0 : 7200;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int ret = (int)syscall(SYS_clock_gettime, clock, t);

	if (clock == CLOCK_BOOTTIME)
		t->tv_sec += slept();
	return ret;
}

int timerfd_create(int clock, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, clock, flags);

	if (clock == CLOCK_BOOTTIME)
		timer = fd;
	return fd;
}

static void *wake(void *ctx)
{
	struct itimerspec t;

	while (!slept())
		usleep(10000);
	if (timer < 0 || timerfd_gettime(timer, &t))
		return ctx;
	t.it_value.tv_sec -= slept();
	if (t.it_value.tv_sec < 0)
		t.it_value = (struct timespec){ 0, 1 };
	timerfd_settime(timer, 0, &t, NULL);
	return ctx;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wake, NULL);
}
"""

if not shutil.which("cc") or os.environ.get("HG_SAN", "0") != "0":
    skip("suspended", "no C compiler, or a build with sanitizers")
    done()
d = tempfile.mkdtemp(prefix="hg-suspend-")
with open(d + "/shim.c", "w") as f:
    f.write(SHIM)
subprocess.run(["cc", "-shared", "-fPIC", "-pthread", "-o", d + "/shim.so", d + "/shim.c"], check=True)
m = FakeMirror().start()
a = Agent(m.conf()).start({"LD_PRELOAD": d + "/shim.so", "SLEPT": d + "/slept"})


def sync():
    return a.call("status")["result"]["sync"]


wait_for(lambda: sync()["sessions_good"] == 1, "the first session")
ok(sync()["next_in_ms"] > 3000000, "the next session is in an hour", sync())
with open(d + "/slept", "w"):
    pass
wait_for(lambda: sync()["sessions_good"] == 2, "the session")
ok(True, "when the device was suspended for two of them it comes at once")
ok(sync()["next_in_ms"] > 3000000, "and the next in another hour", sync())
a.stop()
shutil.rmtree(d)
done()
