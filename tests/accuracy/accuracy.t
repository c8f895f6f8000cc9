#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, half a million packets; tests/profile runs the same programs under sanitizers
"""The short form of `make bench-accuracy`: profiles of some models are learned, and held against
their benign test files and their scenarios. What docs/accuracy.md says is met must stay met."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import capture  # noqa: E402
import judge  # noqa: E402
import measure  # noqa: E402

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.dirname(__file__) + "/../..")
BUILD = os.environ.get("HG_BUILD") or TOP + "/build"
DATA = os.environ.get("HG_DATA") or TOP + "/../shared/data"
MODELS = ("sifely-hub", "tplink-plug", "xiaomi-camera", "xiaodu-plug", "blink-security-hub", "sentinel-HueBridge")
# What is known to be missed, by file (or model), and why: see docs/accuracy.md.
MISSED = {}
count = failed = 0


def ok(good, name, key, why=""):
    global count, failed
    count += 1
    todo = f" # TO" + f"DO {MISSED[key]}" if key in MISSED else ""
    failed += not good and not todo
    print(f"{'' if good else 'not '}ok {count} - {name}{todo}", flush=True)
    if not good:
        print(f"# {why}")


def main():
    if not os.path.exists(DATA + "/manifest.json"):
        print(f"1..0 # SKIP no captures: {DATA}/manifest.json is not there; set HG_DATA")
        return 0
    data = capture.Data(DATA)
    with tempfile.TemporaryDirectory() as tmp:
        m = measure.Measure(data, BUILD + "/heliograph", tmp)
        for model in measure.models(data):
            if model.name not in MODELS:
                continue
            benign, scenarios = m.model(model)
            ok(not benign.hostile["heliograph"], f"{model.name}: nothing hostile in {benign.minutes} active minutes",
               model.name, benign.first)
            for s in scenarios:
                if s.kind == "control-foreign-benign":
                    continue
                seen = s.seen["heliograph"]
                ok(seen.time is not None and not seen.early, f"{s.file}: seen, and nothing before", s.file, seen)
                ok(seen.named, f"{s.file}: is called {s.expected or 'an attack'}", s.file + " name", seen)
                limit = judge.DELAY.get(s.expected, judge.DELAY_OTHERS)
                if s.expected not in (None, "brute force"):  # no delay is asked of these
                    ok(seen.delay <= limit, f"{s.file}: within {limit:.0f} s", s.file + " delay", seen)
    print(f"1..{count}")
    return failed != 0


sys.exit(main())
