# SPDX-License-Identifier: MIT
"""An agent of one's own: configuration, state and socket in a temporary directory, and a client."""
import atexit, json, os, shutil, signal, socket, subprocess, sys, tempfile

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, TOP + "/tests/mirror")
from pgworld import BUILD, done, equal, ok, skip, wait_for  # noqa: E402, F401


class Client:
    """One connection to an agent's socket."""

    def __init__(self, path, timeout=20):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.s.connect(path)
        self.buf = b""

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def recv(self):
        """The next line, or None at the end."""
        while b"\n" not in self.buf:
            try:
                part = self.s.recv(65536)
            except ConnectionError:
                return None
            if not part:
                return None
            self.buf += part
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)

    def call(self, op, **members):
        self.send(dict(members, op=op, id=1))
        return self.recv()

    def close(self):
        self.s.close()


class Agent:
    def __init__(self, conf=""):
        """conf: lines "section.key = value"."""
        self.dir = tempfile.mkdtemp(prefix="hg-agent-")
        atexit.register(shutil.rmtree, self.dir, True)
        atexit.register(self.stop, signal.SIGKILL)
        self.commands = self.dir + "/commands.d"
        os.mkdir(self.commands, 0o755)
        self.socket, self.conf, self.log_path = self.dir + "/sock", self.dir + "/conf", self.dir + "/log"
        sections = {"agent": [f"socket = {self.socket}", "log_level = debug"],
                    "device": [f"state_dir = {self.dir}/state", f"commands_dir = {self.commands}"]}
        for line in conf.splitlines():
            if line.strip():
                section, rest = line.strip().split(".", 1)
                sections.setdefault(section, []).append(rest)
        with open(self.conf, "w") as f:
            for name, lines in sections.items():
                f.write(f"[{name}]\n" + "".join(line + "\n" for line in lines))
        self.proc = None

    def start(self, env=None, wrap=lambda args: args):
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(wrap([BUILD + "/heliographd", "-c", self.conf]), stdout=log, stderr=log,
                                         env=dict(os.environ, **(env or {})))
        wait_for(self.answers, "the agent's socket", 30)
        return self

    def answers(self):
        if self.proc.poll() is not None:
            raise RuntimeError(f"the agent ended with {self.proc.returncode}: " + self.log())
        try:
            Client(self.socket).close()
            return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        """Returns the exit status, and shows what sanitizers said."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.wait(30)
        if self.proc and os.path.exists(self.log_path) and "Sanitizer" in self.log():
            print("# " + self.log().replace("\n", "\n# "), flush=True)
        return self.proc.returncode if self.proc else None

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def handler(self, name, text, mode=0o755):
        path = f"{self.commands}/{name}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def client(self):
        return Client(self.socket)

    def call(self, op, **members):
        c = self.client()
        try:
            return c.call(op, **members)
        finally:
            c.close()

    def get(self, name):
        """The value, or None."""
        r = self.call("property.get", name=name)
        return r["result"]["value"] if r["ok"] else None

    def cli(self, *args):
        r = subprocess.run([BUILD + "/heliograph", "-c", self.conf, *args], capture_output=True, text=True,
                           timeout=60)
        return r.returncode, r.stdout, r.stderr
