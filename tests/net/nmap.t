#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, nmap and the kernel do the work; the command line under test runs in functional.t
# waits: answers that do not come
"""nmap from outside finds nothing and gets nothing, and the device's own traffic works meanwhile.

    scan 192.0.2.9 fd99:9::9 --- net (router; TCP, DNS, NTP, DHCP) --- dev (guard)

The scanner sits behind a router, so that "not one packet of the device to the scanner" needs no
exception for ARP and neighbour discovery.
"""
import os
import random
import socket
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packet as pk
import session
from world import DEV4, DEV6, NET4, NET6, Tap, World, wait_for

SCAN4, SCAN6 = "192.0.2.9", "fd99:9::9"
ECHO = 7002
FAST = ("-n", "-Pn", "--max-retries", "1", "--host-timeout", "90s")
SCANS = (("-sS", "-p-", "--min-rate", "20000"),
         ("-sU", "--top-ports", "200", "--min-rate", "200"),
         ("-sA", "--min-rate", "500"),
         ("-sN", "--min-rate", "500"),
         ("-O", "--min-rate", "500"))
FILTERED = {"filtered", "open|filtered"}  # nmap's words for: no answer at all


def scanner(w):
    w.add("scan")
    w.run("net", "ip", "link", "add", "s1", "type", "veth", "peer", "name", "s0", "netns",
          w.ns("scan"))
    for name, dev, a4, a6 in (("scan", "s0", SCAN4, SCAN6),
                              ("net", "s1", "192.0.2.1", "fd99:9::1")):
        w.wire_like(name, dev)
        w.run(name, "ip", "addr", "add", a4 + "/24", "dev", dev)
        w.run(name, "ip", "addr", "add", a6 + "/64", "dev", dev, "nodad")
        w.run(name, "ip", "link", "set", dev, "up")
    w.run("net", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    w.run("scan", "ip", "route", "add", "default", "via", "192.0.2.1")
    w.run("scan", "ip", "-6", "route", "add", "default", "via", "fd99:9::1")


class Wire:
    """tcpdump on the device's cable: what the device sends to the scanner."""

    def __init__(self, w):
        self.path = w.tmp + "/wire.txt"
        with open(self.path, "wb") as out, open(w.tmp + "/tcpdump.txt", "wb") as err:
            self.p = w.start("net", "tcpdump", "-nli", "n0", "--immediate-mode",
                             f"(src {DEV4} and dst {SCAN4}) or (src {DEV6} and dst {SCAN6})",
                             stdout=out, stderr=err)
        assert wait_for(lambda: b"listening on" in open(w.tmp + "/tcpdump.txt", "rb").read())

    def count(self):
        with open(self.path, "rb") as f:
            return sum(1 for _ in f)


def dnsmasq(w):
    conf = f"""
        no-daemon
        no-resolv
        no-hosts
        user=root
        interface=n0
        bind-interfaces
        pid-file={w.tmp}/dnsmasq.pid
        dhcp-leasefile={w.tmp}/leases
        dhcp-range=10.77.0.100,10.77.0.200,120
        dhcp-host={w.mac("dev", "d0").hex(":")},{DEV4},120
        dhcp-authoritative
        log-dhcp
        address=/mirror.example/{NET4}
        """
    with open(w.tmp + "/dnsmasq.conf", "w", encoding="ascii") as f:
        f.write("\n".join(line.strip() for line in conf.splitlines()))
    with open(w.tmp + "/dnsmasq.txt", "wb") as out:
        w.start("net", "dnsmasq", "-C", w.tmp + "/dnsmasq.conf", stderr=out, stdout=out)
    assert wait_for(lambda: b"sockets bound exclusively to interface" in
                    open(w.tmp + "/dnsmasq.txt", "rb").read())


def chronyd(w):
    for name, more in (("net", "local stratum 2\nallow all\nport 123\n"),
                       ("dev", f"server {NET4} iburst maxsamples 1\nport 0\n")):
        with open(f"{w.tmp}/chrony-{name}.conf", "w", encoding="ascii") as f:
            f.write(f"{more}cmdport 0\nbindcmdaddress /\npidfile {w.tmp}/chrony-{name}.pid\n")
    w.start("net", "chronyd", "-x", "-d", "-U", "-u", "root", "-f", w.tmp + "/chrony-net.conf")


def udhcpc(w):
    script = w.tmp + "/udhcpc.sh"
    with open(script, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\necho $1 $ip >>{w.tmp}/dhcp.txt\n")
    os.chmod(script, 0o755)
    return w.start("dev", "busybox", "udhcpc", "-f", "-i", "d0", "-s", script, "-t", "5", "-T", "1")


class Device:
    """What the device does all the time; each method returns True if it worked."""

    def __init__(self, w):
        self.w = w
        session.serve(w)
        dnsmasq(w)
        chronyd(w)
        self.dhcp_client = udhcpc(w)
        self.long = {}
        with w.at("net"):
            self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.mac = w.mac("dev", "d0")
        self.mtu_port = 20000

    def session(self):
        """One connection that lasts through all scans, and a new one each time."""
        for addr in (NET4, NET6):
            if addr not in self.long:
                self.long[addr] = session.connect(self.w, addr)
            if not session.exchange(self.long[addr]) or not session.once(self.w, addr):
                return False
        return True

    def dns(self):
        ident = random.randrange(65536)
        query = struct.pack("!HHHHHH", ident, 0x100, 1, 0, 0, 0) + b"\6mirror\7example\0\0\1\0\1"
        with self.w.at("dev"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.settimeout(5)
            s.sendto(query, (NET4, 53))
            answer = s.recv(512)
        return answer[:2] == query[:2] and answer.endswith(socket.inet_aton(NET4))

    def ntp(self):
        p = self.w.run("dev", "chronyd", "-x", "-Q", "-t", "10", "-u", "root", "-f",
                       self.w.tmp + "/chrony-dev.conf", check=False)
        return p.returncode == 0 and "System clock wrong by" in p.stdout + p.stderr

    def leases(self, word):
        try:
            with open(self.w.tmp + "/dhcp.txt", encoding="ascii") as f:
                return f.read().split("\n").count(f"{word} {DEV4}")
        except FileNotFoundError:
            return 0

    def dhcp(self):
        if not wait_for(lambda: self.leases("bound"), 10):
            return False
        before = self.leases("renew")
        self.dhcp_client.send_signal(10)  # SIGUSR1: renew now
        return wait_for(lambda: self.leases("renew") > before, 10)

    def path_mtu(self):
        self.mtu_port += 1
        with self.w.at("dev"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.setsockopt(0, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            s.bind((DEV4, self.mtu_port))
            s.connect(("10.99.0.1", ECHO))
            s.send(b"probe")
            mtu = random.randrange(600, 1400)
            quoted = pk.ip(DEV4, "10.99.0.1", pk.UDP,
                           pk.udp(DEV4, self.mtu_port, "10.99.0.1", ECHO, b"probe"))
            error = pk.icmp("10.100.9.9", DEV4, 3, 4, struct.pack("!HH", 0, mtu), quoted)
            self.wire.sendto(pk.ip("10.100.9.9", DEV4, pk.ICMP, error),
                             ("n0", 0x800, 0, 0, self.mac))
            good = wait_for(lambda: s.getsockopt(0, 14) == mtu, 5)  # IP_MTU
        self.w.run("dev", "ip", "route", "flush", "cache")
        return good

    def neighbours(self):
        """Both ends forget each other and find each other again, started from either side."""
        for name, dev in (("dev", "d0"), ("net", "n0")):
            self.w.run(name, "ip", "-6", "neigh", "flush", "dev", dev)
            self.w.run(name, "ip", "-4", "neigh", "flush", "dev", dev)
            for addr in (NET4, NET6):
                if not session.once(self.w, addr):
                    return False
        return True

    NEEDS = ("session", "dns", "ntp", "dhcp", "path_mtu", "neighbours")

    def round(self, results):
        for need in self.NEEDS:
            try:
                good = bool(getattr(self, need)())
            except OSError as e:
                Tap.diag(f"{need}: {e!r}")
                good = False
            results.setdefault(need, []).append(good)


def nmap(w, addr, *options):
    out = w.tmp + f"/nmap{pk.is6(addr)}.xml"
    family = ("-6",) if pk.is6(addr) else ()
    return w.start("scan", "nmap", *family, *FAST, *options, "-oX", out, addr), out


def states(path):
    """What nmap says of the ports, {state: count}, and the systems it recognised."""
    tree = xml.parse(path)
    found = {}
    for e in tree.iter("extraports"):
        found[e.get("state")] = found.get(e.get("state"), 0) + int(e.get("count"))
    for e in tree.iter("port"):
        state = e.find("state").get("state")
        found[state] = found.get(state, 0) + 1
    return found, [e.get("name") for e in tree.iter("osmatch")]


def control(tap, w, wire):
    p, out = nmap(w, DEV4, "-sS", "-p", "8080,4444")
    p.wait()
    tap.equal(states(out)[0], {"open": 1, "closed": 1}, "without the guard nmap sees the device")
    tap.ok(wait_for(lambda: wire.count() >= 2), "without the guard tcpdump counts its answers")
    with open(wire.path, "wb"):
        pass


def main():
    tap = Tap()
    w = World()
    scanner(w)
    wire = Wire(w)
    with w.at("dev"):
        listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
    control(tap, w, wire)
    wire.p.kill()
    wire = Wire(w)
    guard = w.guard("auto").on()
    device = Device(w)
    results = {}
    device.round(results)  # once in quiet, so that a failure below is the scans' doing
    for need, good in results.items():
        tap.ok(all(good), f"{need} works with the guard")
    results.clear()
    for options in SCANS:
        scans = {addr: nmap(w, addr, *options) for addr in (DEV4, DEV6)}
        start = time.monotonic()
        while any(p.poll() is None for p, _ in scans.values()) and time.monotonic() - start < 120:
            device.round(results)
        for addr, (p, out) in scans.items():
            found, systems = states(out) if p.poll() == 0 else ({"nmap failed": 1}, [])
            name = f"nmap {'-6 ' if pk.is6(addr) else ''}{' '.join(options[:-2])}"
            tap.ok(set(found) <= FILTERED and sum(found.values()) >= 200 and not systems,
                   f"{name}: {sum(found.values())} ports, only filtered", found, systems)
    tap.equal(wire.count(), 0, "tcpdump: the device sent no packet to the scanner")
    for need, good in results.items():
        tap.ok(all(good) and len(good) >= 5,
               f"{need} works during the scans, {len(good)} times", good)
    tap.ok(guard.status()["dropped"]["no-flow"] > 2 * 65535, "the guard counted what it dropped",
           guard.status())
    guard.off()
    listener.close()
    w.close()
    tap.done()


main()
