"""What the tests of control share: requests, an event stream read in the background, and a worker that does as it is told."""
import base64
import http.client
import json
import queue
import threading
import urllib.parse

from harness import SLOW

TOOL = '{ tool: bash, input: { command: "%s" } }'
ONE_CALL = """
version: 1
scenes:
  - steps:
      - say: [{ tool: bash, input: { command: "echo hello" } }]
      - say: [{ text: "done" }]
      - say: [{ tool: bash, input: { command: "echo again" } }]
      - say: [{ text: "done again" }]
"""
EVERY_TIME = """
version: 1
scenes:
  - steps:
      - { when: { tool: bash }, say: [{ text: "done" }] }
      - { when: {}, say: [{ tool: bash, input: { command: "echo hello" } }] }
"""
TWO_CALLS = """
version: 1
scenes:
  - steps:
      - say: [{ tool: bash, input: { command: "echo one" } }, { tool: bash, input: { command: "echo two" } }]
      - say: [{ text: "done" }]
"""
TALK = """
version: 1
scenes:
  - steps:
      - { when: {}, say: [{ text: "yes" }] }
"""


class Client:
    """Requests with one credential; an answer of another status than `want` fails."""

    def __init__(self, inst, key=None, headers=None):
        self.inst, self.key, self.headers = inst, key or inst.api_key, headers or {}

    def __call__(self, method, path, body=None, want=200, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode({k.rstrip("_"): v for k, v in query.items()}, doseq=True)
        status, answer, head = self.inst.api(method, path, body, key=self.key, headers={**self.headers, **(headers or {})})
        if want is not None:
            assert status in (want if isinstance(want, tuple) else (want,)), f"{method} {path}: {status} {answer}"
        if status >= 400:
            check_error(answer, head)
        self.status, self.head = status, head
        return answer

    def get(self, path, want=200, **query):
        return self("GET", path, want=want, **query)

    def post(self, path, body=None, want=200, **kw):
        return self("POST", path, body, want=want, **kw)


def check_error(answer, head):
    assert answer["type"] == "error" and answer["error"]["type"].endswith(("_error", "too_large")), answer
    assert answer["error"]["message"] and answer["request_id"].startswith("req_"), answer
    lower = {k.lower(): v for k, v in head.items()}
    assert lower["request-id"] == answer["request_id"]


def text(value):
    return [{"type": "text", "text": value}]


def message(value):
    return {"type": "user.message", "content": text(value)}


def result(call, value, **more):
    return {"type": "user.tool_result", "tool_use_id": call, "content": text(value), **more}


class Stream:
    """An event stream, read by a thread. `next` gives one event after another, `until` the first that fits."""

    def __init__(self, inst, session, key=None, query="", path=None):
        host, port = inst.control_url.removeprefix("http://").rsplit(":", 1)
        self.conn = http.client.HTTPConnection(host, int(port), timeout=60 * SLOW)
        self.conn.request("GET", path or f"/v1/sessions/{session}/events/stream{query}",
                          headers={"x-api-key": key or inst.api_key})
        self.answer = self.conn.getresponse()
        self.status = self.answer.status
        self.seen, self.comments, self.names = [], [], []
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            name = data = None
            while True:
                line = self.answer.readline()
                if not line:
                    break
                line = line.rstrip(b"\n")
                if line.startswith(b":"):
                    self.comments.append(line)
                elif line.startswith(b"event: "):
                    name = line[7:].decode()
                elif line.startswith(b"data: "):
                    data = json.loads(line[6:])
                elif not line and data is not None:
                    assert name == data["type"], (name, data)
                    self.names.append(name)
                    self.queue.put(data)
                    name = data = None
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.queue.put(None)

    def next(self, timeout=20):
        """The next event; None at the stream's end."""
        ev = self.queue.get(timeout=timeout * SLOW)
        if ev is not None:
            self.seen.append(ev)
        return ev

    def until(self, fits, timeout=20):
        want = fits if callable(fits) else (lambda ev: ev["type"] == fits)
        while True:
            try:
                ev = self.next(timeout)
            except queue.Empty:
                raise AssertionError(f"not seen; seen: {[e['type'] for e in self.seen]}") from None
            assert ev is not None, f"the stream ended; seen: {[e['type'] for e in self.seen]}"
            if want(ev):
                return ev

    def idle(self, reason="end_turn", timeout=20):
        return self.until(lambda ev: ev["type"] == "session.status_idle" and ev["stop_reason"]["type"] == reason, timeout)

    def close(self):
        # shutdown wakes the reading thread; closing alone would not.
        import socket
        try:
            self.conn.sock and self.conn.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(10)
        self.conn.close()


class Rig:
    """An instance with recorder, replayed model and control, and the things that sessions need."""

    def __init__(self, instance, scenario=ONE_CALL, at_least_once=False):
        self.inst = instance
        if at_least_once:
            instance.settings["control"]["environments"][0]["calls"] = "at-least-once"
        instance.start("recorder")
        instance.start_model(scenario)
        instance.start("control")
        self.api = Client(instance)
        self.env = Client(instance, instance.environment_key)
        self.e = instance.environment_id
        self.w = f"/v1/environments/{self.e}/work"
        self.streams = []

    def agent(self, **more):
        return self.api.post("/v1/agents", {"name": "a", "model": "test", "tools": [{"type": "agent_toolset_20260401"}], **more})["id"]

    def session(self, agent=None, **more):
        return self.api.post("/v1/sessions", {"agent": agent or self.agent(), "environment_id": self.e, **more})["id"]

    def send(self, session, *events, key=None, want=200, headers=None):
        return Client(self.inst, key)("POST", f"/v1/sessions/{session}/events", {"events": list(events)}, want, headers)

    def stream(self, session, key=None, query=""):
        s = Stream(self.inst, session, key, query)
        assert s.status == 200
        self.streams.append(s)
        return s

    def history(self, session, key=None, **query):
        return Client(self.inst, key).get(f"/v1/sessions/{session}/events", **query)["data"]

    def poll(self, want=200, headers=None, **query):
        return self.env("GET", f"{self.w}/poll", want=want, headers=headers, **query)

    def claim(self, beat=True, **headers):
        """Polls until there is an item, acks it and takes the lease."""
        for _ in range(50):
            item = self.poll(block_ms=999, headers={k.replace("_", "-"): v for k, v in headers.items()})
            if item:
                return Lease(self, item, beat)
        raise AssertionError("no work item came")

    def get(self, session):
        return self.api.get(f"/v1/sessions/{session}")

    def close(self):
        for s in self.streams:
            s.close()


class Lease:
    """One claimed item, as a worker holds it."""

    def __init__(self, rig, item, beat=True):
        self.rig, self.item, self.id, self.session = rig, item, item["id"], item["data"]["id"]
        blob = item["secret"]
        self.token = json.loads(base64.urlsafe_b64decode(blob + "=" * (-len(blob) % 4)))["sessions_token"]
        self.api = Client(rig.inst, self.token)
        self.path = f"{rig.w}/{self.id}"
        self.last = "NO_HEARTBEAT"
        if beat:
            assert rig.env.post(f"{self.path}/ack")["state"] == "starting"
            self.beat()

    def beat(self, want=200, **query):
        answer = self.api("POST", f"{self.path}/heartbeat", want=want, expected_last_heartbeat=self.last, **query)
        if self.api.status == 200:
            self.last = answer["last_heartbeat"] or self.last
        return answer

    def stop(self, force=True, want=200):
        return self.api.post(f"{self.path}/stop", {"force": True} if force else {}, want)

    def events(self):
        return self.api.get(f"/v1/sessions/{self.session}/events", limit=1000)["data"]

    def calls(self):
        """Open calls as a worker reads them out of the history."""
        events = self.events()
        answered = {e.get("tool_use_id") for e in events if e["type"] == "user.tool_result"}
        return [e["id"] for e in events if e["type"] == "agent.tool_use" and e["id"] not in answered]

    def answer(self, call, value="ok", want=200, **more):
        return self.api.post(f"/v1/sessions/{self.session}/events", {"events": [result(call, value, **more)]}, want)
