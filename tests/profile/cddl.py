# SPDX-License-Identifier: MIT
"""As much of CDDL (RFC 8610) as the specifications in docs use, written apart from the code that it checks.

Schema(text).check(rule, value) returns None or the first thing that is wrong, with its place. Values
are those of JSON, bytes, and Tag. A group is a list of (low, high, key, type); a type is a tuple
whose first element says which.
"""
import re

TOKEN = re.compile(r'\s+|;[^\n]*|("[^"]*"|#6\.\d+|\.[a-z]+(?![a-z])|-?\d+\.\.-?\d+|\d+\*\d+|-?\d+|[A-Za-z][\w-]*|=>|//|[=:?,/(){}\[\]*])')
BASIC = {"bool": bool, "tstr": str, "bstr": bytes, "int": int, "float": float, "null": type(None)}


class Tag:
    def __init__(self, number, item):
        self.number, self.item = number, item


class Schema:
    def __init__(self, text, decode):
        """decode: of the content of byte strings, for .cbor."""
        self.decode, self.at, self.tokens, self.rules = decode, 0, [], {}
        end = 0
        while end < len(text):
            m = TOKEN.match(text, end)
            if not m:
                raise SyntaxError("CDDL: " + text[end:end + 40])
            end = m.end()
            if m.group(1):
                self.tokens.append(m.group(1))
        while self.at < len(self.tokens):
            name = self.take()
            self.take("=")
            self.rules[name] = ("group", self.group(")")) if self.next("(") else self.type()

    def take(self, want=None):
        got = self.tokens[self.at] if self.at < len(self.tokens) else "the end"
        if want and got != want:
            raise SyntaxError(f"CDDL: {got} where {want} should be")
        self.at += 1
        return got

    def next(self, *what):
        """Takes the next token if it is one of these."""
        if self.at < len(self.tokens) and self.tokens[self.at] in what:
            return self.take()
        return None

    def type(self):
        choices = [self.control()]
        while self.next("/"):
            choices.append(self.control())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def control(self):
        t = self.single()
        op = self.next(".regexp", ".size", ".cbor")
        return (op, t, self.single()) if op else t

    def single(self):
        t = self.take()
        if t == "{":
            return ("map", self.group("}"))
        if t == "[":
            return ("array", self.group("]"))
        if t == "(":
            inner = self.type()
            self.take(")")
            return inner
        if t.startswith("#6."):
            self.take("(")
            inner = self.type()
            self.take(")")
            return ("tag", int(t[3:]), inner)
        if t[0] == '"':
            return ("is", t[1:-1])
        if ".." in t:
            low, high = t.split("..")
            return ("range", int(low), int(high))
        if re.fullmatch(r"-?\d+", t):
            return ("is", int(t))
        return ("name", t)

    def group(self, end):
        entries = []
        while not self.next(end):
            low, high, key = 1, 1, None
            if self.next("?"):
                low = 0
            elif self.next("*"):
                low, high = 0, None
            elif re.fullmatch(r"\d+\*\d+", self.tokens[self.at]):
                low, high = map(int, self.take().split("*"))
            t = self.type()
            if self.next(":"):
                key, t = (t[1], self.type())
            elif self.next("=>"):
                key, t = (t[1], self.type())
            entries.append((low, high, key, t))
            self.next(",")
        return entries

    def flat(self, entries):
        """Named groups in place of their names."""
        for e in entries:
            rule = self.rules.get(e[3][1]) if e[3][0] == "name" and e[2] is None else None
            if rule and rule[0] == "group":
                yield from self.flat(rule[1])
            else:
                yield e

    def check(self, t, v, at="$"):
        kind, *args = ("name", t) if isinstance(t, str) else t
        return getattr(self, "check_" + kind.strip("."))(at, v, *args)

    def check_name(self, at, v, name):
        if name == "any":
            return None
        if name == "uint":
            return None if type(v) is int and v >= 0 else f"{at}: {v!r} is no uint"
        if name in BASIC:
            return None if type(v) is BASIC[name] else f"{at}: {v!r} is no {name}"
        return self.check(self.rules[name], v, at)

    def check_is(self, at, v, want):
        return None if type(v) is type(want) and v == want else f"{at}: {v!r} is not {want!r}"

    def check_range(self, at, v, low, high):
        return None if type(v) is int and low <= v <= high else f"{at}: {v!r} is not in {low}..{high}"

    def check_choice(self, at, v, choices):
        wrong = [self.check(t, v, at) for t in choices]
        return None if None in wrong else max(wrong, key=lambda w: len(w.split(":")[0]))

    def check_regexp(self, at, v, t, pattern):
        return self.check(t, v, at) or (None if re.fullmatch(pattern[1], v) else f"{at}: {v!r} is not {pattern[1]}")

    def check_size(self, at, v, t, size):
        wrong = self.check(t, v, at)
        if wrong:
            return wrong
        if type(v) is int:
            return None if v < 256 ** size[1] else f"{at}: {v} has more than {size[1]} bytes"
        n = len(v.encode() if type(v) is str else v)
        low, high = size[1:] if size[0] == "range" else (size[1], size[1])
        return None if low <= n <= high else f"{at}: {n} bytes"

    def check_cbor(self, at, v, t, inner):
        return self.check(t, v, at) or self.check(inner, self.decode(v), at)

    def check_tag(self, at, v, number, inner):
        if not isinstance(v, Tag) or v.number != number:
            return f"{at}: no tag {number}"
        return self.check(inner, v.item, at)

    def check_array(self, at, v, entries):
        if type(v) is not list:
            return f"{at}: {v!r} is no array"
        i = 0
        for low, high, _, t in self.flat(entries):
            n = 0
            while (high is None or n < high) and i < len(v) and not self.check(t, v[i], f"{at}[{i}]"):
                n, i = n + 1, i + 1
            if n < low:
                return self.check(t, v[i], f"{at}[{i}]") if i < len(v) else f"{at}: too short"
        if i < len(v):
            return self.check(t, v[i], f"{at}[{i}]") or f"{at}: too long"
        return None

    def check_map(self, at, v, entries):
        if type(v) is not dict:
            return f"{at}: {v!r} is no map"
        left = dict(v)
        for low, high, key, t in self.flat(entries):
            if high is None:  # * tstr => any
                mine = [k for k in left if not self.check_name(at, k, key)]
                wrong = [w for w in (self.check(t, left.pop(k), f"{at}.{k}") for k in mine) if w]
                if wrong:
                    return wrong[0]
                continue
            if key not in left and low:
                return f"{at}.{key}: is missing"
            wrong = self.check(t, left.pop(key), f"{at}.{key}") if key in left else None
            if wrong:
                return wrong
        return f"{at}: unknown key {min(left, key=str)!r}" if left else None
