#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the kernel does the work; the command line under test runs in functional.t
"""A million packets from outside, random sources and ports, leave no entry in any flow table.

Meanwhile the device talks to its mirror, and the tables hold its own flows and nothing else. With
nftables the same flood fills conntrack, which shows that it is one.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session
from world import BUILD, DEV4, DEV6, NET4, NET6, Tap, World, nft, run

COUNT = 1000000
RATE = 400000  # packets per second: more than the two processors of a small machine would lose


def flood(w, v6, count):
    src, dst = ("fd64::/16", DEV6 + "/128") if v6 else ("10.128.0.0/9", DEV4 + "/32")
    return w.start("net", BUILD + "/tests/net/flood", "n0", w.mac("dev", "d0").hex(":"), src, dst,
                   count, 1, RATE)


def sessions_until_end(w, sender, addr, long, own):
    """Short sessions, and turns of a long one, as long as the flood runs: (good, bad)."""
    good = bad = 0
    while sender.poll() is None:
        try:
            port = session.once(w, addr)
            own.add((addr, port))
            if not port or not session.exchange(long):
                raise OSError("wrong answer")
            good += 1
        except OSError as e:
            Tap.diag(f"session: {e!r}")
            bad += 1
    return good, bad


def guarded(tap, mode, v6):
    w = World()
    addr = NET6 if v6 else NET4
    label = f"{mode} {'IPv6' if v6 else 'IPv4'}"
    session.serve(w)
    guard = w.guard(mode, mirror=(addr, session.SERVER)).on()
    long = session.connect(w, addr)
    own = {(addr, long.getsockname()[1])}
    session.exchange(long)
    sender = flood(w, v6, COUNT)
    good, bad = sessions_until_end(w, sender, addr, long, own)
    status = guard.status()
    dropped = sum(status["dropped"].values())
    tap.ok(dropped >= COUNT * 9 // 10 and not sender.returncode,
           f"{label}: the guard met {dropped} packets of the flood", status["dropped"])
    alien = [f for f in guard.flows()
             if f["proto"] != "icmp6" and (f["remote"], f["local_port"]) not in own]
    tap.ok(not alien, f"{label}: no flow table has one entry more", alien[:5])
    tap.ok(good > 5 and not bad, f"{label}: {good} sessions during the flood, all succeeded",
           f"{bad} failed")
    guard.off()
    w.close()


def control(tap):
    """conntrack counts entries per namespace; an open port makes it keep what it should forget."""
    w = World()
    nft(w)
    w.run("dev", "nft", "insert", "rule", "inet", "fw", "input", "udp", "dport", ">", "1", "accept")
    flood(w, False, 20000).wait()
    with w.at("dev"):
        n = int(run("cat", "/proc/sys/net/netfilter/nf_conntrack_count").stdout)
    tap.ok(n > 1000, f"nftables: the same flood leaves {n} entries in conntrack")
    w.close()


def main():
    tap = Tap()
    control(tap)
    for mode, v6 in (("native", False), ("native", True), ("tc", False)):
        guarded(tap, mode, v6)
    tap.done()


main()
