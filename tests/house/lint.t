#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# san: no, runs no program of ours
"""Each of the project's own rules catches what it is there for: one planted case per rule.

Then the checks of scripts/lint that need a compiler only, on a small tree with one planted case.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
C = "// SPDX-License-Identifier: MIT\n/* Head. */\n"
SH = "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"
GPL = "// SPDX-License-Identifier: GPL-2.0\n/* Head. */\n"
DUAL = "/* SPDX-License-Identifier: GPL-2.0 OR MIT */\n"
# Words are put together so that this file itself is clean.
CASES = [
    # rule, path, text with the fault, text without it
    ("spdx", "lib/a.c", "/* Head. */\nint hg_a;\n", C + "int hg_a;\n"),
    ("spdx", "ebpf/a.bpf.c", C, GPL),
    ("spdx", "core/a.h", "/* SPDX-License-Identifier: MIT */\n", DUAL),
    ("spdx", "scripts/a", "#!/bin/sh\nexit 0\n", SH),
    ("head", "lib/a.c", "// SPDX-License-Identifier: MIT\nint hg_a;\n", C),
    ("shell", "lib/a.c", C + 'int hg_a(void)\n{\n\treturn system ("ls");\n}\n', C + '/* system("ls") */\n'),
    ("shell", "lib/a.c", C + 'x = popen("ls", "r");\n', C + 'x = hg_system(1) + s->popen(2) + "popen(3)";\n'),
    ("typedef", "lib/a.c", C + "type" + "def struct { int x; } hg_a;\n", C + "typedef int (*hg_cb)(struct hg_a *);\n"),
    ("core", "core/a.h", DUAL + "#include <stdint.h>\n", DUAL + '#include "port.h"\n'),
    ("core", "core/a.h", DUAL + '#include "../lib/slice.h"\n', DUAL + '#include "../include/uapi/heliograph.h"\n'),
    ("core", "core/a.h", DUAL + "#ifdef __KERNEL__\n#endif\n", DUAL),
    ("core", "core/port.h", DUAL + "#include <linux/ip.h>\n", DUAL + "#include <linux/types.h>\n"),
    ("todo", "lib/a.c", C + "/* TO" + "DO: later */\n", C + "/* all done */\n"),
    ("sleep", "tests/a/a.t", SH + "sleep" + " 1\n", SH + "sleep 0.05\n"),
    ("sleep", "tests/a/a.t", SH + "time.sleep" + "(0.5)\n", SH + "sleep 600 &\n"),
    ("length", "lib/a.c", C + "int hg_a(void)\n{\n" + "\tx();\n" * 91 + "}\n", C + "int hg_a(void)\n{\n" + "\tx();\n" * 90 + "}\n"),
    ("length", "lib/a.c", C + "\n" * 698 + "int x;\n", C + "\n" * 697 + "int x;\n"),
    ("columns", "lib/a.c", C + "\t/* " + "x" * 90 + " */\n", C + "\t/* " + "x" * 86 + " */\n"),
    ("whitespace", "lib/a.c", C + "int a; \n", C + "int a;\n"),
    ("whitespace", "lib/a.c", C + "int a;", C + "int a;\n"),
    ("place", "docs/a.md", "see /wo" + "rk/x\n", "see network/x\n"),
    ("place", "docs/a.md", "http" + "s://packages.nowhere.io/x\n", "https://mirror.example.net/x\n"),
    ("executable", "tests/a/a.t", "# SPDX-License-Identifier: MIT\n", SH),
]
count = failed = 0


def ok(good, name, why=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good:
        print(re.sub(r"^", "# ", why, flags=re.M))


def rules(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755 if text.startswith("#!") else 0o644)
    p = subprocess.run([f"{TOP}/scripts/lint-rules"], input=path + "\n", capture_output=True, text=True)
    os.unlink(path)
    return p.returncode, p.stdout + p.stderr


def sh(command):
    p = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return p.returncode, p.stdout + p.stderr


with tempfile.TemporaryDirectory() as tmp:
    os.chdir(tmp)
    for rule, path, bad, good in CASES:
        rc, out = rules(path, bad)
        ok(rc == 1 and f"[{rule}]" in out, f"{rule}: found in {path}", out)
        rc, out = rules(path, good)
        ok(rc == 0 and not out, f"{rule}: a good {path} passes", out)
    rc, out = rules("lib/a.c", C + "/* lint: todo ok, a test of it */\n/* TO" + "DO */\n")
    ok(rc == 0, "an exception with its reason is taken", out)
    rc, out = rules("lib/a.c", C + "/* lint: todo ok */\n/* TO" + "DO */\n")
    ok(rc == 1, "an exception without a reason is not", out)

    shutil.copytree(f"{TOP}/scripts", "scripts", dirs_exist_ok=True)
    for f in (".clang-format", ".clang-tidy"):
        shutil.copy(f"{TOP}/{f}", f)
    os.makedirs("lib", exist_ok=True)
    with open("lib/a.h", "w", encoding="utf-8") as f:
        f.write("/* SPDX-License-Identifier: MIT */\nvoid hg_a(struct nowhere x);\n")
    with open("lib/a.c", "w", encoding="utf-8") as f:
        f.write(C + "int leak;\n")
    sh("git init -q . && mkdir -p build/lib && echo '[]' >build/compile_commands.json && gcc -c -o build/lib/a.o lib/a.c")
    for check, what in (("headers", "lib/a.h: does not compile alone"), ("symbols", "lib/a.c: leak: exported")):
        rc, out = sh(f"scripts/lint {check}")
        ok(rc == 1 and what in out and "1 failed" in out, f"scripts/lint {check} fails with its reason", out)
    rc, out = sh("scripts/lint no-such")
    ok(rc == 2 and "no check 'no-such'" in out, "scripts/lint knows its checks", out)
    # A machine without the tools: links to what the shell needs, and no more.
    os.makedirs("bin")
    for tool in "sh dirname nproc echo tr xargs mktemp date cat tee grep rm git head awk env".split():
        os.symlink(shutil.which(tool), f"bin/{tool}")
    rc, out = sh("PATH=$PWD/bin scripts/lint codespell mandoc rules")
    ok("codespell  SKIPPED: no codespell" in out and "3 skipped" in out and rc == 1,
       "absent tools are skipped by name, and nothing checked is no success", out)
    os.chdir("/")
print(f"1..{count}")
sys.exit(1 if failed else 0)
