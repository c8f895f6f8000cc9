# SPDX-License-Identifier: MIT
"""A private PostgreSQL on a unix socket, and TAP, for the tests of this directory."""
import atexit, glob, os, pwd, shutil, signal, subprocess, sys, tempfile, time

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("HG_BUILD") or os.path.join(TOP, "build")
_count = _failed = 0

# What was started dies with this process (here, or by --pdeathsig); directories go at exit.
for _signal in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(_signal, lambda number, frame: sys.exit(128 + number))


def ok(good, name, why=""):
    global _count, _failed
    _count += 1
    print(f"{'' if good else 'not '}ok {_count} - {name}", flush=True)
    if not good:
        _failed += 1
        for line in str(why).splitlines()[:20]:
            print("# " + line, flush=True)
    return bool(good)


def equal(got, want, name):
    return ok(got == want, name, f"got  {got!r}\nwant {want!r}")


def skip(name, reason):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {reason}", flush=True)


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def wait_for(condition, what, seconds=15, every=0.02):
    """Polls until condition() is true and returns its value; raises after the deadline."""
    end = time.monotonic() + seconds * (3 if os.environ.get("HG_SAN", "0") != "0" else 1)
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
        except OSError: # a peer that is not there yet
            pass
        time.sleep(every)
    raise TimeoutError("waited for " + what)


def later_ms():
    """Until what is written next has a later time, in milliseconds, than what was written before."""
    written = time.time_ns() // 10**6 + 1  # a clock that is read in another process may be rounded up
    wait_for(lambda: time.time_ns() // 10**6 > written, "a later millisecond", every=0.001)


def temp_dir():
    d = tempfile.mkdtemp(prefix="hg-mirror-")
    os.chmod(d, 0o755)
    atexit.register(shutil.rmtree, d, True)
    return d


class Postgres:
    """initdb in a new directory, socket only, destroyed at exit."""

    def __init__(self, fsync="off", settings=()):
        """settings: of the server, "name=value"; the last of a name counts."""
        self.fsync, self.settings = fsync, settings
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.dir = temp_dir()
        self.data = os.path.join(self.dir, "data")
        user = pwd.getpwnam("postgres")
        os.chown(self.dir, user.pw_uid, user.pw_gid)
        self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else ["setpriv"]
        subprocess.run(self.user + [self.bin + "/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N",
                                    "--no-instructions", "-E", "UTF8", "--locale=C"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.proc = None
        atexit.register(self.stop)
        self.start()

    @property
    def conninfo(self):
        return f"host={self.dir} user=postgres dbname=postgres"

    def start(self):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.proc = subprocess.Popen(
                self.user + ["--pdeathsig", "KILL", self.bin + "/postgres", "-D", self.data, "-k", self.dir, "-c", "listen_addresses=",
                             "-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "fsync=" + self.fsync,
                             "-c", "max_wal_size=256MB", "-c", "log_min_messages=warning",
                             *(word for s in self.settings for word in ("-c", s))],
                stdout=log, stderr=log, cwd="/", start_new_session=True)
        wait_for(lambda: subprocess.run([self.bin + "/pg_isready", "-q", "-h", self.dir]).returncode == 0,
                 "PostgreSQL", 60, 0.05)

    def stop(self, sig=signal.SIGQUIT):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.wait(60)

    @staticmethod
    def gone(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    def children(self):
        """Its processes; each leads a session of its own, so that no group holds them."""
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.proc.pid:
                found.append(int(path.split("/")[2]))
        return found

    def kill(self):
        """All of its processes die at once, as with a power cut."""
        self.proc.send_signal(signal.SIGSTOP)  # it starts no others meanwhile
        children = self.children()
        self.proc.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc.wait(30)
        # While one of them lives the next server refuses to start.
        wait_for(lambda: all(map(self.gone, children)), "the end of PostgreSQL")

    def session(self):
        """A psql that stays connected, for locks."""
        return Session(self.conninfo)

    def sql(self, text, check=True):
        r = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo, "-c", text],
                           capture_output=True, text=True)
        if check and r.returncode:
            raise RuntimeError(r.stderr)
        return r.stdout.rstrip("\n") if r.returncode == 0 else r.stderr


class Session:
    def __init__(self, conninfo):
        self.proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "psql", "-XAtq", "-d", conninfo], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def begin(self, text):
        """A statement that may wait for others; end() waits for it."""
        self.proc.stdin.write(text + ";\n\\echo done\n")
        self.proc.stdin.flush()

    def end(self):
        """Returns what it printed, errors too."""
        said = ""
        while (line := self.proc.stdout.readline()) not in ("done\n", ""):
            said += line
        return said.rstrip("\n")

    def run(self, text):
        """Returns when the statement is done."""
        self.begin(text)
        return self.end()
