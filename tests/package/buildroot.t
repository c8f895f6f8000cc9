#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# san: no, it builds by itself
"""The br2-external tree of package/buildroot, as far as can be told without Buildroot.

A real Kconfig parser (kconfiglib) reads its Config.in beside stand-ins for Buildroot's symbols; its
recipe runs on an infrastructure written for this test (buildroot/infra.mk) with the machine's own
compiler; what is installed is held against what was chosen. A build by Buildroot itself, which is
not in Debian, has not been tried.
"""
import hashlib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../mirror"]
import kernels
from pgworld import TOP, done, equal, ok, skip

EXTERNAL = TOP + "/package/buildroot"
RECIPE = EXTERNAL + "/package/heliograph"
TOOLCHAIN = ("USE_MMU", "USE_WCHAR", "TOOLCHAIN_HAS_THREADS", "TOOLCHAIN_HAS_SYNC_4",
             "TOOLCHAIN_HEADERS_AT_LEAST_5_15", "TOOLCHAIN_USES_GLIBC")
LIBRARIES = {"AGENT": "INIH JANSSON LIBBPF LIBEVENT LIBNL LIBPCAP OPENSSL "
                      "OPENSSL_FORCE_LIBOPENSSL SQLITE",
             "MIRROR": "INIH JANSSON LIBEVENT OPENSSL OPENSSL_FORCE_LIBOPENSSL POSTGRESQL"}


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def choose(kconfiglib, *chosen):
    """(what is y, the parser's warnings) with these symbols set to y; without BR2_."""
    k = kconfiglib.Kconfig(HERE + "/buildroot/Config.in", warn_to_stderr=False)
    for name in chosen:
        k.syms["BR2_" + name].set_value(2)
    return {s.name[4:] for s in k.defined_syms if s.str_value == "y"}, k


def kconfig():
    try:
        import kconfiglib
    except ImportError:
        skip("Config.in", "no python3-kconfiglib on this machine; scripts/deps test")
        return
    os.environ.update(BR2_EXTERNAL_HELIOGRAPH_PATH=EXTERNAL, KCONFIG_WARN_UNDEF="y")
    on, k = choose(kconfiglib, *TOOLCHAIN, "PACKAGE_HELIOGRAPH")
    equal(k.warnings, [], "Config.in: nothing undefined, nothing ambiguous")
    helps = [s.name for s in k.defined_syms if "HELIOGRAPH" in s.name and not s.nodes[0].help]
    equal(helps, [], "every option has a help text")
    long = [line for p in (RECIPE + "/Config.in", RECIPE + "/Config.in.host")
            for line in text(p).split("\n")
            if line.startswith("\t  ") and len(line.expandtabs(8)) > 72]
    equal(long, [], "of at most 72 columns")
    ok({"PACKAGE_HELIOGRAPH_AGENT", "PACKAGE_HELIOGRAPH_BPF"} <= on, "agent and BPF by default", on)
    missing = {"PACKAGE_" + n for n in LIBRARIES["AGENT"].split()} - on
    equal(missing, set(), "the agent selects its libraries")
    ok("PACKAGE_POSTGRESQL" not in on, "and not PostgreSQL", on)
    on, k = choose(kconfiglib, *TOOLCHAIN, "PACKAGE_HELIOGRAPH", "PACKAGE_HELIOGRAPH_MIRROR")
    equal({"PACKAGE_" + n for n in LIBRARIES["MIRROR"].split()} - on, set(), "the mirror its own")
    for gone in TOOLCHAIN:
        rest = [t for t in TOOLCHAIN if t != gone]
        on, k = choose(kconfiglib, *rest, "PACKAGE_HELIOGRAPH")
        ok("PACKAGE_HELIOGRAPH_AGENT" not in on and "PACKAGE_LIBBPF" not in on and not k.warnings,
           f"no agent without {gone}", on)
    on, _ = choose(kconfiglib, *TOOLCHAIN, "PACKAGE_HELIOGRAPH", "PACKAGE_HELIOGRAPH_MODULE")
    ok("PACKAGE_HELIOGRAPH_MODULE" not in on, "no module without a kernel", on)
    on, _ = choose(kconfiglib, *TOOLCHAIN, "LINUX_KERNEL", "PACKAGE_HELIOGRAPH",
                   "PACKAGE_HELIOGRAPH_MODULE")
    ok("PACKAGE_HELIOGRAPH_MODULE" in on, "and with one there is", on)
    used = set(re.findall(r"BR2_PACKAGE_(?:HOST_)?HELIOGRAPH\w*", text(RECIPE + "/heliograph.mk")))
    equal(used - {s.name for s in k.defined_syms}, set(), "the recipe asks only what Config.in has")


def recipe(work, goal, *chosen, **variables):
    """What the recipe prints; its status."""
    args = [f"BR2_{c}=y" for c in chosen] + [f"{k}={v}" for k, v in variables.items()]
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    p = subprocess.run(["nice", "-n", "5", "make", "-j2", "-f", HERE + "/buildroot/infra.mk",
                        "WORK=" + work, "BR2_EXTERNAL_HELIOGRAPH_PATH=" + EXTERNAL,
                        'BR2_PACKAGE_HELIOGRAPH_CLANG="clang"', *args, goal],
                       capture_output=True, text=True, env=env, cwd=work, check=False)
    return p.returncode, p.stdout + p.stderr


def files(root):
    return sorted(os.path.relpath(os.path.join(d, f), root)
                  for d, _, names in os.walk(root) for f in names)


def build(work):
    P = "PACKAGE_HELIOGRAPH"
    # Somebody else's O= on the command line must not become ours.
    status, out = recipe(work, "heliograph", P, P + "_AGENT", P + "_BPF", P + "_MIRROR",
                         O="/nowhere")
    if not ok(status == 0, "the recipe builds agent, packet programs and mirror", out[-1500:]):
        return
    have = files(work + "/target")
    want = ["etc/heliograph/heliographd.conf", "etc/heliograph/heliograph-mirror.conf",
            "etc/init.d/S35heliograph", "etc/init.d/S60heliograph-mirror", "usr/bin/heliograph",
            "usr/lib/bpf/heliograph.bpf.o", "usr/lib/libheliograph.so.0",
            "usr/sbin/heliograph-mirror", "usr/sbin/heliographd"]
    equal([f for f in want if f not in have], [], "they are in the target's directory")
    strange = [f for f in have if f not in want and
               not re.match(r"usr/(share/|include/|lib/libheliograph\.(so|a)$)", f)]
    equal(strange, [], "with nothing for systemd, and no collector")
    equal(files(work + "/staging"), ["usr/include/libheliograph.h", "usr/lib/libheliograph.so",
                                     "usr/lib/libheliograph.so.0"],
          "what applications are built with is in the staging directory")
    equal(sorted(set(re.findall(r"^fixup (\S+)", out, re.M))),
          sorted("CONFIG_" + n for n in ("BPF_SYSCALL", "BPF_JIT", "NET_SCHED", "NET_SCH_INGRESS",
                                         "NET_CLS_ACT", "NET_CLS_BPF")),
          "the kernel gets what the packet programs need")
    ok(re.search(r"users:.*- -1 heliograph -1 - - - - -\n.*heliograph-mirror -1 heliograph-mirror",
                 out, re.S), "users are named", out[-500:])
    depends = re.search(r"^depends on (.*)$", out, re.M).group(1).split()
    equal(sorted({d.upper() for d in depends} - {"HOST-PKGCONF"}),
          sorted(set(" ".join(LIBRARIES.values()).split()) - {"OPENSSL_FORCE_LIBOPENSSL"}),
          "it depends on what Config.in selects")
    said = subprocess.run([work + "/target/usr/sbin/heliographd", "--version"], check=False,
                          capture_output=True, text=True).stdout
    ok(text(TOP + "/VERSION").strip() in said, "the agent runs: " + said.strip(), said)


def host(work):
    status, out = recipe(work, "host-heliograph", "PACKAGE_HOST_HELIOGRAPH")
    tool = work + "/host/bin/heliograph-profile"
    if ok(status == 0 and os.path.exists(tool), "the host's tool is built", out[-1500:]):
        p = subprocess.run([tool, "check", TOP + "/package/profile.json"], capture_output=True,
                           text=True, check=False)
        equal(p.returncode, 0, "and checks a profile: " + p.stdout.strip())
    status, out = recipe(work + "/none", "host-heliograph", HOST_CFLAGS="-nostdinc")
    ok(status != 0 and "libpcap-dev" in out, "without the headers it says what is missing", out)


def module(work):
    if not os.path.isdir(TOP + "/kmod"):
        skip("the kernel module", "kmod/ is not in this tree")
        return
    kernel = kernels.find("6.1")
    if not kernel:
        skip("the kernel module", kernels.why())
        return
    status, out = recipe(work, "heliograph", "LINUX_KERNEL", "PACKAGE_HELIOGRAPH",
                         "PACKAGE_HELIOGRAPH_MODULE",
                         LINUX_DIR=f"{kernel.tree}/usr/src/linux-headers-{kernel.release}",
                         LINUX_MAKE_FLAGS="ARCH=x86 CC=" + kernel.compiler())
    ok(status == 0 and any(re.match(r"lib/modules/.*/heliograph\.ko", f)
                           for f in files(work + "/target")),
       "the module alone is built against a kernel and installed", out[-1500:])
    ok("fixup CONFIG_NETFILTER" in out and "fixup CONFIG_CRYPTO_SHA256" in out and
       "fixup CONFIG_BPF_JIT" not in out, "the kernel gets what the module needs", out[-500:])


def hashes():
    listed = dict(reversed(line.split()[1:]) for line in text(RECIPE + "/heliograph.hash")
                  .split("\n") if line.startswith("sha256"))
    now = {p: hashlib.sha256(text(f"{TOP}/{p}").encode()).hexdigest() for p in listed}
    equal(listed, now, "the licences' checksums are right")
    equal(set(re.findall(r"LICENSES/\S+\.txt", text(RECIPE + "/heliograph.mk"))), set(listed),
          "and are those of the recipe")
    for script in ("S35heliograph", "S60heliograph-mirror"):
        p = subprocess.run(["busybox", "ash", "-n", RECIPE + "/" + script], capture_output=True,
                           text=True, check=False)
        equal((p.returncode, p.stderr), (0, ""), f"busybox reads {script}")
        ok(os.access(RECIPE + "/" + script, os.X_OK), "and it may run")


def main():
    ok(re.search(r"^name: HELIOGRAPH\ndesc: \S", text(EXTERNAL + "/external.desc")),
       "external.desc has name and desc")
    kconfig()
    hashes()
    with tempfile.TemporaryDirectory(prefix="hg-br-") as tmp:
        for part in (build, host, module):
            os.makedirs(f"{tmp}/{part.__name__}/none")
            part(f"{tmp}/{part.__name__}")
    done()


main()
