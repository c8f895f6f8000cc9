# SPDX-License-Identifier: MIT
"""The device's programs for another architecture: sysroots of Debian's packages, cross builds.

    root = cross.sysroot("mipsel", *cross.DEV)   unpacked packages with all they depend on, or None
    out = cross.agent("mipsel")                  a directory with heliographd and heliograph, or None
    cross.guest("mipsel")                        guest.c, static

A sysroot is a directory in the cache (kernels.py); nothing is installed. What failed is in
kernels.why(); a compiler that fails is a BuildError.
"""
import hashlib
import os
import re
import shutil
import subprocess

import kernels
from kernels import HERE, NATIVE, TOP, BuildError

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "s390x": "s390x-linux-gnu",
            "armhf": "arm-linux-gnueabihf", "mipsel": "mipsel-linux-gnu"}
# What the link lines of agent and command line name (userspace/build.mk).
DEV = ("libssl-dev libevent-dev libjansson-dev libsqlite3-dev libnl-3-dev libnl-genl-3-dev "
       "libnl-route-3-dev libinih-dev libpcap-dev libbpf-dev libelf-dev zlib1g-dev").split()


def closure(apt, packages):
    """The packages and all they depend on, as apt would install them on an empty machine."""
    p = kernels.call("apt-get", "-qq", "-y", "--no-install-recommends", "--print-uris", "install",
                     *packages, env=apt.env)
    if p.returncode:
        kernels.reasons.append(f"apt-get for {apt.arch}: {p.stderr.strip()[-300:]}")
        return []
    return [name.split("_")[0] for name in re.findall(r"^'[^']*' (\S+)", p.stdout, re.M)]


def sysroot(arch, *packages, depends=True):
    """A directory with Debian packages of an architecture unpacked; None if one cannot be had."""
    root = kernels.cache(f"sysroot-{arch}")
    with kernels.locked(f"sysroot-{arch}"):
        os.makedirs(root + "/.have", exist_ok=True)
        mark = lambda p: f"{root}/.have/{p}{'.all' if depends else ''}"
        if all(os.path.exists(mark(p)) for p in packages):
            return root
        apt = kernels.Apt(arch)
        for package in closure(apt, packages) if depends else packages:
            if os.path.exists(f"{root}/.have/{package}"):
                continue
            if not apt.unpack(package, root):
                kernels.reasons.append(f"{package} for {arch} cannot be fetched")
                return None
            open(f"{root}/.have/{package}", "w", encoding="ascii").close()
        if not all(os.path.exists(f"{root}/.have/{p}") for p in packages):
            return None
        for p in packages:
            open(mark(p), "w", encoding="ascii").close()
    return root


def agent(arch, out=None):
    """Builds agent and command line from this checkout with make; the directory they are in."""
    out = out or f"{TOP}/build/{TRIPLETS[arch]}"
    words = ["make", "-s", "-j2", "-C", TOP, f"O={out}", "agent"]
    env = {}
    if arch != NATIVE:
        root = sysroot(arch, *DEV)
        if not root:
            return None
        lib = f"{root}/usr/lib/{TRIPLETS[arch]}"
        words += [f"CROSS_COMPILE={TRIPLETS[arch]}-", f"CFLAGS=-O2 -g --sysroot={root}",
                  f"LDFLAGS=--sysroot={root}", "PKG_CONFIG=pkg-config"]
        env = {"PKG_CONFIG_SYSROOT_DIR": root,
               "PKG_CONFIG_LIBDIR": f"{lib}/pkgconfig:{root}/usr/share/pkgconfig"}
    p = kernels.call("nice", "-n", "5", *words, env=env)
    if p.returncode:
        raise BuildError(f"{' '.join(words)}:\n{(p.stdout + p.stderr)[-6000:]}")
    return out


def guest(arch):
    """The helper for guests (guest.c), built once from what it is now."""
    sources = [f"{HERE}/guest.c", f"{HERE}/guest-probe.c", f"{HERE}/guest.h"]
    digest = hashlib.sha256(b"".join(open(s, "rb").read() for s in sources)).hexdigest()[:12]
    out = kernels.cache(f"hg-guest-{arch}-{digest}")
    if not os.path.exists(out):
        cc = kernels.ARCHES[arch][1] + "gcc"
        p = kernels.call(cc, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                         "-static", "-s", "-o", f"{out}.{os.getpid()}", *sources[:2])
        if p.returncode:
            raise BuildError(f"guest.c with {cc}:\n{p.stderr}")
        os.replace(f"{out}.{os.getpid()}", out)
    return out


def stripped(arch, path, to):
    subprocess.run([kernels.ARCHES[arch][1] + "strip", "-o", to, path], check=True)
    return os.path.getsize(to)


def module_sizes(arch, path):
    """Bytes of a module: its code, and what size(1) calls text (code and all else that is loaded and
    only read: constants, notes, the kernel's checksums) and data."""
    prefix = kernels.ARCHES[arch][1]
    out = kernels.call(prefix + "readelf", "-SW", path).stdout
    code = sum(int(size, 16) for size in re.findall(
        r"^ +\[ *\d+\] \S* +\S+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ +W?AX", out, re.M))
    text, data = kernels.call(prefix + "size", path).stdout.splitlines()[1].split()[:2]
    return code, int(text), int(data)


def missing(arch):
    """What this machine lacks to build for the architecture, or None."""
    cc = kernels.ARCHES[arch][1] + "gcc"
    return None if shutil.which(cc) else f"no {cc}; scripts/deps arch"
