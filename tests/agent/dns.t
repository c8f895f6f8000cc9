#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Every DNS answer in the captures, read by userspace/dns.c and by tcpdump(8): same question, same addresses
# with the same lives, and what one refuses the other calls an error. The chain of CNAMEs is followed here once
# more, in Python, over the records that tcpdump prints.
#
# The captures are not part of the tree. They are looked for in $HG_DATA, else in data beside or above it.
import glob
import os
import re
import subprocess
import sys

TOP = os.environ.get('HG_TOP') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
BUILD = os.environ.get('HG_BUILD') or os.path.join(TOP, 'build')
PROGRAM = os.path.join(BUILD, 'tests/agent/dns_test')
LIFE_MIN, LIFE_MAX = 60, 86400  # userspace/dns.h
UNITS = {'w': 604800, 'd': 86400, 'h': 3600, 'm': 60, 's': 1}


def places():
    if os.environ.get('HG_DATA'):
        return [os.environ['HG_DATA']]
    return [os.path.join(TOP, p) for p in ('data', '../data', '../shared/data', '../../shared/data')]


def seconds(text):
    return sum(int(n) * UNITS[u] for n, u in re.findall(r'(\d+)([wdhms])', text))


def addresses(name, records):
    """{address: life} that name leads to."""
    chain, found = {name.lower(): LIFE_MAX}, {}
    links = {}
    for owner, life, kind, data in records:
        if kind == 'CNAME':
            links.setdefault(owner.lower(), (data.rstrip('.').lower(), life))
    while name.lower() in links and links[name.lower()][0] not in chain:
        last = chain[name.lower()]
        name, life = links[name.lower()]
        chain[name] = min(life, last)
    for owner, life, kind, data in records:
        if kind in ('A', 'AAAA') and owner.lower() in chain:
            life = max(LIFE_MIN, min(life, chain[owner.lower()]))
            found[data] = max(life, found.get(data, 0))
    return found


def by_tcpdump(path):
    text = subprocess.run(['tcpdump', '-nn', '-vvv', '-tt', '-r', path, 'udp src port 53'], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    for line in re.sub(r'\n\s+', ' ', text).splitlines():
        time = line.split()[0]
        answer = re.search(r'\] (\d+)([^q]*) q: (\w+)\? (\S+?)\. (\d+)/\d+/\d+ ?(.*)', line) or \
            re.search(r'\.\d+: (\d+)([^q]*) q: (\w+)\? (\S+?)\. (\d+)/\d+/\d+ ?(.*)', line)
        if not answer:
            yield time, None
            continue
        _, flags, _, name, count, rest = answer.groups()
        if re.search(r'NXDomain|ServFail|Refused|FormErr|NotImp|YXDomain', flags):
            yield time, 'error'
            continue
        rest = rest.split(' ns: ')[0].split(' ar: ')[0]
        records = [(o, seconds(t), k, d.rstrip(',')) for o, t, k, d in
                   re.findall(r'(\S+)\. \[(\w+)\] (A|AAAA|CNAME) (\S+)', rest)]
        yield time, (name.lower(), addresses(name, records), '[|domain]' in line)


def same(theirs, ours):
    (when, a), (also, b) = theirs, ours
    if when != also or isinstance(a, str) or isinstance(b, str):
        return theirs == ours
    # We say partial also where a section that does not matter is cut.
    return a and b and a[:2] == b[:2] and (b[2] or not a[2])


def by_us(path):
    text = subprocess.run([PROGRAM, 'list', path], check=True, stdout=subprocess.PIPE).stdout.decode()
    for line in text.splitlines():
        time, name, *rest = line.split(' ')
        if name == '!':
            yield time, ('error' if 'says an error' in line else ' '.join(rest))
            continue
        partial = rest[-1:] == ['partial']
        found = {a: int(t) for a, t in (r.rsplit('/', 1) for r in rest if r != 'partial')}
        yield time, (name, found, partial)


data = next((p for p in places() if os.path.exists(os.path.join(p, 'manifest.json'))), None)
if not data:
    print('1..0 # SKIP no captures (HG_DATA)')
    sys.exit(0)
n = answers = errors = partial = 0
failed = False
for path in sorted(glob.glob(os.path.join(data, '**/*.pcap'), recursive=True)):
    theirs, ours = list(by_tcpdump(path)), list(by_us(path))
    differ = [(a, b) for a, b in zip(theirs, ours) if not same(a, b)]
    good = len(theirs) == len(ours) and not differ
    answers += len(ours)
    errors += sum(b == 'error' for _, b in ours)
    partial += sum(b != 'error' and b[2] is True for _, b in ours)
    if not ours and good:
        continue
    n += 1
    failed |= not good
    print('%sok %d - %s: %d answers' % ('' if good else 'not ', n, os.path.relpath(path, data), len(ours)))
    if not good:
        print('# %d by tcpdump' % len(theirs))
        for a, b in differ[:3]:
            print('# tcpdump %s\n# we      %s' % (a, b))
print('# %d answers in all: %d say an error, %d are cut short' % (answers, errors, partial))
n += 1
failed |= answers < 1000
print('%sok %d - there were answers to compare' % ('not ' if answers < 1000 else '', n))
print('1..%d' % n)
sys.exit(failed)
