#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The generator of load against a real mirror: what it says it did is what PostgreSQL holds."""
import json, os, signal, socket, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../mirror"))
from pgworld import BUILD, done, equal, ok, wait_for
from world import World

N, K, PROPERTIES = 200, 10, 16
PROGRAM = BUILD + "/tests/load/devices"
w = World("database.timeout = 10s\ndatabase.queue = 8\nlog.level = warning\nsync.connections = 20")  # more connections than room
with open(w.conf) as f:
    conf = f.read()
with open(w.conf, "w") as f:
    f.write(conf.replace("[sync]\n", f"[sync]\npsk_key = {w.dir}/ca/psk.key\n"))
state = w.dir + "/load"


def generator(*args, check=True):
    return ["setpriv", "--pdeathsig", "KILL", PROGRAM, "--state", state, *map(str, args)]


def run(*args):
    """Exit status, the line of JSON, and what was said to people."""
    r = subprocess.run(generator("--mirror", f"127.0.0.1:{w.sync_port}", "--backoff", 50, "--backoff-max", 400,
                                 "--deadline", 60, "--server-pid", w.proc.pid, "--database-pid", w.pg.proc.pid, *args), capture_output=True, text=True)
    lines = r.stdout.splitlines()
    return r.returncode, json.loads(lines[0]) if lines else {}, r.stderr


def enrol(n):
    return subprocess.run(generator("--enrol", "--ca", w.dir + "/ca", "--database", w.pg.conninfo, "--devices", n,
                                    "--keys", 4, "--properties", PROPERTIES), capture_output=True, text=True)


def dump():
    out = subprocess.run(generator("--dump"), capture_output=True, text=True, check=True).stdout
    return [line.split("\t")[0:1] + [int(x) for x in line.split("\t")[1:]] for line in out.splitlines()]


def same_on_both_sides(what):
    """The rows are those that the devices' numbers demand, and nothing else."""
    devices = dump()
    equal([d[0] for d in devices if d[3] != d[2]], [], f"{what}: every change of every device is acknowledged")
    rows = w.pg.sql("SELECT device_id, device_cursor, mirror_cursor, command_cursor FROM heliograph.device_sync ORDER BY 1")
    equal(rows.splitlines(), ["|".join(map(str, [d[0]] + d[3:])) for d in devices], f"{what}: the cursors are equal")
    want = []
    for uid, _, seq, *_ in devices:
        for n in range(max(0, seq - PROPERTIES) + 1, seq + 1):
            want.append(f"{uid}|p{(n - 1) % PROPERTIES}|{n}|{n}")
    rows = w.pg.sql("SELECT device_id, name, seq, value FROM heliograph.property WHERE owner = 'device'")
    equal(sorted(rows.splitlines()), sorted(want), f"{what}: PostgreSQL has exactly the rows expected")
    return devices


w.model(json.loads(subprocess.run([PROGRAM, "--print-model", "--properties", str(PROPERTIES)], capture_output=True,
                                  text=True, check=True).stdout))
r = enrol(N // 2)
ok(r.returncode == 0 and "100 new rows" in r.stderr, "half of the devices are enrolled", r.stderr)
r = enrol(N)
ok(r.returncode == 0 and "100 new rows" in r.stderr, "enrolling again adds only the others", r.stderr)
# Its cost must not grow with the devices there are: session_user's collation once kept audit_add() from the index.
plan = subprocess.run(["psql", "-XAtq", "-d", w.pg.conninfo, "-v", "ON_ERROR_STOP=1", "-c", "LOAD 'auto_explain'",
                       "-c", "SET auto_explain.log_min_duration = 0", "-c", "SET auto_explain.log_nested_statements = on",
                       "-c", "SET client_min_messages = log", "-c", "SET enable_seqscan = off", "-c", "SET search_path = heliograph",
                       "-c", "BEGIN", "-c", "SELECT admin_device_add('planned', 'load', 'AB', now())", "-c", "ROLLBACK"],
                      capture_output=True, text=True)
ok(plan.returncode == 0 and "Update on device_sync" in plan.stderr and "Seq Scan on device_sync" not in plan.stderr,
   "enrolment finds the device's row by its index", plan.stderr)
w.serve()

rc, out, err = run("--mode", "first", "--connections", 8)
ok(rc == 0 and out.get("level") == N and out["ok"] == N and out["resumed"] == 0, "first contact: all level", err)
rc, out, err = run("--mode", "idle", "--loop", "--connections", 8)
ok(rc == 0 and out.get("level") == N and out["resumed"] == N, "idle: all level, and all resumed by tickets from the file", err)
ok(out["rounds"] == N and out["changes"] == 0, "an idle session is one round", err)
rc, out, err = run("--mode", "idle", "--rounds", 5, "--loop", "--connections", 8)
ok(rc == 0 and out.get("level") == N and out["rounds"] == 5 * N, "--rounds: so many in each session", err)
equal(w.pg.sql("SELECT DISTINCT round FROM heliograph.device_sync"), "4", "and each of them counts at the mirror")
ok(1000 < out["ip_bytes"] < 3000 and out["server_us"] > 0 and out["database_us"] > 0 and out["client_us"] > 0, "bytes and CPU are told", out)
rc, out, err = run("--mode", "changes", "--changes", K, "--rate", 400, "--connections", 8)
ok(rc == 0 and out.get("level") == N and out["changes"] == N * K, "resumed with changes, at a rate: all level", err)
ok(out["seconds"] > 0.9 * N / 400, "they came at that rate", out)
same_on_both_sides("changes")

# A herd at a mirror that takes a tenth of them at once.
rc, out, err = run("--mode", "changes", "--changes", K, "--connections", N, "--tries", 1000, "--curve", w.dir + "/curve")
ok(rc == 0 and out.get("level") == N and out["gave_up"] == 0, "a herd at a small limit: all level", err)
with open(w.dir + "/curve") as f:
    curve = [line.split("\t") for line in f.read().splitlines()]
ok(curve[0][:2] == ["seconds", "done"] and int(curve[-1][1]) == N and [int(c[1]) for c in curve[1:]] == sorted(int(c[1]) for c in curve[1:]),
   "its curve rises to all", curve)
print("# herd: " + json.dumps(out))
ok(out["peak"] > 20 and out["retries"] == sum(out["failed"].values()) == 0,
   "who finds no room waits and is not turned away", out)
equal(out["resumed"], N, "with the tickets that they had: to be turned away is no reason to drop one")
same_on_both_sides("herd")

# Killed in the middle, and continued.
before = {d[0]: d[2] for d in dump()}
p = subprocess.Popen(generator("--mirror", f"127.0.0.1:{w.sync_port}", "--mode", "changes", "--changes", K,
                               "--rate", 50, "--connections", 8), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
count = "SELECT count(*) FROM heliograph.device_sync WHERE device_cursor > 20"
wait_for(lambda: int(w.pg.sql(count)) > N // 4, "a quarter of the sessions")
busy = subprocess.run(generator("--dump"), capture_output=True, text=True)
ok(busy.returncode == 1 and "another generator has this state" in busy.stderr, "a state has one generator at a time", busy)
p.kill()
p.wait(30)
left = N - int(w.pg.sql(count))
ok(0 < left < N, f"the kill left {left} of {N}")
rc, out, err = run("--mode", "changes", "--changes", K, "--connections", 8, "--continue")
ok(rc == 0 and out.get("took_part") == out["level"] and left <= out["took_part"] < N,
   "a later run continues with those that were left", err)
devices = same_on_both_sides("after the kill")
equal({d[2] - before[d[0]] for d in devices}, {K}, "no device made its changes twice")
equal(w.pg.sql("SELECT count(*) FROM heliograph.device WHERE state <> 'active'"), "0", "none was taken for a clone")

# Commands and the mirror's changes.
token = w.token("app", "--right", "write", "--right", "invoke")
for i in range(3):
    for j in range(12):
        w.http("POST", f"/things/load-{i:06}/actions/blink", token=token)
    w.http("PUT", f"/things/load-{i:06}/properties/target", 7, token=token)
queued = int(w.pg.sql("SELECT count(*) FROM heliograph.command"))
rc, out, err = run("--mode", "idle", "--connections", 8, "--tries", 1000)
ok(rc == 0 and queued == 36 and out["commands"] == 36, "commands are taken, more than the journal holds", err)
equal(w.pg.sql("SELECT state, count(*) FROM heliograph.command GROUP BY 1"), "done|36", "and each was reported as done")
same_on_both_sides("commands")
w.stop(signal.SIGTERM)
rc, out, err = run("--tries", 2)
ok(rc == 1 and out["level"] == 0 and out["gave_up"] == N and out["failed"]["connect"] == 2 * N, "without a mirror: no success", err)

# Sessions that fail are told by reason, and a run that is stopped leaves nothing open.
silent = socket.create_server(("127.0.0.1", 0), backlog=512)
port = silent.getsockname()[1]
rc, out, err = run("--mirror", f"127.0.0.1:{port}", "--timeout", 1, "--tries", 1, "--connections", N)
ok(rc == 1 and out["failed"]["timeout"] == N == out["gave_up"], "a mirror that says nothing: timeouts", err)
rc, out, err = run("--mirror", f"127.0.0.1:{port}", "--deadline", 1, "--connections", N)
ok(rc == 1 and out["unfinished"] == N, "the deadline of the run ends it", err)
silent.close()
w.serve()
rc, out, err = run("--name", "elsewhere.example", "--tries", 1, "--connections", 8)
ok(rc == 1 and out["failed"]["tls"] == N and "hostname mismatch" in err, "a certificate of another name is refused", err)
rc, out, err = run("--tries", 2, "--connections", 8, "--one-address")
ok(rc == 0 and out["level"] == N and out["resumed"] == 0, "afterwards all is well, with full handshakes", err)
same_on_both_sides("failures")
# Pre-shared keys: asked for, kept in the file, used; passed over after another secret, and asked for again.
rc, out, err = run("--with", "psk", "--tries", 1000, "--connections", 8)
ok(rc == 0 and out["by_psk"] == 0 and out["resumed"] == 0, "who has no key shows its certificate, and asks for one", err)
rc, out, err = run("--with", "psk", "--tries", 1000, "--connections", 8, "--mode", "changes")
ok(rc == 0 and out["by_psk"] == N and out["resumed"] == N and out["changes"] == N * K, "who has one is known by it", err)
rc, out, err = run("--with", "certificate", "--limit", 7)
ok(rc == 0 and out["took_part"] == out["level"] == 7 and out["resumed"] == 0, "--with certificate and --limit", err)
w.stop()
os.remove(w.dir + "/ca/psk.key")
w.run("psk-key", w.dir + "/ca/psk.key")
w.serve()
rc, out, err = run("--with", "psk", "--tries", 1000, "--connections", 8)
ok(rc == 0 and out["by_psk"] == 0, "a mirror with another secret passes keys over", err)
rc, out, err = run("--with", "psk", "--tries", 1000, "--connections", 8)
ok(rc == 0 and out["by_psk"] == N, "and hands out others, in the same session", err)
same_on_both_sides("keys")

# Early data: refused, and sent again; taken.
for taken in (0, N):
    rc, out, err = run("--with", "early", "--tries", 1000, "--connections", 8, "--sessions", 3)
    ok(rc == 0 and (out["by_psk"], out["early"]) == (3 * N, 3 * taken), f"early data: {taken}", err)
    rc, out, err = run("--with", "early", "--tries", 1000, "--connections", 8, "--mode", "changes")
    ok(rc == 0 and (out["early"], out["changes"]) == (0, N * K), "changes are none", err)
    same_on_both_sides("early data")
    if not taken:
        w.stop()
        with open(w.conf, "a") as f:
            f.write("[sync]\nearly = yes\n")
        w.serve()

# Values of a size of one's choice, by a model of its own; first contact with changes.
w.model(json.loads(subprocess.run([PROGRAM, "--print-model", "--model", "text", "--text", "100"], capture_output=True, text=True,
                                  check=True).stdout))
texts = ["--state", w.dir + "/texts", "--prefix", "text"]
r = subprocess.run([PROGRAM, *texts, "--enrol", "--ca", w.dir + "/ca", "--database", w.pg.conninfo, "--devices", "5", "--keys", "1",
                    "--model", "text"], capture_output=True, text=True)
ok(r.returncode == 0 and "5 new rows" in r.stderr, "devices of another model are enrolled", r.stderr)
rc, out, err = run(*texts, "--mode", "first", "--changes", 2, "--text", 100)
ok(rc == 0 and out.get("level") == 5 and out["changes"] == 10 and out["resumed"] == 0, "first contact with changes: all level", err)
equal(w.pg.sql("SELECT DISTINCT name, value #>> '{}' FROM heliograph.property WHERE device_id ~ '^text' ORDER BY 1").splitlines(),
      ["p0|%0100d" % 1, "p1|%0100d" % 2], "the values have the size that was asked for")
with open(state + "/devices", "r+b") as f:
    f.truncate(f.seek(0, os.SEEK_END) - 1)
r = subprocess.run(generator("--dump"), capture_output=True, text=True)
ok(r.returncode == 1 and "not a state of this program" in r.stderr, "a state that was cut off is refused", r.stderr)
for args in (["--mode", "fast"], ["--rate", "0"], ["--connections", "1x"], ["--rate", "5", "--loop", "--dump"], ["left", "over"]):
    r = subprocess.run(generator(*args), capture_output=True, text=True)
    ok(r.returncode == 2 and r.stderr, f"{' '.join(args)}: refused", r.stderr)
r = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True)
ok("SHARED" in r.stdout and "admin_device_add" in r.stdout, "--help says what is shared")
r = subprocess.run([PROGRAM, "--state", w.dir + "/none", "--dump"], capture_output=True, text=True)
ok(r.returncode == 1 and "no state there" in r.stderr, "a directory without a state is told", r.stderr)
done()
