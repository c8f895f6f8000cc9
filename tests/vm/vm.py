# SPDX-License-Identifier: MIT
"""A guest in QEMU: an initramfs of busybox, modules and our programs, a board, a console.

    k = kernels.find("6.1", "arm64")
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", k)
        root.modules("veth")                    with all they need, loaded by init in this order
        root.put(k.build(), "/t/heliograph.ko")
        root.program(BUILD + "/heliograph")     with its libraries; by its name in /bin
        root.script("insmod /t/heliograph.ko && echo ok 1 - loaded")
        console = vm.boot(k, root)              what the guest printed
        with vm.Guest(k, root, net=True) as g:  or beside a test: g.wait_for("ready", 60)
            ...

The script runs as /t/run in the guest; init (beside this file) says "guest: run STATUS",
"guest: splat: ..." for complaints of the kernel, "guest: log: ..." for its other messages since the
script began, and "guest: end". Everything is emulated (TCG), so that it works anywhere; never KVM.
"""
import collections
import contextlib
import glob
import lzma
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import cross
import kernels

HERE = os.path.dirname(os.path.abspath(__file__))
BOOT_S = 1200  # ten times what the longest takes on an idle machine; tests/run ends it earlier

# Machine: QEMU's words, console, memory and processors, network device and its modules. A board
# that only halts is ended by us. The Raspberry Pi's network is on USB. A PC whose emulator waits for
# a busy host must not panic that its timer is broken, nor compare its clocks.
Machine = collections.namedtuple("Machine", "arch qemu console memory smp nic modules dtb append")
PCI = ("virtio_pci", "virtio_net")
USB = ("phy-generic", "dwc2", "usbnet", "cdc_ether", "rndis_host", "bcm2835_wdt")
MACHINES = {
    "pc": Machine("amd64", "qemu-system-x86_64 -M q35 -cpu max", "ttyS0", 768, 1,
                  "virtio-net-pci,romfile=", PCI, None, "no_timer_check tsc=reliable"),
    "virt": Machine("arm64", "qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a53",
                    "ttyAMA0", 512, 1, "virtio-net-pci,romfile=", PCI, None, ""),
    "raspi3b": Machine("arm64", "qemu-system-aarch64 -M raspi3b", "ttyAMA0,115200", 1024, 4,
                       "usb-net", USB, "broadcom/bcm2837-rpi-3-b.dtb", ""),
    "virt32": Machine("armhf", "qemu-system-arm -M virt,highmem=off -cpu cortex-a15", "ttyAMA0", 512, 1,
                      "virtio-net-pci,romfile=", PCI, None, ""),
    "malta": Machine("mipsel", "qemu-system-mipsel -M malta -cpu 24Kf", "ttyS0", 512, 1,
                     "pcnet,romfile=", ("pcnet32",), None, ""),
    "s390x": Machine("s390x", "qemu-system-s390x -M s390-ccw-virtio -cpu max -device "
                     "sclpconsole,chardev=c0", "ttysclp0", 512, 1, "virtio-net-ccw",
                     ("virtio_net",), None, ""),
}
USUAL = {"amd64": "pc", "arm64": "virt", "armhf": "virt32", "mipsel": "malta", "s390x": "s390x"}


def missing(machine="pc"):
    """What this machine lacks for a guest on the machine, or None."""
    for tool in (MACHINES[machine].qemu.split()[0], "cpio", "dpkg-deb", "apt-get", "modprobe",
                 "setpriv"):
        if not shutil.which(tool):
            return f"no {tool} on this machine; scripts/deps test arch"
    return None


@contextlib.contextmanager
def workdir():
    """A directory that is gone afterwards, after a failure and after a signal, too."""
    for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(s, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="hg-vm-") as tmp:
        yield tmp


def text_of(*cmd, **more):
    return subprocess.run(cmd, capture_output=True, text=True, check=False, **more).stdout


class Root:
    """The guest's files, as a directory on the host."""

    def __init__(self, path, kernel):
        self.path, self.kernel, self.order = path, kernel, []
        for d in ("bin", "dev", "proc", "sys", "tmp", "t", "lib/modules", "etc"):
            os.makedirs(f"{path}/{d}")
        self.put(HERE + "/init", "/init")
        self.put(self.busybox(), "/bin/busybox")
        os.symlink("busybox", path + "/bin/sh")

    def busybox(self):
        if self.kernel.arch == kernels.NATIVE and shutil.which("busybox"):
            return shutil.which("busybox")
        root = cross.sysroot(self.kernel.arch, "busybox-static", depends=False)
        if not root:
            raise RuntimeError(kernels.why())
        return root + "/bin/busybox"

    def put(self, path, to=None):
        target = self.path + (to or path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)  # follows links: the guest sees files

    def write(self, to, text):
        os.makedirs(os.path.dirname(self.path + to), exist_ok=True)
        with open(self.path + to, "w", encoding="utf-8") as f:
            f.write(text)

    def libraries(self, path):
        """Files and their places in the guest; foreign ones from the architecture's sysroot."""
        if self.kernel.arch == kernels.NATIVE:
            return {lib: lib for lib in re.findall(r"(/\S+) \(0x", text_of("ldd", path))}
        root, found, queue = kernels.cache(f"sysroot-{self.kernel.arch}"), {}, [path]
        for one in queue:
            said = text_of("readelf", "-d", "-l", one)
            wanted = re.findall(r"NEEDED.*\[(.*)\]|interpreter: (\S+)\]", said)
            for name in (a or os.path.basename(b) for a, b in wanted):
                triplet = cross.TRIPLETS[self.kernel.arch]
                lib = next(iter(glob.glob(f"{root}/lib/{triplet}/{name}") +
                                glob.glob(f"{root}/usr/lib/{triplet}/{name}") +
                                glob.glob(f"{root}/lib*/{name}")), None)
                if not lib:
                    raise RuntimeError(f"{path} wants {name}, which {root} has not")
                if lib not in found:
                    found[lib] = "/lib/" + name
                    queue.append(lib)
            for interpreter in (b for _, b in wanted if b):
                found[f"{root}/lib/{cross.TRIPLETS[self.kernel.arch]}/{os.path.basename(interpreter)}"] \
                    = interpreter
        return found

    def program(self, path, to=None):
        self.put(path, to or "/bin/" + os.path.basename(path))
        for lib, place in self.libraries(path).items():
            if not os.path.exists(self.path + place):
                self.put(lib, place)

    def python(self, *names):
        """The interpreter and what these modules import; of the host's architecture only."""
        self.program(os.path.realpath(sys.executable), "/bin/python3")
        code = f"import sys, {', '.join(names)}\n" \
            "for m in list(sys.modules.values()):\n" \
            "    print(getattr(m, '__file__', None) or '')\n"
        for path in text_of(sys.executable, "-I", "-c", code).split():
            if path.endswith(".so"):
                self.program(path, path)
            else:
                self.put(path)

    def modules(self, *names):
        for path in self.kernel.modules(names):
            name = os.path.basename(path)
            if name.endswith(".xz"):
                name = name[:-3]
                with lzma.open(path) as f, open(f"{self.path}/lib/modules/{name}", "wb") as out:
                    shutil.copyfileobj(f, out)
            else:
                self.put(path, "/lib/modules/" + name)
            if name not in self.order:
                self.order.append(name)

    def script(self, text):
        self.write("/t/run", text)

    def pack(self, out):
        """Not compressed: the guest would spend emulated time on it."""
        self.write("/lib/modules/order", "".join(m + "\n" for m in self.order))
        with open(out, "wb") as f:
            subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=self.path,
                           check=True, input=text_of("find", ".", cwd=self.path).encode(), stdout=f)
        return out


class Guest:
    """A running guest. text() is its console so far; leaving the context ends QEMU."""

    def __init__(self, kernel, root, machine=None, memory=None, smp=None, net=False,
                 append="", qemu=(), log=None):
        self.log = log  # a file that gets the console while the guest runs
        self.machine = MACHINES[machine or USUAL[kernel.arch]]
        self.lock, self.lines = threading.Condition(), []
        self.done = self.stopping = False
        if net:
            root.modules(*self.machine.modules)
        elif self.machine.nic == "usb-net":
            root.modules("bcm2835_wdt")  # ends the emulator
        self.cmd = self.command(kernel, root.pack(root.path + ".cpio"), memory, smp, append,
                                net)
        if net:
            self.cmd += ["-netdev", "user,id=n0" + (net if isinstance(net, str) else ""),
                         "-device", self.machine.nic + ",netdev=n0"]
        self.cmd += qemu

    def command(self, kernel, initrd, memory, smp, append, net):
        m = self.machine
        serial = ["-serial", "stdio"]
        if "chardev=c0" in m.qemu:
            serial = ["-serial", "none", "-chardev", "stdio,id=c0"]
        dtb = ["-dtb", f"{kernel.tree}/usr/lib/linux-image-{kernel.release}/{m.dtb}"] if m.dtb else []
        memory, smp = (m.memory, m.smp) if m.dtb else (memory or m.memory, smp or m.smp)
        # Without a network and with one processor the guest's clock counts its instructions and
        # skips its idleness: however busy the host is, nothing in it is late.
        pace = ["-accel", "tcg,thread=multi"] if net or smp > 1 else \
            ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off"]
        # It ends with us, however we end.
        return ["setpriv", "--pdeathsig", "KILL", *m.qemu.split(), *pace, "-m", str(memory), "-smp", str(smp), "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-monitor", "none", *serial,
                "-kernel", kernel.image, *dtb, "-initrd", initrd, "-append",
                f"console={m.console} quiet loglevel=4 panic=-1 oops=panic {m.append} {append}"]

    def __enter__(self):
        self.process = subprocess.Popen(self.cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self):
        with open(self.log or os.devnull, "wb", buffering=0) as log:
            self.read_to(log)

    def read_to(self, log):
        for line in self.process.stdout:
            log.write(line)
            with self.lock:
                self.lines.append(line.decode(errors="replace").replace("\r", "").rstrip("\n"))
                self.lock.notify_all()
        with self.lock:
            self.done = True
            self.lock.notify_all()

    def text(self):
        with self.lock:
            return "\n".join(self.lines) + "\n"

    def wait_for(self, pattern, seconds=BOOT_S):
        """The first match on the console; None if it ended, panicked or the time is over."""
        end, seen = time.monotonic() + seconds, 0
        with self.lock:
            while True:
                for line in self.lines[seen:]:
                    if m := re.search(pattern, line):
                        return m
                    if "Kernel panic - not syncing" in line:
                        return None
                seen = len(self.lines)
                if self.done or not self.lock.wait(max(0, end - time.monotonic())):
                    return None

    def tell(self, line):
        """Sends a line to what reads the guest's console."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def boot(kernel, root, seconds=BOOT_S, **more):
    """Runs the guest to its end; what it printed on its console."""
    with Guest(kernel, root, **more) as g:
        ended = g.wait_for("^guest: end$", seconds)
        if not ended and not g.done:
            return g.text() + "\nthe guest did not end in time\n"
    return g.text()


def said(console):
    """What init said: a list of the lines after "guest: "."""
    return re.findall(r"^guest: (.*)$", console, re.M)


def results(console):
    """[(good, name)] of the TAP lines in it."""
    return [(a == "ok", b) for a, b in re.findall(r"^(not ok|ok) \d+ - (.*)$", console, re.M)]
