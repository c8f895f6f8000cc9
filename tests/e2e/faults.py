# SPDX-License-Identifier: MIT
"""What the kinds of faults in faultplan.py do to the world, and who does it, step by step."""
import time

import faultworld

DIR = faultworld.DIR


def name_of(kind):
    """Of the method that does it."""
    return f"{kind.split()[0]}_{kind.split()[-1]}"


class Faults:
    """Takes the schedule's steps as their times come. A campaign gives the two that are done on its side:
    lost(n), a context in which device N's store is lost, and withdraw(), restore() of an application's right."""

    def __init__(self, world, campaign):
        self.world, self.campaign, self.done = world, campaign, []

    def step(self, step):
        kind, on, begin = step["kind"], step["on"], step["do"] == "begin"
        n = int(on[-1]) if on[-1].isdigit() else 0
        getattr(self, name_of(kind))(step, on, n, begin)
        self.done.append({**step, "at": round(time.monotonic() - self.began, 3)})

    def run(self, steps, enough):
        """Until ENOUGH(steps done) says so."""
        self.began = time.monotonic()
        for step in steps:
            while time.monotonic() < self.began + step["t"]:
                time.sleep(min(0.05, max(0, self.began + step["t"] - time.monotonic())))
                self.world.mend()
            if step["do"] == "begin" and enough(self.done):
                return
            self.step(step)

    def kill(self, on, begin):
        d = self.world.daemons[on]
        if begin:
            d.kill()
        else:
            d.start()

    def kill_agent(self, _, on, n, begin):
        self.kill(on, begin)

    kill_mirror = kill_postgres = kill_collector = kill_agent

    def bad_link(self, step, _, n, begin):
        words = ("loss", "delay", "jitter", "late", "double")
        self.world.links.say(n, " ".join(f"{word}={step[word]}" for word in words) if begin else "loss=0")

    def link_down(self, _, on, n, begin):
        self.world.links.switch(n, "down" if begin else "up")

    def hole_hole(self, step, _, n, begin):
        if begin:
            self.world.links.say(n, f"hole={step['frames']},{step['ms']}")

    def cut_cut(self, _, on, n, begin):
        """Whatever the device's connections send is answered by RST."""
        if begin:
            faultworld.run("nft", "add", "rule", "inet", "faults", f"cuts{n}", "iifname", f"c{n}", "meta", "l4proto",
                           "tcp", "reject", "with", "tcp", "reset")
        else:
            faultworld.run("nft", "flush", "chain", "inet", "faults", f"cuts{n}")

    def clock_agent(self, step, on, n, begin):
        self.world.clocks[on.split("-")[1]].jump(step["jump"] if begin else 0)

    clock_mirror = clock_postgres = clock_collector = clock_agent

    def disk_full(self, step, on, n, begin):
        directory = f"{DIR}/dev{n}/state" if n else f"{DIR}/pg"
        if begin:
            faultworld.fill_disk(directory, step["spare"])
        else:
            self.world.empty(directory)

    def store_lost(self, _, on, n, begin):
        """What the device had is gone; the agent begins as after a factory reset."""
        if not begin:
            self.world.daemons[on].start()
            return
        with self.campaign.lost(n):
            self.world.daemons[on].kill()
            self.world.lose_store(n)

    def other_mirror(self, _, on, n, begin):
        if begin:
            self.world.daemons[on].kill()
            self.world.change_mirror(n)
        else:
            self.world.daemons[on].start()

    def right_withdrawn(self, _, on, n, begin):
        self.campaign.withdraw() if begin else self.campaign.restore()
