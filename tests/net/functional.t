#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the device opened must work, everything else must neither reach it nor be answered.

The same checks, for IPv4 and IPv6, with nftables' `ct state` (the test's control), with no filter
(every block_ check must then fail, or it proves nothing), and with the guard in each mode; "l3" is
an interface without Ethernet header. "module" and "module-l3" are with heliograph.ko, where it is. A negative needs no waiting: after what must not arrive a
datagram of the device's own flow is sent, and when that is there the other would be, too.
"""
import contextlib
import errno
import os
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packet as pk
from packet import FIN, RST, SYN, ACK
from world import DEV4, DEV6, NET4, NET6, Tap, World, nft, wait_for

LISTEN, OPEN_UDP, CLOSED = 8080, 8081, 4444  # ports of the device that no one may reach
ECHO, BIG, FENCE = 7002, 7003, 7998          # UDP ports outside
SERVER = 7001                                # TCP port outside
SOL_IPV6, IP_MTU, IPV6_MTU, MTU_DISCOVER, MTU6_DISCOVER, PMTU_DO = 41, 14, 24, 10, 23, 2
ETH_P_ALL = 3


class Side:
    """The sockets of one run: the device's, the outside's, and the witnesses."""

    def __init__(self, world, v6, l3):
        self.w, self.v6, self.l3 = world, v6, l3
        self.family = socket.AF_INET6 if v6 else socket.AF_INET
        self.dev, self.net = (DEV6, NET6) if v6 else (DEV4, NET4)
        self.icmp = pk.ICMP6 if v6 else pk.ICMP
        self.stack = contextlib.ExitStack()
        self.mac = b"" if l3 else world.mac("dev", "d0")
        with world.at("dev"):
            self.listener = self.open(socket.SOCK_STREAM, LISTEN)
            self.listener.listen()
            self.udp = self.open(socket.SOCK_DGRAM, OPEN_UDP)
            self.fence_in = self.open(socket.SOCK_DGRAM)
            self.witness = {p: self.open(socket.SOCK_RAW, None, p)
                            for p in (pk.TCP, pk.UDP, self.icmp, pk.GRE)}
        with world.at("net"):
            self.server = self.open(socket.SOCK_STREAM, SERVER)
            self.server.listen()
            self.echo = self.open(socket.SOCK_DGRAM, ECHO)
            self.big = self.open(socket.SOCK_DGRAM, BIG)
            self.fence_out = self.open(socket.SOCK_DGRAM, FENCE)
            self.wire = self.keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                                socket.htons(ETH_P_ALL)))
            self.wire.bind(("n0", ETH_P_ALL))
        self.fence_in.sendto(b"open", (self.net, FENCE))
        self.fence_peer = self.fence_out.recvfrom(9)[1]
        self.count = 0

    def keep(self, s):
        s.settimeout(5)
        return self.stack.enter_context(s)

    def open(self, kind, port=None, proto=0):
        s = self.keep(socket.socket(self.family, kind, proto))
        if port:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("::" if self.v6 else "0.0.0.0", port))
        return s

    def send(self, payload, dst_mac=None):
        """One IP packet from outside to the device."""
        kind = 0x86dd if payload[0] >> 4 == 6 else 0x800
        self.wire.sendto(payload, ("n0", kind, 0, 0, dst_mac or self.mac))

    def fence(self):
        self.count += 1
        token = struct.pack("!I", self.count)
        self.fence_out.sendto(token, self.fence_peer)
        while self.fence_in.recv(99) != token:
            pass

    @staticmethod
    def drain(s):
        out = []
        s.setblocking(False)
        try:
            while True:
                out.append(s.recvfrom(65535))
        except BlockingIOError:
            return out
        finally:
            s.settimeout(5)

    def arrived(self, proto):
        """What the device's IP layer delivered: payloads from the transport header on."""
        got = [p for p, _ in self.drain(self.witness[proto])]
        return got if self.v6 else [p[(p[0] & 15) * 4:] for p in got]

    def answers(self):
        """What the device sent, but for neighbour discovery and multicast reports."""
        out = []
        for p, (_, kind, direction, *_) in self.drain(self.wire):
            if direction == socket.PACKET_OUTGOING or kind not in (0x800, 0x86dd):
                continue
            seen = pk.Packet(struct.pack("!12xH", kind) + p)
            if seen.src == self.dev and not seen.is_nd():
                out.append(seen)
        return out

    def clear(self):
        for proto in self.witness:
            self.drain(self.witness[proto])
        self.drain(self.wire)

    def blocked(self, proto, mark, *packets):
        """True if nothing with `mark` in it arrived, and nothing was answered."""
        self.clear()
        for p in packets:
            self.send(p)
        self.fence()
        return not any(mark in p for p in self.arrived(proto)) and not self.answers()

    def ip(self, proto, payload, src=None, **more):
        return pk.ip(src or self.net, self.dev, proto, payload, **more)


def out_tcp(s):
    with s.w.at("dev"):
        c = s.open(socket.SOCK_STREAM)
    with c:
        c.connect((s.net, SERVER))
        a, _ = s.server.accept()
        with a:
            c.sendall(b"hello")
            a.settimeout(5)
            a.sendall(a.recv(99)[::-1])
            return c.recv(99) == b"olleh"


def udp_reply(s, port, server, answer):
    with s.w.at("dev"):
        c = s.open(socket.SOCK_DGRAM)
    with c:
        c.sendto(b"hello", (s.net, port))
        server.sendto(answer, server.recvfrom(99)[1])
        return c.recv(65535) == answer


def out_udp(s):
    return udp_reply(s, ECHO, s.echo, b"answer")


def out_udp_fragmented_reply(s):
    return udp_reply(s, BIG, s.big, b"z" * 4000)


def out_ping(s):
    s.clear()
    ident = 4711
    s.witness[s.icmp].sendto(pk.echo(s.dev, s.net, ident), (s.net, 0))
    answer = struct.pack("!BB", 129 if s.v6 else 0, 0)
    return wait_for(lambda: any(p[:2] == answer and p[4:6] == struct.pack("!H", ident)
                                for p in s.arrived(s.icmp)), 5)


def block_in_tcp_syn(s):
    s.clear()
    with s.w.at("net"):
        c = s.open(socket.SOCK_STREAM)
    with c:
        c.setblocking(False)
        if c.connect_ex((s.dev, LISTEN)) != errno.EINPROGRESS:
            return False
        port = struct.pack("!H", c.getsockname()[1])
        s.fence()
        return not select.select([], [c], [], 0)[1] and not s.answers() and \
            not any(p[:2] == port for p in s.arrived(pk.TCP))


def block_in_udp(s):
    junk = pk.udp(s.net, 6001, s.dev, OPEN_UDP, b"junk-1")
    return s.blocked(pk.UDP, b"junk-1", s.ip(pk.UDP, junk))


def block_in_udp_fragments(s):
    u = pk.udp(s.net, 6002, s.dev, OPEN_UDP, b"0" * 8 + b"junk-2" * 4)
    return s.blocked(pk.UDP, b"junk-2", s.ip(pk.UDP, u[:16], more=True, ident=55),
                     s.ip(pk.UDP, u[16:], offset=16, ident=55))


def block_in_ping(s):
    return s.blocked(s.icmp, b"junk-3", s.ip(s.icmp, pk.echo(s.net, s.dev, 78, data=b"junk-3")))


def stray(s, sport, dport, flags):
    return s.blocked(pk.TCP, struct.pack("!HH", sport, dport),
                     s.ip(pk.TCP, pk.tcp(s.net, sport, s.dev, dport, flags)))


def block_stray_ack(s):
    return stray(s, 5555, LISTEN, ACK)


def block_stray_synack(s):
    return stray(s, 5556, CLOSED, SYN | ACK)


def block_stray_fin(s):
    return stray(s, 5557, CLOSED, FIN | ACK)


def block_stray_rst(s):
    return stray(s, 5558, LISTEN, RST)


def path_mtu(s):
    """An ICMP error of a router about the device's own flow must be honoured."""
    with s.w.at("dev"):
        c = s.open(socket.SOCK_DGRAM, 7100)
    with c:
        level, discover, get = (SOL_IPV6, MTU6_DISCOVER, IPV6_MTU) if s.v6 else \
            (0, MTU_DISCOVER, IP_MTU)
        c.setsockopt(level, discover, PMTU_DO)
        c.connect((s.net, ECHO))
        c.send(b"hello")
        s.echo.recvfrom(99)
        quoted = pk.ip(s.dev, s.net, pk.UDP, pk.udp(s.dev, 7100, s.net, ECHO, b"hello"))
        router = "fd99::9" if s.v6 else "10.100.9.9"
        s.send(pk.ip(router, s.dev, s.icmp, pk.too_big(router, s.dev, 1300, quoted)))
        s.fence()
        return c.getsockopt(level, get) == 1300


def block_error_about_nothing(s):
    quoted = pk.ip(s.dev, s.net, pk.UDP, pk.udp(s.dev, 7101, s.net, 7777, b"junk-4"))
    return s.blocked(s.icmp, b"junk-4", s.ip(s.icmp, pk.too_big(s.net, s.dev, 1280, quoted)))


def dhcp4(s):
    """The client listens on a packet socket; the offer comes by broadcast, to no flow."""
    with s.w.at("dev"):
        c = s.keep(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800)))
        c.bind(("d0", 0x800))
    everyone = "255.255.255.255"
    offer = pk.udp(s.net, 67, everyone, 68, b"o" * 300)
    s.send(pk.ip(s.net, everyone, pk.UDP, offer), b"\xff" * 6)
    s.fence()
    with c:
        return any(offer in p for p, _ in s.drain(c))


def dhcp6(s):
    """The client asks a group; the answer comes from an address it never sent to."""
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:2")
    with s.w.at("net"):
        server = s.open(socket.SOCK_DGRAM, 547)
        server.setsockopt(SOL_IPV6, socket.IPV6_JOIN_GROUP,
                          group + struct.pack("@i", socket.if_nametoindex("n0")))
    with s.w.at("dev"):
        client = s.open(socket.SOCK_DGRAM, 546)
        client.setsockopt(SOL_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("d0"))
    with client, server:
        client.sendto(b"solicit", ("ff02::1:2", 547))
        server.sendto(b"advertise", server.recvfrom(99)[1])
        return client.recv(99) == b"advertise"


def dhcp(s):
    return dhcp6(s) if s.v6 else dhcp4(s)


def block_other_proto(s):
    return s.blocked(pk.GRE, b"junk-5", s.ip(pk.GRE, b"\0\0\x08\0junk-5" + b"x" * 20))


CHECKS = (out_tcp, out_udp, out_udp_fragmented_reply, out_ping, path_mtu, dhcp, block_in_tcp_syn,
          block_in_udp, block_in_udp_fragments, block_in_ping, block_stray_ack, block_stray_synack,
          block_stray_fin, block_stray_rst, block_error_about_nothing, block_other_proto)


def attempt(check, side):
    try:
        return bool(check(side))
    except (TimeoutError, socket.timeout, OSError) as e:
        Tap.diag(f"{check.__name__}: {e!r}")
        return False


def one(tap, mode):
    l3, module = mode.endswith("l3"), mode.startswith("module")
    w = World(plain=not l3)
    try:
        if l3:
            w.tunnel()
        guard = None
        if mode == "nft":
            nft(w)
        elif mode != "none":
            asked = "auto" if module else "tc" if l3 else mode
            guard = w.guard(asked, host="module" if module else "bpf").on()
            got = guard.status()["interfaces"][0]["mode"]
            tap.equal(got, "netfilter" if module else asked, f"{mode}: the guard is there as asked")
        for v6 in (False, True):
            side = Side(w, v6, l3)
            with side.stack:
                family(tap, side, f"{mode} {'IPv6' if v6 else 'IPv4'}", mode)
        if guard:
            guard.off()
    finally:
        w.close()


def family(tap, side, label, mode):
    for check in CHECKS:
        if check is dhcp and side.l3:
            continue  # no link that could be broadcast on
        name = check.__name__
        good = attempt(check, side)
        if mode == "none" and name.startswith("block_"):
            tap.ok(not good, f"{label}: {name} fails, as it must without a filter")
        else:
            tap.ok(good, f"{label}: {name}")


def main():
    # One queue: what was sent first comes first.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tap = Tap()
    for mode in sys.argv[1:] or ("none", "nft", "native", "generic", "tc", "l3"):
        one(tap, mode)
    tap.done()


main()
