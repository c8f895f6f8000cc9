# SPDX-License-Identifier: MIT
"""The programs of a fault campaign, and what can be done to them: started, killed, cut off, given another
time, their disks filled. faults.t has made namespaces, interfaces, file systems and configurations."""
import collections
import errno
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import faultplan

DIR = os.environ.get("HG_FAULTS_DIR", "")
BUILD, SLOW = os.environ.get("HG_BUILD", ""), 3 if os.environ.get("HG_SAN", "0") != "0" else 1
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), "")
# Everything it makes in /dev/shm goes with the process, whatever kills it.
OWN_SHM = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm; exec "$@"', "sh")
SESSION = re.compile(rb"sync: session (\d+)(?: failed \((\w+)\)|:)")
RESTART_S = 0.3  # after which what has ended by itself is started again, as systemd would


def run(*argv, timeout=10):
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, 124, "", str(e))


def sql(database, text):
    r = run("psql", "-AtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text)
    if r.returncode:
        raise RuntimeError(r.stderr)
    return r.stdout.strip()


def wait_for(seconds, condition):
    until = time.monotonic() + seconds * SLOW
    while time.monotonic() < until:
        try:
            if condition():
                return True
        except (OSError, RuntimeError, ValueError):
            pass
        time.sleep(0.05)
    return False


def postgres_binaries():
    top = "/usr/lib/postgresql"
    return f"{top}/{max(os.listdir(top), key=float)}/bin"


def working_in(directory):
    """Processes whose working directory that is."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and os.readlink(f"{entry.path}/cwd") == directory:
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            pass
    return found


class Clock:
    """The offset from the machine's clock that a program believes; its monotonic clocks are left alone."""

    def __init__(self, name):
        self.path = f"{DIR}/{name}.clock"
        self.jump(0)

    def jump(self, seconds):
        with open(self.path + ".new", "w", encoding="ascii") as f:
            f.write(f"{seconds:+d}\n")
        os.rename(self.path + ".new", self.path)

    def environment(self):
        return (f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={self.path}", "FAKETIME_CACHE_DURATION=1",
                "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_RESET=1", "NO_FAKE_STAT=1")


class Daemon:
    """One program; killed by the campaign only. What it ends by itself is remembered, and it is started again."""

    def __init__(self, name, argv, clock=None, namespace=None, user=()):
        self.name, self.kills, self.deaths = name, 0, []
        inside = ("nsenter", f"--net=/run/netns/hg-{namespace}-{os.environ['HG_RUN']}") if namespace else ()
        self.argv = (*inside, *OWN_SHM, *user, "env", *(clock.environment() if clock else ()), *argv)
        self.log_path = f"{DIR}/{name}.log"
        self.disk = f"{DIR}/pg" if namespace is None else f"{DIR}/dev{namespace[1:]}/state"
        self.process, self.wanted, self.ended_at = None, False, None

    def start(self):
        self.wanted, self.ended_at = True, None
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL to it, and to PostgreSQL's children."""
        self.wanted = False
        if not self.alive():
            return
        self.process.kill()
        self.process.wait()
        self.kills += 1
        self.kill_orphans()

    def kill_orphans(self):
        """PostgreSQL does not start again while one of its children lives, which may hang in libfaketime."""
        while self.name == "postgres" and (pids := working_in(f"{DIR}/pg/data")):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)

    def mend(self):
        if not self.wanted or self.alive():
            return
        if self.ended_at is None:
            self.ended_at = time.monotonic()
            self.deaths.append({"code": self.process.returncode,
                                "disk full": os.path.exists(f"{self.disk}/fill")})
        elif time.monotonic() - self.ended_at > RESTART_S:
            self.kill_orphans()
            self.start()

    def stop(self):
        self.wanted = False
        if self.alive():
            self.process.send_signal(signal.SIGINT if self.name == "postgres" else signal.SIGTERM)
            self.process.wait(20)


class Sessions:
    """How the sessions of one agent ended, by its own log."""

    def __init__(self, daemon):
        self.daemon, self.at, self.rest = daemon, 0, b""
        self.by_result = collections.Counter()

    def count(self):
        try:
            with open(self.daemon.log_path, "rb") as f:
                f.seek(self.at)
                text = f.read()
        except FileNotFoundError:
            return self.by_result
        self.at += len(text)
        lines = (self.rest + text).split(b"\n")
        self.rest = lines.pop()
        for found in filter(None, map(SESSION.search, lines)):
            self.by_result[(found[2] or b"good").decode()] += 1
        return self.by_result


class Links:
    """The bad links; see badlink.c."""

    def __init__(self, seed, devices):
        ends = [f"{side}{n}" for n in range(1, devices + 1) for side in "ab"]
        self.air = f"--net=/run/netns/hg-air-{os.environ['HG_RUN']}"
        self.process = subprocess.Popen(["nsenter", self.air, f"{BUILD}/tests/e2e/badlink", str(seed), *ends],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, n, text):
        self.process.stdin.write(f"{n - 1} {text}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise RuntimeError(f"badlink: {n} {text}: {' '.join(answer)}")
        return [int(word) for word in answer[1:]]

    def switch(self, n, state):
        """Takes the carrier away from the device's interface, or gives it back."""
        run("nsenter", self.air, "ip", "link", "set", f"a{n}", state)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def fill_disk(directory, spare):
    """Until SPARE bytes are left."""
    path = f"{directory}/fill"
    left = os.statvfs(directory)
    size = left.f_bavail * left.f_frsize - spare
    with open(path, "ab") as f:
        try:
            if size > 0:
                os.posix_fallocate(f.fileno(), 0, size)
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise


class World:
    """All programs. Devices are numbered from 1, and so are mirrors."""

    def __init__(self, seed, devices):
        pg = postgres_binaries()
        self.devices, self.seed = devices, seed
        self.without = () if FAKETIME and SLOW == 1 else tuple(
            kind for kind in faultplan.KINDS if kind.startswith("clock"))
        names = ["postgres", "collector"] + [f"mirror{n}" for n in range(1, faultplan.MIRRORS + 1)]
        names += [f"agent{n}" for n in range(1, devices + 1)]
        self.clocks = {} if self.without else {name: Clock(name) for name in names}
        daemon = lambda name, *argv, **more: Daemon(name, argv, self.clocks.get(name), **more)  # noqa: E731
        self.daemons = {d.name: d for d in (
            daemon("postgres", f"{pg}/postgres", "-D", f"{DIR}/pg/data",
                   user=("setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups")),
            *(daemon(f"mirror{n}", f"{BUILD}/heliograph-mirror", "-c", f"{DIR}/mirror{n}.conf", "serve")
              for n in range(1, faultplan.MIRRORS + 1)),
            daemon("collector", f"{BUILD}/heliograph-collector", "-c", f"{DIR}/collector.conf", "serve"),
            *(daemon(f"agent{n}", f"{BUILD}/heliographd", "-c", self.agent_conf(n), namespace=f"d{n}")
              for n in range(1, devices + 1)))}
        self.sessions = [Sessions(self.daemons[f"agent{n}"]) for n in range(1, devices + 1)]
        self.links = Links(seed, devices)

    @staticmethod
    def agent_conf(n):
        return f"{DIR}/dev{n}/heliographd.conf"

    def heliograph(self, n, *argv, timeout=10):
        return run(f"{BUILD}/heliograph", "-c", self.agent_conf(n), *argv, timeout=timeout)

    def mirror(self, *argv):
        return run(f"{BUILD}/heliograph-mirror", "-c", f"{DIR}/mirror1.conf", *argv)

    def start(self, ready):
        """READY(name): a program answers."""
        for name, d in self.daemons.items():
            d.start()
            self.up(name, ready)

    def up(self, name, ready):
        d = self.daemons[name]
        if not wait_for(30, lambda: d.mend() or ready(name)):
            raise RuntimeError(f"{name} does not come up; {'it runs' if d.alive() else 'it ended'}")

    def mend(self):
        for d in self.daemons.values():
            d.mend()

    def count(self):
        return sum((s.count() for s in self.sessions), collections.Counter())

    def change_mirror(self, n):
        """The device goes to the next mirror when its agent starts."""
        with open(self.agent_conf(n), encoding="ascii") as f:
            text = f.read()
        port = int(re.search(r"^\s*port = (\d+)", text, re.M)[1])
        port = 4646 + (port - 4646 + 1) % faultplan.MIRRORS
        with open(self.agent_conf(n), "w", encoding="ascii") as f:
            f.write(re.sub(r"(?m)^(\s*port = )\d+", rf"\g<1>{port}", text))

    def lose_store(self, n):
        for entry in os.scandir(f"{DIR}/dev{n}/state"):
            if entry.is_dir():
                shutil.rmtree(entry.path)
            elif entry.name != "fill":
                os.unlink(entry.path)

    def heal(self):
        """Ends every fault."""
        for clock in self.clocks.values():
            clock.jump(0)
        for n in range(1, self.devices + 1):
            self.links.say(n, "loss=0")
            self.links.switch(n, "up")
            self.empty(f"{DIR}/dev{n}/state")
            run("nft", "flush", "chain", "inet", "faults", f"cuts{n}")
        self.empty(f"{DIR}/pg")
        for d in self.daemons.values():
            if not d.alive():
                d.start()

    @staticmethod
    def empty(directory):
        try:
            os.unlink(f"{directory}/fill")
        except FileNotFoundError:
            pass

    def close(self):
        for d in reversed(list(self.daemons.values())):
            d.stop()
        self.links.close()
