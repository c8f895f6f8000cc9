#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A certificate that nears its end is renewed over a session: asked for, signed, recorded, written, and used
from the next session on. What a crash or a mirror may leave between two steps, and what a mirror does not sign.
"""
import glob, os, socket, subprocess, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, skip, wait_for
from syncclient import BAD_MESSAGE, OK, Device
from world import World

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [None])[0]
if not FAKETIME or os.environ.get("HG_SAN", "0") != "0":
    skip("renewal", "no libfaketime, or a build with sanitizers")
    done()

w = World("sync.psk_key = @/ca/psk.key\nca.device_days = 30").serve()


def openssl(*args, when=None, data=None):
    env = dict(os.environ, LD_PRELOAD=FAKETIME, FAKETIME=when) if when else None
    r = subprocess.run(["openssl", *args], capture_output=True, env=env, input=data)
    if r.returncode:
        raise RuntimeError(f"openssl {args}: {r.stderr.decode()}")
    return r.stdout


def old_cert(uid, ca=w.dir + "/ca/ca", begin="-60h", days=3, out=None):
    """A bundle whose certificate began long ago."""
    w.device(uid) if not out else None
    d = out or f"{w.dir}/bundles/{uid}"
    os.makedirs(d, exist_ok=True)
    if out:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", d + "/device.key")
    openssl("req", "-new", "-key", d + "/device.key", "-subj", "/CN=" + uid, "-out", d + "/csr")
    with open(d + "/ext", "w") as f:
        f.write(f"keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectAltName=URI:urn:heliograph:device:{uid}\n")
    openssl("x509", "-req", "-in", d + "/csr", "-CA", ca + ".crt", "-CAkey", ca + ".key", "-days", str(days), "-extfile", d + "/ext",
            "-out", d + "/device.crt", when=begin)
    return d


def agent(d, more=""):
    return Agent(more + f"""
        mirror.host = localhost
        mirror.port = {w.sync_port}
        mirror.ca = {w.dir}/ca/ca.crt
        mirror.cert = {d}/device.crt
        mirror.key = {d}/device.key
        mirror.interval = 1h
        mirror.interval_max = 2h
        mirror.backoff_min = 10s
    """)


def sync(a):
    code, out, err = a.cli("sync", "now")
    return out.strip() if code == 0 else f"{code}: {err.strip()}"


def start(a):
    a.start()
    def first():
        s = a.call("status")["result"]["sync"]
        return s["last_text"] if s["sessions_good"] + s["sessions_failed"] else None
    return wait_for(first, "the first session")


def serial(path):
    return openssl("x509", "-in", path, "-noout", "-serial").decode().strip().split("=")[1]


def sql(text):
    return w.pg.sql("SET search_path TO heliograph;" + text)


def read(path):
    with open(path, "rb") as f:
        return f.read()


# A young one is left alone.
young = agent(f"{w.dir}/bundles/" + w.device("dev-young"))
start(young)
sync(young)
ok("new certificate" not in w.log() and not os.path.exists(young.dir + "/state/renewal.key"), "a young certificate is not renewed")
young.stop()

# The whole way.
d = old_cert("dev-1")
before = read(d + "/device.crt"), read(d + "/device.key")
collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("127.0.0.1", 0))
collector.settimeout(30)
a = agent(d, f"""
        collector.host = 127.0.0.1
        collector.port = {collector.getsockname()[1]}
        collector.cert = {w.dir}/ca/ca.crt
    """)
text = start(a)
ok("rounds" in text, "a device in the last sixth of its certificate's life", text)
wait_for(lambda: "and is not renewed yet" in a.log(), "the warning")
ok(True, "warns of the end")
text = sync(a)
ok("by key" not in text and "rounds" in text, "its next session shows the certificate, in spite of its key", text)
wait_for(lambda: "a new certificate is in use" in a.log(), "the new certificate")
pem = a.dir + "/state/device.pem"
new = serial(pem)
ok(os.stat(pem).st_mode & 0o777 == 0o600, "the new one is in a file closed to others")
leaf = openssl("x509", "-in", pem, "-outform", "DER")
wait_for(lambda: leaf in collector.recv(2048), "its enrolment")
ok(True, "it is enrolled with the collector at once: alarms are signed with it")
ok(not os.path.exists(a.dir + "/state/renewal.key"), "and nothing is left of the way there")
ok(new in w.log(), "it is the one that the mirror logs")
r = w.run("device", "show", "dev-1")
ok(new in r and "certificate" in r, "and audits", r)
ok("by key" not in sync(a), "the next session shows it")
ok("by key" in sync(a), "and has a key for the one after")
equal((read(d + "/device.crt"), read(d + "/device.key")), before, "the old files are not touched")
end = openssl("x509", "-in", pem, "-noout", "-enddate").decode()
ok(openssl("x509", "-in", pem, "-noout", "-checkend", str(29 * 86400)).decode().startswith("Certificate will not"), "it lasts as configured: " + end.strip())
a.stop()
os.rename(d + "/device.crt", d + "/crt.away")
os.rename(d + "/device.key", d + "/key.away")
os.unlink(a.dir + "/state/psk")
text = start(a)
ok("rounds" in text and "by key" not in text, "after a restart it is used, whatever became of the old one", text)
a.stop()
os.rename(d + "/crt.away", d + "/device.crt")
os.rename(d + "/key.away", d + "/device.key")

# Crashes: what is in the files between two steps.
whole = read(pem)
with open(pem, "wb") as f:
    f.write(whole[:len(whole) // 2])
os.unlink(a.dir + "/state/psk")
text = start(a)
ok("rounds" in text, "with half a file the old certificate is used", text)
text = sync(a)
ok("rounds" in text, "it asks again", text)
wait_for(lambda: "less than a day ago" in a.log(), "the refusal")
ok(True, "and is told that there was one within the day")
key = read(a.dir + "/state/renewal.key")
ok(b"PRIVATE KEY" in key, "the key that it asked for is kept for the next try")
count = a.log().count("the mirror gave no new certificate")
sync(a)
equal(a.log().count("the mirror gave no new certificate"), count, "which is not before a day")
a.stop()
sql("UPDATE device_certificate SET renewed_at = renewed_at - interval '2 days' WHERE device_id = 'dev-1'")
start(a)
sync(a)
wait_for(lambda: a.log().count("a new certificate is in use") == 2, "the certificate")
ok(key in read(pem), "another try uses that key")
a.stop()

# A mirror that does not like the new one.
ca = w.dir + "/other"
openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=other", "-days", "10",
        "-keyout", ca + ".key", "-out", ca + ".crt")
odd = old_cert("dev-1", ca=ca, begin="-1h", days=9, out=w.dir + "/odd")
os.unlink(a.dir + "/state/psk") if os.path.exists(a.dir + "/state/psk") else None
with open(pem, "wb") as f:
    f.write(read(odd + "/device.key") + read(odd + "/device.crt"))
text = start(a)
ok("unknown ca" in text, "a new certificate that the mirror refuses", text)
text = sync(a)
ok("rounds" in text, "makes the device show the old one", text)
a.stop()
w.run("device", "revoke", "dev-1")
crl = openssl("crl", "-in", w.dir + "/ca/ca.crl", "-noout", "-text").decode()
ok(new in crl, "a revocation takes the renewed certificate along")

# What is not signed.
dev = Device(w, w.device("dev-2"))
def csr(*new, key=None, cn="dev-2"):
    if not key:
        key = w.dir + "/csr.key"
        openssl("genpkey", *new, "-out", key)
    return openssl("req", "-new", "-key", key, "-subj", "/CN=" + cn, "-outform", "DER")
good = csr("-algorithm", "EC", "-pkeyopt", "group:P-256", cn="dev-1")
def ask(data):
    dev.connect()
    r = dev.take(dev.request(_13=data))
    return r
for name, data, why in (("noise", b"noise", "not a PKCS#10"), ("a request with bytes behind it", good + b"\0", "not a PKCS#10"),
                        ("an altered request", good[:-3] + bytes([good[-3] ^ 1]) + good[-2:], "signature"),
                        ("a key on secp256k1", csr("-algorithm", "EC", "-pkeyopt", "group:secp256k1"), "no kind"),
                        ("a short RSA key", csr("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), "no kind")):
    r = ask(data)
    ok(r.status == OK and why in r.detail and not r.chain, f"{name} is not signed, and the session goes on: {r.detail}", r.detail)
dev.connect()
dev.send_raw(dev.frame(dev.message(_13=bytes(2049))))
equal(dev.recv().status, BAD_MESSAGE, "a request over 2048 bytes is no message")
r = ask(good)
ok(r.status == OK and r.chain, "a good one is", r.detail)
subject = openssl("x509", "-inform", "DER", "-noout", "-subject", "-ext", "subjectAltName,extendedKeyUsage", data=r.chain).decode()
ok("dev-2" in subject and "dev-1" not in subject and "TLS Web Client" in subject, "for the device that asks, whatever name it says: " + subject.replace("\n", " "))
r = dev.take(dev.request(_13=good))
ok(r.status == OK and not r.chain, "one in a session")
r = ask(good)
ok(not r.chain and "less than a day ago" in r.detail, "and one in a day: " + r.detail)
w.stop()
with open(w.conf) as f:
    text = f.read()
with open(w.conf, "w") as f:
    f.write(text.replace("[ca]\n", "[ca]\nrenew = no\n"))
w.serve()
r = ask(good)
ok(r.status == OK and "has no authority" in r.detail, "renew = no: " + r.detail)
equal(w.stop(), 0, "the mirror ends cleanly")
done()
