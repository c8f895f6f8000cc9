#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: attacks of seconds, and for their ends, ten seconds later
"""Attacks of a live device, and what the agent says of them (attacks.py has the drawing)."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attacks import PROFILE, WEB, Agent, attack, scan, syn_flood, udp_flood
from world import NET4, Tap, World

SSH = 22
DOWNLOAD = 64 << 20


def guess(w):
    """A dictionary against one SSH server: banner, a guess, refused; fifteen a second."""
    for _ in range(90):
        with w.at("dev"), socket.socket() as s:
            s.settimeout(5)
            s.connect((NET4, SSH))
            s.recv(100)
            s.send(b"SSH-2.0-guess\r\n" + b"x" * 200)
            s.recv(100)
        time.sleep(0.06)


def download(w):
    """As much as goes, for some seconds."""
    got = 0
    with w.at("dev"), socket.socket() as s:
        s.settimeout(10)
        s.connect((NET4, WEB))
        while got < DOWNLOAD:
            piece = s.recv(1 << 20)
            if not piece:
                break
            got += len(piece)
    return got


def serve(w):
    """Net side: something like SSH, and a large file."""
    def each(listener, talk):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with c:
                try:
                    talk(c)
                except OSError:
                    pass

    def ssh(c):
        c.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        c.recv(1000)
        c.send(b"denied\r\n")
        c.recv(1000)

    for port, talk in ((SSH, ssh), (WEB, lambda c: c.sendall(bytes(DOWNLOAD)))):
        with w.at("net"):
            listener = socket.create_server((NET4, port))
        threading.Thread(target=each, args=(listener, talk), daemon=True).start()


def main():
    tap = Tap()
    w = World()
    serve(w)
    guard = w.guard("native", profile=PROFILE)
    agent = Agent(w, guard)
    if not tap.ok(agent.start(), "the agent watches"):
        tap.diag(agent.text())
        tap.done()
    since = len(agent.text())
    got = download(w)
    tap.ok(got == DOWNLOAD and not agent.alarms(since), "a large download in its channel raises nothing", agent.alarms(since))
    attack(tap, w, agent, "160 SYN/s to anybody", lambda w: scan(w, 160, 3), ("scan", "horizontal-scan"), 4)
    attack(tap, w, agent, "UDP flood", udp_flood, ("flood", "udp-flood"), 4)
    attack(tap, w, agent, "SYN flood", syn_flood, ("flood", "syn-flood"), 4)
    attack(tap, w, agent, "guesses at SSH", guess, ("scan", "brute-force"), 6)
    agent.stop()
    guard.off()
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
