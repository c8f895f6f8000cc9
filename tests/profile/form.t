#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The forms of a profile, held against the CDDL of docs/profile.md by a validator that shares nothing
with the code. Many profiles, right and wrong in one place each: the program and the CDDL must say the
same of each, apart from the rules that the CDDL cannot say.
"""
import copy, json, os, re, shutil, subprocess, sys, tempfile
TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path[:0] = [TOP + "/tests/profile", TOP + "/tests/mirror"]
from cddl import Schema, Tag
from pgworld import BUILD, done, equal, ok
from syncclient import decode, encode

tmp = tempfile.mkdtemp(prefix="hg-form-")


def whole(b):
    value, end = decode(b)
    assert end == len(b) and encode(value) == b, "not the one deterministic form"
    return value


doc = open(TOP + "/docs/profile.md", encoding="utf-8").read()
schema = Schema(re.search(r"```cddl\n(.*?)```", doc, re.S).group(1), whole)
path = tmp + "/p.json"


def heliograph(*args):
    r = subprocess.run([BUILD + "/heliograph", "profile", *args], capture_output=True, timeout=60)
    return r.returncode, r.stdout, r.stderr.decode()


def program(value):
    """What the program says against a profile, or None."""
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)
    status, _, err = heliograph("check", path)
    return None if status == 0 else err.strip().split(": ", 2)[2]


CHANNEL = {
    "name": "web", "proto": "tcp", "ports": [443, "8000-8010"],
    "remote": ["192.0.2.0/24", "2001:db8::/32", "name:*.example.com", "mirror"], "opener": "device",
    "envelope": {"1": {"packets": 1, "bytes": 2}, "60": {"size_min": 1, "size_max": 65534, "ports": 3, "sources": 4},
                 "3600": {"new_destinations": 1000000000, "bytes": 1000000000000}},
    "answers": True, "walk": {"limit": 10000, "up": 1000, "down": 0},
    "sum": {"flows": {"rate": 1, "limit": 0}, "bytes": {"rate": 0, "limit": 1}},
}
ALL = {
    "model": "cam", "firmware": "2.1", "maker": "Example", "serial": 9007199254740991,
    "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2031-12-31T23:59:59+02:00", "margin_percent": 150,
    "outside": {"60": {"flows": 1}}, "channels": [CHANNEL], "mud": {"header": {}},
}
sample = json.load(open(TOP + "/package/profile.json", encoding="utf-8"))
for name, value in (("the sample", sample), ("all that there is", ALL)):
    equal(schema.check("profile", value), None, f"{name}: by the CDDL")
    equal(program(value), None, f"{name}: by the program")

# Each value that there is, in turn left out, of another type, out of its range, or with a stranger beside it
ODD = (None, True, -1, 0, 1.5, 10 ** 13, "", "x y", "any", [], {}, [1], {"x": 1})


def places(v, at=()):
    yield at
    if isinstance(v, (dict, list)):
        for k in v if isinstance(v, dict) else range(len(v)):
            yield from places(v[k], at + (k,))


def variants(whole):
    for at in places(whole):
        for odd in ODD:
            v = copy.deepcopy(whole)
            if not at:
                yield odd
                continue
            parent = v
            for k in at[:-1]:
                parent = parent[k]
            parent[at[-1]] = odd
            yield v
        if at:
            v = copy.deepcopy(whole)
            parent = v
            for k in at[:-1]:
                parent = parent[k]
            del parent[at[-1]]
            yield v
            v = copy.deepcopy(whole)
            parent = v
            for k in at:
                parent = parent[k]
            if isinstance(parent, dict):
                parent["stranger"] = 1
                yield v


# What the CDDL cannot say; the program must say it.
BEYOND = r"only tcp and udp have ports|size_min is over|is not after|is taken|is what no channel takes"
both, only = [0, 0], []
for v in variants(ALL):
    by_cddl = schema.check("profile", v)
    by_program = program(v)
    if isinstance(v, (dict, list)) or not by_program:
        if bool(by_cddl) == bool(by_program):
            both[bool(by_cddl)] += 1
        elif not re.search(BEYOND, by_program or ""):
            only.append(f"{json.dumps(v)[:300]}: CDDL {by_cddl}, program {by_program}")
ok(not only, f"{both[0]} taken and {both[1]} refused by both", "\n".join(only[:5]))
ok(both[0] > 50 and both[1] > 500, "which is many")

# The signed form
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                "/CN=maker", "-keyout", tmp + "/key", "-out", tmp + "/crt"], check=True, capture_output=True)
os.chmod(tmp + "/key", 0o600)
for name, value in (("the sample", sample), ("all that there is", ALL)):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)
    status, data, err = heliograph("sign", path, "-k", tmp + "/key", "-c", tmp + "/crt")
    equal(data[:1], b"\xd2", f"{name}: signed with tag 18")
    value = Tag(18, whole(data[1:]))
    equal(schema.check("signed-profile", value), None, f"{name}: its signed form by the CDDL")
    written = json.loads(heliograph("show", "--json", path)[1])
    equal(whole(value.item[2]), written, f"{name}: its payload is the written form")
    der = subprocess.run(["openssl", "x509", "-in", tmp + "/crt", "-outform", "DER"], check=True, capture_output=True).stdout
    equal(whole(value.item[0]), {1: -7, 33: der}, f"{name}: its headers name algorithm and certificate")
value.item[3] = value.item[3][:63]
ok(schema.check("signed-profile", value), "a signature that is too short is none by the CDDL")
shutil.rmtree(tmp)
done()
