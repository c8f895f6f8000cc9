#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, it is about what the kernel and a DHCP client do
# waits: carriers, leases and limits of time
"""Interfaces that are down between sessions, with a real DHCP client and router advertisements.

    device "dev"                                    router "net"
    agent    w0 by DHCP, or by RA <==veth==> n0 10.79.0.1 fd79::1   dnsmasq, a mirror
             udhcpc                                 p0: has nothing to do with it
"""
import os, shutil, signal, socket, subprocess, sys, threading
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../net", HERE]  # two directories have a world.py; this one's first
from world import BUILD, Tap, World, skip_all, wait_for
from agent import Client
from fakemirror import FakeMirror

NET4, NET6 = "10.79.0.1", "fd79::1"
for program in ("busybox", "dnsmasq"):
    if not shutil.which(program):
        skip_all(f"no {program} here")
tap = Tap()
w = World(plain=False)
w.run("dev", "ip", "link", "add", "w0", "type", "veth", "peer", "name", "n0", "netns", w.ns("net"))
w.run("dev", "ip", "link", "add", "p0", "type", "veth", "peer", "name", "p1")
w.run("dev", "ip", "link", "set", "p0", "up")
w.run("dev", "sysctl", "-qw", "net.ipv6.conf.w0.router_solicitation_delay=0",
      "net.ipv6.conf.w0.router_solicitation_interval=1", "net.ipv6.conf.w0.accept_dad=0")
for address in (NET4 + "/24", NET6 + "/64"):
    w.run("net", "ip", "addr", "add", address, "dev", "n0", *(["nodad"] if ":" in address else []))
w.run("net", "ip", "link", "set", "n0", "up")
w.run("net", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
m = FakeMirror()
with w.at("net"):
    m.listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
m.port = m.listener.getsockname()[1]
m.start()

# What configures addresses in real life: it follows the link and asks anew when it comes up.
with open(w.tmp + "/udhcpc.sh", "w", encoding="ascii") as f:
    f.write("""#!/bin/sh
case "$1" in
bound | renew)
	ip addr replace "$ip/$mask" dev "$interface"
	ip route replace default via "$router" dev "$interface"
	;;
deconfig) ip -4 addr flush dev "$interface" ;;
esac
""")
os.chmod(w.tmp + "/udhcpc.sh", 0o755)


def dhcp_server(*more):
    return w.start("net", "dnsmasq", "-k", "-p", "0", "-C", "/dev/null", "-i", "n0", "--bind-interfaces",
                   "--dhcp-leasefile=" + w.tmp + "/leases", "--pid-file=" + w.tmp + "/dnsmasq.pid", "-u", "root", *more)


def follow(client):
    """SIGUSR1 has udhcpc ask at once."""
    monitor = w.start("dev", "ip", "-o", "monitor", "link", "dev", "w0", stdout=subprocess.PIPE, text=True)

    def lines():
        for line in monitor.stdout:
            if "LOWER_UP" in line and client.poll() is None:
                client.send_signal(signal.SIGUSR1)
    threading.Thread(target=lines, daemon=True).start()


def configure(host):
    with open(w.tmp + "/agent.conf", "w", encoding="ascii") as f:
        mirror = "\n".join(line.strip().removeprefix("mirror.") for line in m.conf().splitlines() if "host" not in line)
        f.write(f"""[agent]
socket = {w.tmp}/sock
[device]
state_dir = {w.tmp}/state
[mirror]
host = {host}
name = localhost
link = w0
link_timeout = 8s
{mirror.replace("backoff_min = 50ms", "backoff_min = 1h").replace("backoff_max = 100ms", "backoff_max = 1h")}
""")


def call(op, **members):
    c = Client(w.tmp + "/sock", 40)
    try:
        return c.call(op, **members)
    finally:
        c.close()


def sync():
    return call("status")["result"]["sync"]


def start():
    log = open(w.tmp + "/agent.log", "ab")
    agent = w.start("dev", BUILD + "/heliographd", "-c", w.tmp + "/agent.conf", stderr=log)

    def answers():
        try:
            return sync()
        except OSError:
            return None
    if not wait_for(answers, 20):
        raise RuntimeError(open(log.name, encoding="utf-8").read())
    return agent


def is_up(link="w0"):
    return ",UP" in w.run("dev", "ip", "-o", "link", "show", link).stdout.split(">")[0]


def goes_down():
    return wait_for(lambda: not is_up(), 10)


def failed(r, words):
    return not r["ok"] and r["error"]["message"].startswith("connect: ") and words in r["error"]["message"]


server = dhcp_server("--dhcp-range=10.79.0.50,10.79.0.60,1h")
client = w.start("dev", "busybox", "udhcpc", "-f", "-i", "w0", "-s", w.tmp + "/udhcpc.sh", "-t", "3", "-T", "1", "-A", "1")
follow(client)
configure(NET4)
agent = start()
tap.ok(wait_for(lambda: sync()["sessions_good"] == 1, 20), "the link comes up, and the first session is good", sync())
tap.ok(goes_down(), "after it the link is down")
tap.ok(is_up("p0"), "the one that is not named is not")
r = call("sync.now")
tap.ok(r["ok"], "for the next session it is up again, with an address and a route by DHCP", r)
tap.ok(goes_down(), "and down after it")
call("property.set", name="a", value=1, urgent=True)
tap.ok(wait_for(lambda: m.held.get("a") == 1, 20), "an urgent change brings it up")
tap.ok(goes_down(), "and down after it")

w.run("net", "ip", "link", "set", "n0", "down")
r = call("sync.now")
tap.ok(failed(r, "w0: no carrier"), "no carrier: the session failed for want of a connection", r)
tap.ok(goes_down(), "and the link is down")
w.run("net", "ip", "link", "set", "n0", "up")
w.run("net", "ip", "addr", "replace", NET6 + "/64", "dev", "n0", "nodad")
server.kill()
server.wait()
w.run("dev", "ip", "-4", "addr", "flush", "dev", "w0")
r = call("sync.now")
tap.ok(failed(r, "w0: no address"), "no DHCP server: the same", r)
w.run("dev", "ip", "addr", "add", "10.79.0.77/24", "dev", "w0")
r = call("sync.now")
tap.ok(failed(r, "w0: no default route"), "an address but no route: the same", r)
server = dhcp_server("--dhcp-range=10.79.0.50,10.79.0.60,1h")
r = call("sync.now")
tap.ok(r["ok"], "with the server all is well", r)

tap.ok(goes_down(), "it is down")
agent.send_signal(signal.SIGKILL)
agent.wait()
tap.ok(not is_up(), "an agent that is killed leaves it so")
agent = start()
tap.ok(wait_for(lambda: sync()["sessions_good"] == 1, 20), "the next one synchronises all the same", sync())
tap.ok(goes_down(), "and takes it down")
agent.send_signal(signal.SIGTERM)
tap.equal(agent.wait(), 0, "it ends cleanly")
tap.ok(is_up(), "and leaves the link up")

client.kill()
client.wait()
server.kill()
server.wait()
w.run("dev", "ip", "-4", "addr", "flush", "dev", "w0")
server = dhcp_server("--enable-ra", "--dhcp-range=fd79::,ra-only,64", "--ra-param=n0,5")
configure(f"{NET6}")
agent = start()
tap.ok(wait_for(lambda: sync()["sessions_good"] == 1, 20), "by router advertisements alone, too", sync())
tap.ok(goes_down(), "down after it")
r = call("sync.now")
tap.ok(r["ok"], "and up again", r)
agent.send_signal(signal.SIGTERM)
tap.equal(agent.wait(), 0, "the agent ends cleanly")
w.close()
tap.equal(w.leftovers(), [], "everything created was destroyed")
tap.done()
