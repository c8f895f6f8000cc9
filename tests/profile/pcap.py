# SPDX-License-Identifier: MIT
"""Captures of a device that a test makes up: a home with a router and name server, and what the device does in it."""
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../net"))
import packet as raw  # noqa: E402
from world import BUILD  # noqa: E402

SYN, RST, ACK = raw.SYN, raw.RST, raw.ACK
GROUP = "01:00:5e:00:00:fb"


def profile(*args):
    """Runs heliograph profile: status, what it said, and its errors."""
    p = subprocess.run([BUILD + "/heliograph", "profile", *args], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def name(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".")) + b"\0"


class Home:
    """One device in one network; frames are collected with their times and labels."""

    def __init__(self, net="192.168.1", device="00:53:00:00:00:01", seed=1):
        self.device, self.router = mac(device), mac("00:53:00:00:00:fe")
        self.addr, self.dns = f"{net}.20", f"{net}.1"
        self.net = net
        self.frames = []
        self.random = random.Random(seed)
        self.port = 40000

    def add(self, time, out, dst_mac, src, dst, proto, payload, label=0):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0, raw.number(src),
                         raw.number(dst)) + payload
        macs = (dst_mac or self.router) + self.device if out else self.device + (dst_mac or self.router)
        self.frames.append((time, macs + b"\x08\0" + ip, label))

    def next_port(self):
        self.port = 40000 + (self.port - 40000 + 1) % 20000
        return self.port

    def udp(self, time, dst, dport, data, answer=None, sport=None, dst_mac=None, label=0):
        sport = sport or self.next_port()
        self.add(time, True, dst_mac, self.addr, dst, raw.UDP, raw.udp(self.addr, sport, dst, dport, data), label)
        if answer is not None:
            self.add(time + 0.02, False, None, dst, self.addr, raw.UDP, raw.udp(dst, dport, self.addr, sport, answer))

    def tcp(self, time, dst, dport, sizes=(100,), label=0, dst_mac=None, answered=True):
        sport = self.next_port()

        def send(t, out, flags, n):
            a, b = ((self.addr, sport), (dst, dport)) if out else ((dst, dport), (self.addr, sport))
            self.add(t, out, dst_mac, a[0], b[0], raw.TCP, raw.tcp(*a, *b, flags, data=b"x" * n), label)

        send(time, True, SYN, 0)
        if not answered:
            return
        send(time + 0.02, False, SYN | ACK, 0)
        for i, n in enumerate(sizes):
            send(time + 0.04 + i * 0.02, True, ACK, n)
            send(time + 0.05 + i * 0.02, False, ACK, 200)

    def look_up(self, time, host, addr):
        q = name(host) + struct.pack("!HH", 1, 1)
        head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
        answer = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0) + q
        answer += struct.pack("!HHHIH", 0xC00C, 1, 1, 300, 4) + raw.number(addr)
        self.udp(time, self.dns, 53, head + q, answer)

    def live(self, start, hours, servers="203.0.113"):
        """What the model does: every five minutes its API and a shard of its store, groups, time."""
        for i in range(int(hours * 12)):
            t = start + i * 300 + self.random.random() * 20
            self.look_up(t, "api.example.com", f"{servers}.10")
            self.tcp(t + 0.1, f"{servers}.10", 443, [self.random.randint(50, 400) for _ in range(5)])
            shard = i % 3
            self.look_up(t + 2, f"s{shard}.cdn.example.com", f"{servers}.{20 + shard}")
            self.tcp(t + 2.1, f"{servers}.{20 + shard}", 443, (300, 300))
            self.udp(t + 4, "224.0.0.251", 5353, b"m" * 60, sport=5353, dst_mac=mac(GROUP))
            self.tcp(t + 6, f"{self.net}.77", 8123, (40,), dst_mac=mac("00:53:00:00:00:77"))
            if i % 12 == 0:
                self.udp(t + 8, "198.51.100.123", 123, b"n" * 48, b"n" * 48)
            if i % 60 == 0:
                self.dhcp(t + 9)

    def dhcp(self, time):
        self.add(time, True, b"\xff" * 6, "0.0.0.0", "255.255.255.255", raw.UDP,
                 raw.udp("0.0.0.0", 68, "255.255.255.255", 67, b"d" * 300))

    def scan(self, start, n, rate, port=23):
        for i in range(n):
            self.tcp(start + i / rate, f"100.64.{i // 250}.{1 + i % 250}", port, answered=False, label=1)

    def write(self, path):
        self.frames.sort(key=lambda f: f[0])
        with open(path, "wb") as f:
            f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for t, frame, _ in self.frames:
                f.write(struct.pack("<IIII", int(t), int(t % 1 * 1e6), len(frame), len(frame)) + frame)
        with open(path + ".labels", "w", encoding="ascii") as f:
            f.writelines(f"{label}\n" for _, _, label in self.frames)
        return path
