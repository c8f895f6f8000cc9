#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# san: no, a kernel module knows no sanitizers of user space
"""Debian's dkms takes the module from `make install-dkms`, builds it and takes it away.

Against the headers of a kernel that is not installed, in directories of its own: dkms can be told
all of them, and a private /var/lib/dkms keeps its signing key away from the machine's.
"""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../mirror"]
import kernels
import vm
from pgworld import TOP, done, equal, ok

RELEASE = "6.1"


def dkms(tmp, kernel, *words):
    """What it printed, and its status."""
    headers = f"{kernel.tree}/usr/src/linux-headers-{kernel.release}"
    script = 'mount -t tmpfs dkms /var/lib/dkms && exec dkms "$@"'
    p = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *words,
         "--dkmstree", tmp + "/dkms", "--sourcetree", tmp + "/files/usr/src", "--installtree",
         tmp + "/modules", "--kernelsourcedir", headers, "-k", kernel.release + "/x86_64"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return p.returncode, p.stdout + p.stderr


def modules(tmp):
    return glob.glob(f"{tmp}/modules/**/heliograph.ko*", recursive=True)


def run(tmp, kernel, version):
    name = "heliograph/" + version
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    p = subprocess.run(["make", "-s", "-C", TOP, f"DESTDIR={tmp}/files", "install-dkms"], env=env,
                       capture_output=True, text=True, check=False)
    at = f"{tmp}/files/usr/src/heliograph-{version}"
    ok(p.returncode == 0 and os.path.exists(at + "/dkms.conf"), "make install-dkms",
       p.stdout + p.stderr)
    equal(glob.glob(at + "/**/*.o", recursive=True), [], "puts sources there and no outputs")
    for d in ("dkms", "modules/" + kernel.release):
        os.makedirs(f"{tmp}/{d}")
    status, out = dkms(tmp, kernel, "add", name)
    ok(status == 0 and os.path.islink(f"{tmp}/dkms/heliograph/{version}/source"), "dkms add", out)
    status, out = dkms(tmp, kernel, "build", name)
    log = glob.glob(f"{tmp}/dkms/heliograph/{version}/**/make.log", recursive=True)
    text = open(log[0], encoding="utf-8").read() if log else ""
    ok(status == 0, "dkms build against " + kernel.release, (out + text)[-1500:])
    ok("warning" not in text.replace("warning: the compiler differs", ""), "without a warning",
       text[-1500:])
    status, out = dkms(tmp, kernel, "install", name, "--no-depmod")
    found = modules(tmp)
    ok(status == 0 and len(found) == 1, "dkms install", out)
    if found:
        info = subprocess.run(["modinfo", found[0]], capture_output=True, text=True,
                              check=False).stdout
        ok(f"vermagic:       {kernel.release} " in info and "license:        GPL" in info,
           "the module is for that kernel: " + os.path.relpath(found[0], tmp), info)
    status, out = dkms(tmp, kernel, "status", name)
    ok("installed" in out, "dkms status says installed", out)
    status, out = dkms(tmp, kernel, "remove", name, "--no-depmod")
    ok(status == 0 and not modules(tmp), "dkms remove takes it away", out)
    # A kernel without netfilter is passed over.
    headers = f"{tmp}/headers"
    os.makedirs(headers)
    with open(headers + "/.config", "w", encoding="ascii") as f:
        f.write("CONFIG_MODULES=y\nCONFIG_INET=y\n# CONFIG_NETFILTER is not set\n")
    dkms(tmp, kernel, "add", name)
    p = subprocess.run(["dkms", "build", name, "--dkmstree", tmp + "/dkms", "--sourcetree",
                        tmp + "/files/usr/src", "--kernelsourcedir", headers, "-k", "6.1.0-none/x86_64"], capture_output=True, text=True,
                       check=False, stdin=subprocess.DEVNULL)
    ok("BUILD_EXCLUSIVE" in p.stdout + p.stderr, "a kernel without netfilter is passed over",
       p.stdout + p.stderr)


def by_make(tmp, kernel):
    """The way of an image: make kmod, make install-kmod."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    p = subprocess.run(["make", "-C", TOP, f"O={tmp}/o", f"DESTDIR={tmp}/image", "install-kmod",
                        f"KDIR={kernel.tree}/usr/src/linux-headers-{kernel.release}", "ARCH=x86",
                        "CC=" + kernel.compiler()], env=env, capture_output=True, text=True,
                       check=False)
    found = glob.glob(f"{tmp}/image/lib/modules/{kernel.release}/**/heliograph.ko", recursive=True)
    ok(p.returncode == 0 and found, "make install-kmod KDIR= DESTDIR=",
       (p.stdout + p.stderr)[-1500:])
    equal(glob.glob(TOP + "/kmod/*.o"), [], "leaves the tree clean")


def main():
    lacking = next((t for t in ("dkms", "unshare", "make", "modinfo") if not shutil.which(t)), None)
    if lacking or os.getuid():
        print(f"1..0 # SKIP {f'no {lacking} on this machine' if lacking else 'not root'}; "
              "scripts/deps test")
        return
    kernel = kernels.find(RELEASE)
    if not kernel:
        print("1..0 # SKIP " + kernels.why())
        return
    with open(TOP + "/VERSION", encoding="ascii") as f:
        version = f.read().strip()
    with vm.workdir() as tmp:
        run(tmp, kernel, version)
        by_make(tmp, kernel)
    done()


main()
