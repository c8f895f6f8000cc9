# SPDX-License-Identifier: MIT
"""Packets byte by byte, for what no socket would send."""
import socket
import struct

TCP, UDP, GRE, ICMP, ICMP6, FRAGMENT = 6, 17, 47, 1, 58, 44
FIN, SYN, RST, ACK = 1, 2, 4, 16


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def is6(addr):
    return ":" in addr


def number(addr):
    return socket.inet_pton(socket.AF_INET6 if is6(addr) else socket.AF_INET, addr)


def pseudo(src, dst, proto, length):
    if is6(src):
        return number(src) + number(dst) + struct.pack("!IHBB", length, 0, 0, proto)
    return number(src) + number(dst) + struct.pack("!BBH", 0, proto, length)


def fill(src, dst, proto, payload, at):
    c = checksum(pseudo(src, dst, proto, len(payload)) + payload) or 0xffff
    return payload[:at] + struct.pack("!H", c) + payload[at + 2:]


def tcp(src, sport, dst, dport, flags, seq=7, ack=9, data=b""):
    h = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 1024, 0, 0)
    return fill(src, dst, TCP, h + data, 16)


def udp(src, sport, dst, dport, data):
    return fill(src, dst, UDP, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def icmp(src, dst, kind, code, rest, data=b""):
    p = struct.pack("!BBH", kind, code, 0) + rest + data
    if is6(src):
        return fill(src, dst, ICMP6, p, 2)
    return p[:2] + struct.pack("!H", checksum(p)) + p[4:]


def echo(src, dst, ident, seq=1, data=b"heliograph"):
    return icmp(src, dst, 128 if is6(src) else 8, 0, struct.pack("!HH", ident, seq), data)


def too_big(src, dst, mtu, quoted):
    """IPv4 fragmentation needed, IPv6 packet too big."""
    if is6(src):
        return icmp(src, dst, 2, 0, struct.pack("!I", mtu), quoted)
    return icmp(src, dst, 3, 4, struct.pack("!HH", 0, mtu), quoted)


def ip(src, dst, proto, payload, offset=0, more=False, ident=1, hops=64):
    """One packet; with offset or more a fragment (offset in bytes, a multiple of 8)."""
    if is6(src):
        if offset or more:
            payload = struct.pack("!BBHI", proto, 0, offset | more, ident) + payload
            proto = FRAGMENT
        return struct.pack("!IHBB", 6 << 28, len(payload), proto, hops) + number(src) + \
            number(dst) + payload
    h = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, offset // 8 | more << 13, hops,
                    proto, 0) + number(src) + number(dst)
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def ethernet(src, dst, payload):
    kind = 0x86dd if payload[0] >> 4 == 6 else 0x800
    return dst + src + struct.pack("!H", kind) + payload


class Packet:
    """A frame that was seen, taken apart as far as these tests look."""

    def __init__(self, frame):
        self.kind = struct.unpack("!H", frame[12:14])[0]
        p = frame[14:]
        self.proto, self.src, self.dst, self.load = None, None, None, b""
        if self.kind == 0x800 and len(p) >= 20:
            self.proto, self.load = p[9], p[(p[0] & 15) * 4:]
            self.src, self.dst = (socket.inet_ntop(socket.AF_INET, p[i:i + 4]) for i in (12, 16))
        elif self.kind == 0x86dd and len(p) >= 40:
            self.proto, self.load = p[6], p[40:]
            self.src, self.dst = (socket.inet_ntop(socket.AF_INET6, p[i:i + 16]) for i in (8, 24))

    def ports(self):
        return struct.unpack("!HH", self.load[:4]) if len(self.load) >= 4 else (0, 0)

    def is_nd(self):
        return self.proto == ICMP6 and self.load[:1] and 133 <= self.load[0] <= 137

    def __repr__(self):
        return f"{self.src}>{self.dst} proto {self.proto} {self.load[:8].hex()}"
