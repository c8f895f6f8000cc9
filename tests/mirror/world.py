# SPDX-License-Identifier: MIT
"""A mirror of one's own: private PostgreSQL, authority, server, devices, tokens."""
import atexit, contextlib, http.client, json, os, random, re, shutil, signal, socket, ssl, subprocess, sys
from pgworld import BUILD, TOP, Postgres, temp_dir, wait_for

MODEL = {
    "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"hg": "urn:heliograph:td#"}],
    "@type": "tm:ThingModel", "title": "Thermostat", "hg:model": "thermo",
    "properties": {
        "setpoint": {"type": "number", "minimum": 5, "maximum": 30, "unit": "celsius"},
        "temperature": {"type": "number", "readOnly": True},
        "mode": {"type": "string", "enum": ["off", "heat", "cool"], "hg:owner": "device"},
        "label": {"type": "string", "maxLength": 20, "pattern": "^[a-z ]*$"},
        "blob": {"type": "string"},
        "schedule": {"type": "array", "maxItems": 4, "items": {
            "type": "object", "required": ["at"], "properties": {
                "at": {"type": "integer", "minimum": 0, "maximum": 1439}, "to": {"type": "number"}}}},
        "counter": {"type": "integer", "readOnly": True},
    },
    "actions": {
        "blink": {"input": {"type": "object", "required": ["times"], "properties": {
            "times": {"type": "integer", "minimum": 1, "maximum": 10}}}, "output": {"type": "string"},
            "hg:executeWithin": 60},
        "restart": {},
        "locate": {"idempotent": True, "hg:deliverWithin": 3600},
    },
}


def free_port():
    """Nobody listens there now; and below the ports that the kernel gives to whoever connects meanwhile."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(10000, 32768)))
            return s.getsockname()[1]


class World:
    def __init__(self, conf="", pg=None):
        """conf: lines "section.key = value"; an @ stands for the world's directory."""
        self.dir = temp_dir()
        self.pg = pg or Postgres()
        self.sync_port, self.http_port = free_port(), free_port()
        self.conf = self.dir + "/mirror.conf"
        sections = {"database": [f"conninfo = {self.pg.conninfo}", f"migrations = {TOP}/mirror/sql"],
                    "sync": [f"listen = 127.0.0.1:{self.sync_port}", f"cert = {self.dir}/ca/mirror.crt",
                             f"key = {self.dir}/ca/mirror.key", f"ca = {self.dir}/ca/ca.crt",
                             f"crl = {self.dir}/ca/ca.crl", "public_host = localhost"],
                    "http": [f"listen = 127.0.0.1:{self.http_port}"],
                    "ca": [f"directory = {self.dir}/ca"]}
        for line in conf.splitlines():
            section, rest = line.strip().replace("@", self.dir).split(".", 1)
            sections.setdefault(section, []).append(rest)
        with open(self.conf, "w") as f:
            for name, lines in sections.items():
                f.write(f"[{name}]\n" + "".join(line + "\n" for line in lines))
        os.mkdir(self.dir + "/bundles")
        self.proc = None
        atexit.register(self.stop)
        self.run("ca", "init", self.dir + "/ca", "--host", "localhost", "--host", "127.0.0.1")
        self.run("migrate")
        self.model(MODEL)

    def run(self, *args, check=True):
        r = subprocess.run([BUILD + "/heliograph-mirror", "-c", self.conf, *args], capture_output=True, text=True)
        if check and r.returncode:
            raise RuntimeError(f"{args}: {r.returncode}: {r.stderr}")
        return r if not check else r.stdout

    def model(self, model, check=True):
        path = self.dir + "/model.json"
        with open(path, "w") as f:
            json.dump(model, f)
        return self.run("model", "add", path, check=check)

    def device(self, uid, model="thermo"):
        self.run("device", "add", uid, "--model", model, "--out", f"{self.dir}/bundles/{uid}")
        return uid

    def token(self, name, *args):
        return self.run("token", "add", name, *args).strip()

    def serve(self):
        with open(self.dir + "/log", "ab") as log:
            self.proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", BUILD + "/heliograph-mirror", "-c", self.conf, "serve"],
                                         stdout=log, stderr=log)
        wait_for(self.healthy, "the mirror", 30)
        return self

    def healthy(self):
        if self.proc.poll() is not None:
            raise RuntimeError("the mirror ended: " + self.log())
        try:
            return self.http("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        """Returns the exit status, and prints what sanitizers said."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.wait(30)
        if self.proc and "Sanitizer" in self.log():
            print("# " + self.log().replace("\n", "\n# "), flush=True)
        return self.proc.returncode if self.proc else None

    def log(self):
        with open(self.dir + "/log", errors="replace") as f:
            return f.read()

    def http_context(self):
        ctx = ssl.create_default_context(cafile=self.dir + "/ca/ca.crt")
        ctx.set_alpn_protocols(["http/1.1"])
        return ctx

    def http(self, method, path, body=None, token=None, headers=None, raw=False):
        """One request on its own connection: (status, headers, body; JSON if it says so)."""
        c = http.client.HTTPSConnection("localhost", self.http_port, context=self.http_context(), timeout=20)
        h = dict(headers or {})
        if token:
            h["Authorization"] = "Bearer " + token
        if body is not None and not raw:
            body = json.dumps(body)
            h.setdefault("Content-Type", "application/json")
        c.request(method, path, body, h)
        r = c.getresponse()
        data = r.read()
        c.close()
        if "json" in (r.getheader("Content-Type") or "") and data:
            data = json.loads(data)
        return r.status, r, data
