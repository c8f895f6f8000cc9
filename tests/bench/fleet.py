# SPDX-License-Identifier: MIT
"""What the benchmarks of synchronisation share: a mirror of one's own whose PostgreSQL is durable, simulated
devices (tests/load), a table for the documents.

A benchmark runs in a network namespace of its own (inside()), so that source addresses, ports and counters are its own.
"""
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../mirror"))
from pgworld import BUILD, Postgres, TOP  # noqa: E402
from world import World  # noqa: E402

DEVICES = BUILD + "/tests/load/devices"
# As an operator would begin with on a machine of this size; what makes a commit durable is PostgreSQL's default.
POSTGRES = ("shared_buffers=512MB", "max_wal_size=4GB", "synchronous_commit=on", "max_connections=100",
            "checkpoint_timeout=15min", "log_checkpoints=on")


def inside():
    """Goes on in a network namespace whose lo has Ethernet's MTU and no offloads."""
    if os.environ.get("HG_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "-n", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]],
                   dict(os.environ, HG_BENCH_INSIDE="1"))
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)
    subprocess.run(["ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off"], check=False, capture_output=True)
    for name, value in (("ipv4/ip_local_port_range", "1024 65535"), ("ipv4/tcp_max_syn_backlog", "65536"), ("core/somaxconn", "65536")):
        with open("/proc/sys/net/" + name, "w") as f:
            f.write(value)


def number(name, fallback):
    return int(os.environ.get("HG_BENCH_" + name) or fallback)


def row(what, who, value, unit, **more):
    print(json.dumps({"what": what, "who": who, "value": value, "unit": unit, **more}), flush=True)


def table(name, head, rows, notes=()):
    """A table for the documents: the runner puts it between the marks of its name."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(r) + " |" for r in rows]
    print(json.dumps({"table": name, "text": "\n".join(lines + [""] + list(notes)).strip() + "\n"}), flush=True)


def say(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr, flush=True)


def count(n, digits=0):
    return f"{n:,.{digits}f}"


def disk(path):
    """File system and device that hold a directory."""
    out = subprocess.run(["findmnt", "-no", "FSTYPE,SOURCE", "-T", path], capture_output=True, text=True, check=False).stdout
    return " on ".join(out.split()) or "unknown"


def sync_time_us(path, pg_bin):
    """What one fdatasync() of 8 KiB takes there, by pg_test_fsync."""
    out = subprocess.run([pg_bin + "/pg_test_fsync", "-s", "1", "-f", path], capture_output=True, text=True, check=False).stdout
    found = re.search(r"fdatasync\s.*?([\d.]+) usecs/op", out)
    return float(found.group(1)) if found else None


def cpu_us(pid):
    """Of all threads that a process has, by the scheduler."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0]) / 1000
    return total


class Fleet(World):
    """A mirror with fsync on; `listen` on all addresses, so that a path reaches it, too."""

    def __init__(self, conf="", settings=()):
        super().__init__("log.level = warning\ndatabase.timeout = 1m\n" + conf, Postgres("on", (*POSTGRES, *settings)))
        if self.knows("psk_key"):
            self.rewrite("[sync]\n", f"[sync]\npsk_key = {self.dir}/ca/psk.key\n")
        self.rewrite("listen = 127.0.0.1:%d" % self.sync_port, "listen = 0.0.0.0:%d" % self.sync_port)
        self.load_model()

    def rewrite(self, old, new):
        with open(self.conf) as f:
            text = f.read()
        if old not in text:
            raise ValueError(f"{old!r} is not in the mirror's configuration")
        with open(self.conf, "w") as f:
            f.write(text.replace(old, new))

    def knows(self, key):
        """Whether the mirror has a configuration key."""
        with open(TOP + "/package/heliograph-mirror.conf") as f:
            return re.search(rf"^#?\s*{key}\s*=", f.read(), re.M) is not None

    def load_model(self, *args):
        out = subprocess.run([DEVICES, "--print-model", *args], capture_output=True, text=True, check=True).stdout
        self.model(json.loads(out))

    def state(self, name):
        return f"{self.dir}/state-{name}"

    def enrolment(self, name, n, *args):
        return ["setpriv", "--pdeathsig", "KILL", DEVICES, "--state", self.state(name), "--enrol", "--ca", self.dir + "/ca",
                "--database", self.pg.conninfo, "--prefix", name, "--devices", str(n), *map(str, args)]

    def enrol(self, name, n, *args):
        say(f"enrols {count(n)} devices")
        subprocess.run(self.enrolment(name, n, *args), check=True, stderr=subprocess.DEVNULL)

    def checkpoint(self):
        """So that none of what came before is written at the cost of what comes."""
        self.pg.sql("CHECKPOINT")

    def command(self, name, *args, address="127.0.0.1"):
        return ["setpriv", "--pdeathsig", "KILL", DEVICES, "--state", self.state(name), "--mirror", f"{address}:{self.sync_port}",
                "--server-pid", str(self.proc.pid), "--database-pid", str(self.pg.proc.pid), *map(str, args)]

    def cpu(self):
        """Microseconds of the mirror, and of PostgreSQL with all its processes, those that ended among them (to 10 ms)."""
        with open(f"/proc/{self.pg.proc.pid}/stat") as f:
            ended = sum(map(int, f.read().rpartition(")")[2].split()[13:15])) * 1e6 / os.sysconf("SC_CLK_TCK")
        return cpu_us(self.proc.pid), ended + sum(map(cpu_us, [self.pg.proc.pid, *self.pg.children()]))

    def sessions(self, name, *args, wrap=lambda x: x, must=True, address="127.0.0.1"):
        """Runs them; what the generator says of them. must: all devices are level at the end."""
        r = subprocess.run(wrap(self.command(name, *args, address=address)), capture_output=True, text=True, check=False)
        if r.returncode and (must or not r.stdout):
            print(r.stderr, self.log()[-2000:], file=sys.stderr)
            sys.exit(f"{os.path.basename(sys.argv[0])}: {' '.join(map(str, args))} failed")
        return json.loads(r.stdout)
