#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Peers that begin handshakes and go on with none: they fill what may be under way, but not for long."""
import os, socket, ssl, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import done, equal, ok
from syncclient import OK, Device
from world import World

STALLED, SLOW_S = 12, 5  # 7 fill three quarters of the queue, and count for 5 s (mirror/sync.c)
w = World("database.queue = 8")
good = Device(w, w.device("good"))
w.serve()
equal(good.sync().status, OK, "a device comes in")


def hello():
    """The first flight of a device that will not be heard of again."""
    ctx = ssl.create_default_context(cafile=w.dir + "/ca/ca.crt")
    ctx.set_alpn_protocols(["heliograph-sync/1"])
    out = ssl.MemoryBIO()
    try:
        ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return out.read()


peers = []
for _ in range(STALLED):
    peers.append(socket.create_connection(("127.0.0.1", w.sync_port), timeout=20))
    peers[-1].sendall(hello())
began = time.monotonic()
answered = 0
for s in peers[:6]:
    answered += bool(s.recv(1))
equal(answered, 6, "their handshakes are begun")
equal(good.sync().status, OK, "a device comes in beside them")
took = time.monotonic() - began
ok(took < 3 * SLOW_S, "and not only when the mirror has given them up", took)
ok(took > SLOW_S / 2, "but those under way were a reason to wait", took)
for s in peers:
    s.close()
equal(good.sync().status, OK, "and afterwards")
done()
