#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# san: no, it builds by itself
"""The packages of package/openwrt, as far as can be told without OpenWrt.

The recipe runs on a build system written for this test (openwrt/infra.mk) with the machine's own
compiler; the init script runs in busybox's shell on a fake rc.common, UCI and procd
(openwrt/rc.common), and what it makes is read by the real program. A build by OpenWrt itself, which
is not in Debian, has not been tried.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../mirror"]
import kernels
from pgworld import BUILD, TOP, done, equal, ok, skip

FEED = TOP + "/package/openwrt/heliograph"
FILES = FEED + "/files"
FULL = """config agent 'agent'
	option enabled '1'
	option log_level 'debug'
config device 'device'
	option state_dir '{tmp}'
config mirror 'mirror'
	option host 'mirror.example.net'
	option name 'other name'
	option ca '{tmp}/uci'
	option interval '5m'
config commands 'commands'
	option time_limit '90s'
config guard 'guard'
	list device 'eth0'
	list device 'eth1'
	list network 'wan'
	list network 'wan6'
	option policy 'sealed'
	option confine '1'
	option heartbeat '2m'
	list trusted '192.168.1.0/24'
	list trusted 'fd00::1'
	option flows_inside '512'
config collector 'collector'
	option host ''
config profile 'profile'
	option file '{tmp}/uci'
"""


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(*cmd, **more):
    p = subprocess.run(cmd, capture_output=True, text=True, check=False, **more)
    return p.returncode, p.stdout + p.stderr


def recipe(work, *chosen, **variables):
    os.makedirs(work + "/include", exist_ok=True)
    for name in ("rules.mk", "include/kernel.mk", "include/package.mk", "include/bpf.mk"):
        with open(f"{work}/{name}", "w", encoding="ascii") as f:
            f.write(f"include {HERE}/openwrt/infra.mk\n")
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return run("nice", "-n", "5", "make", "-j2", "-C", FEED, "TOPDIR=" + work,
               f"INCLUDE_DIR={work}/include", "WORK=" + work,
               *[f"CONFIG_PACKAGE_{c}=y" for c in chosen],
               *[f"{k}={v}" for k, v in variables.items()], "all", env=env)


def build(work):
    status, out = recipe(work, "heliograph", "heliograph-bpf")
    if not ok(status == 0, "the recipe builds agent and packet programs", out[-1500:]):
        return
    root = work + "/files"
    have = sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root)
                  for f in names)
    equal(have, sorted(["heliograph-bpf/usr/lib/bpf/heliograph.bpf.o"] + ["heliograph/" + f for f in (
        "etc/config/heliograph", "etc/hotplug.d/net/50-heliograph", "etc/init.d/heliograph",
        "etc/uci-defaults/50-heliograph", "usr/bin/heliograph", "usr/lib/libheliograph.so.0",
        "usr/sbin/heliographd")]), "they install these files")
    ok(os.path.isdir(root + "/heliograph/etc/heliograph/commands.d"), "and a place for handlers")
    said = run(root + "/heliograph/usr/sbin/heliographd", "--version")[1].strip()
    ok(text(TOP + "/VERSION").strip() in said, "the agent runs: " + said)
    declared = dict(re.findall(r"^package (\S+): (.*)$", out, re.M))
    equal(sorted(declared), ["heliograph", "heliograph-bpf", "kmod-heliograph"], "three packages")
    # Library, as the program names it, and the package that OpenWrt has it in.
    needed = run("readelf", "-d", root + "/heliograph/usr/sbin/heliographd",
                 root + "/heliograph/usr/bin/heliograph")[1]
    packages = {"libbpf": "libbpf", "libnl-3": "libnl-core", "libnl-genl-3": "libnl-genl",
                "libnl-route-3": "libnl-route", "libevent_core-2.1": "libevent2-core",
                "libevent_extra-2.1": "libevent2-extra", "libssl": "libopenssl",
                "libevent_openssl-2.1": "libevent2-openssl", "libcrypto": "libopenssl",
                "libjansson": "jansson", "libsqlite3": "libsqlite3", "libinih": "libinih",
                "libpcap": "libpcap"}
    libs = {m for m in re.findall(r"NEEDED.*\[(.*?)\.so", needed)} - {"libc", "libm", "libpthread"}
    want = {packages.get(m, m + "?") for m in libs}
    equal(want - set(re.findall(r"\+(\S+)", declared["heliograph"])), set(),
          "the agent depends on what it links")


def queue(work):
    """<sys/queue.h> for musl does what the C library's does here, and has all that is used."""
    said = []
    for name, flags in (("ours", ["-I" + FEED + "/compat"]), ("theirs", [])):
        status, out = run("gcc", "-Wall", "-Wextra", "-Werror", *flags, "-o", f"{work}/{name}",
                          HERE + "/openwrt/queue.c")
        said.append(run(f"{work}/{name}")[1] if status == 0 else out)
    ok(said[0] == said[1] and len(said[0].splitlines()) == 4000,
       "the lists for musl do what the C library's do", said[0][:500])
    has = set(re.findall(r"^#define ((?:LIST|TAILQ)_\w+)", text(FEED + "/compat/sys/queue.h"), re.M))
    used = set()
    for name in os.listdir(TOP + "/userspace"):
        code = text(f"{TOP}/userspace/{name}")
        if name.endswith((".c", ".h")):
            used |= set(re.findall(r"\b((?:LIST|TAILQ)_[A-Z_]+)\(", code))
    equal(used - has, set(), "and are all that the agent uses")


def module(work):
    if not os.path.isdir(TOP + "/kmod"):
        skip("the kernel module", "kmod/ is not in this tree")
        return
    kernel = kernels.find("6.1")
    if not kernel:
        skip("the kernel module", kernels.why())
        return
    status, out = recipe(work, "kmod-heliograph", KERNEL_CC=kernel.compiler(),
                         LINUX_DIR=f"{kernel.tree}/usr/src/linux-headers-{kernel.release}")
    ok(status == 0 and os.path.exists(work + "/files/kmod/heliograph.ko"),
       "the module alone is built and named in FILES", out[-1500:])


def start(tmp, uci, action="start_service"):
    """What procd hears and the configuration that was made, or None."""
    script = text(FILES + "/heliograph.init").replace("/var/", tmp + "/var/") \
        .replace(" /etc/heliograph\n", f" {tmp}/etc/heliograph\n").replace("mount -t", "echo mount -t")
    script = script.replace(". /lib/functions/network.sh", ":")
    with open(tmp + "/uci", "w", encoding="ascii") as f:
        f.write(uci.format(tmp=tmp))
    with open(tmp + "/init", "w", encoding="utf-8") as f:
        f.write(script)
    conf = tmp + "/var/etc/heliographd.conf"
    if os.path.exists(conf):
        os.unlink(conf)
    _, out = run("busybox", "ash", HERE + "/openwrt/rc.common", tmp + "/init", action,
                 env=dict(os.environ, UCI=tmp + "/uci"))
    return out, text(conf) if os.path.exists(conf) else None


def init_script(tmp):
    out, conf = start(tmp, FULL)
    ok("param command /usr/sbin/heliographd -c " in out and "param respawn" in out,
       "the init script starts the agent under procd", out)
    want = f"""[agent]
syslog = yes
log_level = debug
[device]
state_dir = {tmp}
[mirror]
host = mirror.example.net
port = 4646
name = other name
ca = {tmp}/uci
early = no
interval = 5m
[commands]
time_limit = 90s
[guard]
interface = eth0
interface = eth1
interface = pppoe-wan
host = auto
mode = auto
policy = sealed
heartbeat = 2m
flows_inside = 512
required = yes
confine = yes
police = no
trusted = 192.168.1.0/24
trusted = fd00::1
[profile]
file = {tmp}/uci
"""
    equal(conf, want, "the configuration is that of UCI; a network without a device is left out")
    made = tmp + "/var/etc/heliographd.conf"
    check = (BUILD + "/heliograph", "-c", made, "profile", "check", TOP + "/package/profile.json")
    equal(run(*check)[0], 0, "the real program takes it")
    with open(made, "a", encoding="ascii") as f:
        f.write("nonsense = 1\n")
    equal(run(*check)[0], 3, "and would not take another")
    equal(os.stat(made).st_mode & 0o777, 0o600, "only root reads it")
    for bad, what in (("option policy 'sealed'", "option policy 'seal'"),
                      ("'192.168.1.0/24'", "'everybody'"), ("'512'", "'5'"),
                      ("option confine '1'", "option confine 'perhaps'"),
                      ("option ca '{tmp}/uci'", "option ca '{tmp}/none'")):
        out, conf = start(tmp, FULL.replace(bad, what))
        ok(conf is None and "instance" not in out and "is wrong; not started" in out,
           f"refused: {what}", out)
    out, conf = start(tmp, FULL.replace("enabled '1'", "enabled '0'"))
    ok(conf is None and "instance" not in out, "not enabled, not started", out)
    out, _ = start(tmp, FULL, "service_triggers")
    ok("reload on heliograph" in out and "reload on interface wan" in out,
       "a change of UCI or of a network starts it again", out)
    equal(len(re.findall("^validation validate_", out, re.M)), 7, "a validation for procd of each section")
    out, conf = start(tmp, text(FILES + "/heliograph.config").replace("enabled '0'", "enabled '1'"))
    ok(conf and "policy = initiated" in conf, "the sample is good once it is enabled", out)
    checked = {f"{section}.{o}" for section, body in re.findall(
        r"^validate_(\w+)\(\) {(.*?)^}", text(FILES + "/heliograph.init"), re.M | re.S)
               for o in re.findall(r"^\t\t'(\w+):", body, re.M)}
    keys = {k for k in run(BUILD + "/heliographd", "--list-options")[1].split() if "." in k}
    equal(checked - {"agent.enabled", "guard.device", "guard.network"},
          keys - {"agent.syslog", "guard.interface"}, "options are the keys of heliographd.conf")
    values = sample_values(keys)
    lines = [f"config {s} '{s}'\n" + "".join(
        f"\toption {k.split('.')[1]} '{v}'\n" for k, v in values.items() if k.startswith(s + "."))
             for s in sorted({k.split(".")[0] for k in values})]
    out, conf = start(tmp, "".join(lines).replace("'agent'\n", "'agent'\n\toption enabled '1'\n", 1))
    equal([k for k in values if f"\n{k.split('.')[1]} = " not in (conf or out)], [],
          "and each that has a value is written")


def sample_values(keys):
    """What the sample file says of them, as UCI has it; files and directories that are there."""
    values, section = {}, None
    for line in text(TOP + "/package/heliographd.conf").splitlines():
        if m := re.match(r"\[(\w+)\]$", line):
            section = m.group(1)
        elif (m := re.match(r"#?(\w+) = (.+)$", line)) and f"{section}.{m.group(1)}" in keys:
            value = {"yes": "1", "no": "0"}.get(m.group(2), m.group(2))
            if m.group(1) == "gate":  # a word, of which "no" is one
                value = m.group(2)
            if value.startswith("/"):
                value = "{tmp}" if m.group(1).endswith("_dir") else "{tmp}/uci"
            values[f"{section}.{m.group(1)}"] = value
    return {k: v for k, v in values.items() if k not in ("agent.syslog", "guard.interface")}


def small_scripts(tmp):
    for name in ("init", "defaults", "hotplug"):
        equal(run("busybox", "ash", "-n", f"{FILES}/heliograph.{name}"), (0, ""),
              f"busybox reads heliograph.{name}")
    fake = tmp + "/bin"
    os.makedirs(fake)
    for tool, words in (("uci", 'case "$*" in *"get heliograph.guard.device") echo eth1 usb0 ;; '
                                '*get*agent|*get*mirror) echo x ;; *get*) exit 1 ;; '
                                '*) echo "uci $*" >>"$LOG" ;; esac'),
                        ("logger", ":"), ("mkdir", ":"), ("chmod", ":"),
                        ("heliograph", 'echo "service $*" >>"$LOG"')):
        with open(f"{fake}/{tool}", "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\n{words}\n")
        os.chmod(f"{fake}/{tool}", 0o755)
    log = tmp + "/log"
    script = text(FILES + "/heliograph.hotplug").replace("/etc/init.d/", fake + "/")

    def said(code, **env):
        open(log, "w", encoding="ascii").close()
        run("busybox", "ash", "-c", code, env=dict(
            os.environ, PATH=fake + ":" + os.environ["PATH"], LOG=log, **env))
        return text(log)

    hook = f"f() {{\n{script}\n}}; f"
    ok("service restart" in said(hook, ACTION="add", INTERFACE="usb0"),
       "a guarded device that comes starts the agent again")
    ok("restart" not in said(hook, ACTION="add", INTERFACE="usb1"), "another does not")
    equal(said(hook, ACTION="remove", INTERFACE="usb0"), "", "nor one that goes")
    out = said(text(FILES + "/heliograph.defaults"))
    ok("uci set heliograph.guard=guard" in out and "set heliograph.mirror=" not in out and
       "uci set heliograph.device.state_dir=/etc/heliograph/state" in out and "uci commit" in out,
       "uci-defaults adds what is missing, and a place that outlives a reboot", out)


def main():
    with tempfile.TemporaryDirectory(prefix="hg-ow-") as tmp:
        for part in (small_scripts, init_script, queue, build, module):
            os.makedirs(f"{tmp}/{part.__name__}")
            part(f"{tmp}/{part.__name__}")
    done()


main()
