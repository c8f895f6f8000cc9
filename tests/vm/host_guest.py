#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inside a guest with heliograph.ko loaded: agent and command line with the module for a host.

Run by tests/vm/host.t as root of a machine of its own: it unloads and loads the module.

    host_guest.py [PART...]
"""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, "/t/tests/net")
import session
from world import BUILD, DEV4, NET4, Tap, World, run, wait_for

MODULE, OTHER, KEY = "/t/heliograph.ko", "/t/other-abi.ko", "/tmp/key"
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_DENIED = 1, 2, 4, 5
SILENCED, HEARTBEAT_S = 4, 3
GENL_CTRL, GETFAMILY, FAMILY_NAME, FAMILY_ID = 16, 3, 2, 1  # linux/genetlink.h
NLMSG_DONE, REQUEST, DUMP, DUMP_INTR = 3, 1, 0x300, 16  # linux/netlink.h
GET_WINDOWS, CHANNELS = 8, 64  # include/uapi/heliograph.h
STEP = 0.2  # between two looks: in an emulated machine each costs, idling does not
PROFILE = {"model": "lamp", "firmware": "1", "channels": [
    {"name": "web", "proto": "udp", "ports": [7000], "remote": "any",
     "envelope": {"1": {"packets": 20, "bytes": 20000, "flows": 5, "failed": 5}}}]}


def send(w, port, count=1, size=32, ports=1):
    """The device sends UDP datagrams; netfilter tells the sender of those that it drops: how many."""
    refused = 0
    with w.at("dev"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for n in range(count):
            try:
                s.sendto(b"x" * size, (NET4, port + n % ports))
            except PermissionError:
                refused += 1
    return refused


def receiver(w, port):
    with w.at("net"):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((NET4, port))
    s.settimeout(20)
    return s


def drain(s):
    got = []
    s.setblocking(False)
    try:
        while True:
            got.append(s.recv(2000))
    except BlockingIOError:
        return got
    finally:
        s.settimeout(20)


def events(guard, *words):
    return [json.loads(line) for line in guard("events", "--json", *words).stdout.splitlines()]


def listening(reader):
    """Waits until somebody in the reader's network namespace is in a generic netlink group."""
    def found():
        with open(f"/proc/{reader.pid}/net/netlink", encoding="ascii") as f:
            lines = [line.split() for line in f.readlines()[1:]]
        return any(kind == "16" and int(groups, 16) for _, kind, _, groups, *_ in lines)

    assert wait_for(found, 30)


def probe(w):
    """Without BPF programs: to verify them takes long in an emulated machine."""
    p = w.guard("auto", object="/nowhere.o")("probe", "--json", check=False)
    return json.loads(p.stdout)


def choice(tap, w):
    found = probe(w)
    facts = found["hosts"]["module"]["facts"]
    tap.ok(found["chosen"] == "module" and not found["hosts"]["bpf"]["can"] and
           all(facts[f]["good"] for f in ("module", "family", "abi", "d0")),
           "probe: without BPF the module is chosen, it is loaded and of our ABI", found)
    p = w.guard("auto", object="/nowhere.o")("on")
    tap.ok("host module: its module is there" in p.stdout and "d0: initiated, netfilter" in
           p.stdout, "on takes it, and says so", p.stdout)
    p = w.guard("auto")("on")
    tap.ok("host module: its guard runs already" in p.stdout, "a guard that runs keeps its host",
           p.stdout)
    send(w, 9)
    p = w.guard("auto", host="bpf")("on")
    tap.equal(w.guard("auto").status()["host"], "bpf", "the other host takes over when asked for")
    tap.equal(w.guard("auto", host="module")("status", check=False).returncode, EXIT_UNAVAILABLE,
              "and the module guards no more")
    w.guard("auto", host="module").on()
    tap.equal(w.guard("auto").status()["host"], "module", "and back")


def commands(tap, w):
    w.guard("auto").off()
    guard = w.guard("auto", host="module", flows_outside=8192, trusted="10.99.0.0/16").on()
    s = guard.status()
    tap.ok(s["clock"] == "kernel" and s["flows"]["outside"]["size"] == 8192 and
           s["keeping"]["heartbeat_left"] is None and 0 < s["keeping"]["memory"] < 4 << 20,
           "status: the kernel's clock, tables as asked for, what it holds", s)
    send(w, 5000, 3)
    flow = [f for f in guard.flows() if f["remote_port"] == 5000]
    tap.ok(len(flow) == 1 and flow[0]["packets_out"] == 3 and flow[0]["local"] == DEV4 and
           flow[0]["table"] == "outside", "flows: what the device sent", flow)
    send(w, 20000, 6000, ports=6000)
    flows = guard.flows()
    tap.ok(len({f["remote_port"] for f in flows}) > 6000 - 50 and
           guard.entries()["outside"] >= 6000, "a table of thousands is dumped whole", len(flows))
    guard("policy", "sealed")
    guard("confine", "yes")
    guard("police", "yes")
    s = guard.status()
    tap.ok((s["policy"], s["confine"], s["police"]) == ("sealed", True, True),
           "policy, confine and police are switched", s)
    guard("police", "no")
    before = guard.status()["dropped"]["confined"]
    refused = send(w, 5001, 4)
    tap.equal((guard.status()["dropped"]["confined"] - before, refused), (4, 4),
              "confined: what no channel has does not get out, and the sender is told")
    tap.equal(guard("names").stdout, "", "names: none yet")
    guard.off()
    tap.equal(guard("off", check=False).returncode, EXIT_UNAVAILABLE, "off: there is none now")


def several(tap, w):
    """The list of interfaces is replaced under a guard that runs."""
    w.run("dev", "ip", "link", "add", "d1", "type", "veth", "peer", "name", "d2")
    dropped = 0
    for names in (["d0", "d1"], ["d1", "d0"], ["d0"], ["d2", "d1", "d0"]):
        guard = w.guard("auto", host="module", interface=names).on()
        tap.equal([i["name"] for i in guard.status()["interfaces"]], names,
                  "guarded: " + " ".join(names))
        with w.at("net"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", (DEV4, 9))
        now = guard.status()["dropped"]["no-flow"]
        tap.ok(now > dropped, "and d0 among them", dropped, now)
        dropped = now
    w.run("dev", "ip", "link", "del", "d1")
    tap.equal([i["name"] for i in guard.status()["interfaces"] if not i["ifindex"]], ["d2", "d1"],
              "two have gone")
    w.run("dev", "ip", "link", "add", "d1", "type", "veth", "peer", "name", "d2")
    tap.equal([i["name"] for i in guard.status()["interfaces"] if i["ifindex"]],
              ["d2", "d1", "d0"], "and come again")
    w.run("dev", "ip", "link", "del", "d1")
    guard.off()


def message(kind, flags, command, payload=b""):
    return struct.pack("=IHHIIBBH", 20 + len(payload), kind, flags, 1, 0, command, 1, 0) + payload


def answers(s):
    """(type, flags, attributes) of the messages of one datagram."""
    data, out = s.recv(65536), []
    while data:
        size, kind, flags = struct.unpack_from("=IHH", data)
        at, attrs = 20, {}
        while at < size and kind != NLMSG_DONE:
            n, name = struct.unpack_from("=HH", data, at)
            attrs[name] = data[at + 4:at + n]
            at += n + 3 & ~3
        out.append((kind, flags, attrs))
        data = data[size + 3 & ~3:]
    return out


def dump(w, meanwhile):
    """A dump of windows, of which a part waits when meanwhile() is called: rows, and was it told?"""
    with w.at("dev"), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as s:
        s.send(message(GENL_CTRL, REQUEST, GETFAMILY, struct.pack("=HH12s", 15, FAMILY_NAME,
                                                                  b"heliograph")))
        family = struct.unpack("=H", answers(s)[0][2][FAMILY_ID])[0]
        s.send(message(family, REQUEST | DUMP, GET_WINDOWS))
        meanwhile()
        got = []
        while not got or got[-1][0] != NLMSG_DONE:
            got += answers(s)
    return len(got) - 1, any(flags & DUMP_INTR for _, flags, _ in got)


def changed_meanwhile(tap, w):
    guard = w.guard("auto", host="module").on()
    tap.equal(dump(w, lambda: None), (CHANNELS, False), "a dump in several messages")
    tap.equal(dump(w, lambda: send(w, 9, 3)), (CHANNELS, False), "packets meanwhile: it is whole")
    tap.equal(dump(w, lambda: guard("policy", "sealed")), (CHANNELS, True),
              "a command meanwhile: the reader is told")
    tap.equal(dump(w, lambda: (guard.off(), guard.on())), (CHANNELS, True),
              "another guard meanwhile: so, too")
    guard.off()


def refusals(tap, w):
    for name, keys, says in (("an interface that is not there", {"interface": "nothere"}, "nothere"),
                             ("the loopback", {"interface": "lo"}, "loopback")):
        p = w.guard("auto", host="module", **keys)("on", check=False)
        tap.ok(p.returncode == EXIT_FAILED and says in p.stderr, f"refused: {name}", p.stderr)
    guard = w.guard("auto", host="module")
    p = guard("policy", "monitor", check=False)
    tap.ok(p.returncode == EXIT_UNAVAILABLE and "guards nothing" in p.stderr,
           "no guard: it says so", p.stderr)
    p = run(*w.cmd("dev", "setpriv", "--reuid", "65534", "--clear-groups", *guard.command("on")),
            check=False)
    tap.ok(p.returncode == EXIT_DENIED, "an unprivileged user is refused",
           p.returncode, p.stderr)


def scored(tap, w):
    guard = w.guard("auto", host="module", profile=PROFILE, police="yes").on()
    with subprocess.Popen(w.cmd("dev", *guard.command("events", "--json", "-t", 40)),
                          stdout=subprocess.PIPE, text=True) as reader:
        listening(reader)
        send(w, 7100)
        first = json.loads(reader.stdout.readline())
        tap.ok(first["event"] == "flow" and first["remote"] == NET4, "events: a new flow", first)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            send(w, 7000, 20)
            time.sleep(0.01)
        score = next(e for e in map(json.loads, reader.stdout) if e["event"] == "score")
        tap.ok(score["news"] == "start" and score["channel"] == 1 and
               score["attack"] == "udp-flood", "events: a score over its bound", score)
        reader.terminate()
    tap.ok(guard.status()["dropped"]["policed"] > 20, "policed: the excess of a channel is dropped")


def gated(tap, w):
    session.serve(w)
    guard = w.guard("auto", host="module", gate="strict").on()
    c = session.connect(w, NET4, timeout=30) if not guard("gate", 60).returncode else None
    tap.ok(c and session.exchange(c) and guard.status()["gate"] == "open",
           "gate: open, what the device asks is answered", guard.status())
    guard("gate", 0)
    n = guard.status()["dropped"]["gate"]
    c.settimeout(2)
    try:
        answered = session.exchange(c)
    except OSError:
        answered = False
    tap.ok(not answered and guard.status()["dropped"]["gate"] > n and
           guard.status()["gate"] == "shut", "gate: shut, it is not", guard.status())
    p = guard("gate", 3601, check=False)
    tap.ok(p.returncode == 2 and "0 to 3600" in p.stderr, "gate: usage", p.stderr)
    guard("gate", 60)
    c.settimeout(60)
    tap.ok(c.recv(64), "gate: open again, the connection goes on")
    c.close()
    guard.off()


def slow_reader(tap, w):
    """New flows are told at 1,000 a second, and a stopped reader's buffer is of limited size."""
    guard = w.guard("auto", host="module").on()
    with subprocess.Popen(w.cmd("dev", *guard.command("events", "-t", 600)),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as reader:
        listening(reader)
        reader.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 6
        n = 0
        while time.monotonic() < end:
            send(w, 10000 + n % 40000, 300, ports=300)
            n += 300
            time.sleep(0.1)
        reader.send_signal(signal.SIGCONT)
        said = reader.stderr.readline()
        tap.ok("events were lost" in said, "a reader that is too slow is told that it lost some",
               said)
        reader.terminate()
    guard.off()


def unloaded(tap, w):
    guard = w.guard("auto", host="module")
    run("rmmod", "heliograph")
    p = guard("status", check=False)
    tap.ok(p.returncode == EXIT_UNAVAILABLE and "no module heliograph" in p.stderr,
           "without the module: the command line says so", p.stderr)
    p = guard("on", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "no module heliograph" in p.stderr,
           "and cannot guard by it", p.stderr)
    found = probe(w)
    tap.ok(not found["hosts"]["module"]["can"] and not found["chosen"],
           "probe finds that it is gone, and loads nothing", found)
    modules = "/lib/modules/" + os.uname().release
    os.makedirs(modules, exist_ok=True)
    for name, text in (("heliograph.ko", ""),
                       ("modules.dep", "kernel/veth.ko:\nextra/heliograph.ko:\n")):
        with open(f"{modules}/{name}", "w", encoding="ascii") as f:
            f.write(text)
        found = probe(w)
        tap.ok(found["chosen"] == "module" and "not loaded" in
               found["hosts"]["module"]["facts"]["module"]["text"],
               f"one that could be loaded is told apart, by {name}", found)
        if not text:
            os.unlink(f"{modules}/{name}")
    p = guard("on", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "modprobe heliograph" in p.stderr,
           "it cannot be loaded here: what to do is said", p.stderr)
    os.unlink(modules + "/modules.dep")
    run("insmod", OTHER)
    p = guard("on", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "speaks ABI" in p.stderr,
           "a module of another ABI is refused", p.stderr)
    found = probe(w)
    tap.ok(not found["hosts"]["module"]["facts"]["abi"]["good"] and not found["chosen"],
           "probe says so", found)
    run("rmmod", "heliograph")
    run("insmod", MODULE)


def agent_conf(w):
    guard = w.guard("auto", host="module", heartbeat=f"{HEARTBEAT_S}s")
    with open(guard.conf, "a", encoding="ascii") as f:
        f.write(f"[agent]\nsocket = {w.tmp}/sock\n[device]\nstate_dir = {w.tmp}/state\n"
                "[mirror]\ncert = /t/pki/dev1.crt\nkey = /t/pki/dev1.key\n"
                f"[collector]\nhost = {NET4}\ncert = /t/pki/collector.crt\n")
    return guard


def left(guard):
    """Seconds until the heartbeat runs out; None if there is no guard, or none is expected."""
    p = guard("status", "--json", check=False)
    return json.loads(p.stdout)["keeping"]["heartbeat_left"] if p.returncode == 0 else None


def start_agent(w, guard):
    log = open(w.tmp + "/agent.log", "a", encoding="utf-8")
    p = w.start("dev", BUILD + "/heliographd", "-c", guard.conf, stderr=log)
    if not wait_for(lambda: left(guard), 30, STEP):
        Tap.diag(open(w.tmp + "/agent.log", encoding="utf-8").read())
    return p


def log_of(w):
    return open(w.tmp + "/agent.log", encoding="utf-8").read()


def item(b, at):
    """One item of CBOR, and where it ends."""
    kind, n, at = b[at] >> 5, b[at] & 31, at + 1
    if n >= 24:
        size = 1 << (n - 24)
        n, at = int.from_bytes(b[at:at + size], "big"), at + size
    if kind in (2, 3):
        return b[at:at + n], at + n
    if kind == 6:
        return item(b, at)
    out = []
    for _ in range(n * (kind - 3) if kind in (4, 5) else 0):
        one, at = item(b, at)
        out.append(one)
    if kind == 5:
        return dict(zip(out[::2], out[1::2])), at
    return (out if kind == 4 else n if kind == 0 else -1 - n), at


def alarm(datagram):
    """The payload of an alarm; host.t looks at its signature."""
    return item(item(datagram, 0)[0][2], 0)[0]


def silenced(inbox):
    """The next datagram of class silenced."""
    while True:
        datagram = inbox.recv(2000)
        if alarm(datagram).get(4) == SILENCED:
            return datagram


def heartbeat(tap, w):
    inbox, guard = receiver(w, 4647), agent_conf(w)
    agent = start_agent(w, guard)
    tap.ok("guard: host module: [guard] host asks for it" in log_of(w),
           "the agent says which host and why", log_of(w))
    agent.kill()
    agent.wait()
    first = silenced(inbox)
    a = alarm(first)
    tap.ok(a[1] == b"dev1" and a[8] == 5 and a[10] == a[11] == HEARTBEAT_S and a[5] == a[2] and
           3 not in a, "killed: the kernel sends the signed alarm that it was silenced", a)
    print("guest: sent " + first.hex(), flush=True)  # for host.t
    tap.equal(silenced(inbox), first, "and again, the same bytes")
    tap.equal(guard.status()["keeping"]["heartbeat_left"], 0, "status says so")
    agent = start_agent(w, guard)
    tap.ok(wait_for(lambda: left(guard), 10, STEP),
           "a new agent: the kernel is content")
    drain(inbox)
    agent.send_signal(signal.SIGSTOP)
    second = alarm(silenced(inbox))
    tap.ok(second[2] > a[2], "stopped: it is told under another number", a[2], second[2])
    agent.send_signal(signal.SIGCONT)
    tap.ok(wait_for(lambda: "it came too late" in log_of(w), 15), "it goes on, and knows",
           log_of(w))
    wait_for(lambda: left(guard), 10, STEP)
    drain(inbox)
    agent.kill()
    agent.wait()
    third = alarm(silenced(inbox))
    tap.ok(third[2] > second[2], "killed later: that number was not used again", second[2],
           third[2])
    agent = start_agent(w, guard)
    agent.send_signal(signal.SIGTERM)
    tap.equal(agent.wait(timeout=30), 0, "ended by its operator")
    drain(inbox)
    s = guard.status()["keeping"]
    tap.equal(s["heartbeat_left"], None, "nothing is expected, and nobody will be told")


def seal(*words):
    p = run(BUILD + "/heliograph", "guard", "seal", "--key", KEY, *words)
    with open("/tmp/seal", "w", encoding="ascii") as f:
        f.write(p.stdout)
    return "/tmp/seal"


def locked(tap, w):
    guard = agent_conf(w)
    guard.on()
    with open(KEY, "w", encoding="ascii") as f:
        f.write(os.urandom(32).hex() + "\n")
    guard("lock", "--key", KEY, "--after", 100)
    tap.ok(guard.status()["keeping"]["locked"], "lock: status says so")
    for words in (("off",), ("policy", "monitor"), ("confine", "yes"), ("on",),
                  ("lock", "--key", KEY)):
        p = guard(*words, check=False)
        tap.ok(p.returncode == EXIT_DENIED and "SEAL" in p.stderr, f"locked: {words[0]} is refused",
               p.returncode, p.stderr)
    tap.ok(run("rmmod", "heliograph", check=False).returncode, "and so is rmmod")
    agent = start_agent(w, guard)
    tap.ok("it stays as it is" in log_of(w) and agent.poll() is None and
           guard.status()["policy"] == "initiated", "an agent takes the locked guard as it is",
           log_of(w))
    agent.terminate()
    agent.wait(timeout=30)
    tap.ok("the guard is locked" in log_of(w) and
           guard.status()["keeping"]["heartbeat_left"] is not None,
           "it cannot take its heartbeat back")
    p = guard("policy", "monitor", "--seal", seal("--counter", 100, "policy", "monitor"),
              check=False)
    tap.equal(p.returncode, EXIT_DENIED, "a seal whose counter is not above is refused")
    p = guard("policy", "sealed", "--seal", seal("policy", "monitor"), check=False)
    tap.equal(p.returncode, EXIT_DENIED, "a seal for another word is refused")
    guard("policy", "monitor", "--seal", seal("policy", "monitor"))
    tap.equal(guard.status()["policy"], "monitor", "with its seal the policy changes")
    p = guard("policy", "monitor", "--seal", "/tmp/seal", check=False)
    tap.equal(p.returncode, EXIT_DENIED, "the same seal does not work twice")
    guard("confine", "yes", "--seal", seal("confine", "yes"))
    tap.ok(guard.status()["confine"], "confine with its seal")
    p = guard("unlock", "--seal", seal("off"), check=False)
    tap.equal(p.returncode, EXIT_DENIED, "the seal for off does not unlock")
    guard("unlock", "--seal", seal("unlock"))
    tap.ok(not guard.status()["keeping"]["locked"], "unlock")
    guard("lock", "--key", KEY)
    p = w.guard("auto", host="bpf")("on", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "guard of host module cannot be ended" in p.stderr,
           "locked: the other host cannot take over", p.returncode, p.stderr)
    tap.equal(w.guard("auto", host="bpf")("status", check=False).returncode, EXIT_UNAVAILABLE,
              "and leaves nothing behind")
    guard = w.guard("auto", host="module")
    guard("off", "--seal", seal("off"))
    tap.equal(guard("status", check=False).returncode, EXIT_UNAVAILABLE, "off with its seal")


def locked_gate(tap, w):
    """Whether there is a gate is told by the guard: a configuration cannot change one that is locked."""
    w.guard("auto", host="module", gate="services").on()("lock", "--key", KEY)
    guard = agent_conf(w)
    with open(guard.conf, "a", encoding="ascii") as f:
        f.write(f"[mirror]\nhost = {NET4}\nca = /t/pki/collector.crt\n")
    tap.equal(guard.status()["gate"], "shut", "a locked guard with a gate, and a configuration without")
    agent = start_agent(w, guard)
    tap.ok(wait_for(lambda: guard.status()["gate"] == "open", 30, STEP), "a session opens it",
           guard.status(), log_of(w))
    agent.terminate()
    agent.wait(timeout=30)
    guard("off", "--seal", seal("off"))


def agent_without_module(tap, w):
    """Somebody takes the module away under a running agent, and brings it back."""
    guard = agent_conf(w)
    agent = start_agent(w, guard)
    guard.off()
    tap.ok(wait_for(lambda: guard("status", check=False).returncode == 0, 30, STEP),
           "guard off under an agent: it is put back")
    guard.off()
    run("rmmod", "heliograph")
    wanted = "not all interfaces are guarded: this kernel has no module heliograph"
    tap.ok(wait_for(lambda: wanted in log_of(w), 30, STEP), "the module is gone: the agent says so",
           log_of(w))
    run("insmod", MODULE)
    tap.ok(wait_for(lambda: guard("status", check=False).returncode == 0, 30, STEP),
           "it is back: so is the guard", log_of(w))
    agent.terminate()
    agent.wait(timeout=30)
    guard.off()


def main():
    tap = Tap()
    w = World()
    for part in (choice, commands, several, changed_meanwhile, refusals, scored, gated, slow_reader, unloaded, heartbeat, locked, locked_gate,
                 agent_without_module):
        if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
            continue
        try:
            part(tap, w)
        except Exception as e:  # the rest is to be seen all the same
            tap.ok(False, f"{part.__name__} came to its end", repr(e))
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    run("rmmod", "heliograph")
    tap.done()


main()
