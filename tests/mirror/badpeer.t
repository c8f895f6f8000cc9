#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: limits of time
"""Peers that should not get in, and bytes that should do no harm, at the sync port."""
import os, socket, ssl, subprocess, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from syncclient import (BAD_MESSAGE, OK, UNAVAILABLE, UNKNOWN_DEVICE, VERSION, WRONG_UID, Closed, Device, encode)
from world import World

w = World("""sync.handshake_timeout = 1s
sync.idle_timeout = 3s
sync.message_timeout = 1s
sync.connections = 40
database.timeout = 2s""")
good = Device(w, w.device("good"))
w.device("other")
w.serve()


def openssl(*args, stdin=None):
    subprocess.run(["openssl", *args], check=True, capture_output=True, input=stdin)


def certificate(name, ca=None, san="URI:urn:heliograph:device:good", usage="clientAuth", days="1", dates=None):
    """A bundle directory NAME; ca: directory of ca.crt and ca.key, default the mirror's."""
    d, ca = f"{w.dir}/bundles/{name}", ca or w.dir + "/ca"
    os.mkdir(d)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
            "-keyout", d + "/device.key", "-out", d + "/csr")
    with open(d + "/ext", "w") as f:
        f.write((f"subjectAltName={san}\n" if san else "") + (f"extendedKeyUsage={usage}\n" if usage else ""))
    if dates:
        open(d + "/index", "w").close()
        with open(d + "/conf", "w") as f:
            f.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={d}/index\nnew_certs_dir={d}\nrand_serial=yes\n"
                    f"default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", d + "/conf", "-cert", ca + "/ca.crt", "-keyfile", ca + "/ca.key", "-in",
                d + "/csr", "-out", d + "/device.crt", "-extfile", d + "/ext", "-startdate", dates[0], "-enddate",
                dates[1], "-notext")
    else:
        openssl("x509", "-req", "-in", d + "/csr", "-CA", ca + "/ca.crt", "-CAkey", ca + "/ca.key", "-days", days,
                "-extfile", d + "/ext", "-out", d + "/device.crt")
    return Device(w, "good", d)


def refused(device, resume=False):
    """True if the mirror ends the session before it answers anything."""
    try:
        device.connect(resume).request()
    except (Closed, ssl.SSLError, ConnectionError):
        return True
    finally:
        device.close(abrupt=True)
    return False


def status(device, **over):
    try:
        return device.connect().request(**over).status
    finally:
        device.close()


# Who may come in
equal(good.sync().status, OK, "an enrolled device comes in")
ok(refused(Device(w, "good", "none")), "without a certificate: refused")
os.mkdir(w.dir + "/foreign")
openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Heliograph CA",
        "-keyout", w.dir + "/foreign/ca.key", "-out", w.dir + "/foreign/ca.crt")
ok(refused(certificate("foreign", w.dir + "/foreign")), "of a foreign authority of the same name: refused")
ok(refused(certificate("expired", dates=("20200101000000Z", "20210101000000Z"))), "expired: refused")
ok(refused(certificate("future", dates=("20900101000000Z", "20910101000000Z"))), "not yet valid: refused")
ok(refused(certificate("purpose", usage="serverAuth")), "a server's certificate: refused")
ok(refused(certificate("usage", usage=None)), "without a purpose: refused")
ok(refused(certificate("nosan", san=None)), "without a UID: refused")
ok(refused(certificate("two", san="URI:urn:heliograph:device:good,URI:urn:heliograph:device:other")),
   "with two UIDs: refused")
ok(refused(certificate("baduid", san="URI:urn:heliograph:device:../x")), "with a malformed UID: refused")
equal(status(good, _1="other"), WRONG_UID, "who presents another's UID hears WRONG_UID")
stranger = certificate("stranger", san="URI:urn:heliograph:device:stranger")
stranger.uid = "stranger"
equal(status(stranger), UNKNOWN_DEVICE, "a good certificate of a device that was never enrolled: UNKNOWN_DEVICE")
plain = socket.create_connection(("127.0.0.1", w.sync_port))
plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
plain.settimeout(5)
try:
    heard = plain.recv(100)
except ConnectionError:
    heard = b""
ok(len(heard) < 10, "no TLS: no service", heard)
plain.close()
ctx = good.context()
ctx.set_alpn_protocols(["http/1.1"])
try:
    s = ctx.wrap_socket(socket.create_connection(("127.0.0.1", w.sync_port)), server_hostname="localhost")
    s.sendall(b"x")
    alpn = s.recv(1)
except (ssl.SSLError, ConnectionError):
    alpn = b""
equal(alpn, b"", "another protocol's ALPN: refused")

# Bytes
equal(good.sync().status, OK, "meanwhile the good device is served")


def answer_to(data):
    good.connect()
    good.send_raw(data)
    try:
        r = good.recv().status
        try:
            good.read(1)
            return "not closed"
        except Closed:
            return r
    except Closed:
        return "closed"
    finally:
        good.close()


body = encode(good.message())
for name, data, want in [
        ("frame of length 0", b"\0\0\0\0", BAD_MESSAGE),
        ("frame over the limit", b"\0\4\0\1", BAD_MESSAGE),
        ("frame of 4 GiB", b"\xff\xff\xff\xff" + b"x" * 100, BAD_MESSAGE),
        ("no CBOR", b"\0\0\0\5hello", BAD_MESSAGE),
        ("CBOR that ends early", len(body[:-3]).to_bytes(4, "big") + body[:-3], BAD_MESSAGE),
        ("bytes behind the message", (len(body) + 1).to_bytes(4, "big") + body + b"\0", BAD_MESSAGE),
        ("a number in a longer form", (len(body) + 1).to_bytes(4, "big") + body.replace(b"\0\1", b"\0\x18\1", 1), BAD_MESSAGE),
        ("a key twice", good.frame({0: 1})[:4] + b"\xa2\0\1\0\1", BAD_MESSAGE),
        ("an array of 2^32 items", b"\0\0\0\7\xa1\x0a\x9a\xff\xff\xff\xff", BAD_MESSAGE),
        ("deep nesting", good.frame({**good.message(), 10: [[1, 0, "x", eval("[" * 40 + "]" * 40)]]}), BAD_MESSAGE),
        ("a value over its limit", good.frame({**good.message(), 10: [[1, 0, "x", "y" * 17000]]}), BAD_MESSAGE),
        ("numbers that do not ascend", good.frame({**good.message(), 10: [[2, 0, "x", 1], [1, 0, "x", 1]]}), BAD_MESSAGE),
        ("text that is not UTF-8", good.frame({**good.message(), 10: [[1, 0, "QQQQ", 1]]}).replace(b"QQQQ", b"\xff\xfe\xfd\xfc"), BAD_MESSAGE),
        ("U+0000 in text", good.frame({**good.message(), 10: [[1, 0, "x", "a\0b"]]}), BAD_MESSAGE),
        ("a number over 2^63", good.frame({**good.message(), 7: 1 << 63}), BAD_MESSAGE),
        ("a cursor that no mirror gives", good.frame({**good.message(), 7: (1 << 62) + 1}), BAD_MESSAGE),
        ("another", good.frame({**good.message(), 8: (1 << 63) - 1}), BAD_MESSAGE),
        ("version 2", good.frame({**good.message(), 0: 2}), VERSION)]:
    equal(answer_to(data), want, f"{name}: {'BAD_MESSAGE' if want == 1 else 'VERSION_UNSUPPORTED'}, closed")
for n in (1, 3, 4, 5, len(body) // 2, len(body) + 3):
    good.connect()
    good.send_raw((len(body).to_bytes(4, "big") + body)[:n])
    good.close(abrupt=True)
equal(good.sync().status, OK, "messages cut at any place do no harm")
huge = good.frame({**good.message(), 10: [[i + 1, 0, f"p{i}", "z" * 1000] for i in range(255)]})
good.connect()
good.send_raw(huge)
equal(good.recv().status, OK, f"a message of {len(huge)} bytes is within the limit")
good.close()
good.seq = 255

# Time
begin = time.monotonic()
good.connect()
good.send_raw(b"\0\0\0")
try:
    good.read(1)
except Closed:
    pass
ok(0.5 < time.monotonic() - begin < 2.9, "who sends too slowly is cut off", time.monotonic() - begin)
good.close()
begin = time.monotonic()
good.connect()
try:
    for byte in b"\0\0\1\0" + b"x" * 256:
        good.send_raw(bytes([byte]))
        time.sleep(0.1)
except OSError:
    pass
ok(time.monotonic() - begin < 4, "also byte by byte", time.monotonic() - begin)
good.close(abrupt=True)
begin = time.monotonic()
raw = socket.create_connection(("127.0.0.1", w.sync_port))
raw.settimeout(10)
raw.recv(1)
ok(time.monotonic() - begin < 2.9, "who opens and says nothing is cut off", time.monotonic() - begin)
good.connect().request()
begin = time.monotonic()
try:
    good.read(1)
except Closed:
    pass
ok(1 < time.monotonic() - begin < 6, "who stays and says nothing is cut off", time.monotonic() - begin)
good.close()

# Crowd
def descriptors():
    return len(os.listdir(f"/proc/{w.proc.pid}/fd"))


def accepted():
    """Connections of devices that the mirror holds; one that waits in the backlog has no inode yet, a closed one none any more."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f][1:]
    return sum(int(r[1].split(":")[1], 16) == w.sync_port and r[3] != "0A" and r[9] != "0" for r in rows)


wait_for(lambda: not accepted(), "the last session to be gone")
before = descriptors()
crowd = [socket.create_connection(("127.0.0.1", w.sync_port)) for _ in range(60)]
wait_for(lambda: accepted() >= 40, "the mirror to be full")
ok(accepted() <= 40, "more connections than allowed are not accepted", accepted())
equal(good.sync().status, OK, "who waits behind them is served when those that say nothing are gone")
for c in crowd:
    c.close()
ok(wait_for(lambda: not accepted() and descriptors() <= before, "all to be gone"), "and nothing is left of them")

# A device that comes back while its last request is under way
good.sync()
lock = w.pg.session()
lock.run("BEGIN; SELECT FROM heliograph.device_sync WHERE device_id = 'good' FOR UPDATE")
since = w.pg.sql("SELECT clock_timestamp()")
good.connect()
good.send_raw(good.frame(good.message()))
wait_for(lambda: int(w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM sync_one(%' AND "
                              f"query_start > '{since}' AND pid <> pg_backend_pid()")), "its request to be asked")
older, good.sock = good.sock, None
good.connect()
wait_for(lambda: "newer session ends the older: good" in w.log(), "the mirror to know the newer session")
lock.run("COMMIT")
good.sock.settimeout(0.5)
try:
    early = good.read(1)
except TimeoutError:
    early = b""
equal(early, b"", "the answer to its older session is not sent to its newer one")
good.sock.settimeout(20)
equal(good.take(good.request()).status, OK, "which is served then")
good.close()
older.close()

# Revocation
good.sync()
good.sync()
running = Device(w, "other")
running.connect()
equal(running.request().status, OK, "a device is in a session")
w.run("device", "revoke", "other")
equal(running.request().status, UNKNOWN_DEVICE, "revoked: its running session ends")
running.close()
equal(status(running), UNKNOWN_DEVICE, "and it is refused before the list was read again")
again = Device(w, w.device("again"))
again.sync()
again.sync()
w.run("device", "revoke", "again")
w.proc.send_signal(1)
wait_for(lambda: "read again" in w.log(), "SIGHUP")
ok(refused(again, resume=True), "after SIGHUP its ticket from before is refused")
ok(refused(again), "and so is a new handshake")
ok("certificate revoked" in w.log(), "and the log says why")
equal(good.sync().status, OK, "others are served on")
r = w.run("device", "revoke", "nobody", check=False)
equal((r.returncode, "no device nobody" in r.stderr), (1, True), "revoking an unknown device fails with a reason")

# The database is away
w.pg.stop()
equal(status(good), UNAVAILABLE, "without a database: UNAVAILABLE")
w.pg.start()
ok(wait_for(lambda: good.sync().status == OK, "the database"), "and all is well when it is back")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
ok("Sanitizer" not in w.log(), "and nothing was wrong inside")
done()
