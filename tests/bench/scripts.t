#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, what it starts is there to measure
"""The benchmarks of synchronisation in small: they run to their end, and what they count is what there is."""
import json, os, shutil, socket, subprocess, sys, threading
import xml.etree.ElementTree as ET
HERE = os.path.dirname(os.path.abspath(__file__))
if os.environ.get("HG_BENCH_TEST") != "inside":
    os.execvpe("unshare", ["unshare", "-n", sys.executable, os.path.abspath(__file__)], dict(os.environ, HG_BENCH_TEST="inside"))
sys.path[:0] = [HERE, HERE + "/../mirror"]
import path as wire
import svg
from pgworld import BUILD, done, equal, ok, skip, temp_dir

tmp = temp_dir()
SMALL = {"DEVICES": 40, "ROWS": 1000, "SESSIONS": 1, "CONNECTIONS": 8, "SINGLES": 3, "SYNC_ROUNDS": 5, "SECONDS": 1, "REPEATS": 1, "PASSES": 1, "HERD": 60, "PART": 25}
SVG = "{http://www.w3.org/2000/svg}"
os.makedirs(BUILD + "/bench", exist_ok=True)


def bench(name):
    """What it printed, by what and who, and its tables."""
    r = subprocess.run([f"{HERE}/{name}.bench"], capture_output=True, text=True,
                       env=dict(os.environ, **{"HG_BENCH_" + k: str(v) for k, v in SMALL.items()}))
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    ok(r.returncode == 0 and lines, f"{name}.bench runs to its end", r.stderr + r.stdout)
    return {(x["what"], x["who"]): x for x in lines if "what" in x}, {x["table"]: x["text"] for x in lines if "table" in x}


def toy_runner():
    os.makedirs(tmp + "/tests/bench")
    os.makedirs(tmp + "/docs")
    shutil.copy(HERE + "/run", tmp + "/tests/bench/run")
    with open(tmp + "/tests/bench/toy.bench", "w") as f:
        f.write("#!/bin/sh\ncat <<'end'\n" + json.dumps({"what": "size", "who": "toy", "value": 7, "unit": "B", "goal": "<= 5"}) + "\n"
                + json.dumps({"table": "toy", "text": "| a |\n"}) + "\nend\n")
    os.chmod(tmp + "/tests/bench/toy.bench", 0o755)
    return lambda *args: subprocess.run([tmp + "/tests/bench/run", "--build", tmp + "/build", *args], capture_output=True, text=True)


def text_of(name):
    with open(tmp + name) as f:
        return f.read()


run = toy_runner()
r = run("toy")
ok(r.returncode == 0 and "<= 5 MISSED" in r.stdout and "0 of 1 goals met" in r.stdout, "a goal of a value is judged", r.stdout + r.stderr)
ok(text_of("/build/bench/toy.md").endswith("\n\n| a |\n") and "`make bench B=toy`" in text_of("/build/bench/toy.md"), "a table says of which run it is")
os.environ["HG_BENCH_TOYS"] = "3 4"
run("toy")
ok("`HG_BENCH_TOYS='3 4' make bench B=toy`" in text_of("/build/bench/toy.md"), "and what was chosen for it")
del os.environ["HG_BENCH_TOYS"]
r = run("toys")
ok(r.returncode == 2 and "there are toy" in r.stderr, "a name that is none is refused", r.stderr)
with open(tmp + "/docs/performance.md", "w") as f:
    f.write("before\n\n<!-- bench toy -->\nold\n<!-- end toy -->\n\nafter\n")
for _ in range(2):
    r = run("--docs", "toy")
doc = text_of("/docs/performance.md")
ok(r.returncode == 0 and doc.startswith("before\n\n<!-- bench toy -->\n\n`make") and doc.endswith("\n| a |\n\n<!-- end toy -->\n\nafter\n") and "old" not in doc,
   "--docs replaces what is between the marks, and nothing else", doc)
with open(tmp + "/docs/performance.md", "w") as f:
    f.write("no marks\n")
r = run("--docs", "toy")
ok(r.returncode == 1 and "no place for the table 'toy'" in r.stderr, "a document without the marks is told", r.stderr)


def serve_one(listener):
    c, _ = listener.accept()
    c.sendall(c.recv(100))
    c.recv(100)
    c.close()


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with wire.Path(0.04) as p:
    listener = socket.create_server((wire.HERE, 9))
    thread = threading.Thread(target=serve_one, args=(listener,))
    thread.start()
    client = f"import socket; c = socket.create_connection(('{wire.HERE}', 9), 10); c.sendall(b'0123456789'); c.recv(100); c.close()"
    subprocess.run(p.command([sys.executable, "-c", client]), check=True, timeout=30)
    thread.join(30)
    listener.close()
c = p.connections[0]
ok(len(p.connections) == 1 and c["trips"] == 2 and 0.08 <= c["answered"] - c["begun"] < 0.5, "a path has its delay, and round trips are counted", p.connections)
ok(7 <= c["packets"] <= 10 and c["bytes"] == 52 * c["packets"] + 2 * 8 + 20, "so is each packet to the last, with IP's and TCP's headers", c)

svg.chart(tmp + "/c.svg", "A & B", "words", "x, s", "y", [("one", [(1, 0), (10, 30), (1000, 90)]), ("two", [(1, 5), (1000, 5)])], log_x=True)
root = ET.parse(tmp + "/c.svg").getroot()
texts = [t.text for t in root.iter(SVG + "text")]
ok(root.find(SVG + "title").text == "A & B" and root.find(SVG + "desc").text == "words", "a chart has words for who cannot see it")
ok({"x, s", "y", "one", "two", "1", "10", "100", "1,000", "0", "100"} <= set(texts), "and axes, units, legend", texts)
ok("prefers-color-scheme: dark" in root.find(SVG + "style").text, "and is dark on a dark screen")
curve = next(e.get("d") for e in root.iter(SVG + "path") if e.get("class") == "line s0")
points = [tuple(map(float, part.split())) for part in curve[1:].split("L")]
ok(points[0][0] < points[1][0] < points[2][0] and points[0][1] > points[1][1] > points[2][1] and
   abs((points[1][0] - points[0][0]) * 2 - (points[2][0] - points[1][0])) < 0.5, "a decade is as wide as another", points)
equal(svg.steps(0.9)[-1] >= 0.9 and svg.steps(100000)[-1], 100000, "axes end at round numbers")
equal(svg.thin(list(range(1001)), 10)[-1], 1000, "a thinned curve keeps its end")

rows, tables = bench("sync")
for kind in ("first contact", "resumed, ticket", "resumed, PSK"):
    r = rows.get((f"sync: {kind}, idle", "from SYN to the last answer"), {})
    equal(r.get("value"), 3, f"{kind}: three round trips")
    size = rows.get((f"sync: {kind}, idle", "IP bytes, close included"), {}).get("value", 0)
    ten = rows.get((f"sync: {kind}, 10 changes", "IP bytes, close included"), {}).get("value", 0)
    ok(1000 < size < ten < size + 400, f"{kind}: 10 changes are some bytes more", (size, ten))
    cpu = [rows.get((f"sync: {kind}, idle", who), {}).get("value", 0) for who in ("mirror CPU", "PostgreSQL CPU", "device's CPU")]
    ok(min(cpu) > 20 and max(cpu) < 100000, f"{kind}: CPU of all three", cpu)
r = rows.get(("sync: heliographd itself, resumed, PSK, idle", "IP bytes, close included"), {})
ok(0.9 < r.get("ratio", 0) < 1.1, "the agent itself takes as many bytes as a simulated device", r)
equal(sorted(tables), ["pgbench", "sync"], "it has its tables")
ok(all(("durable syncs a second", f"{b}, {w}") in rows for b in ("batched", "unbatched") for w in ("rounds of open sessions", "a session each, by PSK")),
   "pgbench is beside the mirror with batches and without", list(rows))
rows, tables = bench("handshake")
ratios = [rows.get(("handshake in memory, mirror's side", who), {}).get("ratio", 0) for who in ("first contact", "by ticket", "by pre-shared key")]
ok(all(r > 0.8 for r in ratios) and "handshake" in tables, "handshake.bench has each kind, which takes as long as what is in it", str(ratios))
rows, tables = bench("scale")
equal(rows.get(("CPU of a sync, idle, mirror", "1,000 enrolled"), {}).get("unit"), "us", "scale.bench has a row for each size")
rows, tables = bench("herd")
equal([rows.get((f"herd of 60, {kind}", "level"), {}).get("value") for kind in ("idle", "one change each")], [60, 60], "herd.bench: all level")
p50, p100, end = (rows.get(("herd of 60, idle", who), {}).get("value", 0) for who in
                  ("p50, from the return to level", "p100, from the return to level", "time until all are"))
ok(0 < p50 <= p100 <= end < 60, "its curve, of three generators, is that of all", (p50, p100, end))
ok("herd" in tables and "scale" not in tables, "and a table")
for name in ("herd", "scale"):
    ok(ET.parse(f"{BUILD}/bench/{name}.svg").getroot().find(SVG + "desc").text, f"{name}.svg is well-formed")
if shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"):
    rows, tables = bench("broker")
    size = rows.get(("a command taken, 100 B handed over, bytes", "mosquitto, resumed"), {}).get("value", 0)
    ok(2000 < size < 5000, "mosquitto resumes sessions", size)
else:
    skip("broker.bench", "no mosquitto on this machine; scripts/deps bench")
done()
