# SPDX-License-Identifier: MIT
"""What the tests of the guard share: a device and the outside in two network namespaces.

    outside  "net"                      device  "dev"
    n0 10.77.0.1  fd77::1  <==veth==>  d0 10.77.0.2  fd77::2   <- the guard is here

One process holds sockets in both: `with w.at("dev"):` makes what is opened inside belong to that
namespace. Everything made is unmade at the end, after a failure and after a signal.
"""
import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.dirname(__file__) + "/../..")
BUILD = os.environ.get("HG_BUILD") or TOP + "/build"
DEV4, NET4, DEV6, NET6 = "10.77.0.2", "10.77.0.1", "fd77::2", "fd77::1"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


class Tap:
    """ok() prints one line; done() the plan, and ends with the exit status."""

    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, name, *why):
        self.n += 1
        print(("" if good else "not ") + f"ok {self.n} - {name}", flush=True)
        if not good:
            self.failed += 1
            for line in why:
                self.diag(line)
        return good

    def equal(self, got, want, name):
        return self.ok(got == want, name, f"got {got!r}, want {want!r}")

    def skip(self, name, why):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {why}", flush=True)

    @staticmethod
    def diag(text):
        for line in str(text).splitlines():
            print("# " + line, flush=True)

    def done(self):
        print(f"1..{self.n}", flush=True)
        sys.exit(1 if self.failed else 0)


def pump(source, sink):
    """The cable between two tun devices, until they are closed."""
    try:
        while True:
            os.write(sink, os.read(source, 65536))
    except OSError:
        pass


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def run(*cmd, check=True, timeout=240, **more):
    p = subprocess.run([str(c) for c in cmd], capture_output=True, text=True,
                       timeout=timeout, **more)
    if check and p.returncode:
        raise RuntimeError(f"{' '.join(map(str, cmd))}: {p.returncode}\n{p.stdout}{p.stderr}")
    return p


def wait_for(condition, seconds=10.0, step=0.02):
    """The first true value of condition(), or None when the seconds are over."""
    if os.environ.get("HG_SAN", "0") != "0":
        seconds *= 3
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            return None
        time.sleep(step)


class World:
    def __init__(self, namespaces=("dev", "net"), plain=True):
        if os.geteuid():
            skip_all("needs root")
        self.suffix = os.urandom(4).hex()
        self.tmp = f"/tmp/hg-{self.suffix}"
        self.undo = []
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.fds = {}
        os.environ["HG_RUN"] = self.suffix
        os.mkdir(self.tmp, 0o711)
        self.undo.append(lambda: shutil.rmtree(self.tmp, ignore_errors=True))
        atexit.register(self.close)
        for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(s, lambda *_: sys.exit(1))
        for name in namespaces:
            self.add(name)
        if plain:
            self.link()
        os.mkdir(self.tmp + "/bpf")
        run("mount", "-t", "bpf", "bpf", self.tmp + "/bpf")
        self.undo.append(lambda: run("umount", "-l", self.tmp + "/bpf", check=False))

    def close(self):
        undo, self.undo = self.undo, []
        for step in reversed(undo):
            try:
                step()
            except Exception as e:  # the rest must be unmade all the same
                print(f"# cleanup: {e!r}", file=sys.stderr)

    def leftovers(self):
        """After close(): what of this world is still there."""
        mounts = open("/proc/self/mounts", encoding="utf-8").read()
        left = [n for n in os.listdir("/run/netns") if self.suffix in n]
        return left + [m for m in mounts.splitlines() if self.suffix in m] + \
            ([self.tmp] if os.path.exists(self.tmp) else [])

    def ns(self, name):
        return f"hg-{name}-{self.suffix}"

    def add(self, name):
        run("ip", "netns", "add", self.ns(name))
        self.undo.append(lambda: run("ip", "netns", "del", self.ns(name), check=False))
        self.fds[name] = os.open(f"/run/netns/{self.ns(name)}", os.O_RDONLY)
        self.run(name, "ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def at(self, name):
        if libc.setns(self.fds[name], CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(self.home, CLONE_NEWNET)

    def cmd(self, name, *cmd):
        return ["nsenter", f"--net=/run/netns/{self.ns(name)}", *map(str, cmd)]

    def run(self, name, *cmd, **more):
        return run(*self.cmd(name, *cmd), **more)

    def start(self, name, *cmd, **more):
        """A process in a namespace; it is killed at the end."""
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.DEVNULL)
        p = subprocess.Popen(self.cmd(name, *cmd), stdin=subprocess.DEVNULL, **more)
        self.undo.append(lambda: (p.poll() is None and p.kill(), p.wait()))
        return p

    def link(self):
        self.run("dev", "ip", "link", "add", "d0", "type", "veth", "peer", "name", "n0", "netns",
                 self.ns("net"))
        self.addresses()

    def addresses(self):
        for name, dev, a4, a6 in (("dev", "d0", DEV4, DEV6), ("net", "n0", NET4, NET6)):
            self.wire_like(name, dev)
            self.run(name, "ip", "addr", "add", a4 + "/24", "dev", dev)
            self.run(name, "ip", "addr", "add", a6 + "/64", "dev", dev, "nodad")
            self.run(name, "ip", "link", "set", dev, "up")
        self.run("dev", "ip", "route", "add", "default", "via", NET4)
        self.run("dev", "ip", "-6", "route", "add", "default", "via", NET6)
        for name, dev in (("dev", "d0"), ("net", "n0")):
            wait_for(lambda: "tentative" not in self.run(
                name, "ip", "-6", "addr", "show", "dev", dev).stdout)

    def tunnel(self):
        """The same addresses on d0 and n0, but two tun devices: packets without Ethernet header."""
        fds = {}
        for name, dev in (("dev", "d0"), ("net", "n0")):
            with self.at(name):
                fds[name] = os.open("/dev/net/tun", os.O_RDWR)
                request = struct.pack("16sH22x", dev.encode(), IFF_TUN | IFF_NO_PI)
                fcntl.ioctl(fds[name], TUNSETIFF, request)
            self.undo.append(lambda fd=fds[name]: os.close(fd))
        self.addresses()
        for one, other in (("dev", "net"), ("net", "dev")):
            threading.Thread(target=pump, args=(fds[one], fds[other]), daemon=True).start()

    def wire_like(self, name, dev):
        """No super-packets and no missing checksums, as on a cable."""
        for feature in ("tso", "gso", "tx"):
            self.run(name, "ethtool", "-K", dev, feature, "off", check=False)
        self.run(name, "ethtool", "-K", dev, "gro", "on", check=False)
        for key in ("all", dev):
            self.run(name, "sysctl", "-qw", f"net.ipv4.conf.{key}.rp_filter=0",
                     f"net.ipv6.conf.{key}.accept_dad=0")

    def mac(self, name, dev):
        with self.at(name):
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
                s.bind((dev, 0))
                return s.getsockname()[4]

    def guard(self, mode="auto", **keys):
        return Guard(self, mode, **keys)


class Guard:
    """The command line `heliograph guard ...` with a configuration file of this world."""

    def __init__(self, world, mode, ns="dev", interface="d0", mirror=None,
                 profile=None, **keys):
        self.world, self.ns = world, ns
        self.pins = world.tmp + "/bpf/guard"
        self.conf = world.tmp + "/heliographd.conf"
        keys = {"interface": interface, "mode": mode, "pin_dir": self.pins,
                "object": BUILD + "/ebpf/heliograph.bpf.o", **keys}
        with open(self.conf, "w", encoding="ascii") as f:
            if mirror:
                f.write(f"[mirror]\nhost = {mirror[0]}\nport = {mirror[1]}\n")
            if profile:
                with open(world.tmp + "/profile.json", "w", encoding="ascii") as p:
                    json.dump(profile, p)
                f.write(f"[profile]\nfile = {world.tmp}/profile.json\n")
            f.write("[guard]\n")
            for k, v in keys.items():
                for one in v if isinstance(v, (list, tuple)) else [v]:
                    f.write(f"{k} = {one}\n")

    def command(self, *words):
        return [BUILD + "/heliograph", "-c", self.conf, "guard", *words]

    def __call__(self, *words, check=True, **more):
        return self.world.run(self.ns, *self.command(*words), check=check, **more)

    def on(self):
        self("on")
        return self

    def off(self):
        self("off")

    def status(self):
        return json.loads(self("status", "--json", check=False).stdout)

    def entries(self):
        return {t: f["count"] for t, f in self.status()["flows"].items()}

    def flows(self):
        return json.loads(self("flows", "--json").stdout)


def nft(world, ns="dev"):
    """The usual stateful firewall of a host, to hold the tests against."""
    rules = """
        table inet fw {
            counter dropped { }
            chain input {
                type filter hook input priority 0; policy drop;
                iif lo accept
                ct state established,related accept
                icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
                udp sport 547 udp dport 546 accept
                counter name dropped drop
            }
        }"""
    world.run(ns, "nft", "-f", "-", input=rules)
