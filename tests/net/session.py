# SPDX-License-Identifier: MIT
"""The device's session with a mirror, as far as packets are concerned: TCP that echoes."""
import os
import socket
import threading

import packet as pk

SERVER = 7001


def serve(world, ns="net", port=SERVER):
    """Echoes every connection in the namespace until the test ends."""
    def echo(c):
        with c:
            try:
                while data := c.recv(4096):
                    c.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(c,), daemon=True).start()

    with world.at(ns):
        server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=accept, daemon=True).start()
    return server


def connect(world, addr, ns="dev", port=SERVER, timeout=5):
    with world.at(ns):
        s = socket.socket(socket.AF_INET6 if pk.is6(addr) else socket.AF_INET)
    s.settimeout(timeout)
    try:
        s.connect((addr, port))
    except OSError:
        s.close()
        raise
    return s


def exchange(s):
    token = os.urandom(64)
    s.sendall(token)
    got = b""
    while len(got) < len(token):
        data = s.recv(4096)
        if not data:
            return False
        got += data
    return got == token


def once(world, addr, **where):
    """A whole short session; a number if it worked: the device's port."""
    with connect(world, addr, **where) as s:
        return s.getsockname()[1] if exchange(s) else 0
