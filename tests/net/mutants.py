# SPDX-License-Identifier: MIT
"""Frames by scapy's fuzz(): every field that is not given becomes random, and layers nest.

mutants.py PATH COUNT SEED ADDRESS: writes COUNT frames to that address, each behind two bytes of
length; tests/net/sic sends them. The same seed writes the same frames.
"""
import logging
import random
import struct
import sys

logging.disable(logging.WARNING)
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest,
                                ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPerror6, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting)
from scapy.layers.l2 import Dot1Q, Ether, GRE
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Raw, fuzz

LONGEST = 1514


def junk():
    return Raw(random.randbytes(random.randrange(64)))


def layers4(addr):
    ip = IP(dst=addr)
    return [fuzz(ip) / fuzz(TCP()) / junk(), fuzz(ip) / fuzz(UDP()) / junk(),
            fuzz(ip) / fuzz(ICMP()) / junk(), ip / fuzz(TCP()), ip / fuzz(UDP()) / fuzz(DNS()),
            ip / fuzz(ICMP()) / fuzz(IPerror(src=addr)) / fuzz(TCPerror()),
            ip / fuzz(ICMP()) / fuzz(IPerror(src=addr)) / fuzz(UDPerror()),
            ip / fuzz(GRE()) / fuzz(ip) / fuzz(UDP()), ip / fuzz(SCTP()) / fuzz(SCTPChunkInit()),
            ip / UDP(sport=67, dport=68) / fuzz(BOOTP()) / fuzz(DHCP()),
            ip / fuzz(ip) / fuzz(TCP()),
            IP(dst=addr, flags=random.choice(("MF", 0)), frag=random.randrange(8192)) / junk()]


def layers6(addr):
    ip = IPv6(dst=addr, src="2001:db8::%x" % random.getrandbits(16))
    extensions = [IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, IPv6ExtHdrFragment]
    chain = ip
    for _ in range(random.randrange(5)):
        chain = chain / fuzz(random.choice(extensions)())
    errors = [ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded]
    return [ip / fuzz(TCP()) / junk(), ip / fuzz(UDP()) / junk(), chain / fuzz(TCP()),
            chain / fuzz(UDP()) / junk(), chain / junk(), ip / fuzz(ICMPv6EchoReply()) / junk(),
            ip / fuzz(ICMPv6EchoRequest()) / junk(),
            ip / fuzz(random.choice(errors)()) / fuzz(IPerror6(src=addr)) / fuzz(TCPerror()),
            ip / fuzz(random.choice(errors)()) / junk(), ip / fuzz(SCTP()),
            ip / ip / fuzz(UDP())]


def frame(addr):
    packet = random.choice(layers6(addr) if ":" in addr else layers4(addr))
    head = Ether(src="02:68:67:6c:69:6f", dst="02:00:00:00:00:01")
    if not random.randrange(16):
        head = head / fuzz(Dot1Q(type=0x86dd if ":" in addr else 0x800))
    return bytes(head / packet)[:LONGEST]


def main():
    path, count, seed, addr = sys.argv[1], int(sys.argv[2]), int(sys.argv[3], 0), sys.argv[4]
    random.seed(seed)
    with open(path, "wb") as f:
        while count:
            try:
                data = frame(addr)
            except Exception:  # a random value that scapy itself cannot write
                continue
            f.write(struct.pack("!H", len(data)) + data)
            count -= 1


main()
