#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""heliograph profile learn and test, on captures of a device that the test makes up, and on real ones if there are any.

What is learned from one unit in one home must fit another unit in another home; an attack in the training must not be
learned, and must be told in a test.
"""
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pcap import Home, profile as run  # noqa: E402
from world import TOP, Tap  # noqa: E402

DATA = os.environ.get("HG_DATA") or os.path.join(TOP, "../shared/data")
START = 1_600_000_200
tap = Tap()
ok = tap.ok


def channel(profile, name):
    return next((c for c in profile["channels"] if c["name"] == name), {})


def learned(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def test_learn(tmp):
    home = Home()
    home.live(START, 30)
    train = home.write(f"{tmp}/train.pcap")
    rc, out, err = run("learn", train, "-o", f"{tmp}/p.json", "--model", "cam", "--firmware", "1.2", "--maker", "m")
    ok(rc == 0 and not err, "learn", rc, out, err)
    ok(run("check", f"{tmp}/p.json")[0] == 0, "what was learned is a profile")
    p = learned(f"{tmp}/p.json")
    ok((p["model"], p["firmware"], p["maker"]) == ("cam", "1.2", "m"), "model, firmware, maker", p)
    text = json.dumps(p)
    ok("192.168." not in text, "no address of the home is in it", text)
    ok(channel(p, "dns").get("remote") == "dns", "the name server is the network's", p)
    web = channel(p, "tcp-443-example.com")
    ok(sorted(web.get("remote", [])) == ["name:*.cdn.example.com", "name:api.example.com"],
       "names are preferred to addresses; shards become a pattern", web)
    ok(channel(p, "udp-5353-group").get("answers") is False and
       channel(p, "udp-5353-group").get("remote") == "224.0.0.251", "a group is taken literally, no answers", p)
    ok(channel(p, "tcp-8123-local").get("remote") == "local", "a host of the home is local", p)
    ok(channel(p, "udp-123").get("remote") == "198.51.100.123", "a fixed server without a name is an address", p)
    ok(channel(p, "dhcp").get("answers") is False, "DHCP gets no answers on its flow", p)
    e = web.get("envelope", {})
    ok(set(e) == {"1", "60", "3600"}, "seconds, minutes and hours have bounds", e)
    ok(6 <= e["1"]["packets"] <= 10 and 24 <= e["3600"]["flows"] <= 28, "envelopes are what was seen", e)
    ok("29.9 hours" in out and "tcp-443-example.com" in out and "0 hostile, 0 drift" in out,
       "the table says what was found", out)
    rc, out, err = run("learn", train)
    ok(rc == 0 and json.loads(out)["model"] == "unnamed" and "29.9 hours" in err,
       "without -o: the profile to standard output, the table to standard error", out, err)


def test_other_home(tmp):
    home = Home("10.9.8", "00:53:00:00:00:42", seed=2)
    home.live(START + 9_000_000, 26, servers="192.0.2")
    other = home.write(f"{tmp}/other.pcap")
    rc, out, err = run("test", f"{tmp}/p.json", other)
    ok(rc == 0 and "hostile: 0 episodes" in out and "drift: 0 episodes" in out, "another unit in another home: no alarm",
       out, err)
    ok("outside the profile: 0 packets, 0 flows" in out, "and all it does is in the profile", out)
    rc, out, err = run("test", f"{tmp}/p.json", other, "--json")
    o = json.loads(out)
    ok(o["hostile"] == 0 and o["seconds"] > 90000 and o["active_minutes"] > 300 and
       o["captures"][0]["device"] == "00:53:00:00:00:42", "as JSON", out)
    rc, out, err = run("learn", f"{tmp}/train.pcap", other, "-o", f"{tmp}/both.json")
    ok(rc == 0 and "2 units" in out, "two units at once", out, err)
    names = channel(learned(f"{tmp}/both.json"), "tcp-443-example.com").get("remote", [])
    ok(sorted(names) == ["name:*.cdn.example.com", "name:api.example.com"], "the same channels", names)


def test_attack(tmp):
    home = Home(seed=3)
    home.live(START, 30)
    home.scan(START + 40_000, 600, 20)
    bad = home.write(f"{tmp}/bad.pcap")
    rc, out, err = run("learn", bad, "-o", f"{tmp}/bad.json")
    ok(rc == 6, "an attack in the training: status 6", rc, out, err)
    ok("looks like an attack, and was left out" in out and "failed openings" in out, "it is pointed out", out)
    ok("in an hour; looks" not in out, "its minutes are left out, not their hour", out)
    p = learned(f"{tmp}/bad.json")
    ok(not any(23 in c.get("ports", []) for c in p["channels"]), "and not learned", p)
    ok(channel(p, "tcp-443-example.com").get("envelope", {}).get("1", {}).get("flows", 99) < 6, "nor measured", p)
    rc, out, err = run("learn", bad, "-o", f"{tmp}/all.json", "--accept")
    ok(rc == 0 and any(23 in c.get("ports", []) for c in learned(f"{tmp}/all.json")["channels"]), "--accept learns it",
       rc, out, err)
    rc, out, err = run("learn", bad, "-o", f"{tmp}/ex.json", "--exclude", "2020-09-13T23:00:00Z/2020-09-14T00:00:00Z",
                       "--accept")
    ok(rc == 0 and not any(23 in c.get("ports", []) for c in learned(f"{tmp}/ex.json")["channels"]),
       "--exclude leaves a time out", rc, out, err)
    rc, out, err = run("test", f"{tmp}/p.json", bad, "--labels", bad + ".labels")
    ok(rc == 0 and "told as horizontal scan" in out and "false:" not in out, "a test tells it, and nothing before", rc,
       out, err)
    ok("100.64.0.0/" in out and "tcp 23" in out, "with its targets", out)
    rc, out, err = run("test", f"{tmp}/p.json", bad, "--labels", bad + ".labels", "--json")
    labels = json.loads(out)["labels"]
    ok(labels["attack_packets"] == 600 and 0 <= labels["delay_s"] <= 2 and labels["packets_before"] < 60 and
       labels["early"] == 0, "how late, after how many packets", labels)
    ok(run("test", f"{tmp}/p.json", bad)[0] == 1, "without labels a hostile episode is status 1")
    quiet = Home(seed=4)
    quiet.live(START, 4)
    quiet.frames = [f[:2] + (1 if i == 50 else 0,) for i, f in enumerate(sorted(quiet.frames, key=lambda f: f[0]))]
    path = quiet.write(f"{tmp}/quiet.pcap")
    rc, out, err = run("test", f"{tmp}/p.json", path, "--labels", path + ".labels")
    ok(rc == 1 and "never told" in out, "an attack that is not seen: status 1", rc, out, err)


def test_slow(tmp):
    home = Home(seed=5)
    home.live(START, 30)
    home.scan(START + 40_000, 60, 1 / 60, port=443)
    slow = home.write(f"{tmp}/slow.pcap")
    rc, out, err = run("learn", slow, "-o", f"{tmp}/slow.json")
    ok(rc == 6 and "in an hour" in out, "a scan of one a minute stands out, too", rc, out, err)
    ok(not channel(learned(f"{tmp}/slow.json"), "tcp-443"), "and is not learned")


def test_odd_hour(tmp):
    home = Home(seed=6)
    home.live(START, 30)
    for i in range(4000):
        home.tcp(START + 50_000 + i * 0.5, "203.0.113.10", 443, (1000,))
    odd = home.write(f"{tmp}/odd.pcap")
    rc, out, err = run("learn", odd, "-o", f"{tmp}/odd.json")
    ok(rc == 0 and "stands out" in out and "in an hour (usual:" in out and "attack" not in out,
       "a busy hour is pointed out, and learned", rc, out, err)


def stream(home, start, peers):
    """To one telephone after the other, each with a port of its own."""
    for i, peer in enumerate(peers):
        sport = home.next_port()
        for k in range(300):
            home.udp(start + i * 600 + k * 0.1, peer, 20000 + 1111 * i, b"v" * 900, b"a" * 20, sport=sport)


def test_peers(tmp):
    train, other = Home(seed=7), Home(seed=8)
    train.live(START, 30)
    stream(train, START + 20_000, [f"203.0.113.{100 + i}" for i in range(6)])
    other.live(START, 26)
    stream(other, START + 20_000, [f"198.51.100.{50 + i}" for i in range(6)])
    rc, out, err = run("learn", "--accept", train.write(f"{tmp}/peers.pcap"), "-o", f"{tmp}/peers.json")
    got = channel(learned(f"{tmp}/peers.json"), "udp-high")
    ok(rc == 0 and got.get("remote") == "any" and got.get("ports") == ["1024-65535"],
       "peers with ports of their own are anybody", got, out, err)
    rc, out, err = run("test", f"{tmp}/peers.json", other.write(f"{tmp}/others.pcap"))
    ok(rc == 0 and "outside the profile: 0 packets, 0 flows" in out, "other peers are in the profile", rc, out, err)


def upload(home, start, flows, gap, packets):
    for i in range(flows):
        home.tcp(start + i * gap, "203.0.113.10", 443, (1200,) * packets)


def without(path, *keys):
    p = learned(path)
    for c in p["channels"]:
        for k in keys:
            c.pop(k, None)
    with open(path + ".less", "w", encoding="utf-8") as f:
        json.dump(p, f)
    return path + ".less"


def test_sums(tmp):
    train, leak, same = Home(seed=9), Home(seed=10), Home(seed=11)
    for home, hours in ((train, 50), (leak, 40), (same, 40)):
        home.live(START, hours)
        for day in range(2):  # a busy hour a day
            upload(home, START + (10 + 24 * day) * 3600, 40, 60, 20)
    rc, out, err = run("learn", "--accept", train.write(f"{tmp}/sums.pcap"), "-o", f"{tmp}/sums.json")
    web = channel(learned(f"{tmp}/sums.json"), "tcp-443-example.com")
    hour = web.get("envelope", {}).get("3600", {}).get("bytes", 0)
    got = web.get("sum", {}).get("bytes", {})
    ok(rc == 0 and 200_000 < got.get("rate", 0) < hour < got.get("limit", 0) < 3 * hour,
       "what goes on for six hours is less than an hour may bring", web.get("sum"), hour, err)
    ok(not channel(learned(f"{tmp}/sums.json"), "udp-5353-group").get("sum"), "no sums where no answers are expected")
    upload(leak, START + 14 * 3600, 900, 60, 10)  # as much as the busy hour, for fifteen hours
    leak.write(f"{tmp}/leak.pcap")
    rc, out, err = run("test", f"{tmp}/sums.json", f"{tmp}/leak.pcap", "--json")
    told = [e for e in json.loads(out)["episodes"] if e["channel"] == "tcp-443-example.com"]
    ok(told and told[0]["feature"].startswith("sum") and told[0]["attack"] == "drift",
       "a leak below every window's bound is told by its sum, as drift", told, err)
    rc, out, err = run("test", without(f"{tmp}/sums.json", "sum"), f"{tmp}/leak.pcap")
    ok(rc == 0 and "drift: 0 episodes" in out, "and would not be without", out, err)
    rc, out, err = run("test", f"{tmp}/sums.json", same.write(f"{tmp}/same.pcap"))
    ok(rc == 0 and "drift: 0 episodes" in out, "the same busy hours in another home are not told", out, err)
    short = Home(seed=12)
    short.live(START, 20)
    run("learn", short.write(f"{tmp}/short.pcap"), "-o", f"{tmp}/short.json")
    ok(not any("sum" in c for c in learned(f"{tmp}/short.json")["channels"]), "less than a day says nothing of sums")


def test_size(tmp):
    train, other = Home(seed=13), Home(seed=14)
    for home, size in ((train, 60), (other, 900)):
        home.live(START, 26)
        for i in range(80):
            sport = home.next_port()
            for k in range(25):
                home.udp(START + 7000 + i * 600 + k, "198.51.100.7", 7000, b"r" * size, b"a", sport=sport)
    run("learn", train.write(f"{tmp}/size.pcap"), "-o", f"{tmp}/size.json")
    minute = channel(learned(f"{tmp}/size.json"), "udp-7000").get("envelope", {}).get("60", {})
    ok(minute.get("size_max") == 2 * 88 and "size_min" not in minute, "twice the largest mean size of a minute", minute)
    web = channel(learned(f"{tmp}/size.json"), "tcp-443-example.com").get("envelope", {}).get("60", {})
    ok("size_max" not in web, "none of few packets", web)
    rc, out, err = run("test", f"{tmp}/size.json", other.write(f"{tmp}/larger.pcap"), "--json")
    ok(any(e["channel"] == "udp-7000" and e["attack"] == "drift" for e in json.loads(out)["episodes"]) and
       json.loads(out)["hostile"] == 0, "larger packets are told as drift", out, err)


def test_wrong(tmp):
    train = f"{tmp}/train.pcap"
    text = f"{tmp}/text"
    with open(text, "w", encoding="ascii") as f:
        f.write("no capture\n" * 10)
    with open(train, "rb") as f:
        data = f.read()
    with open(f"{tmp}/cut.pcap", "wb") as f:
        f.write(data[: len(data) * 2 // 3])
    a, b = Home(), Home(device="00:53:00:00:00:99")
    b.addr = "192.168.1.99"
    a.live(START, 2)
    b.live(START, 2)
    a.frames += b.frames
    two = a.write(f"{tmp}/two.pcap")
    for args, status, says in (
        (["learn", text], 1, f"{text}: not a capture"),
        (["learn", f"{tmp}/missing"], 1, "missing: No such file"),
        (["learn", tmp], 1, "is a directory"),
        (["learn", two], 1, "choose one with --device"),
        (["learn", train, "--device", "00:53:00:00:00:55"], 1, "no packet of the device 00:53:00:00:00:55"),
        (["learn", train, "--device", "nonsense"], 2, "nonsense"),
        (["learn", train, "--exclude", "yesterday"], 2, "--exclude yesterday"),
        (["learn", train, "--policy", "none"], 2, "--policy none"),
        (["learn", train, "--dns", "router"], 2, "--dns router"),
        (["learn", train, "--model", "a b"], 2, "--model"),
        (["learn", train, "-o", f"{tmp}/no/such"], 1, "No such file"),
        (["learn"], 2, "missing"),
        (["test", f"{tmp}/p.json"], 2, "missing"),
        (["test", text, train], 1, "text"),
        (["test", f"{tmp}/p.json", train, "--labels", text], 1, f"{text}:1: must be 0 or 1"),
        (["test", f"{tmp}/p.json", train, "--labels", f"{two}.labels"], 1, "labels for"),
        (["test", f"{tmp}/p.json", train, two, "--device", "00:53:00:00:00:01", "--labels", text], 2, "one capture"),
    ):
        rc, out, err = run(*args)
        ok(rc == status and says in err, f"{' '.join(args).replace(tmp, '')}: status {status}, and why", rc, out, err)
    rc, out, err = run("learn", f"{tmp}/cut.pcap", "-o", f"{tmp}/cut.json")
    ok(rc == 0 and "truncated" in err and "are used" in err, "a cut file: what is whole is used, and it is told", rc, err)
    rc, out, err = run("learn", two, "--device", "192.168.1.99", "-o", f"{tmp}/two.json")
    ok(rc == 0 and "00:53:00:00:00:99" in out, "one of two devices, by its address", rc, out, err)
    rc, out, err = run("learn", train, "-o", f"{tmp}/x.json", "--progress")
    ok(rc == 0 and "%" in err, "--progress tells how far it is", err)


def test_real(tmp):
    pairs = (("blink-camera/blink-cam-01", "blink-camera/blink-cam-02"),
             ("sifely-hub/sifely-hub-01.day0-4", "sifely-hub/sifely-hub-01.day4-7"))
    for train, other in pairs:
        files = [f"{DATA}/benign/{f}.pcap" for f in (train, other)]
        if not all(map(os.path.exists, files)):
            tap.skip(f"{train}: learned", "no captures (HG_DATA)")
            continue
        rc, out, err = run("learn", files[0], "-o", f"{tmp}/real.json")
        ok(rc == 0 and "0 hostile" in out, f"{train}: learned", rc, out, err)
        rc, out, err = run("test", f"{tmp}/real.json", files[1])
        ok(rc == 0, f"{other}: nothing hostile", rc, out, err)


tmp = tempfile.mkdtemp(prefix="hg-learn-")
try:
    test_learn(tmp)
    test_other_home(tmp)
    test_attack(tmp)
    test_slow(tmp)
    test_odd_hour(tmp)
    test_peers(tmp)
    test_sums(tmp)
    test_size(tmp)
    test_wrong(tmp)
    test_real(tmp)
finally:
    shutil.rmtree(tmp)
tap.done()
