# SPDX-License-Identifier: MIT
"""arch.py TMP NETNS COUNT VERSION:MACHINE...: the guests of tests/vm/arch, one after the other.

TMP and NETNS are those of the script: certificates, the databases' socket, where mirror and
collector listen. Each guest is a device (device.py) that is probed, synchronises, is made to scan,
and loses its agent to SIGKILL. What its mirror and its collector know of it is asked of their
databases, not of the guest. Prints TAP from COUNT on and a table; writes the last number to TMP/tap,
and exits with the number of failures.
"""
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/../net"]
import cross
import device
import kernels
import vm
from world import BUILD, TOP, Tap, wait_for

TEXT_MAX = 64 << 10
BOOT_S, STEP_S = 300, 240  # emulated, perhaps beside others
COLUMNS = "builds loads hidden session alarm distress rmmod silent".split()

CONFIG = """[agent]
socket = /tmp/agent.sock
[device]
state_dir = /tmp/state
model = /etc/heliograph/model.json
firmware = 1.0.0
[mirror]
host = 10.0.2.2
name = mirror.example
interval = 2s
interval_min = 500ms
interval_soon = 200ms
backoff_min = 500ms
[guard]
interface = d0
interface = %NIC%
host = module
heartbeat = 20s
dns = 10.0.2.2
[collector]
host = 10.0.2.2
[profile]
file = /etc/heliograph/profile.json
"""

SCRIPT = """
date -s "@$(cat /t/now)" >/dev/null
tries=0 # a network on USB comes late
until nic=$(ls /sys/class/net | grep -E '^(eth0|usb0)$') || [ $tries = 600 ]; do
	usleep 100000
	tries=$((tries + 1))
done
ip addr add 10.0.2.15/24 dev $nic
ip link set $nic up
sed -i "s/%NIC%/$nic/" /etc/heliograph/heliographd.conf
""" + device.PLACE + device.LOAD + """
heliographd -c /etc/heliograph/heliographd.conf >/tmp/agent.log 2>&1 &
agent=$!
until_true 60 grep -q 'traffic is watched' /tmp/agent.log
ok $? "the agent runs with the module"
heliograph -c /etc/heliograph/heliographd.conf guard status | sed 's/^/# /'
probes "guarded, probes are answered by nothing" none
until_true 60 heliograph -c /etc/heliograph/heliographd.conf property set temperature 21.5
ok $? "a property is set"
until_true 60 sh -c 'heliograph -c /etc/heliograph/heliographd.conf property get limit | grep -q 7.5'
ok $? "the mirror's property has come"
echo "guest: ready"
hg-guest scan 1200 200
until_true 60 grep -q 'alarm: .*scan' /tmp/agent.log
ok $? "the scan is an alarm"
until_true 60 grep -q 'alarm: .*acknowledged' /tmp/agent.log
kill -9 $agent
echo "guest: killed"
# Its status says so when the seconds are over, which may be before the kernel's timer fires: that is coarse.
until_true 120 sh -c 'heliograph -c /etc/heliograph/heliographd.conf guard status | grep -q "agent is silent"' &&
	until_true 60 sh -c 'heliograph -c /etc/heliograph/heliographd.conf guard events -t 5 | grep "distress: .* sent"'
ok $? "the kernel has missed its heartbeat, and has told the collector"
sed 's/^/# agent: /' /tmp/agent.log | tail -n 12
probes "with the agent killed still nothing answers" none
heliograph -c /etc/heliograph/heliographd.conf guard off
ok $? "the guard is taken off"
""" + device.UNLOAD


def sql(database, query):
    p = subprocess.run(["psql", "-AtqX", "-d", database, "-c", query], capture_output=True,
                       text=True, check=False,
                       env={**os.environ, "PGOPTIONS": "-c search_path=heliograph,collector"})
    return (p.stdout or p.stderr).strip()


class Row:
    """One kernel on one machine."""

    def __init__(self, tap, tmp, netns, name):
        self.tap, self.tmp, self.netns, self.name = tap, tmp, netns, name
        self.version, self.machine = name.split(":")
        self.arch = vm.MACHINES[self.machine].arch
        self.uid = "dev-" + name.replace(".", "-").replace(":", "-")
        self.said = dict.fromkeys(COLUMNS, "-")
        self.sizes, self.release = ["-"] * 5, "-"

    def ok(self, column, good, name, *why):
        self.said[column] = "yes" if good and self.said[column] != "NO" else "NO"
        return self.tap.ok(good, f"{self.name}: {name}", *why)

    def skip(self, why):
        self.tap.skip(self.name, why.replace("\n", " ")[:300])

    def build(self):
        """(kernel, module, programs), or None."""
        lacks = vm.missing(self.machine) or cross.missing(self.arch)
        kernel = None if lacks else kernels.find(self.version, self.arch)
        if not kernel:
            return self.skip(lacks or kernels.why())
        self.release = kernel.release
        try:
            module = kernel.build()
            self.ok("builds", True, f"kmod/ builds for {kernel.release}")
            programs = BUILD if self.arch == kernels.NATIVE else \
                cross.agent(self.arch, f"{BUILD}/{cross.TRIPLETS[self.arch]}")
        except kernels.BuildError as e:
            self.ok("builds", False, "builds", str(e))
            return None
        if not programs:
            return self.skip(kernels.why())
        self.measure(module, programs)
        return kernel, module, programs

    def measure(self, module, programs):
        code, text, data = cross.module_sizes(self.arch, module)
        sizes = [cross.stripped(self.arch, f"{programs}/{n}", f"{self.tmp}/stripped")
                 for n in ("heliographd", "heliograph")]
        self.sizes = [code, text, data, *sizes]
        self.tap.ok(code and text <= TEXT_MAX,
                    f"{self.name}: the module's text is {text} of {TEXT_MAX} bytes, {code} of it code")

    def fill(self, root, kernel, module, programs):
        device.fill(root, kernel, module, programs)
        for name in ("ca.crt", "device.crt", "device.key"):
            root.put(f"{self.tmp}/{self.uid}/{name}", "/etc/heliograph/" + name)
        root.put(self.tmp + "/ca/collector.crt", "/etc/heliograph/collector.crt")
        root.put(TOP + "/scripts/demo.d/model.json", "/etc/heliograph/model.json")
        root.put(TOP + "/package/profile.json", "/etc/heliograph/profile.json")
        root.write("/etc/heliograph/heliographd.conf", CONFIG)
        root.write("/t/now", str(int(time.time()) + 1))  # a Raspberry Pi has no clock of its own
        root.script(SCRIPT)

    def run(self, kernel, module, programs):
        root = vm.Root(f"{self.tmp}/root-{self.uid}", kernel)
        self.fill(root, kernel, module, programs)
        guest = vm.Guest(kernel, root, machine=self.machine, net=True)
        guest.cmd = ["nsenter", "--net=" + self.netns, *guest.cmd]
        with guest as g:
            if g.wait_for("^guest: ready", BOOT_S):
                self.talk(g)
            g.wait_for("^guest: end", STEP_S)
            self.judge(g.text())

    def talk(self, g):
        """The host's part, step by step with the guest's script."""
        value = lambda: sql("mirror", "SELECT value FROM property WHERE name = 'temperature' AND "
                            f"device_id = '{self.uid}'")
        self.ok("session", wait_for(lambda: value() == "21.5", 60),
                "the session works: the mirror has the device's value", value())
        if not g.wait_for("^guest: killed", STEP_S):
            return
        last = lambda: sql("collector", "SELECT coalesce(max(alarm_id), 0) FROM alarm")
        alarm = lambda kind, after=0: sql(
            "collector", f"SELECT count(*) > 0 FROM alarm WHERE uid = '{self.uid}' AND "
            f"class {kind} AND alarm_id > {after}") == "t"
        before = last()  # an agent that was late on a busy host may have been called silent
        self.ok("alarm", wait_for(lambda: alarm("= 1"), 60), "its alarm is at the collector")
        self.ok("distress", wait_for(lambda: alarm("= 4", before), 120),
                "the kernel's distress datagram is at the collector")

    def judge(self, console):
        said, results = vm.said(console), vm.results(console)
        columns = {"insmod": "loads", "the agent": "loads", "guarded": "hidden", "with the": "hidden",
                   "a property": "session", "the mirror's": "session", "the scan": "alarm",
                   "the kernel": "distress", "rmmod": "rmmod", "the guard": "rmmod"}
        for good, name in results:
            column = next((c for word, c in columns.items() if name.startswith(word)), None)
            if column:
                self.ok(column, good, name)
            else:
                self.tap.ok(good, f"{self.name}: {name}")
        whole = "end" in said and len(results) == 14
        self.tap.ok(whole, f"{self.name}: the guest came to its end", console[-6000:])
        splats, loud = device.closed(console)
        self.ok("silent", "end" in said and not splats and not loud, "its kernel is silent",
                *splats, *loud)
        if not whole or self.tap.failed:
            for line in re.findall(r"^# (?:agent|answer).*$", console, re.M):
                self.tap.diag(line)


def table(rows):
    """Printed as comments of TAP."""
    line = "{:14} {:22} " + "{:9}" * len(COLUMNS) + " {:>7} {:>7} {:>7} {:>8} {:>8}"
    head = ["version:board", "kernel", *COLUMNS, "code", "text", "data", "agent", "command"]
    print("# " + line.format(*head))
    for r in rows:
        print("# " + line.format(r.name, r.release, *r.said.values(), *map(str, r.sizes)))
    print("# bytes. heliograph.ko: code is what is executable, text and data are those of size(1), "
          "text being")
    print("# code, constants, notes and the kernel's checksums. heliographd and heliograph: the file, "
          "stripped.", flush=True)


def main():
    tmp, netns, count, *names = sys.argv[1:]
    tap = Tap()
    tap.n = int(count)
    rows = [Row(tap, tmp, netns, name) for name in names]
    for row in rows:
        ready = row.build()
        try:
            if ready:
                row.run(*ready)
        except RuntimeError as e:  # the other rows are tried all the same
            row.ok("loads", False, "the guest is made", str(e))
    table(rows)
    with open(tmp + "/tap", "w", encoding="ascii") as f:
        f.write(str(tap.n))
    sys.exit(min(tap.failed, 100))


main()
