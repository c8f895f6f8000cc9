# SPDX-License-Identifier: MIT
"""A path with a delay between this network namespace and one of its own, that writes down each packet.

    10.77.0.1  tun here  ── delay/2 each way ──  tun there  10.77.0.2

Two TUN devices and a loop in Python that carries IP packets from one to the other: what is counted is what
a wire would carry, IP headers and above, each acknowledgement and each packet of the close included. It is
for single sessions; a thousand packets a second are about what it can do.
"""
import ctypes
import fcntl
import heapq
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

HERE, THERE = "10.77.0.1", "10.77.0.2"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000
MTU = 1500


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def up(name, own, peer):
    subprocess.run(["ip", "addr", "add", own, "peer", peer, "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "mtu", str(MTU), "up"], check=True)


def connection(packet, outward):
    """The device's port of a TCP packet, None of anything else."""
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    at = (packet[0] & 15) * 4
    return struct.unpack_from("!H", packet, at + (0 if outward else 2))[0]


def payload(packet):
    at = (packet[0] & 15) * 4
    return struct.unpack_from("!H", packet, 2)[0] - at - (packet[at + 12] >> 4) * 4


def flag(packet, bit):
    return bool(packet[(packet[0] & 15) * 4 + 13] & bit)


FIN, SYN = 1, 2


class Recorder:
    """Of each connection, close included: packets and bytes; before the device closed: round trips (turns of something to say from
    device to mirror and back, SYNs among it) and when its first packet left and the last data came."""

    def __init__(self):
        self.seen = {}

    def add(self, packet, outward, now):
        port = connection(packet, outward)
        if port is None:
            return
        c = self.seen.setdefault(port, {"packets": 0, "bytes": 0, "begun": now, "answered": now, "closed": False, "asks": False, "trips": 0})
        c["packets"] += 1
        c["bytes"] += len(packet)
        c["closed"] |= outward and flag(packet, FIN)
        if c["closed"] or not (payload(packet) or flag(packet, SYN)):
            return
        if outward:
            c["asks"] = True
        else:
            c["trips"] += c["asks"]
            c["asks"], c["answered"] = False, now


def carry(fds, delay, stop):
    """Until `stop` is readable; fds: here, there. Times are those at the device's end."""
    recorder, under_way, n = Recorder(), [], 0
    while True:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, to, packet = heapq.heappop(under_way)
            if to == fds[1]:
                recorder.add(packet, False, time.monotonic())
            os.write(to, packet)
        wait = max(under_way[0][0] - now, 0) if under_way else None
        ready = select.select([*fds, stop], [], [], wait)[0]
        if stop in ready:
            return recorder.seen
        for fd in ready:
            packet, now = os.read(fd, 65536), time.monotonic()
            if fd == fds[1]:
                recorder.add(packet, True, now)
            n += 1
            heapq.heappush(under_way, (now + delay / 2, n, fds[0] if fd == fds[1] else fds[1], packet))


def main(delay, parents_net):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    there = tun("path")
    up("path", THERE, HERE)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    net = os.open(parents_net, os.O_RDONLY)
    if libc.setns(net, 0):
        raise OSError(ctypes.get_errno(), "setns")
    here = tun("path")
    up("path", HERE, THERE)
    if libc.setns(own, 0):
        raise OSError(ctypes.get_errno(), "setns")
    print("ready", flush=True)
    print(json.dumps(list(carry((here, there), delay, sys.stdin.fileno()).values())), flush=True)


class Path:
    """with Path(0.05) as p: subprocess.run(p.command([...])); p.connections is there after it."""

    def __init__(self, delay):
        self.delay, self.connections = delay, None

    def __enter__(self):
        self.proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", sys.executable, os.path.abspath(__file__),
                                      str(self.delay), f"/proc/{os.getpid()}/ns/net"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        if self.proc.stdout.readline() != "ready\n":
            raise RuntimeError("no path")
        return self

    def command(self, args):
        return ["nsenter", f"--net=/proc/{self.proc.pid}/ns/net", *args]

    def __exit__(self, *_):
        """What still travels is let arrive first: a close takes one way and its answer the other."""
        time.sleep(3 * self.delay + 0.2)  # lint: sleep ok, time is what a path with a delay is made of
        self.proc.stdin.close()
        self.connections = json.loads(self.proc.stdout.readline() or "null")
        self.proc.wait(30)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(float(sys.argv[1]), sys.argv[2])
