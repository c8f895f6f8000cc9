#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A device whose private key is in a TPM, which swtpm plays and tpm2-openssl speaks to: the key is a file that only this
TPM can use. It synchronises with it, and renews the certificate of the key that it keeps.
"""
import glob, os, shutil, socket, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import BUILD, Agent, done, equal, ok, skip, wait_for
from world import World, free_port

modules = subprocess.run(["openssl", "version", "-m"], capture_output=True, text=True).stdout.split('"')[1]
missing = [what for what, there in (("swtpm", shutil.which("swtpm")), ("tpm2-openssl", os.path.exists(modules + "/tpm2.so"))) if not there]
if missing or os.environ.get("HG_SAN", "0") != "0":
    skip("a key in a TPM", "no " + " and no ".join(missing) if missing else "leaks of the provider are not ours")
    done()

w = World("sync.psk_key = @/ca/psk.key")
while True:  # the library looks for the control port behind the other
    tpm = free_port()
    try:
        with socket.create_server(("127.0.0.1", tpm + 1)):
            break
    except OSError:
        pass
os.mkdir(w.dir + "/tpm")
swtpm = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + w.dir + "/tpm",
                          "--ctrl", f"type=tcp,port={tpm + 1}", "--server", f"type=tcp,port={tpm}",
                          "--flags", "not-need-init,startup-clear"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
env = {"TPM2OPENSSL_TCTI": f"swtpm:host=127.0.0.1,port={tpm}"}
wait_for(lambda: open(f"/proc/{swtpm.pid}/net/tcp").read().find(f":{tpm:04X} ") > 0, "the TPM")


def openssl(*args, when=None):
    r = subprocess.run(["openssl", *args], capture_output=True, text=True, env=dict(os.environ, **env))
    if r.returncode:
        raise RuntimeError(f"openssl {args}: {r.stderr}")
    return r.stdout


# The mirror's keys are of a kind that no TPM knows: one without resource manager has room for three objects at a time, of
# which the device's key takes two, so nothing else may be verified in it.
openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=CA of the mirror", "-days", "30", "-keyout", w.dir + "/ed.key",
        "-out", w.dir + "/ed.crt", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
openssl("req", "-newkey", "ed25519", "-nodes", "-keyout", w.dir + "/ca/mirror.key", "-subj", "/CN=localhost", "-out", w.dir + "/csr")
with open(w.dir + "/ext", "w") as f:
    f.write("keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
openssl("x509", "-req", "-in", w.dir + "/csr", "-CA", w.dir + "/ed.crt", "-CAkey", w.dir + "/ed.key", "-days", "30",
        "-extfile", w.dir + "/ext", "-out", w.dir + "/ca/mirror.crt")
with open(w.dir + "/ca/ca.crt", "a") as f, open(w.dir + "/ed.crt") as g:
    f.write(g.read())
w.serve()
TPM = ("-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2")
uid = w.device("dev-tpm")
d = f"{w.dir}/bundles/{uid}"
openssl("genpkey", *TPM, "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", d + "/key.tss")
os.chmod(d + "/key.tss", 0o600)
openssl("req", *TPM, "-new", "-key", d + "/key.tss", "-subj", "/CN=" + uid, "-out", d + "/csr")
with open(d + "/ext", "w") as f:
    f.write(f"keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectAltName=URI:urn:heliograph:device:{uid}\n")
openssl("x509", "-req", "-in", d + "/csr", "-CA", w.dir + "/ca/ca.crt", "-CAkey", w.dir + "/ca/ca.key", "-days", "30",
        "-extfile", d + "/ext", "-out", d + "/device.crt")


def agent(*lines):
    return Agent(f"""
        mirror.host = localhost
        mirror.port = {w.sync_port}
        mirror.ca = {w.dir}/ed.crt
        mirror.cert = {d}/device.crt
        mirror.properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes
        mirror.interval = 1h
        mirror.interval_max = 2h
    """ + "\n".join(lines))


def refuses(a):
    """Starts an agent that must not start: what it says."""
    r = subprocess.run([BUILD + "/heliographd", "-c", a.conf], capture_output=True, text=True, timeout=20, env=dict(os.environ, **env))
    return r.returncode, r.stderr


with open(d + "/key.tss") as f:
    ok("TSS2 PRIVATE KEY" in f.read(), "the key is one that only the TPM can use")
code, err = refuses(agent(f"mirror.key = {d}/key.tss"))
ok(code and "not a PEM private key" in err, "as a file it is none: " + err.strip()[-120:])
code, err = refuses(agent(f"mirror.key = file:{d}/key.tss"))
ok(code and "is its OpenSSL provider loaded" in err, "nor without its provider: " + err.strip()[-160:])
code, err = refuses(agent(f"mirror.key = file:{d}/key.tss", "mirror.provider = nosuch"))
ok(code and "OpenSSL provider 'nosuch' cannot be loaded" in err, "a provider that is not there: " + err.strip()[-160:])
os.chmod(d + "/key.tss", 0o644)
code, err = refuses(agent(f"mirror.key = file:{d}/key.tss", "mirror.provider = tpm2"))
ok(code and "open to others (mode 0644)" in err, "one that others may read: " + err.strip()[-120:])
os.chmod(d + "/key.tss", 0o600)

a = agent(f"mirror.key = file:{d}/key.tss", "mirror.provider = tpm2").start(env)
def status():
    s = a.call("status")["result"]["sync"]
    return s if s["sessions_good"] + s["sessions_failed"] else None
text = wait_for(status, "the first session")["last_text"]
ok("rounds" in text, "with it the first session is good", text)
code, out, err = a.cli("sync", "now")
ok("by key" in out, "and the next is by a pre-shared key", out + err)
a.stop()

# The same key in a certificate that is old: 30 days of which 25 are gone.
FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [None])[0]
if FAKETIME:
    env["LD_PRELOAD"], env["FAKETIME"] = FAKETIME, "-25d"
    openssl("x509", "-req", "-in", d + "/csr", "-CA", w.dir + "/ca/ca.crt", "-CAkey", w.dir + "/ca/ca.key", "-days", "30",
            "-extfile", d + "/ext", "-out", d + "/device.crt")
    del env["LD_PRELOAD"], env["FAKETIME"]
    a.start(env)
    wait_for(status, "the first session")
    a.cli("sync", "now")
    wait_for(lambda: "a new certificate is in use" in a.log(), "the new certificate")
    with open(a.dir + "/state/device.pem") as f:
        text = f.read()
    ok("CERTIFICATE" in text and "PRIVATE" not in text, "its renewal brings a certificate for the key that stays in the TPM")
    code, out, err = a.cli("sync", "now")
    ok(code == 0 and "by key" not in out, "which the mirror takes", out + err)
    a.stop()
    a.start(env)
    ok("rounds" in wait_for(status, "the first session")["last_text"], "after a restart too")
    a.stop()
else:
    skip("renewal of its certificate", "no libfaketime")
swtpm.kill()
w.stop()
done()
