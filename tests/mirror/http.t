#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: limits of time
"""The application API: what it answers, to whom, and what it makes of bad requests."""
import json, os, socket, sys, threading, time
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from syncclient import DONE, Device
from world import MODEL, World

w = World("http.request_timeout = 1500ms\nhttp.connections = 30\nhttp.body_max = 64K\nsync.object_max = 16K\ndatabase.timeout = 2s")
w.model(dict(MODEL, **{"hg:model": "plain", "actions": {}}))
w.device("a1"), w.device("a2"), w.device("b1", "plain")
everything = w.token("everything", "--right", "read", "--right", "write", "--right", "invoke")
reader = w.token("reader", "--right", "read", "--device", "a1")
writer = w.token("writer", "--right", "write", "--model", "thermo")
invoker = w.token("invoker", "--right", "invoke", "--device", "a1", "--device", "b1")
gone = w.token("gone", "--right", "read")
w.run("token", "revoke", "gone")
old = w.token("old", "--right", "read", "--days", "1")
w.pg.sql("UPDATE heliograph.token SET expires_at = now() - interval '1 s' WHERE name = 'old'")
w.serve()
P = "/things/a1/properties/"


def status(method, path, body=None, token=everything, **kw):
    return w.http(method, path, body, token, **kw)[0]


def problem(method, path, body=None, token=everything, **kw):
    """(status, its detail), after checking that the body is a problem of that status."""
    s, r, b = w.http(method, path, body, token, **kw)
    if r.getheader("Content-Type") != "application/problem+json" or b["status"] != s or not b["title"]:
        return s, f"no problem document: {b}"
    return s, b["detail"]


# Good requests
equal(status("PUT", P + "setpoint", 21.5), 204, "PUT a property: 204")
s, r, b = w.http("GET", P + "setpoint", None, everything)
equal((s, b, r.getheader("Content-Type")), (200, 21.5, "application/json"), "GET it: 200 and its value")
etag = r.getheader("ETag")
equal(status("PUT", P + "setpoint", 22, headers={"If-Match": etag}), 204, "If-Match of what was read: 204")
equal(status("PUT", P + "setpoint", 23, headers={"If-Match": etag}), 412, "If-Match of what was replaced: 412")
equal(w.http("GET", P + "setpoint", None, everything)[2], 22, "and nothing was stored")
equal(status("PUT", P + "schedule", [{"at": 60, "to": 19}, {"at": 1200}]), 204, "a structured value: 204")
equal(w.http("GET", "/things/a1/properties", None, everything)[2], {"setpoint": 22, "schedule": [{"at": 60, "to": 19}, {"at": 1200}]},
      "all properties at once")
s, r, b = w.http("POST", "/things/a1/actions/blink", {"times": 3}, everything)
equal((s, b["status"], r.getheader("Location")), (201, "pending", b["href"]), "POST an action: 201, Location and status")
path = r.getheader("Location").split(str(w.http_port))[1]
equal(w.http("GET", path, None, everything)[2]["status"], "pending", "its status can be asked for")
equal(status("DELETE", path), 204, "DELETE cancels it: 204")
s, r, b = w.http("GET", path, None, everything)
equal((b["status"], b["state"], b["error"]["detail"]), ("failed", "cancelled", "cancelled by everything"), "and its status says so")
equal(problem("DELETE", path)[0], 409, "a second DELETE: 409")
s, r, b = w.http("GET", "/things/a1", None, everything)
equal((s, r.getheader("Content-Type"), b["id"]), (200, "application/td+json", "urn:heliograph:device:a1"), "a Thing Description")
equal([t["id"][-2:] for t in w.http("GET", "/things", None, everything)[2]], ["a1", "a2", "b1"], "GET /things: all of them")
s, r, b = w.http("GET", "/things?limit=2", None, everything)
equal(len(b), 2, "as many as were asked for")
nxt = r.getheader("Link").split(">")[0].split(str(w.http_port))[1]
equal([t["id"][-2:] for t in w.http("GET", nxt, None, everything)[2]], ["b1"], "and a link to the next")
equal(status("HEAD", P + "setpoint"), 200, "HEAD as GET")
equal(w.http("GET", "/healthz")[0], 200, "/healthz needs no token")

# Rights
s, r, b = w.http("GET", P + "setpoint")
equal((s, r.getheader("WWW-Authenticate")), (401, 'Bearer realm="heliograph"'), "no token: 401 and WWW-Authenticate")
for name, t in [("an unknown", "hg_" + "x" * 43), ("a revoked", gone), ("an expired", old), ("an empty", " ")]:
    equal(problem("GET", P + "setpoint", None, t)[0], 401, f"{name} token: 401")
equal(status("GET", P + "setpoint", headers={"Authorization": "Basic YTpi"}, token=None), 401, "another scheme: 401")
equal([status("GET", P + "setpoint", None, reader), status("PUT", P + "setpoint", 20, reader),
       status("POST", "/things/a1/actions/restart", None, reader)], [200, 403, 403], "read only: 200, 403, 403")
equal([status("GET", P + "setpoint", None, writer), status("PUT", P + "setpoint", 20, writer),
       status("POST", "/things/a1/actions/restart", None, writer)], [403, 204, 403], "write only: 403, 204, 403")
equal([status("GET", P + "setpoint", None, invoker), status("PUT", P + "setpoint", 20, invoker),
       status("POST", "/things/a1/actions/restart", None, invoker)], [403, 403, 201], "invoke only: 403, 403, 201")
equal([status("GET", "/things/a2/properties/setpoint", None, reader), status("GET", "/things/none/properties/setpoint", None, reader)],
      [404, 404], "another's device is as one that does not exist: 404")
equal(problem("GET", "/things/a2", None, reader), problem("GET", "/things/none", None, reader), "to the letter")
equal([t["id"][-2:] for t in w.http("GET", "/things", None, writer)[2]], ["a1", "a2"], "/things shows only what a token may see")
equal(status("GET", path, None, invoker), 200, "who may invoke may see the outcome")
equal([status("GET", path, None, writer), status("DELETE", path, None, reader)], [403, 403], "who may only write or read may not cancel")

# Bad requests
for name, method, path, body, want, text in [
        ("unknown thing", "GET", "/things/zz", None, 404, "no such thing"),
        ("unknown property", "GET", P + "nonsense", None, 404, "no property nonsense"),
        ("unknown property", "PUT", P + "nonsense", 1, 404, "no property nonsense"),
        ("unknown action", "POST", "/things/a1/actions/nonsense", None, 404, "no action nonsense"),
        ("unknown invocation", "GET", "/things/a1/actions/blink/99", None, 404, "no invocation 99"),
        ("invocation of another action", "GET", "/things/a1/actions/restart/1", None, 404, "no invocation"),
        ("no number", "GET", "/things/a1/actions/blink/x", None, 404, "no such invocation"),
        ("a huge number", "GET", "/things/a1/actions/blink/" + "9" * 30, None, 404, "no such"),
        ("no value yet", "GET", P + "temperature", None, 404, "no value yet"),
        ("unknown path", "GET", "/nonsense", None, 404, "no such path"),
        ("path with an escape", "GET", "/things/%00", None, 404, "no such path"),
        ("path with a quote", "GET", "/things/a1'%3b--/properties", None, 404, "no such thing"),
        ("read-only property", "PUT", P + "temperature", 3, 405, "GET"),
        ("wrong method", "DELETE", P + "setpoint", None, 405, "GET, PUT, POST"),
        ("wrong method", "PATCH", "/things/a1", None, 405, "GET"),
        ("wrong type", "PUT", P + "setpoint", "warm", 422, "must be number, is string"),
        ("null", "PUT", P + "setpoint", None, 415, "application/json"),
        ("too high", "PUT", P + "setpoint", 31, 422, "above the maximum 30"),
        ("not of the enumeration", "PUT", P + "mode", "boil", 422, "is none of"),
        ("too long", "PUT", P + "label", "x" * 21, 422, "longer than 20"),
        ("against the pattern", "PUT", P + "label", "A1", 422, "does not match"),
        ("wrong inside", "PUT", P + "schedule", [{"at": 5}, {"at": 1440}], 422, "/1/at 1440 is above"),
        ("member missing", "PUT", P + "schedule", [{"to": 5}], 422, "/0 lacks the member at"),
        ("too many items", "PUT", P + "schedule", [{"at": 5}] * 5, 422, "more than 4"),
        ("input missing", "POST", "/things/a1/actions/blink", None, 422, "needs input"),
        ("input of the wrong type", "POST", "/things/a1/actions/blink", {"times": 1.5}, 422, "/times 1.5 is not a whole"),
        ("input that is not taken", "POST", "/things/a1/actions/restart", 1, 422, "takes no input"),
        ("bad limit", "GET", "/things?limit=0", None, 400, "1 to 100"),
        ("bad after", "GET", "/things?after=%27", None, 400, "not a UID")]:
    s, detail = problem(method, path, body)
    ok(s == want and text in detail, f"{name}: {want}", f"{s} {detail}")
s, r, b = w.http("PUT", P + "schedule", [{"at": 5}, {"at": "x"}], everything)
equal(b["pointer"], "#/1/at", "a wrong type is named by JSON pointer")
equal(w.http("PUT", P + "temperature", 3, everything)[1].getheader("Allow"), "GET", "405 says what is allowed")
for name, body, want in [("not JSON", b"{", 400), ("two values", b"1 2", 400), ("empty", b"", 400), ("a key twice", b'{"a":1,"a":2}', 400),
                         ("not UTF-8", b'"\xff"', 400), ("U+0000", b'"\\u0000"', 400), ("a number over 2^63", b"1" * 30, 400),
                         ("a literal cut short", b"tru", 400), ("nested 1000 deep", b"[" * 1000 + b"]" * 1000, 422)]:
    s, detail = problem("PUT", P + "blob", body, raw=True, headers={"Content-Type": "application/json"})
    ok(s == want, f"{name}: {want}", f"{s} {detail}")
equal(problem("PUT", P + "setpoint", b"1", raw=True, headers={"Content-Type": "text/plain"})[0], 415, "another type: 415")
equal(status("PUT", P + "setpoint", b"19", raw=True, headers={"Content-Type": "application/json; charset=utf-8"}), 204, "with a charset: 204")
equal(problem("PUT", P + "blob", "x" * 17000)[0], 413, "a value too large for the device: 413")
equal(status("PUT", P + "blob", "x" * 16000), 204, "one that just fits: 204")
equal(problem("PUT", P + "blob", "x" * 70000)[0], 413, "a body over the limit: 413")
try:
    s = status("PUT", P + "blob", "x" * 3000000)
except OSError:
    s = 413  # the mirror closed while we still sent
equal(s, 413, "a body far over the limit: 413 or the end")
equal(problem("PUT", P + "setpoint", 20, headers={"If-Match": "\xe9"})[0], 400, "an If-Match that is not text: 400")
equal(problem("GET", P + "setpoint", headers={"Host": "evil\"<"})[0], 400, "a Host that is no name: 400")


# Slow and odd senders
def raw(data, wait=4.0):
    """What comes back to bytes, until the mirror closes or the time is over."""
    s = w.http_context().wrap_socket(socket.create_connection(("127.0.0.1", w.http_port)), server_hostname="localhost")
    s.settimeout(wait)
    out = b""
    try:
        for part in data:
            s.sendall(part)
            if len(data) > 1:
                time.sleep(0.1)
        while True:
            part = s.recv(65536)
            if not part:
                break
            out += part
    except OSError:
        pass
    s.close()
    return out


begin = time.monotonic()
out = raw([b"PUT " + P.encode() + b"setpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1"])
ok(out.startswith(b"HTTP/1.1 408 ") and json.loads(out.split(b"\r\n\r\n")[1])["status"] == 408, "a body that does not come: 408", out)
ok(1 < time.monotonic() - begin < 3.5, "in time")
ok(raw([b"GET /th"]).startswith(b"HTTP/1.1 408 "), "a header that does not end: 408")
begin = time.monotonic()
out = raw([bytes([c]) for c in b"GET /things HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 60])
ok(b" 408 " in out[:20] or time.monotonic() - begin < 7, "byte by byte: 408")
equal(raw([b""], 3), b"", "nothing at all: closed without a word")
ok(raw([b"\x16\x03\x01 nonsense\r\n\r\n"], 3)[9:12] in (b"400", b""), "nonsense is refused or closed")
equal(status("GET", P + "setpoint"), 200, "and the mirror is well")
ok(raw([b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n"], 3)[9:12] in (b"400", b"413", b""), "a header over the limit is refused")
out = raw([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
equal(out.count(b"HTTP/1.1 200"), 2, "two requests in one write are both answered")
for _ in range(20):  # clients that go while the database is asked
    s = w.http_context().wrap_socket(socket.create_connection(("127.0.0.1", w.http_port)), server_hostname="localhost")
    s.sendall(b"GET /things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + everything.encode() + b"\r\n\r\n")
    s.close()
equal(status("GET", P + "setpoint"), 200, "clients that go away do no harm")
crowd = [socket.create_connection(("127.0.0.1", w.http_port)) for _ in range(40)]
got = []
t = threading.Thread(target=lambda: got.append(status("GET", "/healthz", None, None)))
t.start()
t.join(15)
equal(got, [200], "a crowd of silent clients holds others up for no longer than the time limit")
for c in crowd:
    c.close()

# Queue limit, audit
w.pg.sql("SET search_path = heliograph; INSERT INTO command (device_id, seq, action, token_id, repeatable, execute_within_ms, deliver_by) "
         "SELECT 'a2', i, 'restart', 1, false, 0, now() + '1 h' FROM generate_series(1, 1010) i; "
         "UPDATE device_sync SET command_seq = 1010 WHERE device_id = 'a2'")
s, r, b = w.http("POST", "/things/a2/actions/restart", None, everything)
equal((s, r.getheader("Retry-After") is not None), (429, True), "a device that stays away is given no more than 1000 commands: 429")
lock = w.pg.session()
lock.run("BEGIN; SELECT FROM heliograph.device_sync WHERE device_id = 'a2' FOR UPDATE")
w.pg.sql("UPDATE heliograph.command SET deliver_by = now() - interval '1 s', state = CASE WHEN seq < 3 THEN 'leased' ELSE state END "
         "WHERE device_id = 'a2'")
equal(w.pg.sql("SET search_path = heliograph; SELECT commands_expire()"), "0", "what is past its time waits for a device that is busy")
lock.run("ROLLBACK")
w.stop()
w.serve()
states = "SELECT count(*), min(seq) FROM heliograph.command WHERE device_id = 'a2' AND state = 'expired'"
ok(wait_for(lambda: w.pg.sql(states) == "1008|3", "the end of commands"), "and ends without it if it was never sent")
equal(status("POST", "/things/a2/actions/restart", None), 201, "which makes room")
equal(w.pg.sql("SELECT count(*) FROM heliograph.audit WHERE device_id = 'a1' AND what = 'cancel' AND who = 'everything'"), "1", "writes are audited")
ok(everything not in w.pg.sql("SELECT t::text FROM heliograph.token t"), "tokens are stored hashed only")
w.run("device", "revoke", "a2")
equal(status("PUT", "/things/a2/properties/setpoint", 20), 409, "a revoked device takes no writes: 409")

# The database is away
w.pg.stop()
equal([problem("GET", P + "setpoint")[0], status("GET", "/healthz")], [503, 503], "without a database: 503")
w.pg.start()
ok(wait_for(lambda: status("GET", P + "setpoint") == 200, "the database"), "and well again")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
ok("Sanitizer" not in w.log(), "and nothing was wrong inside", w.log())
done()
