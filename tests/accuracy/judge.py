# SPDX-License-Identifier: MIT
"""What counts as seen, as false, as rightly named; and the statistics of it.

A detector's answer is a list of what it tells, in order: (time, name, episode). `name` is the class
of attack; an episode may be told more than once and change its class. Of a trivial detector, name
is what it saw, and each alarm is an episode.
"""
import collections
import math
import statistics

DRIFT = "drift"

# By the name of the attack and what the raw captures show, written down before any result was seen:
# lisa-synscan  stateless SYN to 4,682 hosts, ports 80 and 8080
# synflood      37,841 SYN to one port of one host
# nmap-tcpsyn   1,000 ports of each of three hosts: many ports of few hosts
# hydra-ssh     seven SSH connections to one host, all answered
# ctu42-ircbot  a bot that keeps asking one host for commands
# The native attack asks the name server for example.com each second: no class of ours means that,
# so it has to be an attack, of whatever class.
EXPECTED = {
    "lisa-synscan": "horizontal scan",
    "synflood": "SYN flood",
    "nmap-tcpsyn": "vertical scan",
    "hydra-ssh": "brute force",
    "ctu42-ircbot": "bot control",
}
# Median delay that is good enough, by what is expected; and until when it must have its name.
DELAY = {"bot control": 120.0}
DELAY_OTHERS = 2.0

Seen = collections.namedtuple("Seen", "time delay name named others packets targets early early_drift drift")


def first_told(told):
    """Each episode as it was told first: of one that becomes hostile later, the first hostile word."""
    seen = {}
    for time, name, episode in told:
        if episode not in seen or (seen[episode][1] == DRIFT != name):
            seen[episode] = (time, name, episode)
    return sorted(seen.values())


def judge(told, found, expected):
    """Holds what was told against packets of which some are labelled: a Seen; its time is None if unseen.

    What is no attack (drift) counts neither as seeing one nor as a false alarm, but is counted.
    `name` is the class of the first hostile episode, as it was told last within the delay that is
    allowed from then on; `others` are classes of other episodes until then; `drift` is the delay
    after which drift was told, or None.
    """
    attack = [p for p in found if p.label]
    first = attack[0].time
    episodes = first_told(told)
    hostile = [e for e in episodes if e[1] != DRIFT]
    early = sum(e[0] < first for e in hostile)
    early_drift = sum(e[0] < first for e in episodes if e[1] == DRIFT)
    drift = next((t - first for t, name, _ in sorted(told) if name == DRIFT and t >= first), None)
    after = [e for e in hostile if e[0] >= first]
    if not after:
        return Seen(None, math.inf, "", False, [], None, None, early, early_drift, drift)
    time, _, episode = after[0]
    limit = time + DELAY.get(expected, DELAY_OTHERS)
    name = [name for t, name, e in told if e == episode and t <= limit][-1]
    others = sorted({n for t, n, e in told if e != episode and first <= t <= limit} - {name})
    sent = [p for p in attack if p.out and p.time <= time]
    return Seen(time, time - first, name, expected in (None, name), others, len(sent),
                len({p.remote for p in sent}), early, early_drift, drift)


def poisson_upper(events, confidence=0.95):
    """One-sided exact upper bound of a Poisson mean of which `events` were seen (none: 3.0)."""
    low, high = 0.0, 10.0 + 4 * events
    for _ in range(100):
        mean = (low + high) / 2
        below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(events + 1))
        low, high = (mean, high) if below > 1 - confidence else (low, mean)
    return high


def median(values):
    """Of delays; what was not seen took for ever."""
    return statistics.median(values) if values else math.inf
