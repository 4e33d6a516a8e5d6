"""A call's life on control's side: exposed to one lease before it goes out, run by that one alone, and when that is lost either
told by who can know, or closed as unknown. In an at-least-once environment the next worker gets it instead (P16)."""
import pytest

from control_rig import ONE_CALL, TWO_CALLS, Client, Rig, message, result
from harness import sallyport, wait_until


@pytest.fixture
def rigs(instance):
    made = []

    def make(scenario=ONE_CALL, **kw):
        made.append(Rig(instance, scenario, **kw))
        return made[-1]

    yield make
    for r in made:
        r.close()


def open_call(rig):
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    return session, stream, stream.idle("requires_action")["stop_reason"]["event_ids"]


def results(rig, session):
    return [e for e in rig.history(session) if e["type"] == "user.tool_result"]


def test_a_worker_that_ends_without_an_answer(rigs):
    """It had no journal, so nobody can say how the call went: unknown, told to the model, not run again."""
    rig = rigs()
    session, stream, [call] = open_call(rig)
    lease = rig.claim()
    assert lease.calls() == [call]
    lease.stop()
    closed = stream.until("user.tool_result")
    assert closed["tool_use_id"] == call and closed["is_error"] is True and "unknown" in closed["content"][0]["text"]
    stream.idle()
    again = rig.poll(block_ms=300)
    if again:  # it was queued while the turn was about to start
        assert again["data"]["id"] == session
    rig.send(session, result(call, "late"), want=400)
    assert len(results(rig, session)) == 1


def test_a_call_that_no_worker_saw(rigs):
    rig = rigs()
    session, stream, [call] = open_call(rig)
    rig.claim().stop()
    lease = rig.claim()
    assert lease.calls() == [call]
    lease.answer(call, "hello")
    stream.idle()


def test_at_least_once(rigs):
    rig = rigs(at_least_once=True)
    session, stream, [call] = open_call(rig)
    for _ in range(3):
        lease = rig.claim()
        assert lease.calls() == [call]
        lease.stop()
    lease = rig.claim()
    assert lease.calls() == [call]
    lease.answer(call, "hello")
    stream.idle()
    assert len(results(rig, session)) == 1


def test_seen_on_a_stream_only(rigs):
    rig = rigs()
    session = rig.session()
    watch = rig.stream(session)
    lease = rig.claim()
    worker = rig.stream(session, key=lease.token)
    rig.send(session, message("go"))
    call = worker.until("agent.tool_use")["id"]
    lease.stop()
    assert worker.until(lambda e: e is None or True) and watch.until("user.tool_result")["tool_use_id"] == call
    watch.idle()


def test_a_stream_of_the_environment_key(rigs):
    """Official workers use it where an item has no secret; what it sees counts for the session's live lease."""
    rig = rigs()
    session = rig.session()
    watch = rig.stream(session)
    lease = rig.claim()
    worker = rig.stream(session, key=rig.inst.environment_key)
    rig.send(session, message("go"))
    call = worker.until("agent.tool_use")["id"]
    rig.env.post(f"{lease.path}/stop", {"force": True})
    assert watch.until("user.tool_result")["tool_use_id"] == call
    watch.idle()


def test_held_for_the_same_journal(rigs):
    rig = rigs(TWO_CALLS)
    session, stream, [one, two] = open_call(rig)
    lease = rig.claim(Sallyport_Journal="journal-a")
    assert lease.calls() == [one, two]
    lease.answer(one, "1")
    lease.stop()
    # Others don't even get the item; the same journal does, and sees the call again.
    assert rig.poll(block_ms=300) is None
    assert rig.poll(block_ms=300, headers={"Sallyport-Journal": "journal-b"}) is None
    assert len(results(rig, session)) == 1
    back = rig.claim(Sallyport_Journal="journal-a")
    assert back.session == session and back.calls() == [two]
    back.answer(two, "2")
    stream.idle()
    assert len(results(rig, session)) == 2


def test_the_hold_ends(rigs):
    """TTL and 30 s after the lease's end; the shortest TTL there is."""
    rig = rigs()
    session, stream, [call] = open_call(rig)
    lease = rig.claim(Sallyport_Journal="journal-a")
    lease.beat(desired_ttl_seconds=5)
    assert lease.calls() == [call]
    lease.stop()
    assert rig.poll() is None
    closed = stream.until("user.tool_result", timeout=45)
    assert closed["is_error"] is True
    stream.idle()
    assert wait_until(lambda: rig.poll(block_ms=900) or rig.get(session)["status"] == "idle", "others may go on")


def test_another_lease_can_not_answer(rigs):
    rig = rigs()
    session, stream, [call] = open_call(rig)
    lease = rig.claim()
    other_session = rig.session()
    other = rig.claim()
    assert other.session == other_session
    other.api.post(f"/v1/sessions/{session}/events", {"events": [result(call, "x")]}, want=403)
    other.api.get(f"/v1/sessions/{session}/events", want=403)
    other.api.get(f"/v1/sessions/{session}", want=403)
    other.api.post(f"{lease.path}/heartbeat?expected_last_heartbeat={lease.last}", want=403)
    other.api.post(f"{lease.path}/stop", {"force": True}, want=403)
    lease.answer(call, "hello")
    stream.idle()


def test_a_lease_that_lapses_with_a_call(rigs):
    rig = rigs()
    session, stream, [call] = open_call(rig)
    lease = rig.claim()
    lease.beat(desired_ttl_seconds=5)
    assert lease.calls() == [call]
    assert stream.until("user.tool_result", timeout=15)["is_error"] is True
    stream.idle()
    lease.answer(call, "late", want=401)


def test_control_is_killed_while_calls_are_open(rigs):
    rig = rigs(TWO_CALLS)
    session, stream, [one, two] = open_call(rig)
    lease = rig.claim()
    assert lease.calls() == [one, two]
    rig.inst.roles["control"].kill()
    rig.inst.start("control")
    # The lease goes on: token and heartbeats are known to the new process.
    lease.beat()
    assert lease.calls() == [one, two]
    lease.answer(one, "1")
    lease.answer(one, "1")
    stream = rig.stream(session)
    lease.answer(two, "2")
    stream.idle()
    assert [r["is_error"] if "is_error" in r else False for r in results(rig, session)] == [False, False]


def test_the_log_says_why(rigs):
    rig = rigs()
    session, stream, [call] = open_call(rig)
    lease = rig.claim()
    lease.calls()
    lease.stop()
    stream.idle()
    shown = sallyport("audit", "show", session, "--json", "--config", rig.inst.config)
    assert shown.returncode == 0, shown.stderr
    for word in ("session.create", "event.accept", "work.claim", "call.expose", "call.close"):
        assert word in shown.stdout, word
    assert sallyport("audit", "verify", "--config", rig.inst.config).returncode == 0


def test_nothing_without_the_recorder(rigs):
    rig = rigs()
    session = rig.session()
    rig.inst.roles["recorder"].kill()
    answer = wait_until(lambda: (a := rig.send(session, message("go"), want=None)).get("type") == "error" and a, "it is refused")
    assert answer["error"]["type"] == "api_error" and "recorder" in answer["error"]["message"]
    assert rig.api("POST", "/v1/environments", {"name": "x"}, want=503)
    assert rig.poll(want=503)
    before = rig.history(session)
    rig.inst.start("recorder")
    wait_until(lambda: rig.send(session, message("again"), want=None).get("data"), "it is accepted again")
    rig.stream(session)
    assert len([e for e in rig.history(session) if e["type"] == "user.message"]) >= len(before)


def test_keys_are_revoked_at_once(rigs):
    rig = rigs()
    made = sallyport("environment", "key", "create", rig.e, "--name", "for the test", "--json", "--config", rig.inst.config)
    import json
    key = json.loads(made.stdout)
    client = Client(rig.inst, key["key"])
    session, stream, [call] = open_call(rig)
    item = client.get(f"{rig.w}/poll")
    client.post(f"{rig.w}/{item['id']}/ack")
    watching = rig.stream(session, key=key["key"])
    listed = json.loads(sallyport("environment", "key", "list", rig.e, "--json", "--config", rig.inst.config).stdout)
    assert key["id"] in [k["id"] for k in listed["keys"]] and key["key"] not in json.dumps(listed)
    assert sallyport("environment", "key", "revoke", key["id"], "--config", rig.inst.config).returncode == 0
    client.get(f"{rig.w}/poll", want=401)
    client.post(f"{rig.w}/{item['id']}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT", want=401)
    client.post(f"/v1/sessions/{session}/events", {"events": [result(call, "x")]}, want=401)
    client.get(f"/v1/sessions/{session}/events/stream", want=401)
    while watching.next() is not None:
        pass
    assert sallyport("environment", "key", "revoke", key["id"], "--config", rig.inst.config).returncode == 1
    other = json.loads(sallyport("environment", "key", "create", "--any", "--json", "--config", rig.inst.config).stdout)
    assert "loosens" in sallyport("environment", "key", "create", "--any", "--config", rig.inst.config).stderr
    env2 = rig.api.post("/v1/environments", {"name": "second", "config": {"type": "self_hosted"}})["id"]
    assert Client(rig.inst, other["key"]).get(f"/v1/environments/{env2}/work/poll") is None
    rig.env.get(f"/v1/environments/{env2}/work/poll", want=403)
