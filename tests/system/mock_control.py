"""A control plane that plays what a test tells it, as bytes on a socket: for the worker's side of the protocol, where a real
one would never answer like that. It keeps every request with its time; what it answers by itself is what
managed-agents-api.md 2 says, and each answer can be replaced."""
import base64
import json
import re
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import SLOW

ENVIRONMENT_KEY = "sp-env-mock"
TOKEN = "sp-ses-token-of-"


def stamp(seconds=None):
    seconds = time.time() if seconds is None else seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"


def tool_use(call, command=None, name="bash", **more):
    return {"id": call, "type": "agent.tool_use", "name": name, "processed_at": stamp(),
            "input": {"command": command} if command is not None else {}, **more}


def idle(reason="end_turn"):
    return {"type": "session.status_idle", "stop_reason": {"type": reason}}


class Request:
    def __init__(self, handler, body):
        url = urllib.parse.urlsplit(handler.path)
        self.at = time.monotonic()
        self.method, self.path, self.target = handler.command, url.path, handler.path
        self.query = dict(urllib.parse.parse_qsl(url.query))
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.raw_query = url.query
        self.body = body
        self.client = handler.client_address
        self.status = None

    @property
    def token(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.target} -> {self.status}"


class Stream:
    """One open event stream: bytes are sent as given."""

    def __init__(self, handler):
        self.handler, self.over = handler, threading.Event()

    def send(self, data):
        try:
            self.handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.handler.wfile.flush()
        except OSError:
            self.over.set()

    def event(self, ev):
        self.send(f"event: {ev['type']}\ndata: {json.dumps(ev)}\n\n".encode())

    def cut(self):
        """Resets the connection, with whatever was on its way."""
        try:
            self.handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.over.set()


class Session:
    def __init__(self, mock, sid):
        self.mock, self.id, self.status, self.events, self.streams = mock, sid, "running", [], []
        self.results = {}  # call -> (is_error, text), as first posted

    def emit(self, *events, live=True, history=True):
        with self.mock.changed:
            for ev in events:
                ev.setdefault("id", self.mock.new_id("sevt"))
                ev.setdefault("processed_at", stamp())
                if history:
                    self.events.append(ev)
                if live:
                    for s in self.streams:
                        s.event(ev)
            self.mock.changed.notify_all()
        return events[0]["id"]


class MockControl:
    def __init__(self, environment="env_mock", ttl=60, calls="at-most-once", page_events=1000):
        self.environment, self.ttl, self.calls, self.page_events = environment, ttl, calls, page_events
        self.changed = threading.Condition(threading.RLock())
        self.requests, self.sessions, self.items, self.queue = [], {}, {}, []
        self.hooks, self.numbers, self.empty = [], 0, "null"
        self.leases = {}  # item -> last heartbeat
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                mock.serve(self)

            do_POST = do_GET

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        with self.changed:
            for s in self.sessions.values():
                for stream in s.streams:
                    stream.cut()
        self.server.shutdown()
        self.server.server_close()

    # --- what a test sets up

    def new_id(self, prefix):
        self.numbers += 1
        return f"{prefix}_{self.numbers:06d}"

    def session(self, *events):
        s = Session(self, self.new_id("sesn"))
        self.sessions[s.id] = s
        s.emit(*events) if events else None
        return s

    def add_item(self, session, kind="session", secret=True, **more):
        """A queued work item; secret: True, None, or the text to send."""
        with self.changed:
            wid = self.new_id("work")
            if secret is True:
                text = json.dumps({"sessions_token": TOKEN + wid, "other": "ignored"}).encode()
                secret = base64.urlsafe_b64encode(text).decode().rstrip("=")
            self.items[wid] = {"id": wid, "type": "work", "environment_id": self.environment,
                               "data": {"type": kind, "id": session.id if isinstance(session, Session) else session}, "state": "queued",
                               "created_at": stamp(), "acknowledged_at": None, "started_at": None, "latest_heartbeat_at": None,
                               "stop_requested_at": None, "stopped_at": None, "metadata": {}, "secret": secret, **more}
            self.queue.append(wid)
            self.changed.notify_all()
            return wid

    def hook(self, method, pattern, answer, times=None):
        """`answer(request)` or a value in its place of the usual one: (status, body, headers), "hang", "drop", or None for the usual."""
        h = {"method": method, "pattern": re.compile(pattern + r"\Z"), "answer": answer, "times": times}
        with self.changed:
            self.hooks.append(h)
        return h

    def unhook(self, h):
        with self.changed:
            self.hooks.remove(h)

    # --- what a test looks at

    def find(self, method, pattern):
        p = re.compile(pattern + r"\Z")
        with self.changed:
            return [r for r in self.requests if r.method == method and p.match(r.path)]

    def wait(self, condition, what, timeout=20):
        with self.changed:
            ok = self.changed.wait_for(condition, timeout * SLOW)
            assert ok, f"after {timeout} s still not: {what}\n" + "\n".join(map(repr, self.requests[-40:]))
            return condition()

    def wait_request(self, method, pattern, n=1, timeout=20):
        self.wait(lambda: len(self.find(method, pattern)) >= n, f"{n} x {method} {pattern}", timeout)
        return self.find(method, pattern)[n - 1]

    def polls(self):
        return self.find("GET", ".*/work/poll")

    def beats(self, item):
        return self.find("POST", f".*/work/{item}/heartbeat")

    def stops(self, item):
        return self.find("POST", f".*/work/{item}/stop")

    def posts(self, session):
        return self.find("POST", f"/v1/sessions/{session.id}/events")

    def wait_stop(self, item, timeout=20):
        return self.wait_request("POST", f".*/work/{item}/stop", timeout=timeout)

    def wait_result(self, session, call, timeout=20):
        return self.wait(lambda: session.results.get(call), f"a result of {call}", timeout)

    # --- answering

    def serve(self, handler):
        length = int(handler.headers.get("content-length") or 0)
        r = Request(handler, handler.rfile.read(length) if length else b"")
        with self.changed:
            self.requests.append(r)
            answer = self.hooked(r)
        if answer is None:
            answer = self.route(r, handler)
        if answer is None:
            return
        if answer == "hang":
            handler.close_connection = True
            threading.Event().wait(600)
            return
        if answer == "drop":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        status, body, headers = (*answer, None)[:3] if isinstance(answer, tuple) else (200, answer, None)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.changed:
            r.status = status
            self.changed.notify_all()
        try:
            handler.send_response(status)
            if status != 204:
                handler.send_header("content-type", "application/json")
                handler.send_header("content-length", str(len(data)))
            for k, v in (headers or {}).items():
                handler.send_header(k, v)
            handler.end_headers()
            if status != 204:
                handler.wfile.write(data)
        except OSError:
            handler.close_connection = True

    def hooked(self, r):
        for h in list(self.hooks):
            if h["method"] == r.method and h["pattern"].match(r.path) and h["times"] != 0:
                answer = h["answer"](r) if callable(h["answer"]) else h["answer"]
                if answer is None:
                    continue
                if h["times"] is not None:
                    h["times"] -= 1
                return answer
        return None

    def error(self, status, message="no", **details):
        return (status, {"type": "error", "error": {"type": "invalid_request_error", "message": message,
                                                    **({"details": details} if details else {})}, "request_id": "req_1"})

    def route(self, r, handler):
        work = rf"/v1/environments/{self.environment}/work"
        session = re.match(r"/v1/sessions/([^/]+)(/.*)?\Z", r.path)
        if r.path == work + "/poll":
            return self.poll(r)
        if r.path == work:
            with self.changed:
                return {"data": [dict(i, secret=None) for i in self.items.values()], "next_page": None}
        m = re.match(work + r"/([^/]+)/(ack|heartbeat|stop)\Z", r.path)
        if m and m[1] in self.items:
            return getattr(self, m[2])(r, self.items[m[1]])
        if session and session[1] in self.sessions:
            return self.of_session(r, handler, self.sessions[session[1]], session[2] or "")
        return self.error(404, f"no {r.path}")

    def poll(self, r):
        headers = {"Sallyport-Calls": self.calls} if self.calls else {}
        end = time.monotonic() + int(r.query.get("block_ms", 0)) / 1000
        with self.changed:
            self.changed.wait_for(lambda: self.queue, max(0, end - time.monotonic()))
            if self.queue:
                return 200, self.items[self.queue.pop(0)], headers
        return (204, b"", headers) if self.empty == "204" else (200, None, headers)

    def ack(self, r, item):
        item.update(state="starting", acknowledged_at=stamp())
        return dict(item, secret=None)

    def heartbeat(self, r, item):
        with self.changed:
            wanted = self.leases.get(item["id"], "NO_HEARTBEAT")
            if item["state"] in ("stopping", "stopped"):
                return {"type": "work_heartbeat", "last_heartbeat": wanted, "lease_extended": False, "state": item["state"],
                        "ttl_seconds": self.ttl}
            if r.query.get("expected_last_heartbeat") != wanted:
                return self.error(412, "another heartbeat", error_code="heartbeat_precondition_failed",
                                  current_state={"state": item["state"], "last_heartbeat": wanted, "lease_extended": False,
                                                 "ttl_seconds": self.ttl})
            # An offset and a plus sign: what comes back must be the same bytes, encoded.
            self.leases[item["id"]] = value = stamp()[:-1] + "+00:00"
            item["state"] = "active"
            item["started_at"] = item["started_at"] or stamp()
            item["latest_heartbeat_at"] = stamp()
        return {"type": "work_heartbeat", "last_heartbeat": value, "lease_extended": True, "state": "active", "ttl_seconds": self.ttl}

    def stop(self, r, item):
        force = r.json().get("force", False)
        item.update(state="stopped" if force else "stopping", stop_requested_at=stamp(), stopped_at=stamp() if force else None)
        return dict(item, secret=None)

    def of_session(self, r, handler, s, rest):
        if rest == "" and r.method == "GET":
            return {"id": s.id, "type": "session", "status": s.status, "agent": {"id": "agent_1", "skills": []}, "resources": [],
                    "metadata": {}}
        if rest == "/events" and r.method == "GET":
            start = int(r.query.get("page") or 0)
            size = min(int(r.query.get("limit", 1000)), self.page_events)
            with self.changed:
                data = list(s.events[start:start + size])
                more = start + size < len(s.events)
            return {"data": data, "next_page": str(start + size) if more else None}
        if rest == "/events/stream" and r.method == "GET":
            return self.stream(r, handler, s)
        if rest == "/events" and r.method == "POST":
            return self.take_results(r, s)
        return self.error(404)

    def stream(self, r, handler, s):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        handler.close_connection = True
        stream = Stream(handler)
        with self.changed:
            r.status = 200
            s.streams.append(stream)
            self.changed.notify_all()
        try:
            while not stream.over.wait(0.05):
                handler.connection.settimeout(0)
                try:
                    if handler.connection.recv(1) == b"":
                        break
                except BlockingIOError:
                    pass
                finally:
                    handler.connection.settimeout(None)
        except OSError:
            pass
        with self.changed:
            if stream in s.streams:
                s.streams.remove(stream)
            self.changed.notify_all()
        return None

    def take_results(self, r, s):
        stored = []
        with self.changed:
            for ev in r.json()["events"]:
                call = ev.get("tool_use_id") or ev.get("custom_tool_use_id")
                text = "".join(b.get("text", "") for b in ev.get("content", []))
                if call not in s.results:
                    s.results[call] = (ev.get("is_error"), text)
                    s.emit(dict(ev))
                stored.append(dict(ev, id="sevt_stored", processed_at=stamp()))
            self.changed.notify_all()
        return {"data": stored}
