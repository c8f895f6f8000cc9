# SPDX-License-Identifier: MIT
"""Two trivial detectors, to compare with: what they cannot do is what a profile is good for.

  ports    the device opens a flow to a protocol and remote port that training never saw
  counts   and: packets, bytes or new flows sent in 60 seconds exceed 1.5 times training's maximum.
           Windows tumble from the capture's begin, and are read at their end, as counters are; or
           `eager`, after each packet, which is the best that such a detector can do.

An alarm is (time, reason). Alarms of the same or the next minute are one.
"""
import collections

from capture import ACK, SYN

WINDOW = 60
MARGIN = 1.5
FLOW_LIFE = 180  # seconds until a UDP flow without packets is a new one


def openings(found):
    """For each packet, whether the device opens a flow with it."""
    seen = {}
    for p in found:
        key = (p.proto, p.local_port, p.remote, p.remote_port)
        if p.proto == 6:
            opens = p.out and p.flags & (SYN | ACK) == SYN
        else:
            opens = p.out and p.time - seen.get(key, -FLOW_LIFE) >= FLOW_LIFE
            seen[key] = p.time
        yield p, opens


class Trivial:
    """Learns from lists of packets (one for each capture) and finds alarms in another."""

    def __init__(self, captures):
        self.ports = set()
        self.most = collections.Counter()
        for found in captures:
            for w in self._windows(found):
                self.ports |= w.ports
                for feature, n in w.counts.items():
                    self.most[feature] = max(self.most[feature], n)

    class _Window:
        def __init__(self, begin):
            self.begin, self.ports, self.counts, self.over = begin, set(), collections.Counter(), None

    def _windows(self, found):
        window, begin = None, found[0].time if found else 0
        for p, opens in openings(found):
            at = begin + (p.time - begin) // WINDOW * WINDOW
            if window is None or at > window.begin:
                if window:
                    yield window
                window = self._Window(at)
            if not p.out:
                continue
            window.counts.update({"packets": 1, "bytes": p.length, "flows": int(opens)})
            if opens:
                window.ports.add((p.proto, p.remote_port))
            if window.over is None and any(n > MARGIN * self.most[f] for f, n in window.counts.items()):
                window.over = p.time
        if window:
            yield window

    def by_ports(self, found):
        alarms = [(p.time, f"port {p.proto}/{p.remote_port}") for p, opens in openings(found)
                  if opens and (p.proto, p.remote_port) not in self.ports]
        return merge(alarms)

    def by_counts(self, found, eager=False):
        alarms = self.by_ports(found)
        for w in self._windows(found):
            if w.over is not None:
                alarms.append((w.over if eager else w.begin + WINDOW, "counts"))
        return merge(sorted(alarms))


def merge(alarms):
    """One alarm of those that follow each other within a window."""
    kept, last = [], None
    for a in alarms:
        if last is None or a[0] - last > WINDOW:
            kept.append(a)
        last = a[0]
    return kept
