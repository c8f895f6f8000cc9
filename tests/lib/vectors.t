#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The test vectors of the specifications, read by a decoder that shares nothing with lib/: CBOR here in
# Python, signatures by openssl(1). The documents must hold what the code writes today, and the code must
# open what the documents hold. `vectors.t --print sync|alarm` writes a document's block anew.
import hashlib
import os
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../profile'))
from cddl import Schema  # noqa: E402

TOP = os.environ.get('HG_TOP') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
BUILD = os.environ.get('HG_BUILD') or os.path.join(TOP, 'build')
PROGRAM = os.path.join(BUILD, 'tests/lib/vectors')
DOCS = {'sync': 'docs/sync-protocol.md', 'alarm': 'docs/alarm-format.md'}


class Tag:
    def __init__(self, number, item):
        self.number, self.item = number, item


class Bad(Exception):
    pass


def decode(b, at=0):
    """One item at b[at:]: (value, offset behind it)."""
    try:
        major, info = b[at] >> 5, b[at] & 31
    except IndexError:
        raise Bad('cut') from None
    at += 1
    if major == 7:
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info], at
        size = {25: 2, 26: 4, 27: 8}.get(info)
        if not size or at + size > len(b):
            raise Bad('simple value %d' % info)
        return struct.unpack('>' + {2: 'e', 4: 'f', 8: 'd'}[size], b[at:at + size])[0], at + size
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    if info > 27 or at + size > len(b):
        raise Bad('head')
    n = int.from_bytes(b[at:at + size], 'big') if size else info
    at += size
    if major == 0:
        return n, at
    if major == 1:
        return -1 - n, at
    if major in (2, 3):
        if at + n > len(b):
            raise Bad('cut')
        s = bytes(b[at:at + n])
        return (s if major == 2 else s.decode()), at + n
    if major == 6:
        item, at = decode(b, at)
        return Tag(n, item), at
    items = []
    for _ in range(n * (major - 3)):
        item, at = decode(b, at)
        items.append(item)
    if major == 4:
        return items, at
    pairs = dict(zip(items[::2], items[1::2]))
    if len(pairs) != n:
        raise Bad('key twice')
    return pairs, at


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    info, size = next((i, s) for i, s in ((24, 1), (25, 2), (26, 4), (27, 8)) if n < 1 << 8 * s)
    return bytes([major << 5 | info]) + n.to_bytes(size, 'big')


def encode(v):
    """The one deterministic form."""
    if v is None or isinstance(v, bool):
        return {False: b'\xf4', True: b'\xf5', None: b'\xf6'}[v]
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        for code, form in ((0xf9, '>e'), (0xfa, '>f'), (0xfb, '>d')):
            try:
                s = struct.pack(form, v)
            except OverflowError:
                continue
            if struct.unpack(form, s)[0] == v:
                return bytes([code]) + s
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b''.join(map(encode, v))
    if isinstance(v, Tag):
        return head(6, v.number) + encode(v.item)
    return head(5, len(v)) + b''.join(sorted(encode(k) + encode(x) for k, x in v.items()))


def strict(b):
    value, end = decode(b)
    if end != len(b):
        raise Bad('trailing bytes')
    if encode(value) != b:
        raise Bad('not deterministic')
    return value


def notation(v):
    """Diagnostic notation, RFC 8949 section 8."""
    if isinstance(v, bytes):
        return "h'%s'" % v.hex()
    if isinstance(v, str):
        return '"%s"' % v.replace('\\', '\\\\').replace('"', '\\"')
    if isinstance(v, list):
        return '[%s]' % ', '.join(map(notation, v))
    if isinstance(v, dict):
        return '{%s}' % ', '.join('%s: %s' % (notation(k), notation(x)) for k, x in v.items())
    if isinstance(v, Tag):
        return '%d(%s)' % (v.number, notation(v.item))
    return {None: 'null', True: 'true', False: 'false'}.get(v) if v is None or isinstance(v, bool) else repr(v)


def parse(text):
    """{name: bytes} and {name: notation} of a block."""
    found, notes, name = {}, {}, None
    for line in text.splitlines():
        if line.startswith('  = '):
            notes[name] = line[4:]
        elif line.startswith('    '):
            notes[name] += ' ' + line.strip()
        elif line.startswith('  '):
            found[name] += bytes.fromhex(line.strip())
        elif line:
            name = line
            found[name] = b''
    return found, notes


def wrap(text, width=96):
    """Lines of at most width, broken at blanks."""
    lines = ['']
    for word in text.split(' '):
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append('')
        lines[-1] += (' ' if lines[-1] else '') + word
    return '\n    '.join(lines)


def explain(name, b):
    """What a vector says: the message, or the payload that a COSE message signs."""
    if name.startswith('bad-') or name.endswith('-certificate'):
        return None
    value = strict(b)
    return notation(strict(value.item[2]) if isinstance(value, Tag) else value)


def run(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, **kw).stdout


def fresh(which):
    return run(PROGRAM, which).decode()


def block(text):
    """A program's output with the notation added, as documents hold it."""
    out = []
    for part in re.split(r'^(?=\S)', text, flags=re.M):
        if not part:
            continue
        name = part.split('\n')[0]
        note = explain(name, parse(part)[0][name])
        out.append(part + ('  = ' + wrap(note) + '\n' if note else ''))
    return ''.join(out)


def whole(which):
    with open(os.path.join(TOP, DOCS[which]), encoding='utf-8') as f:
        return f.read()


def document(which, what='vectors'):
    return re.search(r'```' + what + r'\n(.*?)```', whole(which), re.S).group(1)


count = failed = 0


def ok(good, name):
    global count, failed
    count += 1
    failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', count, name), flush=True)


def verify(message, certificate):
    """An ES256 COSE_Sign1 by the key of a DER certificate, with openssl."""
    protected, _, payload, signature = message.item
    tbs = encode(['Signature1', protected, b'', payload])

    def integer(b):
        b = b.lstrip(b'\0') or b'\0'
        b = b'\0' * (b[0] >> 7) + b
        return b'\x02' + bytes([len(b)]) + b

    body = integer(signature[:32]) + integer(signature[32:])
    with tempfile.TemporaryDirectory() as d:
        def put(name, data):
            with open(os.path.join(d, name), 'wb') as f:
                f.write(data)
            return os.path.join(d, name)

        pub = run('openssl', 'x509', '-inform', 'DER', '-in', put('crt', certificate), '-pubkey', '-noout')
        r = subprocess.run(['openssl', 'dgst', '-sha256', '-verify', put('pub', pub), '-signature',
                            put('sig', b'\x30' + bytes([len(body)]) + body), put('tbs', tbs)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return r.returncode == 0


def refused(b):
    try:
        strict(b)
        return False
    except (Bad, UnicodeDecodeError):
        return True


def changed(v, path, to):
    """A copy of v in which what lies at path is another: to, or, if that is None, nothing."""
    v = dict(v) if isinstance(v, dict) else list(v)
    if len(path) > 1:
        v[path[0]] = changed(v[path[0]], path[1:], to)
    elif to is None:
        del v[path[0]]
    elif isinstance(v, dict) or path[0] < len(v):
        v[path[0]] = to
    else:
        v.append(to)
    return v


# Messages that the CDDL of the specification must refuse, each a good one with one thing changed.
NOT_CDDL = [
    ('request-idle', (0,), 2), ('request-idle', (1,), None), ('request-idle', (1,), ''), ('request-idle', (1,), 'x' * 65),
    ('request-idle', (2,), b'15 bytes of it.'), ('request-idle', (3,), 0), ('request-idle', (3,), 1 << 63),
    ('request-idle', (4,), 1 << 32), ('request-idle', (4,), -1), ('request-idle', (8,), 'x'), ('request-idle', (10,), []),
    ('request-idle', (40,), 1), ('request-changes', (10, 0, 2), ''), ('request-changes', (10, 0, 1), -1),
    ('request-changes', (10, 0, 4), 1), ('request-changes', (10, 1, 3, 'open'), (1 << 64) - 1), ('request-changes', (10, 0, 3), b'x'),
    ('request-reports', (11, 0, 1), 7), ('request-reports', (11, 0, 1), 1), ('request-reports', (11, 0, 3), 'x' * 257),
    ('request-part', (10, 0, 3), 16384), ('request-part', (12, 0, 0), 2), ('response-idle', (1,), 'x'),
    ('response-idle', (7,), 1.5), ('response-commands', (9, 0, 3), 0), ('response-commands', (9, 0, 2), -1),
    ('response-busy', (2,), ''), ('response-key', (10, 1), b'short'), ('response-key', (10, 3), 1),
]


def test_cddl(vectors):
    schema = Schema(document('sync', 'cddl'), strict)
    for name, b in vectors.items():
        rule = name.split('-')[0]
        if rule != 'bad':
            wrong = schema.check(rule, strict(b))
            ok(not wrong, '%s is what the CDDL says%s' % (name, ': ' + wrong if wrong else ''))
    rows = re.findall(r'^\| (\d*) \| [\w ]* \| \| (\d*) \| [\w ]*\|$', whole('sync'), re.M)
    for at, rule in enumerate(('request', 'response')):
        keys = [e[2] for e in schema.rules[rule][1] if isinstance(e[2], int)]
        ok(keys == [int(r[at]) for r in rows if r[at]], 'the registry has the keys of a %s' % rule)
    cases = [(name, path, to, changed(strict(vectors[name]), path, to)) for name, path, to in NOT_CDDL]
    for name, path, to, v in cases:
        ok(schema.check(name.split('-')[0], v), '%s with %r at %s is not' % (name, to, '.'.join(map(str, path))))
    later = changed(strict(vectors['request-idle']), (64,), {'x': [1]})
    ok(not schema.check('request', later), 'a key of a later version is')
    lines = ''.join('%s %s\n' % (name.split('-')[0], encode(v).hex()) for name, _, _, v in cases + [('request', 0, 0, later)])
    verdicts = run(PROGRAM, 'judge', input=lines.encode()).decode().split()
    taken = ['%s with %r at %s' % c[:3] for c, verdict in zip(cases, verdicts) if verdict != 'bad']
    ok(not taken and len(verdicts) == len(cases) + 1, 'the code refuses the same: it took %s' % taken)
    ok(verdicts[-1:] == ['good'], 'and takes what the CDDL allows')


def test_sync():
    vectors, notes = parse(document('sync'))
    test_cddl(vectors)
    ok(document('sync') == block(fresh('sync')), 'the document holds what the code writes')
    for name, b in vectors.items():
        if name.startswith('bad-'):
            ok(refused(b), '%s is refused' % name)
        else:
            ok(notation(strict(b)) == notes[name], '%s says what it should' % name)


def test_signed(vectors, whose):
    for name, b in vectors.items():
        if name.endswith('-certificate'):
            continue
        cert = vectors['collector-certificate' if name.startswith('ack') else 'device-certificate']
        message = strict(b)
        protected, unprotected, _, signature = message.item
        headers = strict(protected)
        ok(message.number == 18 and unprotected == {} and headers[1] == -7 and len(signature) == 64,
           '%s %s is an ES256 COSE_Sign1' % (whose, name))
        if 'alarm' in name:
            ok(headers[34] == [-15, hashlib.sha256(cert).digest()[:8]], '%s %s names its key' % (whose, name))
        if name == 'enrol':
            ok(headers[33] == cert, '%s %s carries its certificate' % (whose, name))
        ok(verify(message, cert) != name.startswith('bad-'),
           '%s %s: signature is %s' % (whose, name, 'bad' if name.startswith('bad-') else 'good'))


def test_alarm():
    vectors, notes = parse(document('alarm'))
    now = block(fresh('alarm'))
    test_signed(vectors, "the document's")
    test_signed(parse(now)[0], "today's")
    for name in notes:
        ok(explain(name, vectors[name]) == notes[name], '%s says what it should' % name)
    ok(parse(now)[1] == notes, 'the code writes the same payloads today')
    r = subprocess.run([PROGRAM, 'open'], input=document('alarm').encode(), stdout=subprocess.PIPE)
    ok(r.returncode == 0, "the code opens the document's datagrams")
    print(''.join('# %s\n' % s for s in r.stdout.decode().splitlines()), end='')


if sys.argv[1:2] == ['--print']:
    print(block(fresh(sys.argv[2])), end='')
else:
    test_sync()
    test_alarm()
    print('1..%d' % count)
    sys.exit(failed != 0)
