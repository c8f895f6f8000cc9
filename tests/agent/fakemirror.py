# SPDX-License-Identifier: MIT
"""
A mirror that follows a script: it keeps commands and reports like a real one, or answers as
oddly as a test wants. Written apart from lib/ (CBOR of tests/mirror/syncclient.py).
"""
import os, socket, ssl, subprocess, tempfile, threading, time, atexit, shutil
from agent import TOP  # noqa: F401 (sets the path of syncclient)
from syncclient import NOTHING, decode, encode

RECEIVED, EXECUTING, DONE, FAILED, EXPIRED, _, UNKNOWN = range(2, 9)
UID = "dev-fake"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_pki(d):
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(*new, "-x509", "-days", "30", "-subj", "/CN=test CA", "-keyout", d + "/ca.key", "-out", d + "/ca.crt",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, san, usage in (("mirror", "DNS:localhost,IP:127.0.0.1", "serverAuth"),
                             ("device", "URI:urn:heliograph:device:" + UID, "clientAuth")):
        openssl(*new, "-subj", "/CN=" + name, "-keyout", f"{d}/{name}.key", "-out", f"{d}/{name}.csr")
        with open(f"{d}/{name}.ext", "w") as f:
            f.write(f"subjectAltName={san}\nextendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n")
        openssl("x509", "-req", "-in", f"{d}/{name}.csr", "-CA", d + "/ca.crt", "-CAkey", d + "/ca.key",
                "-days", "30", "-extfile", f"{d}/{name}.ext", "-out", f"{d}/{name}.crt")


class FakeMirror:
    NOTHING = NOTHING

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hg-fake-")
        atexit.register(shutil.rmtree, self.dir, True)
        make_pki(self.dir)
        self.epoch = os.urandom(16)
        self.commands = []  # as in a response
        self.changes = []   # as in a response
        self.reports = {}   # seq -> newest report
        self.held = {}      # name -> value, of the device
        self.device_cursor = 0
        self.requests = []
        self.resend = False
        self.script = None  # instead of all this: called with (fake, connection, request)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        self.ctx.load_cert_chain(self.dir + "/mirror.crt", self.dir + "/mirror.key")
        self.ctx.load_verify_locations(self.dir + "/ca.crt")
        self.ctx.verify_mode = ssl.CERT_REQUIRED
        self.ctx.set_alpn_protocols(["heliograph-sync/1"])

    def conf(self):
        return f"""
            mirror.host = 127.0.0.1
            mirror.port = {self.port}
            mirror.ca = {self.dir}/ca.crt
            mirror.cert = {self.dir}/device.crt
            mirror.key = {self.dir}/device.key
            mirror.interval = 1h
            mirror.interval_min = 50ms
            mirror.interval_soon = 10ms
            mirror.backoff_min = 50ms
            mirror.backoff_max = 100ms
            mirror.backoff_refused = 100ms
        """

    def start(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def read(c, n):
        out = b""
        while len(out) < n:
            part = c.recv(n - len(out))
            if not part:
                raise ConnectionError
            out += part
        return out

    def serve(self, s):
        try:
            s.settimeout(30)
            c = self.ctx.wrap_socket(s, server_side=True)
            while True:
                n = int.from_bytes(self.read(c, 4), "big")
                request = decode(self.read(c, n))[0]
                self.requests.append(request)
                if self.script:
                    self.script(self, c, request)
                else:
                    c.sendall(self.frame(self.answer(request)))
        except (OSError, ssl.SSLError):
            pass
        finally:
            s.close()

    @staticmethod
    def frame(m):
        body = m if isinstance(m, bytes) else encode({k: v for k, v in m.items() if v or k == 0})
        return len(body).to_bytes(4, "big") + body

    def answer(self, r, **over):
        """A correct response to a request, except for `over` (_N: key N)."""
        for c in r.get(10, []):
            self.held[c[2]] = c[3] if len(c) > 3 else NOTHING
            self.device_cursor = max(self.device_cursor, c[0])
        for p in r.get(11, []):
            self.reports[p[0]] = p
        due = [c for c in self.commands if self.resend or c[0] > r.get(8, 0)][-60:]
        m = {0: 1, 3: self.epoch, 5: self.device_cursor, 6: int(time.time() * 1000), 9: due,
             8: [c for c in self.changes if c[0] > r.get(7, 0)]}
        m.update({int(k[1:]): v for k, v in over.items()})
        return m

    def command(self, action, value=None, within=0, repeatable=False):
        seq = len(self.commands) + 1
        self.commands.append([seq, action, within, repeatable, value])
        return seq

    def state(self, seq):
        return self.reports.get(seq, [0, 0])[1]

    def ended(self, seq):
        """(state, exit status, output, detail) once it has ended, else None."""
        r = self.reports.get(seq)
        return (r[1], r[2], r[4] if len(r) > 4 else NOTHING, r[3]) if r and r[1] >= DONE else None
