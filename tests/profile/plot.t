#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""heliograph profile plot: well-formed, with axes, units, legend, bounds, episodes and words for who cannot see it."""
import os
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pcap import Home, profile as run  # noqa: E402
from world import Tap  # noqa: E402

START, HOURS, SCAN = 1_600_000_200, 30, 60_000
NS = "{http://www.w3.org/2000/svg}"
LEFT, WIDTH, HEIGHT = 90, 960, 130
tap = Tap()
ok = tap.ok


def plot(tmp, *args):
    rc, out, err = run("plot", f"{tmp}/p.json", *args, "-o", f"{tmp}/p.svg")
    if not ok(rc == 0 and not out and not err, f"plot {' '.join(a for a in args if '/' not in a)}", rc, out, err):
        return None
    return ET.parse(f"{tmp}/p.svg").getroot()


def panels(root):
    return [g for g in root.findall(f"{NS}g") if g.get("class") is None]


def head(panel):
    return next(t.text for t in panel.findall(f"{NS}text") if t.get("class") == "name")


def paths(panel, kind):
    return [p for p in panel.findall(f"{NS}path") if p.get("class") == kind]


def bars(panel):
    """Column -> height."""
    return {int(m[0]) - LEFT: float(m[1]) for m in re.findall(r"M(\d+)\.5 [\d.]+v-([\d.]+)", paths(panel, "bar")[0].get("d"))}


def test_all(tmp, capture):
    root = plot(tmp, capture)
    if root is None:
        return
    ok(root.tag == f"{NS}svg" and root.get("role") == "img", "an SVG picture")
    ids = {e.get("id"): e.text for e in root if e.get("id")}
    ok(root.get("aria-labelledby").split() == ["title", "desc"] and "cam: " in ids["title"] and
       "1 hostile episodes" in ids["desc"] and "bound" in ids["desc"], "title and description say what it shows", ids)
    found = panels(root)
    heads = [head(p) for p in found]
    ok("channel outside: packets in a minute" in heads and "channel dns: flows in a minute" in heads,
       "panels name channel, feature and window", heads)
    legend = " ".join(t.text for g in root.findall(f"{NS}g") if g.get("class") for t in g.findall(f"{NS}text"))
    ok(all(w in legend for w in ("bound", "hostile", "drift", "window")), "a legend", legend)
    times = [t.text for t in found[0].findall(f"{NS}text") if t.get("class") == "time"]
    ok(len(times) == 7 and times[0] == "09-13 12:30" and all(re.match(r"\d\d-\d\d \d\d:\d\d$", t) for t in times),
       "times along the axis", times)
    values = [t.text for t in found[0].findall(f"{NS}text") if t.get("class") == "value"]
    ok(len(values) >= 3 and values[0] == "0", "values along the other", values)
    names = {p.get("class") for p in found[heads.index("channel outside: packets in a minute")].findall(f"{NS}path")}
    ok("hostile" in names, "the attack is marked in its channel", names)


def test_one(tmp, capture):
    root = plot(tmp, capture, "--channel", "outside", "--feature", "flows", "--window", "1")
    if root is None:
        return
    found = panels(root)
    ok([head(p).split(",")[0] for p in found] == ["channel outside: flows in a second"], "one panel", [head(p) for p in found])
    b = bars(found[0])
    at = WIDTH * SCAN / (HOURS * 3600)
    ok(b and all(abs(c - at) < 6 for c in b), "bars are where the attack was", b, at)
    ok(all(0 < h <= HEIGHT for h in b.values()), "and within the panel", b)
    bound = paths(found[0], "bound")
    ok(len(bound) == 1 and bound[0].find(f"{NS}title").text == "bound: 4", "the bound of the profile")
    y = float(re.match(r"M\d+ ([\d.]+)", bound[0].get("d"))[1])
    bottom = max(float(re.match(r"M[\d.]+ ([\d.]+)v5", p.get("d"))[1]) for p in paths(found[0], "axis") if p.get("d").endswith("v5"))
    ok(bottom - HEIGHT < y < bottom and max(b.values()) > bottom - y, "the attack is above it", y, b)
    marks = paths(found[0], "hostile")
    title = marks[0].find(f"{NS}title").text if marks else ""
    ok(len(marks) == 1 and "horizontal scan" in title and "2020-09-14 05:10" in title, "the mark says what and when", title)
    root = plot(tmp, capture, "--channel", "dns")
    ok(len(panels(root)) == 5, "of one channel: its main features")
    ok(not any(paths(p, "hostile") for p in panels(root)), "no marks of other channels")
    root = plot(tmp, capture, "--window", "3600", "--feature", "bytes", "--feature", "destinations", "--channel", "dns")
    ok([head(p) for p in panels(root)] == ["channel dns: bytes in an hour", "channel dns: destinations in an hour"], "hours")


def test_names(tmp, capture):
    odd = f"{tmp}/a&b <c> \"d\" \x01\u00e9.pcap"
    shutil.copy(capture, odd)
    root = plot(tmp, odd)
    ok(root is not None and 'a&b <c> "d" ???' in root.find(f"{NS}title").text, "any file name gives good XML")


def test_wrong(tmp, capture):
    p = f"{tmp}/p.json"
    for args, status, says in (
        ([p, capture], 2, "-o is missing"),
        ([p, capture, "-o", f"{tmp}/no/such.svg"], 1, "No such file"),
        ([p, capture, "-o", f"{tmp}/x.svg", "--channel", "none"], 2, "--channel none"),
        ([p, capture, "-o", f"{tmp}/x.svg", "--feature", "mood"], 2, "--feature mood: must be one of packets bytes"),
        ([p, capture, "-o", f"{tmp}/x.svg", "--window", "7"], 2, "--window 7: must be 1, 60 or 3600"),
        ([p, "-o", f"{tmp}/x.svg"], 2, "missing"),
    ):
        rc, out, err = run("plot", *args)
        ok(rc == status and says in err, f"status {status}: {says}", rc, err)
    ok(not os.path.exists(f"{tmp}/x.svg"), "what fails writes nothing")


tmp = tempfile.mkdtemp(prefix="hg-plot-")
try:
    home = Home()
    home.live(START, HOURS)
    train = home.write(f"{tmp}/train.pcap")
    home.scan(START + SCAN, 400, 20)
    capture = home.write(f"{tmp}/scan.pcap")
    ok(run("learn", train, "-o", f"{tmp}/p.json", "--model", "cam")[0] == 0, "a profile")
    test_all(tmp, capture)
    test_one(tmp, capture)
    test_names(tmp, capture)
    test_wrong(tmp, capture)
finally:
    shutil.rmtree(tmp)
tap.done()
