#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: sessions that break and come again
# Values and outputs of more than 16 KiB: in parts, both ways, from where the other side's copy ends, whatever
# breaks in between; in bounded memory. The mirror follows a script.
import json
import os
import random
import signal
from agent import Agent, done, equal, ok, wait_for
from fakemirror import DONE, FAILED, FakeMirror
from syncclient import decode, encode

PART = 98304
random.seed(5)


def text(n):
    return "\u00e9" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz ", k=n))


class Parts(FakeMirror):
    """Takes and sends parts. `cut`: after so many more requests with a part the connection ends unanswered."""
    def __init__(self):
        super().__init__()
        self.large, self.seqs, self.bytes, self.cut = {}, {}, {}, None
        self.down = None  # (seq, name, bytes of a value) on its way to the device
        self.sent = []    # offsets
        self.script = lambda fake, c, r: c.sendall(fake.frame(fake.parts(r)))

    def take(self, kind, head, part):
        """Returns the whole value, or None and notes what is held."""
        total, offset, data = part
        key = (kind, head[0])
        if offset == 0:
            self.large[key] = b""
        if offset == len(self.large.get(key, b"")):
            self.large[key] = self.large.get(key, b"") + data
            self.bytes[key] = self.bytes.get(key, 0) + len(data)
        if len(self.large[key]) == total:
            return decode(self.large.pop(key))[0]
        return None

    def parts(self, r):
        r, held = dict(r), []
        for key, size in ((10, 4), (11, 5)):
            if r.get(key) and len(r[key][-1]) > size:
                e = r[key].pop()
                if self.cut is not None:
                    self.cut -= 1
                    if self.cut < 0:
                        raise ConnectionError
                value = self.take(key - 10, e, e[-3:])
                if value is None:
                    held.append([key - 10, e[0], len(self.large[(key - 10, e[0])])])
                else:
                    r[key].append(e[:-3] + [value])
        for key in self.large:
            if list(key) not in [h[:2] for h in held]:
                held.append([*key, len(self.large[key])])
        m = self.answer(r)
        m[12] = sorted(held)
        if self.down and r.get(7, 0) < self.down[0]:
            seq, name, data = self.down
            have = next((p[2] for p in r.get(12, []) if p[:2] == [0, seq]), 0)
            self.sent.append(have)
            m[8] = [[seq, 5, name, len(data), have, data[have:have + PART]]]
            m[4] = 1
        return m


m = Parts().start()
a = Agent(m.conf() + "device.store_max = 32M\ndevice.results_max = 8M\nmirror.session_timeout = 20s\n")
a.start()
big = {"t": text(300000), "n": list(range(100000))}
size = len(encode(big))
ok(size > 600000, f"a value of {size} bytes as CBOR")
ok(a.call("property.set", name="big", value=big)["ok"], "is taken by the agent")
ok(a.call("property.set", name="small", value=1)["ok"], "and a small one behind it")
wait_for(lambda: "small" in m.held, "the small one")
ok(m.held["big"] == big, "both reach the mirror")
key = next(k for k in m.bytes if k[0] == 0)
equal(m.bytes[key], size, "each byte once")
ok(all(len(c) == 4 or c[4] <= PART for r in m.requests for c in r.get(10, [])), "in parts")
ok(not any(len(r.get(10, [[]])[-1]) > 4 for r in m.requests if not r.get(4)), "none in the first request of a session")

# The connection ends after three parts; then the agent is killed after two more.
m.bytes.clear()
m.cut = 3
other = text(1000000)
a.call("property.set", name="big", value=other)
wait_for(lambda: m.cut < 0, "the cut")
m.cut = 2
wait_for(lambda: m.cut < 0, "the second cut")
a.stop(signal.SIGKILL)
m.cut = None
sum_before = sum(m.bytes.values())
ok(sum_before >= 5 * PART, f"{sum_before} bytes had come when the agent was killed")
a.start()
wait_for(lambda: m.held["big"] == other, "the value", 30)
equal(sum(m.bytes.values()), len(encode(other)), "after a cut and a kill each byte was taken once")
offsets = [c[4] for r in m.requests[-20:] for c in r.get(10, []) if len(c) == 6]
ok(len([o for o in offsets if o == 0]) <= 1, "no part but the first began at 0", offsets)

# A newer value takes the place of an unfinished one.
m.cut = 2
a.call("property.set", name="big", value=text(800000))
wait_for(lambda: m.cut < 0, "the cut")
a.call("property.set", name="big", value="now small")
m.cut = None
wait_for(lambda: m.held["big"] == "now small", "the newer value")
ok(True, "a newer value ends a transfer")

# To the device.
m.large.clear()
down = text(900000)
m.down = (7, "map", encode(down))
a.call("sync.now")
wait_for(lambda: a.get("map") == down, "the mirror's value", 30)
equal(m.sent, sorted(set(m.sent)), "the mirror's value in parts, each once")
m.sent.clear()
down = text(950000)
m.down = (8, "map", encode(down))
sent, script = m.sent, m.script


def interrupted(fake, c, r):
    if len(sent) == 4:
        a.proc.send_signal(signal.SIGKILL)
    script(fake, c, r)


m.script = interrupted
try:
    a.call("sync.now")
except (OSError, TypeError):
    pass
a.proc.wait(20)
m.script = script
a.stop()
before = list(m.sent)
a.start()
a.call("sync.now")
wait_for(lambda: a.get("map") == down, "the second value", 30)
ok(m.sent[len(before)] >= before[-2] > 0, "after SIGKILL it goes on where the store ends", (before, m.sent))
code, out, _ = a.cli("property", "get", "map")
ok(code == 0 and json.loads(out) == down, "heliograph reads it")
path = a.dir + "/value.json"
with open(path, "w") as f:
    json.dump(down[::-1], f)
code, _, err = a.cli("property", "set", "copy", "--file", path)
equal((code, a.get("copy") == down[::-1]), (0, True), "and sets one from a file")
wait_for(lambda: m.held.get("copy") == down[::-1], "the copy", 30)

# Over the limits.
r = a.call("property.set", name="huge", value="x" * (1 << 20))
ok(not r["ok"] and "object_max" in r["error"]["message"], "over object_max is refused in words", r)
m.down = (9, "map", encode("y" * (1 << 20)))
a.call("sync.now")
ok(a.get("map") == down and "object_max" in a.log(), "over object_max from the mirror is left out and logged")
m.down = (10, "map", b"\x7a\x00\x00\x80\x00" + b"\xff" * 32768)
a.call("sync.now")
ok(a.get("map") == down, "what is not UTF-8 when whole is left out")
m.down = (11, "ok", encode("z" * 20000))
a.call("sync.now")
equal(a.get("ok"), "z" * 20000, "and the next is taken")

# Outputs.
a.handler("report", "#!/bin/sh\nprintf '\"'; head -c ${HELIOGRAPH_COMMAND}00000 /dev/zero | tr '\\0' r; printf '\"'\n")
for _ in range(9):
    m.command("report")
a.call("sync.now")
wait_for(lambda: all(m.ended(i) for i in range(1, 10)), "the commands", 60)
ok(all(m.ended(i)[:3] == (DONE, 0, "r" * (i * 100000)) for i in range(1, 10)), "nine outputs, up to 900,000 bytes",
   [(m.ended(i)[0], m.ended(i)[3]) for i in range(1, 10)])
ok(sum(n for k, n in m.bytes.items() if k[0] == 1) < 4600000, "each byte once")
a.handler("toomuch", "#!/bin/sh\nprintf '\"'; head -c 2000000 /dev/zero | tr '\\0' r; printf '\"'\n")
seq = m.command("toomuch")
a.call("sync.now")
wait_for(lambda: m.ended(seq), "too much", 20)
ok(m.ended(seq)[0] == FAILED and "object_max" in m.ended(seq)[3], "over object_max fails", m.ended(seq))

with open(f"/proc/{a.proc.pid}/status") as f:
    peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
ok(peak < 64 << 10 or os.environ.get("HG_SAN", "0") != "0", f"the agent's peak memory: {peak} KiB")
equal(a.stop(), 0, "it ends well")

# A link that breaks after each part: the value comes in many sessions, which do not back off further and further.
m.large.clear()
m.down, m.device_cursor, m.cut = None, 0, 1


def breaks(fake, c, r):
    try:
        script(fake, c, r)
    except ConnectionError:
        fake.cut = 1
        raise


m.script = breaks
b = Agent(m.conf().replace("backoff_max = 100ms", "backoff_max = 1h")).start()
b.call("sync.now")
last = text(1000000)
b.call("property.set", name="big", value=last)
wait_for(lambda: m.held.get("big") == last, "the value", 40)
ok(b.log().count("failed (protocol)") >= 9, "a value comes in ten sessions of one part, none of them far from the next")
equal(b.stop(), 0, "it ends well, too")
done()
