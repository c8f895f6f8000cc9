# SPDX-License-Identifier: MIT
"""What follows a long campaign, when both sides are at rest: two agents with one identity, and a mirror whose
database is put back from a backup. Each says what it saw; the history goes on and is judged at the end."""
import os
import re
import shutil
import time

import faultplan
import faultworld
from faultworld import DIR, run, sql, wait_for


def state_of(uid):
    return sql("mirror", f"SELECT state FROM heliograph.device WHERE device_id = '{uid}'")


def commands_of(uid):
    """How many wait, and how often one was put into an answer."""
    return [int(n) for n in sql("mirror", "SELECT count(*) FILTER (WHERE state = 'queued'), sum(leases)"
                                          f" FROM heliograph.command WHERE device_id = '{uid}'").split("|")]


def copy_of(world, n):
    """An agent on a copy of device N's store and keys, beside it in its namespace."""
    shutil.copytree(f"{DIR}/dev{n}", f"{DIR}/copy{n}", ignore=lambda _, names: [x for x in names if x.endswith("sock")])
    with open(f"{DIR}/copy{n}/heliographd.conf", "r+", encoding="ascii") as f:
        text = re.sub(rf"(/)dev{n}/", rf"\1copy{n}/", f.read())
        f.seek(0)
        f.write(text)
    conf = f"{DIR}/copy{n}/heliographd.conf"
    return faultworld.Daemon(f"copy{n}", (f"{faultworld.BUILD}/heliographd", "-c", conf), world.clocks.get(f"agent{n}"),
                             namespace=f"d{n}"), conf


def clones(campaign):
    """Both are killed again and again, on a bad link, until the mirror has heard enough of both."""
    world, device = campaign.world, campaign.devices[0]
    agent, rng = world.daemons["agent1"], campaign.rng
    agent.stop()
    copy, conf = copy_of(world, 1)
    world.links.say(1, "loss=10 delay=5 jitter=10")
    both, seen = (agent, copy), {"kills": 0}

    def speak():
        if state_of(device.uid) == "quarantined":
            return True
        d = rng.choice(both)
        if d.alive():
            d.kill()
            seen["kills"] += 1
        d.start()
        time.sleep(rng.uniform(0.1, 0.5))
        return False

    for d in both:
        d.start()
    seen["quarantined"] = wait_for(60, speak)
    world.links.say(1, "loss=0")
    for d in both:
        if not d.alive():
            d.start()
    heliograph = {"agent": device.heliograph,
                  "copy": lambda *argv: run(f"{faultworld.BUILD}/heliograph", "-c", conf, *argv)}

    def refused(ask):
        """Not always at once: when both have a session at a time, the mirror ends the older without a word."""
        return wait_for(20, lambda: "quarantined" in ask("sync", "now").stderr)

    for who, ask in heliograph.items():
        seen[f"{who} refused"] = refused(ask)
    _, given = commands_of(device.uid)
    campaign.work(1, [device])  # nothing of this may reach either before the release
    seen["commands waiting"], _ = commands_of(device.uid)
    seen["nothing given"] = all([refused(ask) for ask in heliograph.values()]) \
        and seen["commands waiting"] > 0 and commands_of(device.uid)[1] == given
    copy.kill()
    seen["released"] = wait_for(20, lambda: world.mirror("device", "release", device.uid).returncode == 0)
    campaign.work(2, [device])
    seen["settled"] = campaign.settle()
    return seen


def restored(campaign):
    """Killed mirrors, and a database as it was some seconds ago: what was acknowledged since by the mirror is
    forgotten, and may be; what devices acknowledged is not, and nothing runs twice."""
    world = campaign.world
    mirrors = [world.daemons[f"mirror{n}"] for n in range(1, faultplan.MIRRORS + 1)]
    backup, conf = f"{DIR}/backup", f"{DIR}/mirror1.conf"
    seen = {"dumped": run("pg_dump", "-Fc", "-f", backup, "mirror", timeout=60).returncode == 0}
    marks = [(len(d.writes), len(d.commands)) for d in campaign.devices]
    campaign.work(3, campaign.devices, sets=False, at_end=lambda: [m.kill() for m in mirrors])
    for d, (writes, commands) in zip(campaign.devices, marks):
        forgotten = [w for w in d.writes[writes:] if w["side"] == "mirror"] + d.commands[commands:]
        for entry in forgotten:
            entry["forgotten"] = True
        seen["forgotten"] = seen.get("forgotten", 0) + sum(e["ack"] is True for e in forgotten)
    for argv in (("dropdb", "--force", "mirror"), ("createdb", "mirror"), ("pg_restore", "-d", "mirror", backup),
                 (f"{faultworld.BUILD}/heliograph-mirror", "-c", conf, "restored")):
        r = run(*argv, timeout=60)
        seen[os.path.basename(argv[0])] = r.stderr.strip() or r.returncode == 0
    for m in mirrors:
        m.start()
        world.up(m.name, campaign.ready)
    campaign.work(3, campaign.devices)
    seen["settled"] = campaign.settle()
    return seen
