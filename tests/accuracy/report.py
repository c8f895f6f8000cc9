# SPDX-License-Identifier: MIT
"""Rows of measure.py as tables of Markdown, and which goals they meet."""
import math
import re

import judge

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NAMES = {"heliograph": "Heliograph", "ports": "port list", "counts": "and counts",
         "eager": "and counts, at each packet"}


def table(head, rows):
    """Columns after the first are right-aligned if they hold numbers."""
    wide = [max(len(str(r[i])) for r in [head] + rows) for i in range(len(head))]
    right = [all(re.match(r"[-–\d.,<∞% /()s]*$", str(r[i])) for r in rows) for i in range(len(head))]
    line = lambda cells: "| " + " | ".join(
        str(c).rjust(w) if r else str(c).ljust(w) for c, w, r in zip(cells, wide, right)) + " |"
    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(wide, right)) + "|"
    return "\n".join([line(head), rule] + [line(r) for r in rows])


def small(x):
    """A number with two significant digits."""
    if x == 0 or math.isinf(x):
        return "0" if not x else "∞"
    return f"{x:.{max(0, 1 - math.floor(math.log10(abs(x))))}f}"


def rate(events, span):
    """Events per unit, and what they are at most with 95 %."""
    return f"{small(events / span)} (< {small(judge.poisson_upper(events) / span)})"


def delay(seen):
    return "–" if seen.time is None else f"{seen.delay:.1f}"


def benign_table(rows):
    def row(name, b):
        return [name, f"{b['hours']:.1f}", b["minutes"], b["hostile"]["heliograph"],
                rate(b["hostile"]["heliograph"], b["hours"] / 24),
                rate(b["hostile"]["heliograph"], b["minutes"]), b["drift"],
                b["hostile"]["ports"], b["hostile"]["counts"]]

    total = {"hours": sum(b.hours for b in rows), "minutes": sum(b.minutes for b in rows),
             "drift": sum(b.drift for b in rows),
             "hostile": {w: sum(b.hostile[w] for b in rows) for w in NAMES}}
    return table(
        ["model", "hours", "active minutes", "hostile", "a day (95 %)", "an active minute (95 %)", "drift",
         "port list", "and counts"],
        [row(b.model, b._asdict()) for b in rows] + [row("**all**", total)])


def scenario_table(rows):
    lines = []
    for s in rows:
        ours = s.seen["heliograph"]
        name = re.sub(r"^.*/|\.pcap$", "", s.file)
        lines.append([
            name, s.expected or "any", ", ".join([ours.name or "–"] + [f"({n})" for n in ours.others]),
            "yes" if ours.named else "**no**", delay(ours),
            "–" if ours.time is None else f"{ours.packets:,} / {ours.targets:,}",
            "–" if ours.drift is None else f"{ours.drift:.1f}", f"{ours.early} / {ours.early_drift}",
            *(delay(s.seen[w]) for w in ("ports", "counts", "eager"))])
    return table(["scenario", "expected", "named", "right", "delay, s", "packets / targets before", "drift, s",
                  "early: hostile / drift", *(NAMES[w] for w in ("ports", "counts", "eager"))], lines)


def seconds(x):
    return "not seen" if math.isinf(x) else f"{x:.1f} s"


def medians_table(rows):
    """Medians over groups of scenarios; what was not seen took for ever."""
    groups = [("10 plain", [s for s in rows if s.kind == "transplant"]),
              ("6 hard", [s for s in rows if s.kind == "transplant-hard"]),
              ("scans, floods, guessing", [s for s in rows if scored(s) and s.expected != "bot control"]),
              ("bot control", [s for s in rows if scored(s) and s.expected == "bot control"])]
    lines = []
    for name, group in groups:
        for who, title in NAMES.items():
            seen = [s.seen[who] for s in group]
            hit = [x for x in seen if x.time is not None]
            lines.append([name if who == "heliograph" else "", title, f"{len(hit)} of {len(seen)}",
                          seconds(judge.median([x.delay for x in seen])),
                          small(judge.median([x.packets for x in hit])) if hit else "–",
                          small(judge.median([x.targets for x in hit])) if hit else "–"])
    return table(["scenarios", "detector", "seen", "median delay", "median packets", "median targets"], lines)


def scored(s):
    return s.kind in ("transplant", "transplant-hard")


def goals(benign, scenarios):
    """(what is wanted, what was measured, met)."""
    all_scored = [s for s in scenarios if scored(s)]
    hard = [s for s in all_scored if s.kind == "transplant-hard"]
    found = []

    def goal(want, got, met):
        found.append((want, got, met))

    for title, group in (("10 plain", [s for s in all_scored if s not in hard]), ("6 hard", hard),
                         ("native attack", [s for s in scenarios if s.kind == "native-attack"])):
        ours = [s.seen["heliograph"] for s in group]
        n = sum(x.time is not None for x in ours)
        goal(f"{title}: seen", f"{n} of {len(ours)}", n == len(ours) > 0)
        n = sum(x.named for x in ours)
        goal(f"{title}: rightly named", f"{n} of {len(ours)}", n == len(ours) > 0)
        n = sum(x.early for x in ours)
        goal(f"{title}: no hostile alarm before the attack", f"{n}", n == 0 and ours != [])
    n = sum(b.hostile["heliograph"] for b in benign)
    goal("benign test files: no hostile alarm", f"{n} in {len(benign)} models", n == 0 and benign != [])
    for title, expected, limit in (("scans and floods", {"horizontal scan", "vertical scan", "SYN flood"}, 2.0),
                                   ("bot control", {"bot control"}, 120.0)):
        m = judge.median([s.seen["heliograph"].delay for s in all_scored if s.expected in expected])
        goal(f"{title}: median delay at most {limit:.0f} s", seconds(m), m <= limit)
    ours = judge.median([s.seen["heliograph"].delay for s in hard])
    for who in ("ports", "counts"):
        theirs = judge.median([s.seen[who].delay for s in hard])
        goal(f"hard ones: median delay less than that of {NAMES[who] if who == 'ports' else 'port list and counts'}",
             f"{seconds(ours)}, {seconds(theirs)}", ours < theirs)
    return found


def markdown(benign, scenarios):
    wanted = goals(benign, scenarios)
    return "\n\n".join([
        table(["goal", "measured", ""], [[w, g, "met" if m else "**missed**"] for w, g, m in wanted]),
        benign_table(benign), medians_table(scenarios), scenario_table(scenarios)])


def put(text, path):
    """Replaces what stands between the markers of a document."""
    with open(path, encoding="utf-8") as f:
        document = f.read()
    begin, end = document.index(BEGIN) + len(BEGIN), document.index(END)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{document[:begin]}\n\n{text}\n\n{document[end:]}")
