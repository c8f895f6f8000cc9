# SPDX-License-Identifier: MIT
"""For image.t and image-module.t. A minimal image: busybox, a kernel and what `make install-agent install-ebpf` installs.

busybox's init runs the init scripts as Buildroot orders them, ours of package/buildroot among them.
The device was enrolled on the host, where its mirror runs on a private PostgreSQL:

    guest  S35heliograph, S40network ── QEMU's user network ── 10.0.2.2 = host  mirror, PostgreSQL
             nc -l :8080 ◀── a stranger on the host, who is to get no answer
"""
import os
import re
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../mirror"]
import kernels
import vm
from pgworld import BUILD, TOP, done, equal, ok, wait_for
from world import World, free_port

RELEASE = "6.1"
UID = "image-1"
BOOT_S = 400  # ten times what it takes on an idle machine
STEP_S = 120
# Installed for builders and readers; an image leaves it out.
LEFT_OUT = ("usr/include", "usr/lib/libheliograph.a", "usr/share", "usr/lib/systemd",
            "usr/lib/sysusers.d")
INITTAB = """::sysinit:/etc/init.d/rcS
::once:/etc/test
::ctrlaltdel:/sbin/reboot
"""
RCS = """#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /run /tmp /var/run /var/lib
while read -r m; do
	insmod "/lib/modules/$m" 2>/dev/null
done </lib/modules/order
syslogd -O /tmp/messages
ip link set lo up
for s in /etc/init.d/S??*; do
	"$s" start
done
"""
NETWORK = """#!/bin/sh
[ "$1" = start ] || exit 0
ip link set eth0 up
udhcpc -q -n -t 10 -i eth0 -s /etc/udhcpc.sh >/dev/null && echo guest: network
"""
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/${mask:-24}" dev "$interface"
ip route replace default via "$router"
"""
# What the host tells on the console is run in the image, a line each; the answer ends in "done".
SHELL = """#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
nc -ll -p 8080 -e echo hello from the device &
echo "guest: ready"
while read -r line; do
	sh -c "$line" </dev/null 2>&1 | sed 's/^/> /'
	echo "guest: done"
done
"""


def device_conf(world, host):
    """As /etc/heliograph/heliographd.conf of the image."""
    return f"""[agent]
syslog = yes
[device]
model = /etc/heliograph/model.json
[mirror]
host = 10.0.2.2
name = localhost
port = {world.sync_port}
interval = 1s
interval_min = 100ms
interval_soon = 100ms
[guard]
host = {host}
interface = eth0
"""


def install(root, world, host):
    """The image's file system; what `make` would install, libraries and our scripts."""
    subprocess.run(["make", "-s", "-C", TOP, "O=" + BUILD, "DESTDIR=" + root.path,
                    "install-agent", *(["install-ebpf"] if host == "bpf" else [])], check=True, stdout=subprocess.DEVNULL,
                   env={k: v for k, v in os.environ.items() if "MAKE" not in k and k != "MFLAGS"})
    for path in LEFT_OUT:
        path = f"{root.path}/{path}"
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for program in ("usr/sbin/heliographd", "usr/bin/heliograph"):
        root.program(f"{root.path}/{program}", f"/{program}.new")
        os.replace(f"{root.path}/{program}.new", f"{root.path}/{program}")
    for name in ("device.crt", "device.key", "ca.crt"):
        root.put(f"{world.dir}/bundles/{UID}/{name}", "/etc/heliograph/" + name)
    root.put(world.dir + "/model.json", "/etc/heliograph/model.json")
    root.write("/etc/heliograph/heliographd.conf", device_conf(world, host))
    script = TOP + "/package/buildroot/package/heliograph/S35heliograph"
    root.put(script, "/etc/init.d/S35heliograph")
    for path, text in (("/etc/inittab", INITTAB), ("/etc/init.d/rcS", RCS),
                       ("/etc/init.d/S40network", NETWORK), ("/etc/udhcpc.sh", UDHCPC),
                       ("/etc/test", SHELL)):
        root.write(path, text)
        os.chmod(root.path + path, 0o755)
    os.unlink(root.path + "/init")
    os.symlink("bin/busybox", root.path + "/init")  # as "init" it is the init


class Image:
    """Runs lines in the guest."""

    def __init__(self, guest):
        self.guest, self.told = guest, 0

    def run(self, line):
        """What the line printed in the image."""
        before = len(self.guest.lines)
        self.guest.tell(line)
        self.told += 1
        wait_for(lambda: self.guest.text().count("guest: done\n") >= self.told, line, STEP_S)
        out = [t[2:] for t in self.guest.lines[before:] if t.startswith("> ")]
        return "\n".join(out)


def answer(port):
    """What a stranger hears from the image's port; "" in three seconds of silence."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as s:
        try:
            return s.recv(100).decode()
        except (TimeoutError, ConnectionError):
            return ""


def story(world, guest, token, port, host):
    image = Image(guest)
    http = lambda method, path, body=None: world.http(method, f"/things/{UID}/{path}", body, token)
    ok("Starting heliographd: OK" in guest.text(), "the init script starts the agent", guest.text())
    ok(guest.text().find("Starting heliographd: OK") < guest.text().find("guest: network"),
       "before the network comes, whose DHCP passes the guard", guest.text())
    status = image.run("heliograph guard status")
    ok("eth0" in status and "initiated" in status, "the guard is on eth0", status)
    said = image.run("heliograph guard status --json")
    ok(re.search(rf'"host": *"{host}"', said), "its host is " + host, said)
    print("# " + status.replace("\n", "\n# "))
    image.run("heliograph property set temperature 21.5")
    wait_for(lambda: http("GET", "properties/temperature")[0] == 200, "the image's value", STEP_S)
    equal(http("GET", "properties/temperature")[2], 21.5, "the mirror has what the image set")
    equal(http("PUT", "properties/setpoint", 18.5)[0] // 100, 2, "an application sets a value")
    wait_for(lambda: "18.5" in image.run("heliograph property get setpoint"), "it in the image",
             STEP_S)
    ok(True, "the image has it")
    equal(answer(port), "", "a stranger gets no answer from the image")
    pid = image.run("pidof heliographd")
    image.run(f"kill -9 {pid}")
    equal(answer(port), "", "nor with the agent killed")
    wait_for(lambda: image.run("pidof heliographd") not in ("", pid), "another agent", STEP_S)
    ok(True, "the init script starts the agent again")
    wait_for(lambda: "set" in image.run("heliograph property set temperature 22 && echo set"),
             "its socket", STEP_S)
    wait_for(lambda: http("GET", "properties/temperature")[2] == 22, "the next value", STEP_S)
    ok(True, "which synchronises as before")
    ok("OK" in image.run("/etc/init.d/S35heliograph stop"), "the init script stops it")
    equal(image.run("pidof heliographd"), "", "it is gone")
    equal(answer(port), "", "and the guard stays")
    image.run("heliograph guard off")
    equal(wait_for(lambda: answer(port), "an answer", STEP_S), "hello from the device\n",
          "with the guard off the stranger is answered: it was the guard")
    equal(image.run("dmesg | grep -E 'BUG:|WARNING:|Oops'"), "", "its kernel complained of nothing")
    print("# resident: " + image.run("free | sed -n 2p").strip())


def main(host):
    if reason := vm.missing():
        print("1..0 # SKIP " + reason)
        return
    kernel = kernels.find(RELEASE)
    if not kernel:
        print("1..0 # SKIP " + kernels.why())
        return
    world = World().serve()
    world.device(UID)
    token = world.token("all", "--right", "read", "--right", "write", "--device", UID)
    port = free_port()
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", kernel)
        root.modules("af_packet")
        if host == "bpf":
            root.modules("sch_ingress", "cls_bpf", "act_bpf")
        else:
            root.put(kernel.build(), "/lib/modules/heliograph.ko")
            root.order.append("heliograph.ko")
        install(root, world, host)
        net = f",hostfwd=tcp:127.0.0.1:{port}-:8080"
        with vm.Guest(kernel, root, net=net) as guest:
            if not ok(guest.wait_for("^guest: ready", BOOT_S), "the image boots", guest.text()):
                done()
            try:
                story(world, guest, token, port, host)
            except TimeoutError as e:
                guest.tell("tail -n 15 /tmp/messages")
                guest.wait_for("never", 5)
                ok(False, str(e), guest.text()[-1500:])
    done()
