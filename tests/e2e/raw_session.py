#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One request as a device would send it, with any certificate and any UID in it.

    raw_session.py ADDRESS CA CERT KEY UID       prints "status N DETAIL", "tls REASON" or "closed"
"""
import os
import socket
import ssl
import struct
import sys


def request(uid):
    """docs/sync-protocol.md: version, uid, epoch, session."""
    name = uid.encode()
    assert len(name) < 24
    body = b"\xa4\x00\x01\x01" + bytes([0x60 + len(name)]) + name + b"\x02\x50" + os.urandom(16) + b"\x03\x01"
    return struct.pack(">I", len(body)) + body


def item(data, at):
    """Decodes what a refusal holds: integers and strings."""
    major, value = data[at] >> 5, data[at] & 31
    at += 1
    if value >= 24:
        size = 1 << (value - 24)
        value, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major in (2, 3):
        return data[at:at + value], at + value
    return value, at


def main():
    address, ca, cert, key, uid = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    context.set_alpn_protocols(["heliograph-sync/1"])
    context.load_cert_chain(cert, key)
    try:
        with socket.create_connection((address, 4646), timeout=10) as plain:
            with context.wrap_socket(plain) as s:
                s.sendall(request(uid))
                answer = s.recv(65536)
    except (ssl.SSLError, ConnectionResetError) as e:
        print("tls", getattr(e, "reason", e))
        return
    if len(answer) < 5:
        print("closed")
        return
    pairs, at, found = answer[4] & 31, 5, {}
    for _ in range(pairs):
        name, at = item(answer, at)
        found[name], at = item(answer, at)
    print("status", found.get(1, 0), found.get(2, b"").decode())


main()
