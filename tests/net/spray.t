#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the kernel does the work; the command line under test runs in functional.t
"""Malware on the device opens a million flows, two packets each.

The mirror's flow stays in its table all the time and its session works; the device's new flows are
admitted all the time, that is, their first answer arrives.
"""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session
from world import BUILD, DEV4, DEV6, NET4, NET6, Tap, World

COUNT = 1000000
RATE = 300000  # packets per second
ECHO = 7002
# The outside table, 4,096 flows, turns over in 27 ms at this rate. An answer that this machine holds
# up for longer finds its flow gone: neither admitted nor refused. What holds it up behind the last look
# at the clock nobody sees; so one in a thousand may be missing.
TURNOVER_S = 0.02
REFUSED_MOST = 0.001


class Watch:
    """The mirror's session and new flows while something sprays."""

    def __init__(self, w, guard, addr):
        self.w, self.guard, self.addr = w, guard, addr
        self.long = session.connect(w, addr)
        session.exchange(self.long)
        self.port = self.long.getsockname()[1]
        with w.at("net"):
            self.echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.echo.bind(("::", ECHO))
        self.echo.settimeout(1)
        self.seen, self.turns, self.admitted, self.refused, self.lost = [], 0, 0, 0, 0

    def kept(self):
        return any(f["table"] == "kept" and f["remote"] == self.addr and
                   f["local_port"] == self.port for f in self.guard.flows())

    def new_flow(self):
        with self.w.at("dev"):
            family = socket.AF_INET6 if ":" in self.addr else socket.AF_INET
            c = socket.socket(family, socket.SOCK_DGRAM)
        with c:
            c.settimeout(2)
            sent = time.monotonic()
            c.sendto(b"x", (self.addr, ECHO))
            try:
                self.echo.sendto(b"y", self.echo.recvfrom(9)[1])
            except TimeoutError:
                self.lost += 1  # the spray filled the cable's queue: no question, no answer
                return
            late = time.monotonic() - sent > TURNOVER_S
            try:
                c.recv(9)
                self.admitted += 1
            except TimeoutError:
                self.refused += not late

    def run_until(self, done):
        next_look = 0
        while not done():
            self.turns += bool(session.exchange(self.long))
            self.new_flow()
            if time.monotonic() > next_look:
                self.seen.append(self.kept())
                next_look = time.monotonic() + 0.2
        self.seen.append(self.kept())

    def report(self, tap, label):
        tap.ok(all(self.seen) and len(self.seen) > 1,
               f"{label}: the mirror's flow was there at each of {len(self.seen)} looks", self.seen)
        tap.ok(self.turns > 10, f"{label}: its session made {self.turns} turns meanwhile")
        tap.ok(self.admitted > 10 and self.refused <= self.admitted * REFUSED_MOST and
               self.lost * 100 <= self.admitted,
               f"{label}: {self.admitted} new flows, admitted",
               f"{self.refused} refused, {self.lost} lost on the cable")


def ours(tap, w, guard, addr):
    v6 = ":" in addr
    src, dst = (DEV6 + "/128", "fd64::/16") if v6 else (DEV4 + "/32", "10.128.0.0/9")
    watch = Watch(w, guard, addr)
    before = guard.status()["passed"]["out"]
    sender = w.start("dev", BUILD + "/tests/net/flood", "d0", w.mac("net", "n0").hex(":"), src, dst,
                     COUNT, 2, RATE)
    watch.run_until(lambda: sender.poll() is not None)
    label = f"a million {'IPv6' if v6 else 'IPv4'} flows"
    sent = guard.status()["passed"]["out"] - before
    tap.ok(sent >= 2 * COUNT and not sender.returncode,
           f"{label}: the guard let {sent} packets out")
    watch.report(tap, label)
    full = guard.status()["flows"]["outside"]
    tap.ok(full["count"] > full["size"] // 2, f"{label}: they filled their own table, {full}")


def real_tool(tap, w, guard, name, *cmd):
    """A tool that attackers use, for a few seconds."""
    watch = Watch(w, guard, NET4)
    p = w.start("dev", *cmd)
    start = time.monotonic()
    watch.run_until(lambda: p.poll() is not None or time.monotonic() > start + 4)
    p.kill()
    watch.report(tap, name)


def main():
    tap = Tap()
    for addr in (NET4, NET6):
        w = World()
        session.serve(w)
        guard = w.guard("native", mirror=(addr, session.SERVER)).on()
        ours(tap, w, guard, addr)
        if addr == NET4:
            real_tool(tap, w, guard, "hping3 flood", "hping3", "--flood", "--rand-dest", "-I", "d0",
                      "-S", "-p", "23", "10.128.x.x")
            real_tool(tap, w, guard, "masscan", "masscan", "10.128.0.0/14", "-p23,2323", "--rate",
                      "50000", "--retries", "1", "--wait", "0", "-e", "d0", "--adapter-ip", DEV4,
                      "--router-mac", w.mac("net", "n0").hex("-"))
        guard.off()
        w.close()
    tap.done()


main()
