#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""Debian's 6.1 kernel takes the guard, and it does there what it does here.

Boots the distribution's kernel in QEMU with an initramfs of busybox, Python and our programs, and
runs tests/net/functional.t in it, and the part of tests/net/score.t that needs no tools. The guest
is emulated (TCG), so that it works anywhere. Kernel packages are kept in
$XDG_CACHE_HOME/heliograph-vm, or build/vm.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../net")
from world import BUILD, TOP, Tap, run, skip_all

RELEASE = "6.1"
MODULES = ("veth", "tun", "sch_ingress", "cls_bpf", "act_bpf")
MODES = ("native", "generic", "tc", "l3")
PROGRAMS = ("ip", "nsenter", "ethtool", "mount", "umount", "python3")
BOOT_S = 400  # ten times what it takes on an idle machine
# What functional.t imports, and what the interpreter imports on the way, late.
PYTHON = ("atexit contextlib ctypes encodings.ascii encodings.idna encodings.utf_8 errno fcntl "
          "json os select shutil signal socket struct subprocess threading time traceback").split()


def cache():
    home = os.environ.get("XDG_CACHE_HOME")
    path = home + "/heliograph-vm" if home else TOP + "/build/vm"
    os.makedirs(path, exist_ok=True)
    return path


def kernel_package():
    """The newest linux-image of the release that apt knows."""
    found = run("apt-cache", "search", "--names-only", rf"^linux-image-{RELEASE}\.[0-9.-]+-amd64$",
                check=False).stdout
    names = [line.split()[0] for line in found.splitlines()]
    return max(names, key=lambda n: [int(i) for i in re.findall(r"\d+", n)], default=None)


def fetch(package):
    """The package's file, from the cache or by apt-get."""
    have = glob.glob(f"{cache()}/{package}_*.deb")
    if have:
        return have[0]
    subprocess.run(["apt-get", "-q", "download", package], cwd=cache(), capture_output=True,
                   timeout=300, check=False)
    return next(iter(glob.glob(f"{cache()}/{package}_*.deb")), None)


def unpack(deb, to):
    """Kernel and the modules that the guest loads; their paths."""
    wanted = ["./boot/vmlinuz-*"] + [f"*/{m}.ko" for m in MODULES]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
        subprocess.run(["tar", "-xC", to, "--wildcards", *wanted], stdin=tar.stdout, check=False,
                       stderr=subprocess.DEVNULL)
    return glob.glob(to + "/boot/vmlinuz-*")[0]


def put(root, path, to=None):
    target = root + (to or path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(path, target)  # follows links: the guest sees files


def libraries(path):
    out = run("ldd", path, check=False).stdout
    return re.findall(r"(/\S+) \(0x", out)


def put_program(root, path, to=None):
    put(root, path, to)
    for lib in libraries(path):
        put(root, lib)


def put_python(root):
    code = f"import sys, {', '.join(PYTHON)}\n" \
        "for m in list(sys.modules.values()):\n" \
        "    print(getattr(m, '__file__', None) or '')\n"
    for path in run(sys.executable, "-I", "-c", code).stdout.split():
        if path.endswith(".so"):
            put_program(root, path)
        else:
            put(root, path)


def initramfs(root, kernel_tree, out):
    put(root, HERE + "/init", "/init")
    put_program(root, shutil.which("busybox"), "/bin/busybox")
    os.symlink("busybox", root + "/bin/sh")
    for name in PROGRAMS:
        put_program(root, os.path.realpath(shutil.which(name)), "/bin/" + name)
    put_python(root)
    put_program(root, BUILD + "/heliograph", "/t/build/heliograph")
    put(root, BUILD + "/ebpf/heliograph.bpf.o", "/t/build/ebpf/heliograph.bpf.o")
    for name in ("functional.t", "score.t", "world.py", "packet.py"):
        put(root, TOP + "/tests/net/" + name, "/t/tests/net/" + name)
    with open(root + "/t/modes", "w", encoding="ascii") as f:
        f.write(" ".join(MODES))
    for m in MODULES:
        put(root, glob.glob(f"{kernel_tree}/**/{m}.ko", recursive=True)[0], f"/lib/modules/{m}.ko")
    with open(root + "/lib/modules/order", "w", encoding="ascii") as f:
        f.write("".join(m + ".ko\n" for m in MODULES))
    files = run("find", ".", cwd=root).stdout
    with open(out, "wb") as f:
        subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root, check=True,
                       input=files.encode(), stdout=f)


def boot(kernel, initrd):
    """What the guest printed on its console."""
    cmd = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m",
           "768", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
           "-monitor", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd, "-append",
           "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic"]
    try:
        p = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_S,
                           check=False)
        return (p.stdout + p.stderr).decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode(errors="replace") + "\nthe guest did not end in time\n"


def main():
    for tool in ("qemu-system-x86_64", "busybox", "cpio", "dpkg-deb", "apt-get"):
        if not shutil.which(tool):
            skip_all(f"no {tool} on this machine; scripts/deps test")
    package = kernel_package()
    deb = package and fetch(package)
    if not deb:
        skip_all(f"no linux-image-{RELEASE} of Debian to be had here")
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="hg-vm-") as tmp:
        os.makedirs(tmp + "/kernel")
        kernel = unpack(deb, tmp + "/kernel")
        initramfs(tmp + "/root", tmp + "/kernel", tmp + "/initrd")
        console = boot(kernel, tmp + "/initrd")
    said = re.findall(r"^guest: (.*)$", console, re.M)
    tap.ok(any(s.startswith("kernel " + RELEASE) for s in said), "the guest runs " + package,
           console)
    results = re.findall(r"^(not ok|ok) \d+ - (.*)$", console, re.M)
    for good, name in results:
        tap.ok(good == "ok", f"{RELEASE}: {name}")
    tap.ok("functional 0" in said and "score 0" in said and len(results) > 55,
           "the tests in the guest ended well", console[-4000:])
    splats = [s for s in said if s.startswith("splat")]
    tap.ok("end" in said and not splats, "its kernel complained of nothing", *splats)
    tap.done()


main()
