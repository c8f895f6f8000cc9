# SPDX-License-Identifier: MIT
"""What the measurement reads by itself: captures, labels, manifest.

It is written apart from the programs that are measured: nothing here may share a mistake with
them. Captures are classic pcap of Ethernet frames. Lengths are those on the wire: publishers cut
payloads off.
"""
import collections
import json
import os
import struct

# A packet of the device. flags: of TCP, 0 for others. length: bytes of IP.
Packet = collections.namedtuple("Packet", "time out proto remote remote_port local_port flags length "
                                          "payload label")
SYN, ACK = 2, 16
RUN_GAP = 900  # seconds of silence that end a set-up run


def records(data):
    """(time, wire length, bytes) of each record of a classic pcap."""
    magic = data[:4]
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(magic)
    if not order or struct.unpack_from(order + "I", data, 20)[0] != 1:
        raise ValueError("not a classic pcap of Ethernet frames")
    at = 24
    while at + 16 <= len(data):
        s, us, captured, wire = struct.unpack_from(order + "IIII", data, at)
        yield s + us / 1e6, wire, data[at + 16 : at + 16 + captured]
        at += 16 + captured


def parse(time, frame, mac, label):
    """The packet of an IPv4 or IPv6 frame, or None. Later fragments and ICMP have port 0."""
    out = frame[6:12] == mac
    if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
        head, proto, length = 14 + (frame[14] & 15) * 4, frame[23], struct.unpack_from(">H", frame, 16)[0]
        remote, first = frame[30:34] if out else frame[26:30], not frame[20] & 31 and not frame[21]
    elif frame[12:14] == b"\x86\xdd" and len(frame) >= 54:
        head, proto, length = 54, frame[20], struct.unpack_from(">H", frame, 18)[0] + 40
        remote, first = frame[38:54] if out else frame[22:38], True
    else:
        return None
    local_port = remote_port = flags = 0
    if proto in (6, 17) and first and len(frame) >= head + 4:
        source, target = struct.unpack_from(">HH", frame, head)
        local_port, remote_port = (source, target) if out else (target, source)
        flags = frame[head + 13] if proto == 6 and len(frame) > head + 13 else 0
    return Packet(time, out, proto, remote, remote_port, local_port, flags, length, frame[head + 8 :], label)


def packets(path, mac, labels=None):
    """The IP packets of a capture. `labels`: path of a file with a line for each record."""
    mac = bytes.fromhex(mac.replace(":", ""))
    marks = None
    if labels:
        with open(labels, encoding="ascii") as f:
            marks = f.read().split()
    with open(path, "rb") as f:
        data = f.read()
    found, n = [], 0
    for time, _, frame in records(data):
        p = parse(time, frame, mac, bool(marks) and marks[n] == "1")
        n += 1
        if p:
            found.append(p)
    if marks is not None and n != len(marks):
        raise ValueError(f"{path}: {n} packets, {len(marks)} labels")
    return found


def is_question(p, name):
    """A DNS question of the device for `name`."""
    wire = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return p.out and p.proto == 17 and p.remote_port == 53 and p.payload[12 : 12 + len(wire)] == wire


def hours_watched(times, runs):
    """How long somebody watched. Between set-up runs (`runs`) nobody did."""
    gaps = [b - a for a, b in zip(times, times[1:])]
    return sum(g for g in gaps if g > 0 and not (runs and g > RUN_GAP)) / 3600


def active_minutes(found):
    """Minutes in which the device sent something."""
    return len({int(p.time // 60) for p in found if p.out})


def split(path, seconds, first, second):
    """Writes what came in the first `seconds` of a capture to `first`, the rest to `second`."""
    with open(path, "rb") as f:
        data = f.read()
    begin, at = None, 24
    with open(first, "wb") as a, open(second, "wb") as b:
        a.write(data[:24])
        b.write(data[:24])
        for time, _, frame in records(data):
            begin = time if begin is None else begin
            (a if time - begin < seconds else b).write(data[at : at + 16 + len(frame)])
            at += 16 + len(frame)


class Data:
    """The data set: models with files to train and to test on, and scenarios."""

    def __init__(self, root):
        self.root = root
        with open(os.path.join(root, "manifest.json"), encoding="utf-8") as f:
            self.files = {e["file"]: e for e in json.load(f)["files"]}

    def path(self, name):
        return os.path.join(self.root, name)

    def labels(self, name):
        e = self.files[name]
        return self.path(e["labels_file"]) if "labels_file" in e else None

    def attacked(self, name):
        """Packets of a scenario or a native attack, those of the attack labelled."""
        e = self.files[name]
        found = packets(self.path(name), e["device_mac"], self.labels(name))
        if e["kind"] == "native-attack":  # "udp and ip.src==ADDRESS and dns NAME"
            host = e["attack_match"].split()[-1]
            found = [p._replace(label=is_question(p, host)) for p in found]
        return found
