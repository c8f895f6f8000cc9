#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each program says of itself what its manual page and its sample file say of it.

--list-options and --help come from the tables that the programs run on (lib/conf.h). They are held
against docs/man and package/*.conf in both directions: options, subcommands, configuration keys and
their defaults. Then the exit statuses that every program has in common.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("HG_BUILD") or os.path.join(TOP, "build")
# Program: its manual page, and the name of its configuration file.
PROGRAMS = {
    "heliographd": ("heliographd.8", "heliographd.conf"),
    "heliograph": ("heliograph.1", "heliographd.conf"),
    "heliograph-mirror": ("heliograph-mirror.8", "heliograph-mirror.conf"),
    "heliograph-collector": ("heliograph-collector.8", "heliograph-collector.conf"),
}
count = failed = 0


def ok(good, name, *why):
    global count, failed
    count += 1
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good:
        failed += 1
        for w in why:
            for line in str(w).splitlines():
                print(f"# {line}")
    sys.stdout.flush()


def same(got, want, name, got_is, want_is):
    ok(
        got == want,
        name,
        *(f"{x}: in {got_is}, not in {want_is}" for x in sorted(got - want)),
        *(f"{x}: in {want_is}, not in {got_is}" for x in sorted(want - got)),
    )


def run(program, *args):
    p = subprocess.run(
        [os.path.join(BUILD, program), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    return p.returncode, p.stdout, p.stderr


def read(*path):
    try:
        with open(os.path.join(TOP, *path), encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def man_items(text):
    """Options, subcommands and keys with defaults of one page; "section.key" -> default or ""."""
    options, commands, keys = set(), set(), {}
    section = last = None
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if line.startswith(".Sh "):
            section = last = None
        elif line.startswith(".Ss "):
            section, last = line[4:].strip(), None
        elif line.startswith(".It Fl "):
            for word in re.split(r" Ar ", line[7:])[0].split():
                if word not in (",", "Fl"):
                    options.add("-" + word)
        elif line.startswith(".It Ic "):
            commands.add(re.split(r" (?:Ar|Op|Cm|Fl|Oo|Brq) ", line[7:])[0].strip())
        elif line.startswith(".It Cm ") and section:
            last = f"{section}.{line.split()[2]}"
            keys[last] = ""
        elif line == "Default" and last:
            keys[last] = re.sub(r" [.;]$", "", lines[i + 1][4:])
    return options, commands, keys


def man_words(text):
    """The words that keys take, by "section.key"."""
    words, section = {}, None
    for line in text.splitlines():
        if line.startswith((".Sh ", ".Ss ")):
            section = line[4:].strip()
        elif m := re.match(r"\.It Cm (\w+) No = Cm (.*)", line):
            words[f"{section}.{m.group(1)}"] = m.group(2).split(" | ")
    return words


def sample_items(text):
    keys, section = {}, None
    for line in text.splitlines():
        if m := re.match(r"\[(\w+)\]$", line):
            section = m.group(1)
        elif m := re.match(r"#?(\w+) =(?: (.*))?$", line):
            keys[f"{section}.{m.group(1)}"] = (line[0] == "#", m.group(2) or "")
    return keys


def help_items(text):
    """Subcommands and "section.key" -> default or None (required)."""
    commands, keys, part = set(), {}, ""
    for line in text.splitlines():
        if re.match(r"\S.*:$", line):
            part = line
        elif part == "Commands:" and re.match(r"  [a-z]", line):
            commands.add(" ".join(re.match(r"  ((?:[a-z][a-z-]*(?: |$))+)", line + " ").group(1).split()))
        elif m := re.match(r"  \[(\w+)\] (\w+) ", line):
            d = re.search(r" \((?:default (.*)|required)\)$", line)
            keys[f"{m.group(1)}.{m.group(2)}"] = d.group(1) if d else ""
    return commands, keys


# The command line of the device needs a file for what it does without the agent only.
WORDS = {"heliograph": ["guard", "off"], "heliographd": []}


def refused(program, text):
    """What the program says of a configuration file that it does not take; the file's name."""
    with tempfile.TemporaryDirectory() as tmp:
        bad = os.path.join(tmp, "bad.conf")
        with open(bad, "w", encoding="utf-8") as f:
            f.write(text)
        rc, _, err = run(program, "-c", bad, *WORDS.get(program, ["migrate"]))
    return rc, err, bad


def check_words(program, conf):
    """Who writes a word that there is not is told which there are: those of the manual."""
    wrong = []
    for key, words in man_words(read("docs/man", conf + ".5")).items():
        section, name = key.split(".")
        rc, err, bad = refused(program, f"[{section}]\n{name} = no-such-word\n")
        listed = re.search(r"write (?:one of )?(.*)$", err.strip())
        told = re.split(r", | or ", listed.group(1)) if listed else []
        if rc != 3 or f"{bad}:2:" not in err or sorted(told) != sorted(words):
            wrong.append(f"{key}: {conf}.5 has {words}, the program says: {err}")
    ok(not wrong, f"{program}: words in the manual", *wrong)


def check(program, page, conf):
    rc, listed, err = run(program, "--list-options")
    ok(rc == 0 and listed and not err, f"{program} --list-options", err)
    options = {w for w in listed.split() if w.startswith("-")}
    keys = {w for w in listed.split() if not w.startswith("-")}
    rc, text, err = run(program, "--help")
    ok(rc == 0 and text and not err, f"{program} --help goes to standard output", err)
    commands, defaults = help_items(text)

    man_options, man_commands, _ = man_items(read("docs/man", page))
    same(options, man_options, f"{program}: options", "the program", page)
    same(commands, man_commands, f"{program}: subcommands", "the program", page)
    man_keys = man_items(read("docs/man", conf + ".5"))[2]
    sample = sample_items(read("package", conf))
    if keys:
        same(keys, set(man_keys), f"{program}: configuration keys in the manual", "the program", conf + ".5")
        same(keys, set(sample), f"{program}: configuration keys in the sample", "the program", f"package/{conf}")
        same(keys, set(defaults), f"{program}: --help names the same keys", "--list-options", "--help")
        wrong = [
            f"{k}: the program has '{d}', {conf}.5 '{man_keys[k]}'"
            for k, d in defaults.items()
            if k in man_keys and (d or "") != man_keys[k]
        ]
        ok(not wrong, f"{program}: defaults in the manual", *wrong)
        # A line without '#' is a setting that a person has to change; one with it is the default.
        wrong = [
            f"{k}: the program has '{d}', package/{conf} '{sample[k][1]}'"
            for k, d in defaults.items()
            if k in sample and sample[k][0] and d and d != sample[k][1]
        ]
        ok(not wrong, f"{program}: defaults in the sample", *wrong)

        check_words(program, conf)

    rc, text, _ = run(program, "--version")
    ok(rc == 0 and read("VERSION").strip() in text, f"{program} --version", text)
    rc, text, err = run(program, "--no-such-option")
    ok(rc == 2 and "--no-such-option" in err and not text, f"{program}: unknown option: status 2", rc, err)
    rc, _, err = run(program, "-c")
    ok(rc == 2 and err, f"{program}: -c without a file: status 2", rc, err)
    if program != "heliographd":
        rc, _, err = run(program, "no-such-command")
        ok(rc == 2 and "no-such-command" in err, f"{program}: unknown subcommand: status 2", rc, err)
    with tempfile.TemporaryDirectory() as tmp:
        missing = os.path.join(tmp, "missing.conf")
        rc, _, err = run(program, "-c", missing, *WORDS.get(program, ["migrate"]))
        ok(rc == 3 and missing in err, f"{program}: -c names a missing file: status 3", rc, err)
    section = sorted(keys)[0].split(".")[0] if keys else "agent"
    for text, line, what in (
        (f"[{section}]\nno_such_key = 1\n", 2, "no_such_key"),
        ("\n[no_such_section]\nx = 1\n", 3, "no_such_section"),
        (f"[{section}]\nthis is no setting\n", 2, ""),
    ):
        rc, err, bad = refused(program, text)
        ok(
            rc == 3 and f"{bad}:{line}:" in err and what in err,
            f"{program}: {what or 'a line without ='}: status 3, file and line named",
            rc,
            err,
        )
    if conf == "heliographd.conf":
        for key, value in (("trusted", "10.0.0.0/33"), ("dns", "dns.example"), ("ntp", "10.0.0.256")):
            rc, err, bad = refused(program, f"[guard]\n{key} = {value}\n")
            ok(
                rc == 3 and f"{bad}: [guard] {key}: '{value}'" in err,
                f"{program}: {key} = {value}, without an interface: status 3, the value named",
                rc,
                err,
            )


for p, (page, conf) in PROGRAMS.items():
    if not os.path.exists(os.path.join(BUILD, p)):
        ok(False, f"{p} is built", f"no {BUILD}/{p}")
        continue
    check(p, page, conf)
print(f"1..{count}")
sys.exit(1 if failed else 0)
