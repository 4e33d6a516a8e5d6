"""The worker at its queue and its lease, against a scripted control plane: polls, acknowledgements, heartbeats, stops, and how
it ends (conformance cases W1 to W18, W36)."""
import time

import pytest

from harness import SLOW, Process, wait_until, BIN
from mock_control import ENVIRONMENT_KEY, TOKEN, MockControl, idle, tool_use


@pytest.fixture
def serve(make_instance):
    """serve(mock=…, max_idle=…) -> (mock, worker, instance): a ready worker that polls the mock."""
    mocks = []

    def start(max_idle="500ms", ready=True, args=(), before=None, **kw):
        mock = MockControl(**kw)
        mocks.append(mock)
        inst = make_instance()
        inst.write_secret("environment", ENVIRONMENT_KEY)
        inst.settings["worker"].update(environment=mock.environment, base_url=mock.url, max_idle=max_idle)
        inst.start("recorder")
        if before:
            before(mock)
        if ready:
            return mock, inst.start("worker", *args), inst
        inst.write_config()
        return mock, inst.process([BIN, "worker", "--config", inst.config, *args], "worker"), inst

    yield start
    for m in mocks:
        m.close()


def gaps(requests):
    return [b.at - a.at for a, b in zip(requests, requests[1:])]


def test_w1_w2_polls_an_empty_queue(serve):
    """Whichever way the queue says that it is empty; both workers at once."""
    def says(empty):
        def hosted(m):
            m.empty, m.calls = empty, None
        return hosted

    for mock in [serve(before=says(empty))[0] for empty in ("null", "204")]:
        mock.wait(lambda: len(mock.polls()) >= 5, "five polls", 30)
        polls = mock.polls()
        assert all(1 <= int(p.query["block_ms"]) <= 999 for p in polls)
        assert len({p.headers["anthropic-worker-id"] for p in polls}) == 1
        assert len({p.headers["sallyport-journal"] for p in polls}) == 1
        # From one poll to the next: the blocked second (the first does not block) and a pause of one to three.
        assert all(1.9 <= g <= 4.5 * SLOW for g in gaps(polls[1:])) and gaps(polls)[0] >= 0.9, gaps(polls)
        assert all(p.token == ENVIRONMENT_KEY for p in polls)


def test_our_own_control_is_polled_without_a_pause(serve):
    """It holds a poll for as long as it was asked to; one that answers sooner is not asked more often for it."""
    mock, _, _ = serve()
    mock.wait(lambda: len(mock.polls()) >= 4, "four polls", 30)
    assert all(0.9 <= g <= 1.5 * SLOW for g in gaps(mock.polls()[1:])), gaps(mock.polls())


def test_w3_the_happy_path_in_its_order(serve):
    mock, worker, _ = serve()
    session = mock.session(tool_use("call_1", "echo hello"))
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_1") == (False, "hello")
    session.emit(idle())
    stop = mock.wait_stop(item)
    names = [(r.method, r.path.rsplit("/", 1)[-1]) for r in mock.requests if r.path != f"/v1/environments/{mock.environment}/work/poll"]
    assert names[0] == ("POST", "ack")
    assert sorted(names[1:3]) == [("GET", session.id), ("POST", "heartbeat")]
    assert names[3:6] == [("GET", "stream"), ("GET", "events"), ("POST", "events")]
    ack = mock.find("POST", ".*/ack")[0]
    assert ack.token == ENVIRONMENT_KEY and ack.headers["content-length"] == "0"
    after = mock.requests[mock.requests.index(ack) + 1:]
    assert all(r.token == TOKEN + item for r in after if "/poll" not in r.path)
    assert all(r.headers["anthropic-beta"] == "managed-agents-2026-04-01" and r.headers["anthropic-version"] for r in after)
    assert stop.json() == {"force": True}
    mock.wait(lambda: len(mock.polls()) > 2, "the next poll")
    assert len(mock.stops(item)) == 1
    log = worker.tail(1 << 20)
    assert TOKEN not in log and ENVIRONMENT_KEY not in log


@pytest.mark.parametrize("secret,token", [
    (None, ENVIRONMENT_KEY),
    ("eyJzZXNzaW9uc190b2tlbiI6InQ/Pz8+Pn4ifQ==", "t???>>~"),  # + and / and =
    ("eyJzZXNzaW9uc190b2tlbiI6InQ_Pz8-Pn4ifQ", "t???>>~"),
    ("!!! not base64 !!!", ENVIRONMENT_KEY),
    ("bm90IGpzb24", ENVIRONMENT_KEY),
])
def test_w4_w5_the_credential_of_an_item(serve, secret, token):
    mock, worker, _ = serve()
    item = mock.add_item(mock.session(idle()), secret=secret)
    stop = mock.wait_stop(item)
    assert stop.token == mock.beats(item)[0].token == mock.find("GET", "/v1/sessions/.*/events")[0].token == token
    log = worker.tail(1 << 20)
    assert secret is None or secret not in log
    assert ("secret_unusable" in log) == (secret is not None and token == ENVIRONMENT_KEY)
    assert ENVIRONMENT_KEY not in log and "t???" not in log


def test_w6_w7_beats_while_a_tool_burns_the_cpu(serve):
    mock, _, _ = serve(ttl=4)
    session = mock.session(tool_use("call_1", "end=$((SECONDS+9)); while [ $SECONDS -lt $end ]; do :; done; echo done"))
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_1", 40) == (False, "done")
    beats = mock.beats(item)
    assert len(beats) >= 4
    assert all(1.4 <= g <= 2.6 * SLOW for g in gaps(beats)), gaps(beats)
    assert beats[0].query["expected_last_heartbeat"] == "NO_HEARTBEAT"
    # Each names the one before, byte for byte: with its offset, which must be encoded to survive.
    assert all("%2B00%3A00" in b.raw_query for b in beats[1:]) and all(b.status == 200 for b in beats)


def test_w8_a_lost_first_beat_starts_nothing(serve):
    mock, _, _ = serve()
    session = mock.session(tool_use("call_1", "echo no"))
    mock.hook("POST", ".*/heartbeat", lambda r: mock.error(412, "taken", error_code="heartbeat_precondition_failed"))
    item = mock.add_item(session)
    mock.wait_request("POST", f".*/{item}/heartbeat")
    polls = len(mock.polls())
    mock.wait(lambda: len(mock.polls()) > polls + 1, "the next polls")
    assert not mock.stops(item) and not session.results and not mock.find("GET", ".*/events/stream")


@pytest.mark.parametrize("answer", ["stopping", "not extended", "403"])
def test_w9_w10_w11_told_to_end(serve, answer):
    mock, _, _ = serve(ttl=4)
    session = mock.session(tool_use("call_1", "echo begun > /workspace/begun; sleep 60"))
    item = mock.add_item(session)
    mock.wait(lambda: len(mock.beats(item)) >= 2, "the second beat")
    beat = {"type": "work_heartbeat", "last_heartbeat": "x", "lease_extended": answer == "stopping",
            "state": "stopping" if answer == "stopping" else "active", "ttl_seconds": 4}
    told = time.monotonic()
    mock.hook("POST", ".*/heartbeat", (200, beat) if answer != "403" else mock.error(403))
    stop = mock.wait_stop(item)
    assert stop.json() == {"force": True} and stop.at - told < 8 * SLOW
    error, text = session.results["call_1"]
    assert error and len(mock.posts(session)) == 1 and mock.posts(session)[0].at < stop.at


def test_w12_nothing_is_posted_or_started_after_the_lease(serve):
    mock, _, _ = serve(ttl=4)
    session = mock.session(tool_use("call_1", "sleep 6; echo late"), tool_use("call_2", "echo never"))
    item = mock.add_item(session)
    first = mock.wait_request("POST", f".*/{item}/heartbeat")
    mock.hook("POST", ".*/heartbeat", mock.error(500))
    mock.wait(lambda: any(p.at > first.at + 7 for p in mock.polls()), "polls after the lease", 30)
    assert not [p for p in mock.posts(session) if p.at > first.at + 4] and not session.results
    assert not mock.stops(item)


def test_w13_a_terminated_session(serve):
    mock, _, _ = serve()
    session = mock.session(tool_use("call_1", "echo no"))
    session.status = "terminated"
    item = mock.add_item(session)
    assert mock.wait_stop(item).json() == {"force": True}
    assert not mock.find("GET", ".*/events.*") and not session.results


@pytest.mark.parametrize("kind", ["healthcheck", "something"])
def test_w14_an_item_that_is_no_session(serve, kind):
    mock, _, _ = serve()
    item = mock.add_item("hc_1", kind=kind)
    assert mock.wait_stop(item).json() == {"force": True}
    assert not mock.find(".*", "/v1/sessions/.*") and not mock.beats(item)


@pytest.mark.parametrize("status,word", [(401, "environment key"), (403, "environment key"), (404, "no environment")])
def test_w15_refused_for_good(serve, status, word):
    mock, worker, _ = serve(ready=False, before=lambda m: m.hook("GET", ".*/poll", m.error(status, "computer says no")))
    assert worker.wait(40) not in (0, None)
    assert len(mock.polls()) == 1
    log = worker.tail()
    assert word in log and "env_mock" in log and "computer says no" in log and ENVIRONMENT_KEY not in log


def test_refused_while_a_call_runs(serve):
    """The environment key is revoked: nothing new is asked for, and what runs under its own lease ends first."""
    mock, worker, _ = serve()
    session = mock.session(tool_use("call_1", "sleep 2; echo done"))
    item = mock.add_item(session)
    worker.wait_log("worker.call ")
    mock.hook("GET", ".*/poll", mock.error(401, "revoked"))
    assert worker.wait(40) not in (0, None)
    assert session.results["call_1"] == (False, "done") and len(mock.stops(item)) == 1
    assert "environment key" in worker.tail()


def test_w16_w17_backs_off_and_recovers(serve):
    mock, worker, _ = serve()
    hook = mock.hook("GET", ".*/poll", lambda r: mock.error(500))
    first = len(mock.polls())
    mock.wait(lambda: len(mock.polls()) >= first + 9, "three bursts of three", 60)
    pauses = [g for g in gaps(mock.polls()[first:]) if g > 0]
    assert pauses[2] >= 0.74 and pauses[5] >= 1.49, pauses  # between the bursts: about 1 s, then about 2
    mock.unhook(hook)
    mock.hook("GET", ".*/poll", (429, {"type": "error", "error": {}}, {"retry-after-ms": "1500"}), times=1)
    n = len(mock.polls())
    mock.wait(lambda: len(mock.polls()) >= n + 3, "it recovers", 60)
    limited = next(i for i, p in enumerate(mock.polls()) if p.status == 429)
    assert mock.polls()[limited + 1].at - mock.polls()[limited].at >= 1.45
    assert worker.running()


@pytest.mark.parametrize("status", [409, 404])
def test_w18_a_refused_acknowledgement(serve, status):
    mock, _, _ = serve()
    session = mock.session(tool_use("call_1", "echo no"))
    mock.hook("POST", ".*/ack", mock.error(status))
    item = mock.add_item(session)
    acks = mock.wait_request("POST", ".*/ack")
    mock.wait(lambda: len([p for p in mock.polls() if p.at > acks.at]) >= 2, "it polls on")
    assert not session.results and not mock.beats(item) and not mock.stops(item)


def test_w36_sigterm_in_a_call(serve):
    mock, worker, _ = serve(ttl=4)
    session = mock.session(tool_use("call_1", "sleep 5; echo finished"))
    item = mock.add_item(session)
    mock.wait(lambda: len(mock.beats(item)) >= 1, "the lease")
    worker.wait_log("worker.call ")
    begin = time.monotonic()
    assert worker.stop(timeout=30) == 0
    assert time.monotonic() - begin < 30 * SLOW
    assert session.results["call_1"] == (False, "finished")
    assert len(mock.beats(item)) >= 2 and mock.stops(item)[-1].json() == {"force": True}


def test_many_sessions_at_once(serve):
    mock, _, _ = serve()
    sessions = [mock.session(tool_use(f"call_{i}", f"echo {i} > mine; sleep 1; cat mine")) for i in range(4)]
    begin = time.monotonic()
    for s in sessions:
        mock.add_item(s)
    for i, s in enumerate(sessions):
        assert mock.wait_result(s, f"call_{i}") == (False, str(i))
    assert time.monotonic() - begin < 4 * SLOW


def test_the_key_in_the_environment_is_taken_and_wiped(serve, make_instance):
    mock = MockControl()
    inst = make_instance()
    inst.settings["worker"].update(environment=mock.environment, base_url=mock.url)
    del inst.settings["worker"]["environment_key_file"]
    inst.start("recorder")
    worker = inst.start("worker", env={"ANTHROPIC_ENVIRONMENT_KEY": "sp-env-by-variable"})
    assert mock.polls()[0].token == "sp-env-by-variable"
    assert "key_in_environment" in worker.tail() and "sp-env-by-variable" not in worker.tail()
    assert b"sp-env-by-variable" not in open(f"/proc/{worker.pid}/environ", "rb").read()
    mock.close()
