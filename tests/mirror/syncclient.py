# SPDX-License-Identifier: MIT
"""A device as the specification says, written apart from lib/: CBOR, frames and TLS of Python."""
import os, socket, ssl, struct, time

OK, BAD_MESSAGE, VERSION, WRONG_UID, UNKNOWN_DEVICE, QUARANTINED, BUSY, UNAVAILABLE = range(8)
MORE, FULL = 1, 2
RECEIVED, EXECUTING, DONE, FAILED = 2, 3, 4, 5


class Nothing:
    """An absent value: the removal of a property."""


NOTHING = Nothing()


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for code, size, fmt in ((24, 8, ">B"), (25, 16, ">H"), (26, 32, ">I"), (27, 64, ">Q")):
        if n < 1 << size:
            return bytes([major << 5 | code]) + struct.pack(fmt, n)
    raise OverflowError


def encode(v):
    if v is None:
        return b"\xf6"
    if v is True or v is False:
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):  # the shortest form that reads back the same (RFC 8949 section 4.2.1)
        for code, fmt in ((0xf9, ">e"), (0xfa, ">f"), (0xfb, ">d")):
            try:
                b = struct.pack(fmt, v)
            except OverflowError:
                continue
            if struct.unpack(fmt, b)[0] == v:
                return bytes([code]) + b
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        b = v.encode()
        return head(3, len(b)) + b
    if isinstance(v, (list, tuple)):
        items = [x for x in v if x is not NOTHING]
        return head(4, len(items)) + b"".join(map(encode, items))
    if isinstance(v, dict):
        pairs = sorted((encode(k), encode(x)) for k, x in v.items())
        return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)
    raise TypeError(type(v))


def decode(b, i=0):
    """Returns (value, index after it)."""
    major, n = b[i] >> 5, b[i] & 31
    i += 1
    if major == 7:
        simple = {20: False, 21: True, 22: None}
        if n in simple:
            return simple[n], i
        fmt, size = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}[n]
        return struct.unpack(fmt, b[i:i + size])[0], i + size
    if n >= 24:
        size = 1 << (n - 24)
        n = int.from_bytes(b[i:i + size], "big")
        i += size
    if major == 0:
        return n, i
    if major == 1:
        return -1 - n, i
    if major == 2:
        return b[i:i + n], i + n
    if major == 3:
        return b[i:i + n].decode(), i + n
    out = []
    for _ in range(n * (2 if major == 5 else 1)):
        v, i = decode(b, i)
        out.append(v)
    return (dict(zip(out[::2], out[1::2])) if major == 5 else out), i


class Response:
    def __init__(self, m):
        self.status, self.detail = m.get(1, 0), m.get(2, "")
        self.mirror_epoch, self.flags, self.device_cursor = m.get(3, b""), m.get(4, 0), m.get(5, 0)
        self.time_ms, self.interval_ms = m.get(6, 0), m.get(7, 0)
        self.changes = [(c[0], c[2], c[3] if len(c) > 3 else NOTHING) for c in m.get(8, [])]
        self.commands = [dict(seq=c[0], action=c[1], within=c[2], repeatable=c[3],
                              input=c[4] if len(c) > 4 else NOTHING) for c in m.get(9, [])]
        self.psk, self.chain = m.get(10), m.get(11, b"")
        self.size = 0


class Closed(OSError):
    """The mirror ended the connection."""


class Device:
    """One device: its store (numbers, what it holds) and its sessions."""

    def __init__(self, world, uid, bundle=None):
        self.world, self.uid = world, uid
        self.bundle = bundle or os.path.join(world.dir, "bundles", uid)
        self.session_saved = None
        self.sock = None
        self.session = 0
        self.new_store()

    def new_store(self):
        self.epoch = os.urandom(16)
        self.session, self.round = 0, 0
        self.mirror_epoch, self.mirror_cursor, self.command_cursor = b"", 0, 0
        self.seq, self.acked = 0, 0
        self.own = {}      # name -> (seq, value)
        self.mirrored = {} # name -> value
        self.inbox = []    # commands as they came

    def context(self):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        ctx.load_verify_locations(self.world.dir + "/ca/ca.crt")
        if self.bundle != "none":
            ctx.load_cert_chain(self.bundle + "/device.crt", self.bundle + "/device.key")
        ctx.set_alpn_protocols(["heliograph-sync/1"])
        return ctx

    def connect(self, resume=False):
        self.close()
        if not resume or not hasattr(self, "ctx"):
            self.ctx, self.session_saved = self.context(), None
        raw = socket.create_connection(("127.0.0.1", self.world.sync_port), timeout=20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.ctx.wrap_socket(raw, server_hostname="localhost",
                                         session=self.session_saved if resume else None)
        self.session += 1
        self.round = 0
        return self

    def close(self, abrupt=False):
        if self.sock:
            if not abrupt:
                self.session_saved = self.sock.session
                try:
                    self.sock.unwrap()
                except OSError:
                    pass
            self.sock.close()
        self.sock = None

    def send_raw(self, data):
        self.sock.sendall(data)

    def read(self, n):
        out = b""
        while len(out) < n:
            try:
                part = self.sock.recv(n - len(out))
            except (ConnectionError, ssl.SSLError) as e:
                raise Closed(str(e))
            if not part:
                raise Closed("end")
            out += part
        return out

    def recv(self):
        n = int.from_bytes(self.read(4), "big")
        r = Response(decode(self.read(n))[0])
        r.size = n
        return r

    def message(self, reports=(), full=False, **over):
        changes = [[s, int(time.time() * 1000), n, v] for n, (s, v) in
                   sorted(self.own.items(), key=lambda x: x[1][0]) if s > self.acked][:256]
        m = {0: 1, 1: self.uid, 2: self.epoch, 3: self.session, 4: self.round, 5: 1 if full else 0,
             6: self.mirror_epoch, 7: self.mirror_cursor, 8: self.command_cursor, 9: int(time.time() * 1000),
             10: changes, 11: [list(r) for r in reports]}
        m.update({int(k[1:]): v for k, v in over.items()})
        return {k: v for k, v in m.items() if k == 1 or (v and k != 0) or k == 0}

    def frame(self, m):
        body = encode(m)
        return len(body).to_bytes(4, "big") + body

    def request(self, reports=(), full=False, **over):
        """Sends one request and returns its response, without taking it."""
        self.send_raw(self.frame(self.message(reports, full, **over)))
        self.round += 1
        return self.recv()

    def take(self, r):
        """Applies a response durably, as a device does before it says so."""
        if r.status != OK:
            return r
        if r.mirror_epoch != self.mirror_epoch:
            self.mirror_epoch, self.mirror_cursor = r.mirror_epoch, 0
        for seq, name, value in r.changes:
            self.mirrored[name] = value
            self.mirror_cursor = seq
        for c in r.commands:
            self.inbox.append(c)
            self.command_cursor = c["seq"]
        self.acked = 0 if r.flags & FULL else r.device_cursor
        return r

    def sync(self, reports=(), resume=False, **over):
        """A whole session. Returns the last response."""
        self.connect(resume)
        r = self.take(self.request(reports, **over))
        while r.status == OK and (r.flags & (MORE | FULL) or any(s > self.acked for s, _ in self.own.values())):
            r = self.take(self.request())
        self.close()
        return r

    def set(self, name, value):
        self.seq += 1
        self.own[name] = (self.seq, value)
