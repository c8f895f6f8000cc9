# SPDX-License-Identifier: MIT
"""Profiles are learned from training files only and held against all others: rows of results.

Ours is run as a maker runs it, `heliograph profile learn` and `heliograph profile test`, with the
device's address and nothing else: no option differs by model or by file.
"""
import collections
import datetime
import json
import os
import subprocess

import capture
import judge
import trivial

# One capture for both: how many seconds of it are for training: 6 of 9 hours, two thirds of 68 minutes.
SPLIT = {"blink-security-hub": 6 * 3600, "xiaodu-plug": 2730}

DETECTORS = ("heliograph", "ports", "counts", "eager")  # the others: see trivial.py

# One model's files: names, and the device's address. Tests may be parts of a capture.
Model = collections.namedtuple("Model", "name mac runs train tests scenarios")
# What came of a model's benign test files, and of one scenario, by detector.
Benign = collections.namedtuple("Benign", "model hours minutes packets hostile drift first")
Scenario = collections.namedtuple("Scenario", "file model attack kind expected seen")


def models(data):
    """All models that have something to test on, in the manifest's order."""
    by_name = {}
    for name, e in data.files.items():
        m = by_name.setdefault(e["model"], Model(e["model"], {}, set(), [], [], []))
        m.mac[name] = e["device_mac"]
        if e["kind"] == "benign-setup":
            m.runs.add(name)
        if e["kind"] not in ("benign", "benign-setup"):
            m.scenarios.append(name)
        elif e["model"] in SPLIT:
            m.train.append(name)
            m.tests.append(name)
        elif e["role"].startswith("train"):
            m.train.append(name)
        else:
            m.tests.append(name)
    return [m for m in by_name.values() if m.tests or m.scenarios]


def told_by(answer):
    """What `heliograph profile test --json` says was told, and when: see judge.py."""
    def when(text):
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    return sorted((when(t["time"]), t["attack"], number)
                  for number, e in enumerate(answer["episodes"]) for t in e["told"])


class Measure:
    """`tool`: the path of heliograph; `tmp`: a directory for profiles and parts of captures."""

    def __init__(self, data, tool, tmp):
        self.data, self.tool, self.tmp = data, tool, tmp

    def _run(self, *args):
        """What it prints. `test` fails where it finds an attack, but then it has said which."""
        p = subprocess.run([self.tool, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           check=False)
        if p.returncode not in (0, 1) or (p.returncode and not p.stdout):
            raise RuntimeError(f"{' '.join(args)}: status {p.returncode}: {p.stderr.strip()}")
        return p.stdout

    def _halves(self, m):
        """Paths of the files to train on and to test on, each with the device's address."""
        if m.name not in SPLIT:
            return ([(self.data.path(n), m.mac[n]) for n in m.train],
                    [(self.data.path(n), m.mac[n], n in m.runs) for n in m.tests])
        name = m.train[0]
        halves = [f"{self.tmp}/{m.name}.{half}.pcap" for half in ("train", "test")]
        capture.split(self.data.path(name), SPLIT[m.name], *halves)
        return [(halves[0], m.mac[name])], [(halves[1], m.mac[name], False)]

    def learn(self, m, train):
        """Learns the profile of a model; its path."""
        path = f"{self.tmp}/{m.name}.json"
        self._run("profile", "learn", "--accept", "--model", m.name, "--firmware", "1", "--output", path,
                  *(word for mac in sorted({mac for _, mac in train}) for word in ("--device", mac)),
                  *(file for file, _ in train))
        return path

    def test(self, profile, path, mac):
        return told_by(json.loads(self._run("profile", "test", "--json", "--device", mac, profile, path)))

    def model(self, m):
        """(Benign, [Scenario]) of one model; None instead of Benign without such files."""
        train, tests = self._halves(m)
        profile = self.learn(m, train)
        plain = trivial.Trivial([capture.packets(*f) for f in train])
        return (self._benign(m, profile, plain, tests) if tests else None,
                [self._scenario(m, profile, plain, name) for name in m.scenarios])

    def _alarms(self, profile, plain, path, mac, found):
        def single(alarms):
            return [(t, name, i) for i, (t, name) in enumerate(alarms)]

        return {"heliograph": self.test(profile, path, mac), "ports": single(plain.by_ports(found)),
                "counts": single(plain.by_counts(found)), "eager": single(plain.by_counts(found, eager=True))}

    def _benign(self, m, profile, plain, tests):
        hours, minutes, sent = 0.0, 0, 0
        hostile, drift, first = collections.Counter(), 0, []
        for path, mac, runs in tests:
            found = capture.packets(path, mac)
            hours += capture.hours_watched([p.time for p in found], runs)
            minutes += capture.active_minutes(found)
            sent += sum(p.out for p in found)
            for who, told in self._alarms(profile, plain, path, mac, found).items():
                told = judge.first_told(told)
                hostile[who] += sum(name != judge.DRIFT for _, name, _ in told)
                drift += sum(name == judge.DRIFT for _, name, _ in told)
                if who == "heliograph":
                    first += [(os.path.basename(path), t, name) for t, name, _ in told]
        return Benign(m.name, hours, minutes, sent, dict(hostile), drift, first)

    def _scenario(self, m, profile, plain, name):
        e = self.data.files[name]
        found = self.data.attacked(name)
        attack = e.get("attack", "device-sourced-dns")
        expected = judge.EXPECTED.get(attack)
        alarms = self._alarms(profile, plain, self.data.path(name), m.mac[name], found)
        seen = {who: judge.judge(alarms[who], found, expected if who == "heliograph" else None)
                for who in DETECTORS}
        return Scenario(name, m.name, attack, e["kind"], expected, seen)
