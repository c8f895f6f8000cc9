#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: limits of time
"""
What the mirror's port for devices refuses, tried with openssl s_client and with raw bytes against a real
mirror, and what the agent refuses of a mirror, tried with openssl s_server. docs/tls.md is the list: each
row of its tables is a case here, and each case a row there.
"""
import glob, os, re, signal, socket, ssl, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../agent"))
from agent import TOP, Agent, done, equal, ok, skip, wait_for
from world import World, free_port

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [None])[0]
DAY = 86400
shown = set()

w = World("sync.handshake_timeout = 1s\nsync.message_timeout = 1s\nsync.idle_timeout = 1s").serve()
uid, gone = w.device("dev-1"), w.device("dev-2")
b = f"{w.dir}/bundles"
w.run("device", "revoke", gone)
w.proc.send_signal(signal.SIGHUP)
wait_for(lambda: "were read again" in w.log(), "the revocation list")


def case(good, name, why=""):
    shown.add(name)
    return ok(good, name, why)


def openssl(*args, when=None):
    env = dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME=when) if when else None
    r = subprocess.run(["openssl", *args], capture_output=True, text=True, env=env)
    if r.returncode:
        raise RuntimeError(f"openssl {args}: {r.stderr}")


def cert(name, ca=w.dir + "/ca/ca", usage="clientAuth", san="URI:urn:heliograph:device:" + uid, when=None, days=10):
    """A key and a certificate NAME.key, NAME.crt in the world's directory, signed by CA.crt, CA.key."""
    p = f"{w.dir}/{name}"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
            "-keyout", p + ".key", "-out", p + ".csr")
    with open(p + ".ext", "w") as f:
        f.write(f"keyUsage=critical,digitalSignature\nsubjectAltName={san}\n"
                + (f"extendedKeyUsage={usage}\n" if usage else ""))
    openssl("x509", "-req", "-in", p + ".csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-days", str(days),
            "-extfile", p + ".ext", "-out", p + ".crt", when=when)
    return p


def other_ca():
    p = w.dir + "/other"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=Heliograph CA", "-days", "10", "-keyout", p + ".key", "-out", p + ".crt",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return p


def client(*args, who=f"{b}/{uid}/device", alpn="heliograph-sync/1"):
    """What s_client says. It waits until the mirror closes."""
    own = ["-cert", who + ".crt", "-key", who + ".key"] if who else []
    name = ["-alpn", alpn] if alpn else []
    r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{w.sync_port}", "-CAfile", w.dir + "/ca/ca.crt",
                        "-ign_eof", *own, *name, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=30)
    return r.stdout + r.stderr


def refused(name, alert, *args, log=None, **kw):
    """s_client hears this alert, and the mirror logs why."""
    before = len(w.log())
    said = client(*args, **kw)
    case(re.search(r"alert[ _]" + alert + "|" + alert + r":.*SSL alert", said) is not None, name, said[-600:])
    if log:
        wait_for(lambda: log in w.log()[before:], f"'{log}' in the mirror's log", 5)


good = client("-ciphersuites", "TLS_AES_128_GCM_SHA256")
ok("Verify return code: 0 (ok)" in good and "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256" in good,
   "s_client itself gets through when nothing is odd", good[-600:])
ok("Max Early Data: 0" in good, "and may send no early data")

# Versions, suites, groups.
old = ("-cipher", "ALL:@SECLEVEL=0")
refused("TLS 1.0", "protocol version", "-tls1", *old, log="unsupported protocol")
refused("TLS 1.1", "protocol version", "-tls1_1", *old, log="unsupported protocol")
refused("TLS 1.2", "protocol version", "-tls1_2", log="unsupported protocol")
refused("suite TLS_AES_128_CCM_8_SHA256", "handshake failure", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256", log="no shared cipher")
refused("suite TLS_AES_128_CCM_SHA256", "handshake failure", "-ciphersuites", "TLS_AES_128_CCM_SHA256", log="no shared cipher")
for group in ("ffdhe2048", "P-521", "X448"):
    refused(f"group {group} alone", "handshake failure", "-groups", group, log="no suitable key share")
refused("SHA-1 signatures alone", "handshake failure", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0")
refused("no ALPN", "no application protocol", alpn=None)
refused("another ALPN", "no application protocol", alpn="h2,http/1.1")

# Certificates.
refused("no certificate", "certificate required", who=None, log="peer did not return a certificate")
refused("a certificate of another authority", "unknown ca", who=cert("foreign", ca=other_ca()))
refused("a server's certificate", "unsupported certificate", who=w.dir + "/ca/mirror", log="purpose")
refused("a certificate without extended key usage", "unsupported certificate", who=cert("plain", usage=None), log="purpose")
refused("a revoked certificate", "certificate revoked", who=f"{b}/{gone}/device", log="revoked")
if FAKETIME and os.environ.get("HG_SAN", "0") == "0":
    refused("a certificate that has ended", "certificate expired", who=cert("late", when="-400d"), log="expired")
    refused("a certificate that is not valid yet", "bad certificate", who=cert("early", when="+400d"), log="not yet valid")
else:
    for name in ("a certificate that has ended", "a certificate that is not valid yet"):
        shown.add(name)
        skip(name, "no libfaketime, or a build with sanitizers")
said = client(who=cert("nobody", san="DNS:dev-1"))
case("certificate names no device" in w.log(), "a certificate without UID", said[-300:])

# Raw bytes.
def hello():
    """The ClientHello of a device, as one record."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.minimum_version = ssl.TLSVersion.TLSv1_3
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.set_alpn_protocols(["heliograph-sync/1"])
    out = ssl.MemoryBIO()
    try:
        ctx.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def raw(data, pause=0.0):
    """Sends bytes, with pauses one by one, and returns (what came until the end, after how long)."""
    with socket.create_connection(("127.0.0.1", w.sync_port), timeout=20) as s:
        begin, got = time.monotonic(), b""
        try:
            if not pause:
                s.sendall(data)
            for byte in data if pause else b"":
                s.sendall(bytes([byte]))
                s.settimeout(pause)
                try:
                    got += s.recv(65536) or b""
                    break
                except socket.timeout:
                    pass
            s.settimeout(20)
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
        except ConnectionError:
            pass
        return got, time.monotonic() - begin


def alert(got):
    """The number of the alert that ended it (RFC 8446 section 6), or None."""
    return got[6] if len(got) >= 7 and got[0] == 21 else None


h = hello()
session_id = 5 + 4 + 2 + 32
suites = session_id + 1 + h[session_id]
compression = suites + 2 + int.from_bytes(h[suites:suites + 2], "big")
equal(h[compression:compression + 2], b"\x01\x00", "the hello offers no compression")
def grown(x, by):
    return x[:3] + (int.from_bytes(x[3:5], "big") + by).to_bytes(2, "big") + x[5:6] + \
        (int.from_bytes(x[6:9], "big") + by).to_bytes(3, "big") + x[9:]
deflate = grown(h[:compression] + b"\x02\x01\x00" + h[compression + 2:], 1)
equal(alert(raw(deflate)[0]), 47, "illegal_parameter is the answer to it, with compression:")
case(alert(raw(deflate)[0]) == 47, "compression")
case(alert(raw(b"\x16\x03\x01\xff\xff" + bytes(100))[0]) == 22, "a record over 2^14 bytes")
case(alert(raw(h[:5] + b"\x0e" + h[6:])[0]) == 10, "another message than a hello")
got, seconds = raw(h[:-3])
case(not got and 0.9 < seconds < 4, "a hello that is cut", seconds)
got, _ = raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
case("http request" in w.log(), "HTTP", got)
got, _ = raw(os.urandom(300))
case(not got or alert(got) is not None, "noise", got)

# Slow ones. Timeouts are of 1 s here; four times that is late.
got, seconds = raw(b"")
case(not got and 0.9 < seconds < 4, "a connection that says nothing", seconds)
got, seconds = raw(h, pause=0.05)
case(0.9 < seconds < 4, "a handshake byte by byte", seconds)
def device(data, pause):
    """A session that is up: sends these bytes slowly, returns seconds until the mirror closes."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.load_verify_locations(w.dir + "/ca/ca.crt")
    ctx.load_cert_chain(f"{b}/{uid}/device.crt", f"{b}/{uid}/device.key")
    ctx.set_alpn_protocols(["heliograph-sync/1"])
    with ctx.wrap_socket(socket.create_connection(("127.0.0.1", w.sync_port), timeout=20), server_hostname="localhost") as s:
        begin = time.monotonic()
        try:
            for byte in data:
                s.sendall(bytes([byte]))
                s.settimeout(pause)
                try:
                    if not s.recv(1):
                        return time.monotonic() - begin
                except socket.timeout:
                    pass
            s.settimeout(20)
            while s.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return time.monotonic() - begin
seconds = device(b"", 0)
case(0.9 < seconds < 4, "a session that asks nothing", seconds)
seconds = device((1000).to_bytes(4, "big") + bytes(1000), 0.05)
case(0.9 < seconds < 4, "a request byte by byte", seconds)
equal(w.proc.poll(), None, "the mirror is well")
ok("Verify return code: 0 (ok)" in client(), "and answers")
equal(w.stop(), 0, "and ends cleanly")

# The device's side.
port = free_port()
agent = Agent(f"""
    mirror.host = localhost
    mirror.port = {port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {b}/{uid}/device.crt
    mirror.key = {b}/{uid}/device.key
    mirror.connect_timeout = 5s
    mirror.session_timeout = 2s
    mirror.backoff_min = 1m
    mirror.backoff_max = 1h
""").start()
good_server = cert("server", usage="serverAuth", san="DNS:localhost")


def mirror(name, want, *args, who=good_server, alpn="heliograph-sync/1"):
    extra = ["-alpn", alpn] if alpn else []
    with subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", who + ".crt", "-key", who + ".key",
                           "-quiet", *extra, *args], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as p:
        def listens():
            with open("/proc/net/tcp") as f:
                return f":{port:04X} 00000000:0000 0A" in f.read()
        wait_for(listens, "s_server")
        code, out, err = agent.cli("sync", "now")
        p.kill()
    if want:
        case(code and want in err, name, err or out)
    return err or out


ok("tls:" not in mirror("", None), "s_server itself gets the handshake done when nothing is odd")
mirror("a mirror that speaks TLS 1.2", "protocol", "-tls1_2")
mirror("a mirror with CCM_8 only", "alert", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256")
mirror("a mirror without ALPN", "application verification failure", alpn=None)
mirror("a mirror with another ALPN", "alert", alpn="http/1.1")
mirror("a mirror of another name", "hostname mismatch", who=cert("other-name", usage="serverAuth", san="DNS:other.test"))
mirror("a mirror of another authority", "certificate verify failed",
       who=cert("foreign-server", ca=w.dir + "/other", usage="serverAuth", san="DNS:localhost"))
mirror("a device's certificate as a mirror's", "purpose", who=f"{b}/{uid}/device")
if FAKETIME and os.environ.get("HG_SAN", "0") == "0":
    mirror("a mirror whose certificate ended before the floor", "expired",
           who=cert("old-server", usage="serverAuth", san="DNS:localhost", when="@2015-01-01 00:00:00"))
else:
    shown.add("a mirror whose certificate ended before the floor")
    skip("a mirror whose certificate ended before the floor", "no libfaketime, or a build with sanitizers")
agent.stop()

with open(TOP + "/docs/tls.md") as f:
    listed = set(re.findall(r"^\| ([^|]+?) \| .*`tls\.t`", f.read(), re.M))
equal(listed - shown, set(), "docs/tls.md lists nothing that was not tried")
equal(shown - listed, set(), "and all that was")
done()
