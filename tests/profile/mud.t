#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Public MUD files through the command line: each becomes a profile, and the profile a MUD file that grants
the same. What a file grants is worked out here from RFC 8519 and 8520 alone, not by the code under test,
for the original and for what was exported: sets of (policy, IP version, protocol, remote, ICMP type,
Ethernet type, own ports, remote ports).

The files are not part of the tree. They are looked for in $HG_DATA, else in data beside or above it.
"""
import glob
import ipaddress
import json
import os
import subprocess
import sys
import tempfile

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("HG_BUILD") or os.path.join(TOP, "build")

# Files that are wrong themselves, and the place that the refusal must name.
INVALID = {
    # "192.168.1.1" as an IPv6 network
    "augustdoorbellcamMud.json": "$.ietf-access-control-list:access-lists.acl[2].aces.ace[2].matches.ipv6"
    ".destination-ipv6-network: ",
}
# These are YAML, of a format of their own that "mimics a MUD profile": nothing in them is RFC 8520's.
NOT_MUD = "*.yaml"

LOCAL = [
    ipaddress.ip_network(n)
    for n in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
        "ff00::/8", "fe80::/10", "fc00::/7",
    )
]  # fmt: skip
ETHERTYPES = {"0x0800": {4}, "0x86dd": {6}}
count = failed = 0


def ok(good, name, *why):
    global count, failed
    count += 1
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good:
        failed += 1
        for w in why:
            for line in str(w).splitlines()[:20]:
                print(f"# {line}")
    sys.stdout.flush()
    return good


def data():
    for d in filter(None, (os.environ.get("HG_DATA"), TOP + "/data", TOP + "/../data", TOP + "/../shared/data")):
        if os.path.isdir(d + "/mud"):
            return d + "/mud"
    return None


def run(*args):
    p = subprocess.run(
        [BUILD + "/heliograph", "profile", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    return p.returncode, p.stdout, p.stderr


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def interval(ports):
    """RFC 8519's two forms of a port, and those of the drafts, as a set of intervals."""
    if not ports:
        return [(0, 65535)]
    if "lower-port" in ports:
        return [(ports["lower-port"], ports["upper-port"])]
    n, op = ports["port"], ports.get("operator", "eq")
    return {
        "eq": [(n, n)],
        "neq": [(0, n - 1), (n + 1, 65535)],
        "lte": [(0, n)],
        "gte": [(n, 65535)],
        "lt": [(0, n - 1)],
        "gt": [(n + 1, 65535)],
    }[op]


def union(intervals):
    """Intervals that touch are one; port 0 is none."""
    out = []
    for low, high in sorted((max(a, 1), b) for a, b in intervals if max(a, 1) <= b):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def remote(matches, ip, far, version):
    """What the entry says of the remote, all of which holds; 'local' says nothing of a local network."""
    terms = set()
    for key, value in matches.get("ietf-mud:mud", {}).items():
        terms.add((key,) if value == [None] else (key, value))
    name = ip.get("ietf-acldns:" + {"source": "src", "destination": "dst"}[far] + "-dnsname")
    if name:
        terms.add(("name", name.lower().rstrip(".")))
    text = ip.get(f"{far}-ipv{version}-network")
    if text:
        net = ipaddress.ip_network(text, strict=False)
        if net.prefixlen:
            terms.add(("net", str(net)))
        if any(net.version == l.version and net.subnet_of(l) for l in LOCAL):
            terms.discard(("local-networks",))
    return frozenset(terms)


def entries(mud, only=None):
    """What the file grants: key -> own ports -> remote ports; and who opens, as far as TCP entries say."""
    acls = mud.get("ietf-access-control-list:acls") or mud["ietf-access-control-list:access-lists"]
    lists = {acl["name"]: acl for acl in acls["acl"]}
    grants, opens = {}, {}
    for direction, far, near in (("from", "destination", "source"), ("to", "source", "destination")):
        policy = mud["ietf-mud:mud"].get(direction + "-device-policy", {})
        for named in policy.get("access-lists", {}).get("access-list", []):
            acl = lists[named["name"]]
            for ace in acl["aces"]["ace"]:
                m = ace.get("matches", {})
                version = 4 if "ipv4" in m else 6 if "ipv6" in m else None
                ip = m.get("ipv4", m.get("ipv6", {}))
                l4 = m.get("tcp", m.get("udp", {}))
                proto = ip.get("protocol")
                if proto is None:
                    proto = 6 if "tcp" in m else 17 if "udp" in m else None
                eth = dict(m.get("eth", {}))
                if version in ETHERTYPES.get(eth.get("ethertype"), ()):
                    del eth["ethertype"]
                if version is None and "eth" not in acl["type"]:
                    version = 4 if "ipv4" in acl["type"] else 6
                key = (
                    direction,
                    version,
                    proto,
                    remote(m, ip, far, version),
                    tuple(sorted(m.get("icmp", {}).items())),
                    tuple(sorted(eth.items())),
                    ace["actions"]["forwarding"],
                )
                own = union(interval(l4.get(near + "-port")))
                rest = grants.setdefault(key, {})
                rest[own] = union(list(rest.get(own, ())) + interval(l4.get(far + "-port")))
                if proto == 6:
                    pair = key, own, union(interval(l4.get(far + "-port")))
                    opens.setdefault(pair, set()).add(l4.get("ietf-mud:direction-initiated"))
    return {(k, own, far) for k, v in grants.items() for own, far in v.items()}, opens


def differences(a, b):
    return [f"only before: {x}" for x in sorted(a - b, key=str)] + [f"only after: {x}" for x in sorted(b - a, key=str)]


def conforms(mud):
    """What RFC 8519 and 8520 want of form, where files that tools have made deviate."""
    types = ("ipv4-acl-type", "ipv6-acl-type", "eth-acl-type", "mixed-eth-ipv4-acl-type", "mixed-eth-ipv6-acl-type")
    lists = mud["ietf-access-control-list:acls"]["acl"]
    names = [a["name"] for a in lists]
    wrong = [n for n in names if names.count(n) > 1 or len(n) > 64]
    used = []
    for policy in ("from-device-policy", "to-device-policy"):
        used += [n["name"] for n in mud["ietf-mud:mud"][policy]["access-lists"]["access-list"]]
    wrong += sorted(set(used) ^ set(names))
    for acl in lists:
        aces = [a["name"] for a in acl["aces"]["ace"]]
        wrong += [n for n in aces if aces.count(n) > 1 or not 1 <= len(n) <= 64]
        if acl["type"] not in types:
            wrong.append(acl["type"])
        for ace in acl["aces"]["ace"]:
            for l4 in ("tcp", "udp"):
                for side in ("source-port", "destination-port"):
                    ports = ace["matches"].get(l4, {}).get(side)
                    if ports and sorted(ports) not in (["lower-port", "upper-port"], ["operator", "port"], ["port"]):
                        wrong.append(f"{ace['name']}: {ports}")
    return wrong


def public_file(path, tmp):
    name = os.path.basename(path)
    profile, mud, again, plain = (os.path.join(tmp, n) for n in ("profile", "mud", "again", "plain"))
    rc, out, err = run("import-mud", path, "-o", profile)
    if name in INVALID:
        ok(rc == 1 and INVALID[name] in err and not out, f"{name}: refused, with its place", err)
        ok(not os.path.exists(profile), f"{name}: nothing is written")
        return
    if not ok(rc == 0, f"{name}: a profile", err):
        return
    before, before_opens = entries(load(path))
    icmp = sum(bool(k[4]) for k, _, _ in before)
    ok(err.count("type and code") >= icmp, f"{name}: {icmp} kinds of ICMP are not lost silently", err)
    rc, out, err = run("check", profile)
    ok(rc == 0, f"{name}: a good one: {out.strip().split(': ')[-1]}", err)

    rc, out, err = run("export-mud", profile, "-o", mud)
    ok(rc == 0 and not err, f"{name}: a MUD file of it", err)
    exported = load(mud)
    after, after_opens = entries(exported)
    ok(before == after, f"{name}: grants the same: {len(before)} entries", *differences(before, after))
    # An entry that does not say who opens may say it afterwards, in the sense of its pair.
    wrong = [k for k, v in before_opens.items() if None not in v and after_opens.get(k) != v]
    ok(not wrong, f"{name}: opened from the same side", *wrong)
    wrong = conforms(exported)
    ok(not wrong, f"{name}: in the form of the RFCs", *wrong)

    rc, _, err = run("import-mud", mud, "-o", again)
    ok(rc == 0 and not err and load(again) == load(profile), f"{name}: and the same profile of that", err)
    # Without our extension: the same channels, though ports and order may say it otherwise.
    rc, _, err = run("export-mud", profile, "--plain", "--mud-url", "https://example.com/x", "-o", plain)
    ok(rc == 0 and "wb-profile" not in json.dumps(load(plain)), f"{name}: a plain MUD file", err)
    rc1, _, err1 = run("import-mud", plain, "-o", again)
    rc2, _, err2 = run("export-mud", again, "--plain", "-o", mud)
    after = entries(load(mud))[0] if rc1 == rc2 == 0 else set()
    ok(before == after, f"{name}: and the lists alone grant it, too", err1, err2, *differences(before, after))


def not_mud(path):
    rc, out, err = run("import-mud", path)
    ok(rc == 1 and "line " in err and "not JSON" in err and not out, f"{os.path.basename(path)}: not a MUD file", err)


SMALL = {
    "ietf-mud:mud": {
        "mud-version": 1,
        "mud-url": "https://cam.example/v1",
        "last-update": "2024-03-01T12:00:00Z",
        "is-supported": True,
        "systeminfo": "A camera",
        "from-device-policy": {"access-lists": {"access-list": [{"name": "fr"}]}},
    },
    "ietf-access-control-list:acls": {
        "acl": [
            {
                "name": "fr",
                "type": "ipv4-acl-type",
                "aces": {
                    "ace": [
                        {
                            "name": "log",
                            "matches": {"udp": {"destination-port": {"operator": "eq", "port": 514}}},
                            "actions": {"forwarding": "accept"},
                        }
                    ]
                },
            }
        ]
    },
}


def command_line(tmp):
    small, profile, mud, key, cert = (os.path.join(tmp, n) for n in ("small", "profile", "mud", "key", "cert"))
    with open(small, "w", encoding="utf-8") as f:
        json.dump(SMALL, f)
    rc, out, err = run("import-mud", small)
    ok(rc == 0 and json.loads(out)["model"] == "A-camera", "import-mud writes to standard output", err)
    ok("heliograph: note: $.ietf-mud:mud.systeminfo: " in err, "and its notes to standard error", err)
    rc, out, err = run("import-mud", small, "--model", "cam", "--firmware=7", "-o", profile)
    ok(rc == 0 and not out and load(profile)["model"] == "cam" and load(profile)["firmware"] == "7", "names", err)
    rc, out, err = run("import-mud", small, "--model", "a b")
    ok(rc == 1 and "$.model" in err and not out, "a wrong name is refused", err)
    rc, out, err = run("import-mud", small, "-o", tmp + "/none/x")
    ok(rc == 1 and "/none/x: No such file" in err, "so is an output that cannot be", err)
    rc, out, err = run("import-mud", tmp + "/none")
    ok(rc == 1 and "/none: No such file" in err, "and an input that is not", err)
    rc, out, err = run("import-mud", small, "--plane")
    ok(rc == 2 and not out, "and an option that is none", err)
    rc, out, err = run("export-mud", profile, "--mud-url", "ftp://x.example/")
    ok(rc == 1 and "must begin with https" in err and not out, "and a URL that is none", err)

    # A signed profile has nothing of a MUD file any more, so it needs a URL.
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=maker", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    os.chmod(key, 0o600)
    rc, out, err = run("sign", profile, "-k", key, "-c", cert, "-o", mud)
    ok(rc == 0, "an imported profile is signed", err)
    rc, out, err = run("export-mud", mud)
    ok(rc == 1 and "--mud-url" in err, "a signed one wants a URL", err)
    rc, out, err = run("export-mud", mud, "--mud-url", "https://cam.example/v1")
    ok(rc == 0 and entries(json.loads(out))[0] >= entries(SMALL)[0], "and is exported with one", err)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        command_line(tmp)
    top = data()
    if not top:
        print(f"ok {count + 1} - public files # SKIP no MUD files (HG_DATA)")
        print(f"1..{count + 1}")
        return failed > 0
    files = sorted(glob.glob(top + "/*/*.json"))
    ok(len(files) >= 31, f"{len(files)} files")
    ok(set(INVALID) <= set(map(os.path.basename, files)), "those that are wrong are among them")
    for path in files:
        with tempfile.TemporaryDirectory() as tmp:
            public_file(path, tmp)
    for path in sorted(glob.glob(f"{top}/*/{NOT_MUD}")):
        not_mud(path)
    print(f"1..{count}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
