#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line: what it makes, what it refuses and how it says so."""
import json, os, resource, shutil, subprocess, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, TOP, equal, ok, done, wait_for
from world import MODEL, World

w = World()


def fails(code, text, *args, conf=None):
    r = subprocess.run([BUILD + "/heliograph-mirror", "-c", conf or w.conf, *args], capture_output=True, text=True)
    ok(r.returncode == code and text in r.stderr, f"{' '.join(args)[:60]}: {code}, {text}", f"{r.returncode} {r.stderr}")


def openssl(*args):
    r = subprocess.run(["openssl", *args], capture_output=True, text=True)
    return r.stdout + r.stderr


def mode(path):
    return oct(os.stat(path).st_mode & 0o777)


# Authority
key = open(w.dir + "/ca/ca.key").read()
equal([mode(w.dir + "/ca/" + f) for f in ("ca.key", "mirror.key", "ca.crt", "ca.crl")], ["0o600", "0o600", "0o644", "0o644"], "keys are for their owner only")
fails(1, "ca.key: File exists", "ca", "init", w.dir + "/ca")
equal(open(w.dir + "/ca/ca.key").read(), key, "a second ca init changes nothing")
w.run("ca", "server", "collector", "--san", "DNS:collector.example.org", "--san", "IP:192.0.2.1", "--out", w.dir + "/srv")
text = openssl("x509", "-in", w.dir + "/srv/collector.crt", "-noout", "-text")
ok("DNS:collector.example.org, IP Address:192.0.2.1" in text and "TLS Web Server Authentication" in text, "ca server: names and purpose", text)
ok("OK" in openssl("verify", "-CAfile", w.dir + "/ca/ca.crt", w.dir + "/srv/collector.crt"), "signed by the authority")
fails(1, "--san is DNS:name or IP:address", "ca", "server", "x", "--san", "example.org")
fails(2, "at least one --san", "ca", "server", "x")
fails(1, "/nonexistent/a: No such file", "ca", "server", "x", "--san", "DNS:x", "--out", "/nonexistent/a")
fails(1, "x: string too long", "ca", "server", "x" * 65, "--san", "DNS:x", "--out", w.dir + "/srv")

# Devices
bundle = w.dir + "/bundles/d1"
w.device("d1")
equal(sorted(os.listdir(bundle)), ["ca.crt", "device.crt", "device.key", "heliographd.conf-snippet"], "a bundle is complete")
equal((mode(bundle), mode(bundle + "/device.key")), ("0o700", "0o600"), "and closed")
text = openssl("x509", "-in", bundle + "/device.crt", "-noout", "-text")
ok("URI:urn:heliograph:device:d1\n" in text and "TLS Web Client Authentication" in text and "CN = d1" in text, "its certificate says who it is", text)
size = len(subprocess.run(["openssl", "x509", "-in", bundle + "/device.crt", "-outform", "DER"], capture_output=True).stdout)
ok(size < 450, f"in {size} bytes")
ok("[mirror]\nhost = localhost\nport = 4646\n" in open(bundle + "/heliographd.conf-snippet").read(), "the snippet names the mirror")
with open(w.conf) as f, open(w.dir + "/nohost.conf", "w") as g:
    g.write(f.read().replace("public_host = localhost\n", ""))
r = subprocess.run([BUILD + "/heliograph-mirror", "-c", w.dir + "/nohost.conf", "device", "add", "d0", "--model", "thermo", "--out", w.dir + "/d0"], capture_output=True, text=True)
ok(r.returncode == 0 and "public_host is not set" in r.stderr, "a snippet without a mirror is warned of", r.stderr)
fails(1, "File exists; name a new directory", "device", "add", "d1", "--model", "thermo", "--out", bundle)
fails(1, "device d1 exists", "device", "add", "d1", "--model", "thermo", "--out", w.dir + "/x")
fails(1, "model nonsense is not known", "device", "add", "d2", "--model", "nonsense", "--out", w.dir + "/x")
ok(not os.path.exists(w.dir + "/x"), "what was refused leaves no bundle")
fails(2, "wants a UID", "device", "add", "../d", "--model", "thermo")
fails(2, "and --model", "device", "add", "d3")
ok("d1" in w.run("device", "list") and "d1" not in w.run("device", "list", "--model", "x"), "device list")
ok("device add" in w.run("device", "show", "d1"), "device show tells its history")
w.pg.sql("INSERT INTO heliograph.refusal (device_id, slot, seq, name, reason) VALUES ('d1', 1, 1, E'x\\x1b[2J', 'no such property')")
ok("x\\x1b[2J" in w.run("device", "show", "d1"), "what a device said reaches the terminal as text")
fails(1, "no device nobody", "device", "show", "nobody")
fails(1, "is not in quarantine", "device", "release", "d1")
w.run("device", "revoke", "d1")
serial = openssl("x509", "-in", bundle + "/device.crt", "-noout", "-serial").strip().split("=")[1]
crl = openssl("crl", "-in", w.dir + "/ca/ca.crl", "-noout", "-text")
ok(serial in crl.replace(":", "").upper(), "device revoke puts the certificate on the list", crl)
ok("revoked" in openssl("verify", "-crl_check", "-CAfile", w.dir + "/ca/ca.crt", "-CRLfile", w.dir + "/ca/ca.crl", bundle + "/device.crt"), "by which anybody refuses it")
os.remove(w.dir + "/ca/ca.crl")
ok("1 revoked" in w.run("ca", "crl") and os.path.exists(w.dir + "/ca/ca.crl"), "ca crl writes it again")

# Models
for at, change in [
        ("/@type", {"@type": "Thing"}), ("/hg:model", {"hg:model": "no blanks"}), ("/links2", {"links2": 1}),
        ("/properties/a b", {"properties": {"a b": {"type": "null"}}}),
        ("/properties/p/type: is missing", {"properties": {"p": {}}}),
        ("/properties/p/type: unknown type \"float\"", {"properties": {"p": {"type": "float"}}}),
        ("/properties/p/oneOf: keyword is not enforced", {"properties": {"p": {"type": "string", "oneOf": []}}}),
        ("/properties/p/minimum: must be a number", {"properties": {"p": {"type": "number", "minimum": "1"}}}),
        ("/properties/p/pattern: invalid regular expression", {"properties": {"p": {"type": "string", "pattern": "("}}}),
        ("/properties/p/items/type", {"properties": {"p": {"type": "array", "items": {"type": "x"}}}}),
        ("/properties/p/properties/q/type", {"properties": {"p": {"type": "object", "properties": {"q": {"type": "x"}}}}}),
        ("/properties/p/hg:owner", {"properties": {"p": {"type": "null", "hg:owner": "me"}}}),
        ("/properties/setpoint/hg:owner: devices of this model exist", {"properties": {"setpoint": {"type": "number", "hg:owner": "device"}}}),
        ("/actions/$set", {"actions": {"$set": {}}}),
        ("/actions/a/input/type", {"actions": {"a": {"input": {"type": "x"}}}}),
        ("/actions/a/hg:deliverWithin: \"soon\" is not a duration", {"actions": {"a": {"hg:deliverWithin": "soon"}}}),
        ("/actions/a/hg:deliverWithin: -5 is out of range", {"actions": {"a": {"hg:deliverWithin": -5}}}),
        ("/actions/a/hg:executeWithin: \"P25D\" is out of range; at most 24 days", {"actions": {"a": {"hg:executeWithin": "P25D"}}}),
        ("/actions/a/hg:executeWithin: \"P1M\" is not a duration", {"actions": {"a": {"hg:executeWithin": "P1M"}}}),
        ("/actions/a/hg:executeWithin: \"90 s\" is not a duration", {"actions": {"a": {"hg:executeWithin": "90 s"}}}),
        ("/hg:intervalIdle: \"PT\" is not a duration", {"hg:intervalIdle": "PT"}),
        ("/hg:intervalMax: \"P25D\" is out of range", {"hg:intervalMax": "P25D"}),
        ("/properties/p/hg:deliverWithin: \"P\" is not a duration",
         {"properties": {"p": {"type": "string", "hg:deliverWithin": "P"}}}),
        ("is out of range; at most 24 days", {"hg:interval": 1e300}),
        ("/actions/a: must be an object", {"actions": {"a": 5}}),
        ("/properties: must be an object", {"properties": []}), ("/actions: must be an object", {"actions": 5})]:
    r = w.model(dict(MODEL, **change), check=False)
    ok(r.returncode == 1 and at in r.stderr, f"model: {at}", r.stderr)
w.model(dict(MODEL, **{"hg:model": "moving"}))
w.device("mover", "moving")
w.pg.sql("INSERT INTO heliograph.property VALUES ('mover', 'setpoint', 'mirror', '20', 1, 1, 0)")
w.model(dict(MODEL, **{"hg:model": "moving", "properties": {}}))
r = w.model(dict(MODEL, **{"hg:model": "moving", "properties": {"setpoint": {"type": "number", "readOnly": True}}}), check=False)
ok(r.returncode == 1 and "the owner stays mirror" in r.stderr, "nor does leaving a property out change its owner", r.stderr)
equal(w.pg.sql("SELECT thing_model->'properties'->'setpoint'->>'maximum' FROM heliograph.model WHERE model = 'thermo'"), "30", "a refused model changes nothing")
with open(w.dir + "/bad.json", "w") as f:
    f.write('{\n "a": 1,\n "a": 2}')
fails(1, "bad.json:3:", "model", "add", w.dir + "/bad.json")
fails(1, "No such file", "model", "add", w.dir + "/none.json")
ok("thermo" in w.run("model", "list"), "model list")

# What is over
w.pg.sql("INSERT INTO heliograph.outbox (device_id, seq, kind, name, happened_at) "
         "SELECT 'old', n, 'property', 'x', now() - interval '8 d' FROM generate_series(1, 25000) n")
w.pg.sql("INSERT INTO heliograph.audit (device_id, seq, who, what, name, happened_at) "
         "SELECT 'old', n, 'app', 'write', 'x', now() - n * interval '1 d' FROM generate_series(1, 20) n")
counts = [w.pg.sql("SET search_path = heliograph; SELECT prune('7 d', '90 d', '10.5 d')").split()[-1] for i in range(4)]
equal(counts, ["10010", "10000", "5000", "0"], "old rows go, so many at a time")
equal(w.pg.sql("SELECT max(seq) FROM heliograph.audit WHERE device_id = 'old'"), "10", "the audit's by their own age")

# Tokens
w.pg.sql("CREATE TABLE seen (v text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
         "INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; "
         "CREATE TRIGGER note AFTER INSERT ON heliograph.token EXECUTE FUNCTION note(); "
         "ALTER ROLE postgres SET synchronous_commit = off")
t = w.token("app", "--right", "read", "--right", "write", "--model", "thermo")
equal(w.pg.sql("ALTER ROLE postgres RESET ALL; DROP TRIGGER note ON heliograph.token; SELECT v FROM seen"), "on",
      "what the command line does is durable when it says so, where the database wants none")
ok(t.startswith("hg_") and len(t) == 46, "token add prints the token", t)
with open("/dev/full", "w") as full:
    r = subprocess.run([BUILD + "/heliograph-mirror", "-c", w.conf, "token", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
ok(r.returncode == 1 and "cannot write to standard output: No space left" in r.stderr, "output that is lost is no success", r.stderr)
out = w.run("token", "list")
ok(t not in out and "read:model=thermo write:model=thermo" in out, "token list shows rights, not tokens", out)
fails(1, "token app exists", "token", "add", "app", "--right", "read")
fails(2, "--right is read, write or invoke", "token", "add", "x", "--right", "all")
fails(2, "--right is read, write or invoke", "token", "add", "x")
for args in (["", "--right", "read"], ["x" * 65, "--right", "read"], ["x\x1b", "--right", "read"],
             ["x", "--right", "read", "--days", "5x"], ["x", "--right", "read", "--days", "0"]):
    fails(2, "NAME is 1 to 64 characters", "token", "add", *args)
fails(1, "no device nobody", "token", "add", "x", "--right", "read", "--device", "nobody")
fails(1, "no token x", "token", "revoke", "x")
w.run("token", "revoke", "app")
fails(1, "not revoked already", "token", "revoke", "app")

# Migrations
equal(w.run("migrate"), "", "migrating again does nothing")
migrations = w.dir + "/sql"
shutil.copytree(TOP + "/mirror/sql", migrations)
conf = w.dir + "/other.conf"
with open(w.conf) as f, open(conf, "w") as g:
    g.write(f.read().replace(TOP + "/mirror/sql", migrations).replace("[database]", "[database]\nschema = other"))
two = [subprocess.Popen([BUILD + "/heliograph-mirror", "-c", conf, "migrate"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
outs = [p.communicate()[0] for p in two]
equal(([p.returncode for p in two], sum(o.count("applied") for o in outs)), ([0, 0], len(os.listdir(migrations))), "two at once: each file is applied once")
# Functions are made anew when a file of theirs changed; what others put beside them stays.
values = migrations + "/functions/1-values.sql"
with open(values) as f:
    before = f.read()
def functions(text):
    with open(values, "w") as f:
        f.write(text)
def migrate():
    return subprocess.run([BUILD + "/heliograph-mirror", "-c", conf, "migrate"], capture_output=True, text=True).stdout
w.pg.sql("CREATE VIEW other.mine AS SELECT 1 AS one; CREATE FUNCTION other.stranger() RETURNS int LANGUAGE sql AS 'SELECT 2'")
functions(before + "\nCREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 3';\n")
equal(migrate(), "applied functions\n", "a changed file of functions is applied")
equal(w.pg.sql("SELECT other.extra() + other.stranger() + one FROM other.mine"), "6", "beside what others made")
functions(before + "\nCREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 4';\nCREATE TABBLE x;\n")
fails(1, f"{values}:{before.count(chr(10)) + 3}: ERROR:  syntax error at or near", "migrate", conf=conf)
equal(w.pg.sql("SELECT other.extra()"), "3", "and one that fails changes nothing")
functions(before)
w.pg.sql("CREATE VIEW other.needs AS SELECT other.extra()")
fails(1, "view needs depends on function extra()", "migrate", conf=conf)
w.pg.sql("DROP VIEW other.needs")
equal((migrate(), migrate(), w.pg.sql("SELECT to_regproc('other.extra') IS NULL")),
      ("applied functions\n", "", "t"), "what a file makes no more is gone")
with open(migrations + "/9000-bad.sql", "w") as f:
    f.write("CREATE TABLE half (a int);\n\nCREATE TABBLE x;\n")
fails(1, '9000-bad.sql:3: ERROR:  syntax error at or near "TABBLE"', "migrate", conf=conf)
equal(w.pg.sql("SELECT to_regclass('other.half') IS NULL"), "t", "a migration that fails is not half applied")
os.remove(migrations + "/9000-bad.sql")
with open(migrations + "/0001-tables.sql", "a") as f:
    f.write("-- edited\n")
fails(1, "was edited after it had been applied", "migrate", conf=conf)

# Usage, configuration, surroundings
fails(2, "", "nonsense")
fails(2, "no such option", "device", "list", "--nonsense", "x")
fails(2, "wants a value", "device", "list", "--model")
fails(2, "given twice", "device", "list", "--model", "x", "--model", "y")
fails(2, "one word too many", "migrate", "x")
fails(2, "argument is missing", "device", "revoke")
fails(3, "none.conf", "migrate", conf=w.dir + "/none.conf")
certs = "".join(f"{k} = {w.dir}/ca/{v}\n" for k, v in (("cert", "mirror.crt"), ("key", "mirror.key"), ("ca", "ca.crt"), ("crl", "ca.crl")))
for line, text in [("[sync]\nlistne = x\n", "bad.conf:2"), ("[sync]\nlisten = x\n" + certs, "x: write address:port"), ("[database]\nconnections = 0\n", "bad.conf:2"), ("[http]\nbody_max = 1X\n", "bad.conf:2")]:
    with open(w.dir + "/bad.conf", "w") as f:
        f.write(line)
    fails(3, text, "serve", conf=w.dir + "/bad.conf")
with open(w.conf) as f, open(conf, "w") as g:
    g.write(f.read().replace(w.pg.conninfo, "host=/nonexistent dbname=x"))
fails(4, "database:", "migrate", conf=conf)
fails(4, "database:", "device", "list", conf=conf)
with open(w.conf) as f, open(conf, "w") as g:
    g.write(f.read().replace("[database]", "[database]\nschema = empty"))
fails(1, 'run "heliograph-mirror migrate"?', "device", "list", conf=conf)
w.pg.sql("INSERT INTO heliograph.audit (device_id, seq, who, what, name, happened_at) "
         "SELECT 'older', n, 'app', 'write', 'x', now() - n * interval '1 d' FROM generate_series(364, 366) n")
resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
w.serve()
equal(resource.prlimit(w.proc.pid, resource.RLIMIT_NOFILE)[0], 10000 + 1000 + 8 + 64,
      "the server allows itself a file for each connection it may have")
ok(wait_for(lambda: w.pg.sql("SELECT string_agg(seq::text, ' ') FROM heliograph.audit WHERE device_id = 'older'") == "364",
            "the audit to be pruned"), "the server prunes by [keep], as soon as it runs")
fails(1, "cannot listen", "serve")
few = subprocess.run(["prlimit", "--nofile=300:300", "setpriv", "--bounding-set", "-sys_resource",
                      BUILD + "/heliograph-mirror", "-c", w.conf, "serve"], capture_output=True, text=True)
ok(few.returncode == 3 and "need 11072 open files, and the limit is 300" in few.stderr,
   "and does not start where it may not have them", few.stderr)
os.chmod(w.dir + "/ca/mirror.key", 0o644)
fails(3, "chmod 600", "serve")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
done()
