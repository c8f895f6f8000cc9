#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, runs none of our programs
"""The measurement itself: bounds of Poisson, what counts as seen, early and rightly named, and that
the trivial detectors find what they are meant to find, in captures made here."""
import math
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import capture  # noqa: E402
import judge  # noqa: E402
import trivial  # noqa: E402

MAC = "02:00:00:00:00:01"
count = failed = 0


def check(name, got, want):
    global count, failed
    count += 1
    bad = got != want
    failed += bad
    print(f"{'not ' if bad else ''}ok {count} - {name}")
    if bad:
        print(f"# got {got!r}, want {want!r}")


def frame(out, remote, port, local=40000, flags=None, size=0, payload=b""):
    """An Ethernet frame; flags: TCP, else UDP. `size` zeros are on the wire but not captured."""
    device, other = bytes.fromhex(MAC.replace(":", "")), b"\x02\0\0\0\0\x02"
    here, there = b"\x0a\0\0\x02", bytes(remote)
    ports = (local, port) if out else (port, local)
    l4 = struct.pack(">HH", *ports) + (struct.pack(">HH", 8 + len(payload), 0) + payload if flags is None
                                       else struct.pack(">IIBBHHH", 0, 0, 0x50, flags, 0, 0, 0))
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(l4) + size, 0, 0, 64, 17 if flags is None else 6, 0)
    ip += here + there if out else there + here
    return (other + device if out else device + other) + b"\x08\0" + ip + l4, size


def write(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for t, (data, more) in frames:
            f.write(struct.pack("<IIII", int(t), round(t % 1 * 1e6), len(data), len(data) + more) + data)
    return path


def usual(begin, minutes):
    """One connection to port 443 a minute."""
    return [(begin + 60 * i + s, frame(s != 1, (9, 9, 9, 9), 443, 40000 + i, flag, size))
            for i in range(minutes) for s, flag, size in ((0, 2, 0), (1, 18, 0), (2, 16, 400))]


def marked(frames, path, attack):
    """The packets of `frames` and `attack`, which is labelled."""
    everything = sorted([(t, f, "0") for t, f in frames] + [(t, f, "1") for t, f in attack], key=lambda x: x[0])
    write(path, [(t, f) for t, f, _ in everything])
    with open(path + ".labels", "w", encoding="ascii") as f:
        f.write("\n".join(mark for _, _, mark in everything) + "\n")
    return capture.packets(path, MAC, path + ".labels")


def test_poisson():
    check("no event in T bounds the rate by 3.0/T", round(judge.poisson_upper(0), 3), 2.996)
    check("one event: 4.74", round(judge.poisson_upper(1), 2), 4.74)
    check("ten events: 16.96", round(judge.poisson_upper(10), 2), 16.96)


def test_reading(tmp):
    path = write(tmp + "/a.pcap", usual(1000.25, 3))
    found = capture.packets(path, MAC)
    check("nine packets", len(found), 9)
    check("their length is that of the wire", found[2].length, 440)
    check("who sent", [p.out for p in found[:3]], [True, False, True])
    check("the remote's port, both ways", {(p.remote_port, p.remote) for p in found}, {(443, bytes((9, 9, 9, 9)))})
    check("active minutes", capture.active_minutes(found), 3)
    check("hours watched", round(capture.hours_watched([p.time for p in found], False) * 3600), 122)
    check("nobody watches between two set-up runs", capture.hours_watched([0, 60, 5060, 5120], True) * 3600, 120)
    capture.split(path, 60, tmp + "/b.pcap", tmp + "/c.pcap")
    check("split by time", [len(capture.packets(f"{tmp}/{x}.pcap", MAC)) for x in "bc"], [3, 6])
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
    asked = [(5.0 + i, frame(True, (9, 9, 9, 9), 53, payload=p)) for i, p in enumerate((question, question[:20]))]
    found = capture.packets(write(tmp + "/d.pcap", asked), MAC)
    check("a question of a name", [capture.is_question(p, "example.com") for p in found], [True, False])


def test_trivial(tmp):
    begin = 1000.0
    learned = trivial.Trivial([capture.packets(write(tmp + "/t.pcap", usual(begin, 10)), MAC)])
    calm = capture.packets(write(tmp + "/u.pcap", usual(begin, 5)), MAC)
    check("no alarm on what was learned", (learned.by_ports(calm), learned.by_counts(calm)), ([], []))
    syn = [(begin + 130 + i / 10, frame(True, (8, 8, 8, i), 23, 50000, 2)) for i in range(20)]
    found = marked(usual(begin, 5), tmp + "/v.pcap", syn)
    check("another port: at its first packet, once", learned.by_ports(found), [(begin + 130, "port 6/23")])
    syn = [(t, frame(True, (8, 8, 8, i), 443, 50000, 2)) for i, (t, _) in enumerate(syn)]
    found = marked(usual(begin, 5), tmp + "/w.pcap", syn)
    check("a known port: not by ports", learned.by_ports(found), [])
    check("but by counts, at the window's end", learned.by_counts(found), [(begin + 180, "counts")])
    check("eager: after the second opening", learned.by_counts(found, eager=True), [(begin + 130, "counts")])


def test_judge(tmp):
    syn = [(1130 + i / 10, frame(True, (8, 8, 8, i % 7), 23, 50000, 2)) for i in range(20)]
    found = marked(usual(1000.0, 5), tmp + "/x.pcap", syn)
    seen = judge.judge([(1131.0, "horizontal scan", 0)], found, "horizontal scan")
    check("seen after a second, rightly named", (seen.delay, seen.named, seen.early), (1.0, True, 0))
    check("packets and targets until then", (seen.packets, seen.targets), (11, 7))
    seen = judge.judge([(1129.0, "SYN flood", 0), (1131.0, "SYN flood", 1)], found, "horizontal scan")
    check("an alarm before the attack, a wrong name", (seen.early, seen.named), (1, False))
    seen = judge.judge([(1129.0, "SYN flood", 0), (1131.0, "SYN flood", 0)], found, "SYN flood")
    check("an episode that began before it does not count", (seen.early, seen.time), (1, None))
    seen = judge.judge([(1131.0, "drift", 0)], found, None)
    check("drift sees no attack", (seen.time, seen.delay, seen.drift), (None, math.inf, 1.0))
    seen = judge.judge([(1129.0, "drift", 0), (1133.0, "SYN flood", 0)], found, None)
    check("an episode is hostile from its first hostile word on", (seen.delay, seen.early), (3.0, 0))
    seen = judge.judge([(1131.0, "SYN flood", 0), (1132.5, "vertical scan", 0)], found, "vertical scan")
    check("the name may come with the update", (seen.delay, seen.name, seen.named), (1.0, "vertical scan", True))
    seen = judge.judge([(1131.0, "SYN flood", 0), (1142.0, "vertical scan", 0)], found, "vertical scan")
    check("but not later than the delay that is allowed", seen.named, False)
    seen = judge.judge([(1131.0, "SYN flood", 0), (1131.0, "vertical scan", 1)], found, "vertical scan")
    check("nor in another episode", (seen.named, seen.others), (False, ["vertical scan"]))
    check("what was not seen has no finite delay", judge.median([1.0, math.inf, math.inf]), math.inf)


with tempfile.TemporaryDirectory() as tmp:
    test_poisson()
    test_reading(tmp)
    test_trivial(tmp)
    test_judge(tmp)
print(f"1..{count}")
sys.exit(failed != 0)
