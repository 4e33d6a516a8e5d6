"""Hostile input to control: garbage, oversized, truncated and slow requests on every route, odd identifiers, many streams. A clear
error each time, and the process goes on."""
import http.client
import json
import os
import random
import socket
import time

import pytest

from control_rig import TALK, Client, Rig, Stream, message
from harness import BIN, SLOW, wait_until

pytestmark = pytest.mark.hostile

ROUTES = [
    ("GET", "/v1/environments"), ("POST", "/v1/environments"), ("GET", "/v1/environments/{env}"), ("POST", "/v1/environments/{env}"),
    ("POST", "/v1/environments/{env}/archive"), ("DELETE", "/v1/environments/{env}"), ("GET", "/v1/environments/{env}/work"),
    ("GET", "/v1/environments/{env}/work/poll"), ("GET", "/v1/environments/{env}/work/stats"), ("GET", "/v1/environments/{env}/work/{x}"),
    ("POST", "/v1/environments/{env}/work/{x}"), ("POST", "/v1/environments/{env}/work/{x}/ack"),
    ("POST", "/v1/environments/{env}/work/{x}/heartbeat"), ("POST", "/v1/environments/{env}/work/{x}/stop"),
    ("GET", "/v1/agents"), ("POST", "/v1/agents"), ("GET", "/v1/agents/{x}"), ("POST", "/v1/agents/{x}"),
    ("POST", "/v1/agents/{x}/archive"), ("GET", "/v1/agents/{x}/versions"), ("GET", "/v1/sessions"), ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/{x}"), ("POST", "/v1/sessions/{x}"), ("DELETE", "/v1/sessions/{x}"), ("POST", "/v1/sessions/{x}/archive"),
    ("GET", "/v1/sessions/{x}/events"), ("POST", "/v1/sessions/{x}/events"), ("GET", "/v1/sessions/{x}/events/stream"),
    ("GET", "/v1/sessions/{x}/threads"), ("GET", "/v1/sessions/{x}/threads/{x}"), ("GET", "/v1/sessions/{x}/threads/{x}/events"),
    ("GET", "/v1/sessions/{x}/threads/{x}/stream"), ("GET", "/v1/sessions/{x}/resources"), ("GET", "/v1/sessions/{x}/resources/{x}"),
]
BODIES = [b"", b"{", b"[]", b"null", b"\x00", b"\xff\xfe", b'{"events":' + b"[" * 200 + b"]" * 200 + b"}", b'{"a":1,"a":2}',
          b'{"events":[{"type":"user.message","content":[{"type":"text","text":"\\ud800\\q"}]}]}', b'{"events":[{"type":"' + b"x" * 5000 + b'"}]}',
          b'{"name":"\xed\xa0\x80","model":"m"}', b'{"metadata":{"":""},"name":"n","config":{"type":"self_hosted"}}',
          b'{"limit":1e999}', b'{"force":[]}', b'{"agent":{"type":{}},"environment_id":{}}', b'"' + b"x" * 100000 + b'"',
          json.dumps({"events": [{"type": "user.tool_result", "tool_use_id": "%s%n" * 100, "content": []}]}).encode()]
IDS = ["x", "%2e%2e", "%00", "%2F", "a%20b", "%F0%9F%92%A9", "x" * 4000, "'%3BDROP%20TABLE%20sessions%3B--", "%25s%25n", "sesn_%7F", "sesn_%FF", "*", ".x"]
QUERIES = ["", "?limit=99999999999999999999", "?page=%ff", "?page=" + "QUFB" * 30, "?a" * 300, "?" + "&".join(["types[]=x"] * 300),
           "?created_at[gt]=9999-12-31T23:59:59.999999999%2B23:59", "?%zz=1", "?order[]=asc", "?block_ms=1&reclaim_older_than_ms=0",
           "?expected_last_heartbeat=%00", "?version=0", "?include_archived=maybe", "?statuses[]=", "?" + "x" * 20000]


@pytest.fixture
def rig(instance):
    r = Rig(instance, TALK)
    yield r
    r.close()


def raw(rig, data, timeout=10):
    """What comes back for bytes, up to the connection's end or a silence."""
    host, port = rig.inst.control_url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=timeout * SLOW) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            out = b""
            while chunk := s.recv(65536):
                out += chunk
                if len(out) > 1 << 20:
                    break
            return out
        except (TimeoutError, ConnectionError):
            return b""


def alive(rig):
    assert rig.api.get("/v1/sessions")["data"] is not None
    assert rig.inst.roles["control"].running()


@pytest.mark.parametrize("who", ["api", "environment"])
def test_every_route_with_everything(rig, who):
    key = rig.inst.api_key if who == "api" else rig.inst.environment_key
    rng = random.Random(7)
    for method, path in ROUTES:
        for _ in range(12):
            target = path.replace("{env}", rng.choice([rig.e] * 3 + IDS)).replace("{x}", rng.choice(IDS)) + rng.choice(QUERIES)
            body = rng.choice(BODIES) if method == "POST" else b""
            head = (f"{method} {target} HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\nContent-Length: {len(body)}\r\n"
                    f"X-Stainless-Retry-Count: {rng.choice(['0', '1', 'x' * 9])}\r\nSallyport-Journal: {rng.choice(['j', 'j' * 300])}\r\n"
                    "Connection: close\r\n\r\n").encode()
            answer = raw(rig, head + body)
            status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None
            assert status is None or 200 <= status < 500, (method, target[:200], body[:100], answer[:400])
            if method == "DELETE" and status == 200:  # it was there: make it again for the rest
                pytest.fail("a hostile request deleted something")
    alive(rig)


def test_large_requests(rig):
    session = rig.session()
    stream = rig.stream(session)
    big = "x" * (3 << 20)
    sent = rig.send(session, message(big))["data"][0]
    assert len(sent["content"][0]["text"]) == len(big)
    stream.idle()
    assert stream.seen[0]["content"][0]["text"] == big
    assert len(rig.history(session)[0]["content"][0]["text"]) == len(big)
    # A page of large events ends before its limit, and goes on at its cursor.
    other = rig.session()
    for i in range(4):
        rig.send(other, message(str(i) * (7 << 20)))
    pages, page = [], None
    while not pages or page:
        got = rig.api.get(f"/v1/sessions/{other}/events", **{"types[]": "user.message"}, **({"page": page} if page else {}))
        pages.append([e["content"][0]["text"][0] for e in got["data"]])
        page = got["next_page"]
    assert sum(pages, []) == ["0", "1", "2", "3"] and len(pages) > 1
    size = (32 << 20) + 1
    answer = raw(rig, (f"POST /v1/sessions/{session}/events HTTP/1.1\r\nHost: h\r\nx-api-key: {rig.inst.api_key}\r\n"
                       f"Content-Length: {size}\r\n\r\n").encode() + b"x" * 100000)
    assert b" 413 " in answer.split(b"\r\n")[0] and b"request_too_large" in answer
    many = rig.send(session, *[message(f"{i}") for i in range(1000)])["data"]
    assert len({e["id"] for e in many}) == 1000
    alive(rig)


def test_slow_and_broken_requests(rig):
    session = rig.session()
    host, port = rig.inst.control_url.removeprefix("http://").rsplit(":", 1)
    body = json.dumps({"events": [message("slow")]}).encode()
    head = (f"POST /v1/sessions/{session}/events HTTP/1.1\r\nHost: h\r\nx-api-key: {rig.inst.api_key}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
    with socket.create_connection((host, int(port))) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(head + body)):
            s.sendall((head + body)[i:i + 1])
        assert b" 200 " in s.recv(65536)
    for cut in range(0, len(head + body), 7):
        with socket.create_connection((host, int(port))) as s:
            s.sendall((head + body)[:cut])
    for junk in (b"\x00" * 1000, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        raw(rig, junk)
    wait_until(lambda: rig.get(session)["status"] == "idle", "idle")
    assert sum(e["type"] == "user.message" for e in rig.history(session)) == 1
    alive(rig)


def test_many_streams(rig):
    """A thousand listeners to one session, some of which never read."""
    session = rig.session()
    host, port = rig.inst.control_url.removeprefix("http://").rsplit(":", 1)
    request = f"GET /v1/sessions/{session}/events/stream HTTP/1.1\r\nHost: h\r\nx-api-key: {rig.inst.api_key}\r\n\r\n".encode()
    count = 1000 if SLOW == 1 else 200
    socks = []
    try:
        for _ in range(count):
            s = socket.create_connection((host, int(port)))
            s.sendall(request)
            socks.append(s)
        for s in socks:
            assert b"text/event-stream" in s.recv(4096)
        ps = json.loads(rig_ps(rig))
        assert ps["streams"] == count
        rig.send(session, message("to all"))
        wait_until(lambda: any(e["type"] == "agent.message" for e in rig.history(session)), "the turn ends")
        for s in socks[::2]:
            got = b""
            while b"session.status_idle" not in got:
                chunk = s.recv(65536)
                assert chunk
                got += chunk
    finally:
        for s in socks:
            s.close()
    wait_until(lambda: json.loads(rig_ps(rig))["streams"] == 0, "the streams are gone")
    anon, rss = rig.inst.roles["control"].memory_kib()
    assert SLOW > 1 or anon < 120 * 1024, (anon, rss)
    alive(rig)


def test_a_flood_of_connections_leaves_the_model_its_own(instance):
    """Where descriptors are few, clients can't take those that requests to models, the store and the recorder need."""
    instance.start("recorder")
    instance.start_model(TALK)
    instance.settings["control"]["models"][0]["requests"] = 8
    instance.write_config()
    control = instance.process(["prlimit", "--nofile=200:200", BIN, "control", "--config", instance.config], "control", ready=True)
    instance.control_url = f"http://{control.ready['address'].removeprefix('http://')}"
    agent = Client(instance).post("/v1/agents", {"name": "a", "model": "m"})["id"]
    session = Client(instance).post("/v1/sessions", {"agent": agent, "environment_id": instance.environment_id})["id"]
    host, port = instance.control_url.removeprefix("http://").rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)

    def ask(method, path, body=None):
        conn.request(method, path, body, {"x-api-key": instance.api_key})
        answer = conn.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)["data"]

    path = f"/v1/sessions/{session}/events"
    ask("GET", path)
    flood = [socket.create_connection((host, int(port))) for _ in range(300)]
    try:
        wait_until(lambda: len(os.listdir(f"/proc/{control.pid}/fd")) >= 128, "as many as there may be are taken")
        ask("POST", path, json.dumps({"events": [message("x")]}))
        wait_until(lambda: any(e["type"] == "session.status_idle" for e in ask("GET", path)), "the turn ends")
        assert "session.error" not in [e["type"] for e in ask("GET", path)]
        assert "accept_paused" not in control.tail()
    finally:
        for s in flood:
            s.close()
        conn.close()


def rig_ps(rig):
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(rig.inst.dir / "data/run/control.sock"))
    with s, s.makefile("rw") as f:
        f.write('{"do":"ps"}\n')
        f.flush()
        return f.readline()


def test_keep_alive_comments(rig):
    session = rig.session()
    stream = Stream(rig.inst, session)
    began = time.monotonic()
    wait_until(lambda: stream.comments, "a comment", 20)
    assert time.monotonic() - began < 17 * SLOW
    stream.close()
