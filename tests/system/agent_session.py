"""A session driven over the API without an SDK: for tests of the agent loop, which play client and worker themselves."""
import http.client
import json
import socket
import threading
import time

from harness import SLOW

TOOLS = [{"type": "agent_toolset_20260401"}]


def text(t):
    return [{"type": "text", "text": t}]


class Stream:
    """A session's event stream, read by a thread; `open` returns when the answer's head has come."""

    def __init__(self, instance, session, query=""):
        host, port = instance.control_url.removeprefix("http://").rsplit(":", 1)
        self.conn = http.client.HTTPConnection(host, int(port), timeout=60 * SLOW)
        self.conn.request("GET", f"/v1/sessions/{session}/events/stream{query}", headers={"x-api-key": instance.api_key})
        self.sock = self.conn.sock
        self.answer = self.conn.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.frames, self.changed, self.ended = [], threading.Condition(), False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        name = None
        try:
            for line in self.answer:
                line = line.rstrip(b"\n")
                if line.startswith(b"event: "):
                    name = line[7:].decode()
                elif line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    assert name == event["type"], (name, event)
                    with self.changed:
                        self.frames.append(event)
                        self.changed.notify_all()
        except (OSError, http.client.HTTPException, ValueError, AttributeError):  # closed by us or by control
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, what, timeout=30):
        """Until an event satisfies `condition`, or the stream ends; returns that event."""
        end = time.monotonic() + timeout * SLOW
        seen = 0
        with self.changed:
            while True:
                for event in self.frames[seen:]:
                    if condition(event):
                        return event
                seen = len(self.frames)
                assert not self.ended, f"the stream ended before: {what}\n{self.frames}"
                assert self.changed.wait(max(0, end - time.monotonic())), f"not within {timeout * SLOW} s: {what}\n{self.frames}"

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # the reader holds the file's lock until its read ends
        except OSError:
            pass
        self.thread.join()
        self.conn.close()


class Session:
    def __init__(self, instance, tools=TOOLS, **agent):
        self.instance = instance
        made = self.call("POST", "/v1/agents", {"name": "a", "model": "test", "tools": tools, **agent})
        self.id = self.call("POST", "/v1/sessions", {"agent": made["id"], "environment_id": instance.environment_id})["id"]

    def call(self, method, path, body=None, **kw):
        status, answer, _ = self.instance.api(method, path, body, **kw)
        assert status == 200, (method, path, status, answer)
        return answer

    def stream(self, query=""):
        return Stream(self.instance, self.id, query)

    def post(self, *events, headers=None):
        """(status, answer)."""
        status, answer, _ = self.instance.api("POST", f"/v1/sessions/{self.id}/events", {"events": list(events)}, headers=headers)
        return status, answer

    def send(self, *events, headers=None):
        status, answer = self.post(*events, headers=headers)
        assert status == 200, answer
        return answer["data"]

    def say(self, t, **kw):
        return self.send({"type": "user.message", "content": text(t)}, **kw)

    def result(self, call, t, is_error=False):
        return self.send({"type": "user.tool_result", "tool_use_id": call, "content": text(t), "is_error": is_error})

    def get(self):
        return self.call("GET", f"/v1/sessions/{self.id}")

    def events(self):
        out, page = [], ""
        while True:
            answer = self.call("GET", f"/v1/sessions/{self.id}/events?limit=1000{page}")
            out += answer["data"]
            if not answer["next_page"]:
                return out
            page = f"&page={answer['next_page']}"

    def types(self):
        return [e["type"] for e in self.events()]

    def open_calls(self):
        """Ids of the calls that no result in the log answers, in their order."""
        events = self.events()
        done = {e.get("tool_use_id") or e.get("custom_tool_use_id") for e in events if e["type"].endswith("tool_result")}
        return [e["id"] for e in events if e["type"] in ("agent.tool_use", "agent.custom_tool_use") and e["id"] not in done]

    def wait_idle(self, reason=None, count=1, timeout=30):
        """Until the log's last `session.status_idle` is the count'th or later (and of that reason, the session idle); returns
        it. Looks at the log over a stream, so that nothing is polled."""
        stream = self.stream()
        try:
            idles = [e for e in self.events() if e["type"] == "session.status_idle"]
            known = {e["id"] for e in idles}

            def enough(event):
                if event["type"] == "session.status_idle" and event["id"] not in known:
                    known.add(event["id"])
                    idles.append(event)
                return len(idles) >= count and (reason is None or idles[-1]["stop_reason"]["type"] == reason)
            if not enough({"type": ""}):
                stream.wait(enough, f"idle {reason or ''} ({count})", timeout)
            return idles[-1]
        finally:
            stream.close()


def check_order(events):
    """What holds for every log: ids are unique; each model request has one end; what an answer brought stands before its end;
    session.usage stands directly before each idle that ends a turn with model requests."""
    ids = [e["id"] for e in events]
    assert len(ids) == len(set(ids))
    open_span, asked = None, False
    for before, e in zip([None, *events], events):
        if e["type"] == "span.model_request_start":
            assert open_span is None, "a second model request while one is open"
            open_span, asked = e["id"], True
        elif e["type"] == "span.model_request_end":
            assert e["model_request_start_id"] == open_span
            open_span = None
        elif e["type"].startswith("agent."):
            assert open_span is not None, e
        elif e["type"] == "session.status_idle":
            assert before["type"] == "session.usage" or not asked or e["stop_reason"]["type"] == "requires_action", before
            asked = False
    assert open_span is None
    results = [e.get("tool_use_id") or e.get("custom_tool_use_id") for e in events if e["type"].endswith("tool_result")]
    assert len(results) == len(set(results)), "two results for one call"
