"""control is killed at random moments of a session, again and again: nothing acknowledged is lost, nothing happens twice, the turn
ends once, the log verifies."""
import http.client
import random
import threading
import time

import pytest

from control_rig import TWO_CALLS, Client, Rig, message, result
from harness import sallyport, wait_until

# Of an acknowledgement or a first heartbeat whose answer was lost, nobody knows who made it: the item is handed out again when
# the lease of 60 s has lapsed.
LAPSE = 120


@pytest.fixture
def rig(instance):
    r = Rig(instance, TWO_CALLS)
    yield r
    r.close()


class Retrying:
    """A client as the SDKs are: it sends again until it is answered, and says that it does."""

    def __init__(self, rig, key=None):
        self.rig, self.key = rig, key

    def __call__(self, method, path, body=None, want=(200,)):
        for attempt in range(400):
            try:
                status, answer, _ = self.rig.inst.api(method, path, body, key=self.key, timeout=5,
                                                      headers={"x-stainless-retry-count": str(attempt)})
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if status < 500:
                assert status in want, (method, path, status, answer)
                return answer
            time.sleep(0.02)
        raise AssertionError(f"{method} {path}: never answered")


class Worker(threading.Thread):
    """Answers every call it sees, each once, whatever happens to control; notes which it ran."""

    def __init__(self, rig, session):
        super().__init__(daemon=True)
        self.rig, self.session, self.ran, self.stop = rig, session, [], threading.Event()

    def run(self):
        env = Retrying(self.rig, self.rig.inst.environment_key)
        while not self.stop.is_set():
            item = env("GET", f"{self.rig.w}/poll?block_ms=200&reclaim_older_than_ms=300")
            if item and env("POST", f"{self.rig.w}/{item['id']}/ack", want=(200, 409)).get("state") == "starting":
                self.serve(env, item)

    def serve(self, env, item):
        path = f"{self.rig.w}/{item['id']}"
        last = env("POST", f"{path}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", want=(200, 412)).get("last_heartbeat")
        while last and not self.stop.is_set():
            events = env("GET", f"/v1/sessions/{self.session}/events")["data"]
            answered = {e.get("tool_use_id") for e in events if e["type"] == "user.tool_result"}
            for e in events:
                if e["type"] == "agent.tool_use" and e["id"] not in answered:
                    if e["id"] not in self.ran:
                        self.ran.append(e["id"])
                    env("POST", f"/v1/sessions/{self.session}/events", {"events": [result(e["id"], f"ran {e['id']}")]})
            time.sleep(0.01)
        env("POST", f"{path}/stop", {"force": True}, want=(200, 409))


def finished(events):
    return events and events[-1]["type"] == "session.status_idle" and events[-1]["stop_reason"]["type"] == "end_turn"


def test_killed_at_random_moments(rig, rounds):
    agent = rig.agent()
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    for round_ in range(rounds * 2):
        client = Retrying(rig)
        session = client("POST", "/v1/sessions", {"agent": agent, "environment_id": rig.e})["id"]
        worker = Worker(rig, session)
        worker.start()
        sending = threading.Thread(target=client, args=("POST", f"/v1/sessions/{session}/events", {"events": [message(f"m{round_}")]}))
        sending.start()
        for _ in range(3):
            time.sleep(rng.random() * 0.15)
            rig.inst.roles["control"].kill()
            rig.inst.start("control")
        sending.join(30)
        assert not sending.is_alive()
        events = wait_until(lambda: (ev := Retrying(rig)("GET", f"/v1/sessions/{session}/events")["data"]) and finished(ev) and ev,
                            f"round {round_} ends its turn", LAPSE)
        worker.stop.set()
        worker.join(20)
        kinds = [e["type"] for e in events]
        assert kinds.count("user.message") == 1 and kinds.count("agent.message") == 1
        uses = [e["id"] for e in events if e["type"] == "agent.tool_use"]
        results = [e for e in events if e["type"] == "user.tool_result"]
        assert len(uses) == 2 and sorted(r["tool_use_id"] for r in results) == sorted(uses)
        for r in results:
            assert r.get("is_error") or r["content"][0]["text"] == f"ran {r['tool_use_id']}"
        assert len({e["id"] for e in events}) == len(events)
        assert kinds.count("span.model_request_start") == kinds.count("span.model_request_end")
        starts = [e["id"] for e in events if e["type"] == "span.model_request_start"]
        assert [e["model_request_start_id"] for e in events if e["type"] == "span.model_request_end"] == starts
        items = [i for i in Client(rig.inst, rig.inst.environment_key).get(rig.w, limit=100)["data"] if i["data"]["id"] == session]
        assert sum(i["state"] != "stopped" for i in items) <= 1
        for i in items:
            if i["state"] != "stopped":
                Retrying(rig)("POST", f"{rig.w}/{i['id']}/stop", {"force": True}, want=(200, 409))
    verified = sallyport("audit", "verify", "--config", rig.inst.config)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_stop_that_drains(rig):
    """SIGTERM: what was begun is answered, waiting polls and streams end, exit 0."""
    session = rig.session()
    stream = rig.stream(session)
    polled = []
    rig.poll()
    waiting = threading.Thread(target=lambda: polled.append(rig.poll(block_ms=999)))
    waiting.start()
    wait_until(lambda: rig.env.get(f"{rig.w}/stats"), "the poll waits")
    began = time.monotonic()
    assert rig.inst.roles["control"].stop() == 0
    assert time.monotonic() - began < 5
    waiting.join(5)
    assert polled == [None]
    while stream.next() is not None:
        pass
    rig.inst.start("control")
    assert rig.get(session)["status"] == "idle"


def test_two_on_one_directory(rig):
    again = sallyport("control", "--config", rig.inst.config, timeout=20)
    assert again.returncode != 0 and again.stderr.strip()
    rig.session()
