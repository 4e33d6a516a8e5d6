"""Events that control stores in a second, with 1 and with 64 clients: each posts one message after another and waits for the
answer, which comes when the event is durable and recorded. Beside it: what the disk alone gives one writer (pwrite and fdatasync
of a page on a preallocated file)."""
import json
import multiprocessing
import os
import pathlib
import select
import socket
import sys
import tempfile
import time

import harness

SECONDS = 0.5 if "SALLYPORT_BENCH_QUICK" in os.environ else 3.0
SCENARIO = """
version: 1
scenes:
  - steps:
      - say: [{ tool: bash, input: { command: "true" } }]
"""


def load(address, requests, seconds, results):
    """One process: a connection for each request, each with one request under way; counts whole answers."""
    host, port = address
    poll, conns = select.epoll(), {}
    for request in requests:
        s = socket.create_connection((host, port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conns[s.fileno()] = (s, request)
        poll.register(s, select.EPOLLIN)
    begin = time.monotonic()
    sent, times, done = {}, [], 0
    for fd, (s, request) in conns.items():
        sent[fd] = time.monotonic()
        s.sendall(request)
    while time.monotonic() - begin < seconds:
        for fd, _ in poll.poll(1):
            s, request = conns[fd]
            answer = s.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"refused: {answer[:300]!r}")
            done += 1
            now = time.monotonic()
            times.append(now - sent[fd])
            sent[fd] = now
            s.sendall(request)
    results.put((done, time.monotonic() - begin, sorted(times)))


def stuck_session(inst, agent):
    """One whose call waits for a worker: messages to it are stored and wait, and no model is asked."""
    body = {"agent": agent, "environment_id": inst.environment_id,
            "initial_events": [{"type": "user.message", "content": [{"type": "text", "text": "go"}]}]}
    session = inst.api("POST", "/v1/sessions", body)[1]["id"]

    def stuck():
        events = inst.api("GET", f"/v1/sessions/{session}/events?order=desc&limit=1")[1]["data"]
        return events and events[0]["type"] == "session.status_idle"
    harness.wait_until(stuck, "the session waits for a worker")
    return session


def request_for(inst, session):
    body = json.dumps({"events": [{"type": "user.message", "content": [{"type": "text", "text": "x" * 200}]}]}).encode()
    return (f"POST /v1/sessions/{session}/events HTTP/1.1\r\nHost: h\r\nx-api-key: {inst.api_key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def measure(inst, clients):
    agent = inst.api("POST", "/v1/agents", {"name": "a", "model": "m", "tools": [{"type": "agent_toolset_20260401"}]})[1]["id"]
    requests = [request_for(inst, stuck_session(inst, agent)) for _ in range(clients)]
    host, port = inst.control_url.removeprefix("http://").rsplit(":", 1)
    results = multiprocessing.Queue()
    parts = 2 if clients > 1 else 1
    processes = [multiprocessing.Process(target=load, args=((host, int(port)), requests[i::parts], SECONDS, results)) for i in range(parts)]
    for p in processes:
        p.start()
    got = [results.get(timeout=60) for _ in processes]
    for p in processes:
        p.join()
    times = sorted(t for g in got for t in g[2])
    return sum(g[0] / g[1] for g in got), times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000


def fdatasync_rate(directory):
    fd = os.open(pathlib.Path(directory) / "floor", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(4 << 20), 0)
    os.fsync(fd)
    begin, n = time.monotonic(), 0
    while time.monotonic() - begin < 1.0:
        os.pwrite(fd, b"y" * 4096, (n * 4096) % (4 << 20))
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    return n / (time.monotonic() - begin)


def main():
    with tempfile.TemporaryDirectory(prefix="sp-", dir=os.environ.get("SALLYPORT_BENCH_DIR")) as d, harness.Instance(pathlib.Path(d) / "i") as inst:
        inst.start_all(SCENARIO)
        for clients in (1, 64):
            floor = fdatasync_rate(d)
            rate, p50, p99 = measure(inst, clients)
            floor = (floor + fdatasync_rate(d)) / 2
            print(json.dumps({"name": f"control.events.{clients}", "unit": "events/s", "better": "higher", "ours": round(rate, 1),
                              "peers": {"fdatasync alone": round(floor, 1)},
                              "note": f"{clients} clients, durable and recorded; p50 {p50:.2f} ms, p99 {p99:.2f} ms"}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
