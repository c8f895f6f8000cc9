#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""heliograph.ko guards like the BPF programs do, and agent and command line work with it alike.

Boots Debian's 6.1 kernel in QEMU with kmod/ as a module, and runs there tests/net/functional.t over
it, and host_guest.py: the choice of the host, every subcommand of `heliograph guard`, the agent's
heartbeat, the lock, and a module that is taken away under both.
"""
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/../net"]
import kernels
import vm
from world import BUILD, TOP, Tap, run, skip_all

RELEASE = "6.1"
MODULES = ("veth", "tun", "sch_ingress", "cls_bpf", "act_bpf")
PROGRAMS = ("ip", "nsenter", "ethtool", "mount", "umount", "setpriv")
PYTHON = ("atexit contextlib ctypes encodings.ascii encodings.idna encodings.utf_8 errno fcntl "
          "json os select shutil signal socket struct subprocess threading time traceback").split()
SCRIPT = """
insmod heliograph.ko
echo "guest: insmod $?"
python3 tests/net/functional.t module module-l3
echo "guest: functional $?"
python3 tests/vm/host_guest.py
echo "guest: module $?"
"""
NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")


def keys(at):
    """A device's and a collector's; they are not shown to anybody who would look at a chain."""
    for name, more in (("dev1", ("-addext", "subjectAltName=URI:urn:heliograph:device:dev1")),
                       ("collector", ())):
        run("openssl", "req", "-x509", *NEW, "-subj", f"/CN={name}", "-keyout", f"{at}/{name}.key",
            "-out", f"{at}/{name}.crt", *more)


def other_abi(kernel, at):
    """The module as another release would be: its number is all that it says of that."""
    for d in ("kmod", "core", "include"):
        shutil.copytree(f"{TOP}/{d}", f"{at}/other/{d}")
    path = at + "/other/include/uapi/heliograph.h"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"(#define HG_GUARD_ABI )\d+", r"\g<1>9999", text))
    return kernel.build(sources=at + "/other")


def fill(root, module, other, pki):
    root.modules(*MODULES)
    for name in PROGRAMS:
        root.program(os.path.realpath(shutil.which(name)), "/bin/" + name)
    root.python(*PYTHON)
    for name in ("heliograph", "heliographd"):
        root.program(f"{BUILD}/{name}", "/t/build/" + name)
    root.put(BUILD + "/ebpf/heliograph.bpf.o", "/t/build/ebpf/heliograph.bpf.o")
    for name in ("functional.t", "world.py", "packet.py", "session.py"):
        root.put(TOP + "/tests/net/" + name, "/t/tests/net/" + name)
    root.put(HERE + "/host_guest.py", "/t/tests/vm/host_guest.py")
    root.put(module, "/t/heliograph.ko")
    root.put(other, "/t/other-abi.ko")
    for name in ("dev1.crt", "dev1.key", "collector.crt"):
        root.put(f"{pki}/{name}", "/t/pki/" + name)
    root.script(SCRIPT)


def head(kind, n):
    """The head of a CBOR item."""
    return bytes([kind << 5 | n] if n < 24 else [kind << 5 | 24, n] if n < 256 else
                 [kind << 5 | 25, n >> 8, n & 255])


def strings(b):
    """The byte strings of a COSE_Sign1, in order, with the bytes that hold each."""
    at, out = 2, []  # tag and array
    while at < len(b):
        size = b[at] & 31
        more = 1 << (size - 24) if size >= 24 else 0
        if b[at] >> 5 == 2:
            n = int.from_bytes(b[at + 1:at + 1 + more], "big") if more else size
            out.append(b[at + 1 + more:at + 1 + more + n])
            at += n
        at += 1 + more
    return out


def is_signed(datagram, cert, tmp):
    """ES256 by the certificate's key, with openssl (RFC 9052, section 4.4)."""
    protected, payload, signature = strings(datagram)
    tbs = head(4, 4) + head(3, 10) + b"Signature1" + head(2, len(protected)) + protected + \
        head(2, 0) + head(2, len(payload)) + payload
    der = b""
    for half in (signature[:32], signature[32:]):
        half = half.lstrip(b"\0")
        half = b"\0" * (half[0] >> 7) + half
        der += bytes([2, len(half)]) + half
    for name, data in (("tbs", tbs), ("sig", bytes([0x30, len(der)]) + der)):
        with open(f"{tmp}/{name}", "wb") as f:
            f.write(data)
    with open(tmp + "/pub", "w", encoding="ascii") as f:
        f.write(run("openssl", "x509", "-in", cert, "-pubkey", "-noout").stdout)
    return run("openssl", "dgst", "-sha256", "-verify", tmp + "/pub", "-signature", tmp + "/sig",
               tmp + "/tbs", check=False).returncode == 0


def signature_of_sent(tap, said, tmp):
    sent = next((bytes.fromhex(s[5:]) for s in said if s.startswith("sent ")), None)
    tap.ok(sent and is_signed(sent, tmp + "/dev1.crt", tmp),
           "what the kernel sent for the agent has the device's signature")
    at = sent.index(strings(sent)[1]) + 5 if sent else 0  # in the payload
    tap.ok(sent and not is_signed(sent[:at] + bytes([sent[at] ^ 1]) + sent[at + 1:],
                                  tmp + "/dev1.crt", tmp), "and would not have, were it altered")


def main():
    if vm.missing():
        skip_all(vm.missing())
    if not os.path.exists(TOP + "/kmod"):
        skip_all("this tree has no kmod/")
    kernel = kernels.find(RELEASE)
    if not kernel:
        skip_all(kernels.why())
    tap = Tap()
    with vm.workdir() as tmp:
        keys(tmp)
        root = vm.Root(tmp + "/root", kernel)
        fill(root, kernel.build(), other_abi(kernel, tmp), tmp)
        console = vm.boot(kernel, root)
        said = vm.said(console)
        signature_of_sent(tap, said, tmp)
    tap.ok("insmod 0" in said, f"{kernel.release} loads the module", console)
    results = vm.results(console)
    for good, name in results:
        tap.ok(good, f"{RELEASE}: {name}")
    tap.ok("functional 0" in said and "module 0" in said and len(results) > 110,
           "the tests in the guest ended well", console[-6000:])
    splats = [s for s in said if s.startswith("splat")]
    tap.ok("end" in said and not splats, "its kernel complained of nothing", *splats)
    log = [s for s in said if s.startswith("log") and "heliograph" in s and
           "taint" not in s]
    tap.equal(log, [], "and the module said nothing")
    tap.done()


main()
