"""No two parsers may disagree about where a request ends. Thousands of requests, most of them broken in the ways that smuggling
uses, go to our server and to h11, an independent strict parser: what ours takes, h11 takes too, the same number of times and
with the same meaning; what ours refuses gets one clear error and the end of the connection. Then floods and slow clients."""
import json
import random
import re
import socket

import h11
import pytest

from harness import BIN, SLOW, Process

pytestmark = pytest.mark.hostile

SCENARIO = "version: 1\nscenes:\n  - steps:\n      - say: [{ text: hello }]\n"
MESSAGE = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).encode()
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /v1/messages?x=y HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nX-Empty:\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(MESSAGE), MESSAGE),
    b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nT: 1\r\n\r\n"
    % (MESSAGE[:5], len(MESSAGE) - 5, MESSAGE[5:]),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
    b"GET http://h/v1/messages HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\n\r\n",
]
BYTES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b";", b",", b"0", b"1", b"f", b"+", b"-", b"\x0b", b"\x0c", b"\x80", b"\xa0",
         b"/", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: h\r\n", b"0\r\n\r\n", b"Connection: close\r\n"]


def broken(rng, wire):
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at, to = rng.randrange(len(wire) + 1), rng.randrange(len(wire) + 1)
        deed = rng.randrange(5)
        if deed == 0:
            wire = wire[:at] + wire[at + rng.choice([1, 1, 2, 5]):]
        elif deed == 1:
            wire = wire[:at] + rng.choice(BYTES) + wire[at + 1:]
        elif deed == 2:
            wire = wire[:at] + wire[min(at, to):max(at, to)][:40] + wire[at:]
        else:
            # At the edges of lines, where it hurts most.
            edges = [m.start() for m in re.finditer(rb"\r\n|: ", wire)] or [at]
            at = rng.choice(edges) + rng.choice([0, 0, 1, 2])
            wire = wire[:at] + rng.choice(BYTES) + wire[at:]
    return wire


def ours(address, wire):
    """The statuses our handler answered with, and the one the server itself refused with, if it did."""
    host, port = address.removeprefix("http://").rsplit(":", 1)
    got = b""
    with socket.create_connection((host, int(port)), 10 * SLOW) as s:
        s.sendall(wire)
        s.shutdown(socket.SHUT_WR)
        while more := s.recv(65536):
            got += more
    statuses, refused = [], None
    while got:
        head, _, got = got.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n", head)[1])
        if status == 100:
            continue
        length = int(re.search(rb"\r\ncontent-length: (\d+)(\r\n|$)", head)[1])
        body, got = got[:length], got[length:]
        assert refused is None, "an answer after a refusal"
        if b"\r\nrequest-id: req_" in head:
            refused = status
            assert b"\r\nconnection: close" in head
            error = json.loads(body)
            assert error["type"] == "error" and error["error"]["message"] and error["request_id"].startswith("req_")
        else:
            statuses.append(status)
    return statuses, refused


def expected(method, target, body):
    path = re.sub(rb"^https?://[^/?]*", b"", target, flags=re.I).partition(b"?")[0]
    if path != b"/v1/messages":
        return 404
    if method != b"POST":
        return 405
    return 200 if body == MESSAGE else 400


def theirs(wire):
    """What h11 makes of it: the statuses our handler would give, and whether it ended in an error."""
    conn, statuses = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20), []
    # RFC 9112 section 2.2 asks servers to ignore one empty line before a request; h11 does not.
    conn.receive_data(wire.removeprefix(b"\r\n"))
    conn.receive_data(b"")
    try:
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Request):
                method, target, body = event.method, event.target, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                statuses.append(expected(method, target, body))
                conn.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                conn.send(h11.EndOfMessage())
                if conn.our_state is not h11.DONE:
                    return statuses, False
                conn.start_next_cycle()
            else:
                return statuses, False
    except h11.RemoteProtocolError as e:
        if statuses and "no request line" in str(e):
            more, error = theirs(b"\r\n" + conn.trailing_data[0])
            return statuses + more, error
        return statuses, True


@pytest.fixture
def server(workdir):
    path = workdir / "scenario.yaml"
    path.write_text(SCENARIO)
    p = Process([BIN, "model-replay", path], workdir / "log", ready=True)
    yield p
    code = p.stop()
    assert code == 0, p.tail()


def test_what_we_take_an_independent_parser_takes_too(server):
    rng = random.Random(20261124)
    taken = refused_cases = 0
    for n in range(3000):
        wire = broken(rng, rng.choice(SEEDS)) + SENTINEL
        statuses, refused = ours(server.ready["address"], wire)
        others, error = theirs(wire)
        shown = f"case {n}: {wire!r}\nours {statuses} refused={refused}\nh11 {others} error={error}"
        assert len(statuses) <= len(others), shown
        assert all(a == b or {a, b} == {200, 400} for a, b in zip(statuses, others)), shown
        if refused is None and not error:
            assert len(statuses) == len(others), shown
        taken += refused is None
        refused_cases += refused is not None
    # Neither side of the line is empty, or the comparison says nothing.
    assert taken > 500 and refused_cases > 500


def test_idle_connections_are_cheap_and_new_ones_still_served(server):
    host, port = server.ready["address"].removeprefix("http://").rsplit(":", 1)
    before, _ = server.memory_kib()
    idle = []
    try:
        for _ in range(400):
            s = socket.create_connection((host, int(port)), 10)
            s.sendall(SEEDS[0])
            assert s.recv(100).startswith(b"HTTP/1.1 404")
            idle.append(s)
        after, _ = server.memory_kib()
        # A connection that has served a request and waits: its bookkeeping, no buffers.
        if SLOW == 1:
            assert (after - before) / 400 < 2, (before, after)
        assert ours(server.ready["address"], SENTINEL) == ([404], None)
    finally:
        for s in idle:
            s.close()


def test_one_byte_at_a_time(server):
    host, port = server.ready["address"].removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10 * SLOW) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(SEEDS[3])):
            s.sendall(SEEDS[3][i:i + 1])
        s.sendall(SENTINEL)
        got = b""
        while more := s.recv(65536):
            got += more
    assert re.findall(rb"HTTP/1\.1 (\d+)", got) == [b"200", b"404"]


def test_more_connections_than_descriptors(workdir):
    """Clients that ask for more than the process may open wait; they are not refused, and nothing spins meanwhile."""
    path = workdir / "scenario.yaml"
    path.write_text(SCENARIO)
    p = Process(["prlimit", "--nofile=24", BIN, "model-replay", path], workdir / "log", ready=True)
    try:
        host, port = p.ready["address"].removeprefix("http://").rsplit(":", 1)
        crowd = [socket.create_connection((host, int(port)), 10 * SLOW) for _ in range(60)]
        p.wait_log("listener.paused")
        with open(f"/proc/{p.pid}/stat") as f:
            spent = sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13])
        assert spent < 100 * SLOW  # hundredths of a second
        for s in crowd:
            s.sendall(SENTINEL)
            assert s.recv(100).startswith(b"HTTP/1.1 404")
            s.close()
        assert p.stop() == 0, p.tail()
    finally:
        p.kill()
