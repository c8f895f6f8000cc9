# SPDX-License-Identifier: MIT
"""Debian's kernels as trees of files, for any architecture, and kmod/ built against them.

Nothing is installed on the machine and dpkg learns of no foreign architecture: packages are taken
with `apt-get download` and unpacked. Image, modules, headers and the (native) host tools of one
kernel lie together in one tree of the cache, which is $XDG_CACHE_HOME/heliograph-vm, or build/vm:

    kernel-6.1.0-56-amd64/     boot/ lib/modules/ usr/src/
    apt-arm64/                 apt's lists for an architecture or a suite that the machine has not
    module-6.1.0-56-amd64-X/   kmod/ as it was built; X says from what

    k = kernels.find("6.1", "arm64")    None: there is none to be had, and kernels.why() says why
    k.image, k.release                  what QEMU boots
    k.modules(["veth"])                 files in the order in which they are loaded
    k.build("CONFIG_X=y")               kmod/ as a module: its path; BuildError has make's words
"""
import contextlib
import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(HERE + "/../..")
LISTS_MAX_S = 86400  # apt's lists of our own are fetched again after a day

# Debian's name: the kernel's name, prefix of the compiler, flavour of the image.
ARCHES = {
    "amd64": ("x86", "", "amd64"),
    "arm64": ("arm64", "aarch64-linux-gnu-", "arm64"),
    "armhf": ("arm", "arm-linux-gnueabihf-", "armmp"),
    "mipsel": ("mips", "mipsel-linux-gnu-", "4kc-malta"),
    "s390x": ("s390", "s390x-linux-gnu-", "s390x"),
}
NATIVE = "amd64"
STABLE = "bookworm"
# Which suites have a kernel of the version; their own compiler and tools, where ours are too old.
SUITES = {"5.10": ["bullseye", "bullseye-security"], "7.2": ["sid"]}
CHROOT = {"7.2": ("sid", "gcc-14 -Wno-attributes")}  # its headers have some for GCC 15
CHROOT_PACKAGES = "make,gcc-14,libelf1t64,libssl3t64,pahole,kmod"

reasons = []


class BuildError(Exception):
    """The module did not build; the text is what make printed."""


def why():
    return "; ".join(reasons) or "no reason known"


def cache(*parts):
    home = os.environ.get("XDG_CACHE_HOME")
    path = home + "/heliograph-vm" if home else TOP + "/build/vm"
    os.makedirs(path, exist_ok=True)
    return os.path.join(path, *parts)


@contextlib.contextmanager
def locked(name):
    """One process at a time makes the thing of that name."""
    with open(cache(f".lock-{name}"), "w", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def call(*cmd, timeout=900, env=None, cwd=None):
    return subprocess.run(cmd, capture_output=True, text=True, check=False,
                          timeout=timeout, cwd=cwd, stdin=subprocess.DEVNULL,
                          env={**os.environ, **env} if env else None)


def mirrors():
    """Where this machine gets Debian from: (archive, security)."""
    text = ""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text += re.sub(r"^\s*#.*$", "", f.read(), flags=re.M) + "\n\n"
    found = re.findall(r"^URIs:\s*(\S+)[^\n]*\n(?:[A-Z][^\n]*\n)*?Suites:\s*(\S+)", text, re.M)
    found += re.findall(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", text, re.M)
    archive = next((u for u, s in found if s in (STABLE, "stable")), None)
    security = next((u for u, s in found if s.endswith("-security")), None)
    return os.environ.get("HG_VM_MIRROR") or archive, os.environ.get("HG_VM_SECURITY") or security


class Apt:
    """apt-get and apt-cache: of the machine, or with lists of our own (architecture, suites)."""

    def __init__(self, arch=None, suites=None):
        self.name = f"apt-{arch}" + (f"-{suites[0]}" if suites else "") if arch else None
        self.arch, self.env = arch or NATIVE, None
        if arch:
            self.env = {"APT_CONFIG": cache(self.name, "apt.conf")}
            with locked(self.name):
                self.refresh(suites or [STABLE, STABLE + "-updates", STABLE + "-security"])

    def refresh(self, suites):
        root, stamp = cache(self.name), cache(self.name, "updated")
        if os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < LISTS_MAX_S:
            return
        for d in ("etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "etc/auth.conf.d",
                  "state/lists/partial", "cache/archives/partial"):
            os.makedirs(f"{root}/{d}", exist_ok=True)
        open(root + "/state/status", "a", encoding="ascii").close()
        self.write("apt.conf", f'Dir "{root}/"; Dir::Etc "etc"; Dir::State "state";\n'
                   f'Dir::State::Status "{root}/state/status"; Dir::Cache "cache";\n'
                   f'Dir::Etc::Trusted "/etc/apt/trusted.gpg";\n'
                   f'APT::Architecture "{self.arch}"; APT::Architectures {{ "{self.arch}"; }};\n'
                   'Acquire::Languages "none"; APT::Sandbox::User "root";\n'
                   'Acquire::Check-Valid-Until "false";\n')
        archive, security = mirrors()
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        # The machine's way out (proxy, ...) is ours too.
        for path in glob.glob("/etc/apt/apt.conf.d/*"):
            shutil.copy(path, root + "/etc/apt.conf.d/")
        lines = [f"deb [arch={self.arch} signed-by={key}] "
                 f"{security if s.endswith('-security') else archive} {s} main\n" for s in suites]
        self.write("etc/sources.list", "".join(lines))
        p = call("apt-get", "-q", "update", env=self.env)
        if p.returncode or not archive:
            reasons.append(f"apt-get update for {self.arch} failed: {p.stderr.strip()[-200:]}")
            return
        open(stamp, "w", encoding="ascii").close()

    def write(self, name, text):
        with open(cache(self.name, name), "w", encoding="ascii") as f:
            f.write(text)

    def names(self, pattern):
        out = call("apt-cache", "search", "--names-only", pattern, env=self.env).stdout
        return [line.split()[0] for line in out.splitlines()]

    def field(self, package, name, version=None):
        wanted = f"{package}={version}" if version else package
        out = call("apt-cache", "show", "--no-all-versions", wanted, env=self.env).stdout
        return next(iter(re.findall(rf"^{name}: (.*)$", out, re.M)), "")

    def unpack(self, package, to, version=None):
        """Fetches a package of a version, or the newest, and unpacks it; False if there is none."""
        at = cache(f"fetch-{os.getpid()}")
        os.makedirs(at, exist_ok=True)
        try:
            call("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                 f"{package}={version}" if version else package, env=self.env, cwd=at)
            for deb in glob.glob(at + "/*.deb"):
                return call("dpkg-deb", "-x", deb, to).returncode == 0
            return False
        finally:
            shutil.rmtree(at, ignore_errors=True)


def numbers(name):
    # What is built for our own release suits our compiler and C library.
    return "+deb12" in name or "+deb" not in name, [int(i) for i in re.findall(r"\d+", name)]


def releases(apt, version, arch):
    """Releases of the version with both image and headers, newest first."""
    flavour = ARCHES[arch][2]
    name = rf"({re.escape(version)}\.[0-9.]+([-+][0-9a-z]+)?-{flavour})$"
    found = {kind: {m.group(1) for n in apt.names(rf"^linux-{kind}-{version}")
                    if (m := re.match(rf"linux-{kind}-{name}", n))} for kind in ("image", "headers")}
    return sorted(found["image"] & found["headers"], key=numbers, reverse=True)


def find(version, arch=NATIVE):
    """The newest kernel of the version; it is fetched if the cache has none."""
    found = sorted(glob.glob(cache(f"kernel-{version}.*-{ARCHES[arch][2]}", ".ready")), key=numbers)
    if found:
        return Kernel(version, arch, os.path.dirname(found[-1]))
    if not shutil.which("apt-get"):
        reasons.append("no apt-get on this machine")
        return None
    suites = SUITES.get(version)
    # The machine's own lists do for its own kernel; otherwise we keep some.
    own = lambda: Apt(arch, suites)
    for apt in ([Apt(), own] if arch == NATIVE and not suites else [own]):
        apt = apt() if callable(apt) else apt
        for release in releases(apt, version, arch)[:1]:
            tree = fetch(apt, version, arch, release)
            return tree and Kernel(version, arch, tree)
    reasons.append(f"apt knows no linux-image and linux-headers {version} for {arch}")
    return None


def fetch(apt, version, arch, release):
    tree = cache(f"kernel-{release}")
    with locked(f"kernel-{release}"):
        if os.path.exists(tree + "/.ready"):
            return tree
        shutil.rmtree(tree, ignore_errors=True)
        image, headers = f"linux-image-{release}", f"linux-headers-{release}"
        exact = apt.field(headers, "Version")
        parts = [image]
        for package in (headers, image):  # 7.x: the image is in packages of its own
            depends = re.findall(r"linux-(?:headers|modules|binary|base)-[0-9][^ ,(]*",
                                 apt.field(package, "Depends", exact))
            parts += [package, *depends]
        for package in dict.fromkeys(parts):
            if not apt.unpack(package, tree, exact):
                reasons.append(f"{package} {exact} cannot be fetched")
                if package in (image, headers):
                    return None
        kbuild = re.search(r"linux-kbuild-[^ ,]+", apt.field(headers, "Depends", exact))
        tools = apt if apt.arch == NATIVE else Apt()
        if not (kbuild and (tools.unpack(kbuild.group(), tree, exact) or
                            tools.unpack(kbuild.group(), tree))):
            reasons.append(f"no host tools (linux-kbuild) for {release}")
            return None
        settle(tree, release)
        open(tree + "/.ready", "w", encoding="ascii").close()
    return tree


def settle(tree, release):
    """Makes the unpacked packages find one another where they lie."""
    makefile = f"{tree}/usr/src/linux-headers-{release}/Makefile"
    with open(makefile, encoding="utf-8") as f:
        text = f.read()
    with open(makefile, "w", encoding="utf-8") as f:
        f.write(re.sub(r"([ =])/usr/src/", rf"\1{tree}/usr/src/", text))
    if os.path.isdir(f"{tree}/usr/lib/modules/{release}"):
        os.makedirs(tree + "/lib/modules", exist_ok=True)
        os.makedirs(tree + "/boot", exist_ok=True)
        os.symlink(f"../../usr/lib/modules/{release}", f"{tree}/lib/modules/{release}")
        if not os.path.exists(f"{tree}/boot/vmlinuz-{release}"):
            os.symlink(f"../lib/modules/{release}/vmlinuz", f"{tree}/boot/vmlinuz-{release}")
    call("depmod", "-b", tree, release)
    if release.endswith("-amd64"):
        inflate(f"{tree}/boot/vmlinuz-{release}", f"{tree}/boot/vmlinux-{release}")


def inflate(image, to):
    """The ELF file in a bzImage: QEMU enters it directly, and the guest need not inflate it."""
    with open(image, "rb") as f:
        data = f.read()
    at = data.find(b"\xfd7zXZ\0")
    if at >= 0:
        elf = lzma.LZMADecompressor().decompress(data[at:])
    else:
        at = data.find(b"\x28\xb5\x2f\xfd")
        p = subprocess.run(["zstd", "-dcq"], input=data[at:], capture_output=True, check=False)
        elf = p.stdout if at >= 0 else b""  # it complains of what follows; the file is whole
    if elf.startswith(b"\x7fELF"):
        with open(to, "wb") as f:
            f.write(elf)


class Kernel:
    def __init__(self, version, arch, tree):
        self.version, self.arch, self.tree = version, arch, tree
        self.release = os.path.basename(tree)[len("kernel-"):]
        self.karch, self.cross, _ = ARCHES[arch]
        boot = [f"{tree}/boot/{n}-{self.release}" for n in ("vmlinux", "vmlinuz")]
        self.image = next((b for b in boot if os.path.exists(b)), boot[-1])

    def modules(self, names):
        """Their files with all they need, in load order; what is built in is left out."""
        files = {}
        for name in names:
            p = call("modprobe", "-d", self.tree, "-S", self.release, "--show-depends", name)
            if p.returncode:
                raise RuntimeError(f"{self.release} has no module {name}: {p.stderr.strip()}")
            files.update(dict.fromkeys(re.findall(r"^insmod (\S+)", p.stdout, re.M)))
        return list(files)

    def compiler(self):
        """The compiler that made the kernel, if it is here; else the machine's own."""
        with open(f"{self.tree}/usr/src/linux-headers-{self.release}/.kernelvariables",
                  encoding="utf-8") as f:
            m = re.search(r"gcc-\d+", f.read())
        if self.version in CHROOT:
            return CHROOT[self.version][1]
        wanted = self.cross + (m.group() if m else "gcc")
        return next((c for c in (wanted, self.cross + "gcc-12") if shutil.which(c)),
                    self.cross + "gcc")

    def build(self, *options, sources=TOP):
        """Builds kmod/ of a tree; the same sources and options are built once."""
        parts = [p for p in ("Kconfig", "Kbuild", "kmod", "core", "include")
                 if os.path.exists(f"{sources}/{p}")]
        digest = hashlib.sha256(" ".join(options).encode())
        for path in sorted(call("find", *parts, "-type", "f", cwd=sources).stdout.split()):
            if re.search(r"\.(c|h)$|/Kbuild$|/Makefile$|Kconfig$|^Kbuild$", path):
                with open(f"{sources}/{path}", "rb") as f:
                    digest.update(path.encode() + b"\0" + f.read())
        out = cache(f"module-{self.release}-{digest.hexdigest()[:12]}")
        with locked(os.path.basename(out)):
            if not os.path.exists(out + "/.ready"):
                shutil.rmtree(out, ignore_errors=True)
                os.makedirs(out)
                clean = shutil.ignore_patterns("*.o", "*.ko", "*.mod", "*.mod.c", ".*.cmd")
                for p in parts:
                    if os.path.isdir(f"{sources}/{p}"):
                        shutil.copytree(f"{sources}/{p}", f"{out}/{p}", ignore=clean)
                    else:
                        shutil.copy(f"{sources}/{p}", f"{out}/{p}")
                said = self.make(out + "/kmod", options)
                with open(out + "/.ready", "w", encoding="utf-8") as f:
                    f.write(said)
            with open(out + "/.ready", encoding="utf-8") as f:
                sys.stderr.write(f.read())  # a warning is somebody's to mend, each time
        return next(iter(glob.glob(out + "/kmod/*.ko")))

    def make(self, at, options):
        chroot = chroot_of(self.version) if self.version in CHROOT else []
        p = call("nice", "-n", "5", *chroot, "make", "-s", "-j2", "-C",
                 f"{self.tree}/usr/src/linux-headers-{self.release}", f"ARCH={self.karch}",
                 f"CROSS_COMPILE={self.cross}", f"CC={self.compiler()}", f"M={at}", *options,
                 "modules")
        if p.returncode or not glob.glob(at + "/*.ko"):
            raise BuildError(f"kmod/ for {self.release} with {self.compiler()}:\n"
                             f"{(p.stdout + p.stderr)[-6000:]}")
        return re.sub(r"^(Skipping BTF generation.*|warning: the compiler differs.*|  (The kernel|"
                      r"You are using|was built by).*)\n", "", p.stdout + p.stderr, flags=re.M)


def chroot_of(version):
    """The words before a command that run it in the userland of that kernel's suite."""
    suite = CHROOT[version][0]
    root = cache(f"chroot-{suite}")
    with locked(f"chroot-{suite}"):
        if not os.path.exists(root + "/.ready"):
            shutil.rmtree(root, ignore_errors=True)
            p = call("debootstrap", "--variant=minbase", f"--include={CHROOT_PACKAGES}", suite,
                     root, mirrors()[0] or "")
            if p.returncode:
                raise BuildError(f"debootstrap of {suite} failed: {(p.stdout + p.stderr)[-500:]}")
            open(root + "/.ready", "w", encoding="ascii").close()
    # Mounts of a namespace of its own: nothing is left behind.
    script = 'r=$1 c=$2; shift 2; mkdir -p "$r$c" && mount --bind "$c" "$r$c" && ' \
        'mount -t proc proc "$r/proc" && exec chroot "$r" "$@"'
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", root, cache()]
