# SPDX-License-Identifier: MIT
"""What score.t and score-again.t share: a profile, and what the kernel has in its state of score."""
import json
import sys

from world import run

PROFILE = {"model": "lamp", "firmware": "1", "channels": [
    {"name": "web", "proto": "tcp", "ports": [8080], "remote": "any",
     "envelope": {"1": {"packets": 20000, "bytes": 20000000, "flows": 5, "failed": 2}}}]}


def score(guard, channel=0):
    """The channel's state of score, as the kernel has it."""
    p = run("bpftool", "-j", "map", "lookup", "pinned", guard.pins + "/maps/hg_score", "key",
            *channel.to_bytes(4, sys.byteorder))
    return json.loads(p.stdout)["formatted"]["value"]
