"""Events of a session (P19 to P27): sent, listed, streamed, in one order, once; the status that follows from them."""
import concurrent.futures
import json
import time

import pytest

from control_rig import ONE_CALL, TALK, TWO_CALLS, Client, Rig, Stream, message, result, text
from harness import wait_until


@pytest.fixture
def rigs(instance):
    made = []

    def make(scenario=ONE_CALL, **kw):
        made.append(Rig(instance, scenario, **kw))
        return made[-1]

    yield make
    for r in made:
        r.close()


def types(events):
    return [e["type"] for e in events]


def test_text_that_no_character_stands_for(rigs):
    """The official worker posts a NUL and half of a surrogate pair as its JSON library writes them: the call must not stay open."""
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    stream.idle("requires_action")
    lease = rig.claim()
    [call] = lease.calls()
    body = json.dumps({"events": [result(call, "a\0b\ud83d|\U0001f600")]}).encode()
    stored = lease.api.post(f"/v1/sessions/{session}/events", body)["data"][0]
    assert stored["content"] == text("a\ufffdb\ufffd|\U0001f600")
    stream.idle()


def test_a_turn_with_a_call(rigs):
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    sent = rig.send(session, message("go"))["data"]
    assert len(sent) == 1 and sent[0]["id"].startswith("sevt_") and sent[0]["content"] == text("go")
    idle = stream.idle("requires_action")
    assert rig.get(session)["status"] == "idle"
    lease = rig.claim()
    assert lease.calls() == idle["stop_reason"]["event_ids"]
    stored = lease.answer(lease.calls()[0], "hello")["data"][0]
    assert stored["processed_at"] and stored["type"] == "user.tool_result"
    end = stream.idle()
    assert end["stop_details"] is None
    names = [n for n in types(stream.seen) if not n.startswith(("span.", "session.usage"))]
    assert names == ["user.message", "session.status_running", "agent.tool_use", "session.status_idle", "user.tool_result",
                     "session.status_running", "agent.message", "session.status_idle"]
    for i, n in enumerate(types(stream.seen)):  # usage stands directly before the idle that ends a turn's requests
        if n == "session.usage":
            assert types(stream.seen)[i + 1] == "session.status_idle"
    history = rig.history(session)
    assert [e["id"] for e in history] == [e["id"] for e in stream.seen]
    assert history == stream.seen
    assert all(e["processed_at"] for e in history)
    assert rig.get(session)["usage"]["output_tokens"] > 0


def test_interrupt_of_a_stuck_session(rigs):
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    call = stream.idle("requires_action")["stop_reason"]["event_ids"][0]
    lease = rig.claim(beat=False)
    rig.env.post(f"{lease.path}/ack")
    lease.beat()
    lease.stop()
    waiting = rig.claim()  # the call is open, so there is another item
    waiting.stop()
    rig.poll() and None
    rig.send(session, {"type": "user.interrupt"})
    stream.idle()
    closed = [e for e in rig.history(session) if e["type"] == "user.tool_result"]
    assert [c["tool_use_id"] for c in closed] == [call] and closed[0]["is_error"] is True
    rig.send(session, result(call, "late"), want=400)
    assert rig.env.get(f"{rig.w}/stats")["pending"] + rig.env.get(f"{rig.w}/stats")["depth"] == 1
    rig.send(session, message("again"))
    stream.idle()


def test_interrupt_and_message_in_one_request(rigs):
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    stream.idle("requires_action")
    sent = rig.send(session, {"type": "user.interrupt"}, message("rather this"))["data"]
    assert [e["type"] for e in sent] == ["user.interrupt", "user.message"]
    stream.idle("end_turn")
    assert stream.until("user.message")["id"] == sent[1]["id"]
    stream.until("agent.message")
    stream.idle("end_turn")


def test_input_while_a_turn_runs(instance):
    rig = Rig(instance, """
version: 1
scenes:
  - steps:
      - { say: [{ text: "one two three four five six seven eight" }], pace: 60ms }
      - { when: {}, say: [{ text: "yes" }] }
""")
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("first"))
    stream.until("span.model_request_start")
    waiting = rig.send(session, message("second"))["data"][0]
    assert waiting["processed_at"] is None
    stream.idle()
    mine = [e for e in stream.seen if e["id"] == waiting["id"]]
    assert [bool(e["processed_at"]) for e in mine] == [False, True]
    history = rig.history(session)
    assert len({e["id"] for e in history}) == len(history)
    order = [e["type"] for e in history if e["type"] in ("user.message", "agent.message")]
    assert order == ["user.message", "agent.message", "user.message", "agent.message"]
    rig.close()


def test_stream_begins_at_once_and_shows_only_what_comes(rigs):
    rig = rigs(TALK)
    session = rig.session()
    first = rig.stream(session)
    for i in range(3):
        rig.send(session, message(f"m{i}"))
        first.idle()
    began = time.monotonic()
    late = rig.stream(session)
    assert time.monotonic() - began < 1
    assert late.answer.getheader("content-type") == "text/event-stream"
    rig.send(session, message("now"))
    late.idle()
    assert late.seen[0]["type"] == "user.message" and late.seen[0]["content"] == text("now")
    first.idle()
    assert rig.history(session) == first.seen


def test_previews(rigs):
    rig = rigs(TALK)
    session = rig.session()
    plain = rig.stream(session)
    preview = rig.stream(session, query="?event_deltas%5B%5D=agent.message")
    rig.send(session, message("hi"))
    preview.idle()
    plain.idle()
    said = [e for e in preview.seen if e["type"] == "agent.message"][0]
    starts = [e for e in preview.seen if e["type"] == "event_start"]
    deltas = [e for e in preview.seen if e["type"] == "event_delta"]
    assert [s["event"] for s in starts] == [{"type": "agent.message", "id": said["id"]}]
    assert "".join(d["delta"]["content"]["text"] for d in deltas) == said["content"][0]["text"]
    assert preview.seen.index(said) > max(preview.seen.index(e) for e in starts + deltas)
    assert not [e for e in plain.seen if e["type"].startswith("event_")]
    assert not [e for e in rig.history(session) if e["type"].startswith("event_")]
    path = f"/v1/sessions/{session}/events/stream"
    rig.api.get(path + "?event_deltas[]=agent.tool_use", want=400)
    rig.api.get(path + "?" + "&".join(["event_deltas[]=agent.message"] * 101), want=400)


def test_threads(rigs):
    rig = rigs(TALK)
    session = rig.session()
    threads = rig.api.get(f"/v1/sessions/{session}/threads")["data"]
    assert len(threads) == 1 and threads[0]["session_id"] == session and threads[0]["parent_thread_id"] is None
    t = threads[0]["id"]
    assert rig.api.get(f"/v1/sessions/{session}/threads/{t}") ["id"] == t
    stream = Stream(rig.inst, session, path=f"/v1/sessions/{session}/threads/{t}/stream")
    assert stream.status == 200
    rig.send(session, message("hi"))
    stream.idle()
    assert rig.api.get(f"/v1/sessions/{session}/threads/{t}/events")["data"] == rig.history(session)
    rig.api.get(f"/v1/sessions/{session}/threads/{t}/events/stream", want=404)
    rig.api.get(f"/v1/sessions/{session}/threads/sthr_other/stream", want=404)
    stream.close()


def test_lists(rigs):
    rig = rigs(TALK)
    session = rig.session()
    stream = rig.stream(session)
    for i in range(4):
        rig.send(session, message(f"m{i}"))
        stream.idle()
    everything = rig.history(session)
    assert len(everything) >= 20

    def paged(**query):
        seen, page = [], None
        while True:
            got = rig.api.get(f"/v1/sessions/{session}/events", **query, **({"page": page} if page else {}))
            assert len(got["data"]) <= query.get("limit", 1000)
            seen += got["data"]
            page = got["next_page"]
            if page is None:
                return seen

    assert paged(limit=2) == everything == paged(limit=len(everything)) == paged()
    assert paged(limit=3, order="desc") == everything[::-1]
    some = [e for e in everything if e["type"] in ("user.message", "agent.message")]
    assert paged(limit=3, **{"types[]": ["user.message", "agent.message"]}) == some
    raw = rig.api.get(f"/v1/sessions/{session}/events?types[]=user.message&types[]=agent.message")["data"]
    assert raw == some == rig.api.get(f"/v1/sessions/{session}/events?types%5B%5D=user.message&types%5B%5D=agent.message")["data"]
    middle = everything[len(everything) // 2]["processed_at"]
    for op, fits in (("gt", lambda t: t > middle), ("gte", lambda t: t >= middle), ("lt", lambda t: t < middle),
                     ("lte", lambda t: t <= middle)):
        assert paged(limit=2, **{f"created_at[{op}]": middle}) == [e for e in everything if fits(e["processed_at"])], op
    path = f"/v1/sessions/{session}/events"
    for bad in ("limit=0", "limit=1001", "limit=x", "order=up", "page=x", "page=%00", "created_at[gt]=yesterday",
                "types[]=a%25b", "page=" + "A" * 5000):
        rig.api.get(f"{path}?{bad}", want=400)
    rig.api.get("/v1/sessions/sesn_nonesuch/events", want=404)


def test_one_of_two_calls_answered(rigs):
    rig = rigs(TWO_CALLS)
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    one, two = stream.idle("requires_action")["stop_reason"]["event_ids"]
    rig.send(session, result(two, "2"))
    assert stream.idle("requires_action")["stop_reason"]["event_ids"] == [one]
    rig.send(session, result(one, "1"))
    stream.idle()


def test_results_that_answer_nothing(rigs):
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    call = stream.idle("requires_action")["stop_reason"]["event_ids"][0]
    before = rig.history(session)
    rig.send(session, result("sevt_nonesuch", "x"), want=400)
    rig.send(session, {"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": text("x")}, want=400)
    rig.send(session, {"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"}, want=400)
    rig.send(session, result(before[0]["id"], "x"), want=400)
    # All of a request or nothing of it.
    rig.send(session, result(call, "x"), result("sevt_nonesuch", "x"), want=400)
    assert rig.history(session) == before
    first = rig.send(session, result(call, "hello"))["data"]
    stream.idle()
    assert rig.send(session, result(call, "hello"))["data"] == first
    rig.send(session, result(call, "other"), want=400)
    rig.send(session, result(call, "hello", is_error=True), want=400)
    assert sum(e["type"] == "user.tool_result" for e in rig.history(session)) == 1


def test_the_same_result_from_many_at_once(rigs):
    rig = rigs()
    session = rig.session()
    stream = rig.stream(session)
    rig.send(session, message("go"))
    call = stream.idle("requires_action")["stop_reason"]["event_ids"][0]
    clients = [Client(rig.inst) for _ in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: clients[i]("POST", f"/v1/sessions/{session}/events",
                                                     {"events": [result(call, "same" if i % 2 else f"other {i}")]}, want=(200, 400)),
                                range(12)))
    stored = [a["data"][0]["id"] for a in answers if "data" in a]
    assert stored and len(set(stored)) == 1
    stream.idle()
    assert sum(e["type"] == "user.tool_result" for e in rig.history(session)) == 1


def test_a_repeated_request(rigs):
    """SDKs send a request again when its answer was lost, and only say so in a header."""
    rig = rigs(TALK)
    session = rig.session()
    stream = rig.stream(session)
    first = rig.send(session, message("once"), headers={"x-stainless-retry-count": "0"})
    stream.idle()
    again = rig.send(session, message("once"), headers={"x-stainless-retry-count": "1"})
    assert [e["id"] for e in again["data"]] == [e["id"] for e in first["data"]]
    assert sum(e["type"] == "user.message" for e in rig.history(session)) == 1
    rig.send(session, message("once"), headers={"x-stainless-retry-count": "0"})
    stream.idle()
    rig.send(session, message("twice"), headers={"x-stainless-retry-count": "2"})
    stream.idle()
    assert sum(e["type"] == "user.message" for e in rig.history(session)) == 3


@pytest.mark.parametrize("verdict", ["allow", "deny"])
def test_confirmation(rigs, verdict):
    rig = rigs()
    agent = rig.agent(tools=[{"type": "agent_toolset_20260401",
                              "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}])
    session = rig.session(agent)
    stream = rig.stream(session)
    rig.send(session, message("go"))
    use = stream.until("agent.tool_use")
    assert use["evaluated_permission"] == "ask"
    assert stream.idle("requires_action")["stop_reason"]["event_ids"] == [use["id"]]
    lease = rig.claim()
    assert lease.calls() == [use["id"]]
    lease.answer(use["id"], "early", want=400)
    lease.api.post(f"/v1/sessions/{session}/events",
                   {"events": [{"type": "user.tool_confirmation", "tool_use_id": use["id"], "result": "allow"}]}, want=403)
    said = {"type": "user.tool_confirmation", "tool_use_id": use["id"], "result": verdict}
    if verdict == "deny":
        said["deny_message"] = "not on Mondays"
    rig.send(session, said)
    assert stream.until("user.tool_confirmation")["result"] == verdict
    rig.send(session, said, want=400)
    if verdict == "allow":
        lease.answer(use["id"], "hello")
    else:
        refused = stream.until("user.tool_result")
        assert refused["is_error"] is True and "not on Mondays" in refused["content"][0]["text"]
    stream.idle()
    assert [e["type"] for e in rig.history(session) if e["type"].startswith("user.tool")] == ["user.tool_confirmation",
                                                                                         "user.tool_result"]


def test_custom_tools(rigs):
    rig = rigs("""
version: 1
scenes:
  - steps:
      - say: [{ tool: lookup, input: { id: "7" } }]
      - say: [{ text: "done" }]
""")
    tool = {"type": "custom", "name": "lookup", "description": "looks up", "input_schema": {"type": "object"}}
    session = rig.session(rig.agent(tools=[tool]))
    stream = rig.stream(session)
    rig.send(session, message("go"))
    use = stream.until("agent.custom_tool_use")
    assert use["name"] == "lookup" and use["input"] == {"id": "7"}
    assert stream.idle("requires_action")["stop_reason"]["event_ids"] == [use["id"]]
    rig.send(session, result(use["id"], "x"), want=400)
    # A worker that has no such tool comes and goes: the call waits on for its client.
    lease = rig.claim()
    lease.events()
    lease.stop()
    rig.send(session, {"type": "user.custom_tool_result", "custom_tool_use_id": use["id"], "content": text("seven")})
    stream.idle()


def test_what_a_request_must_look_like(rigs):
    rig = rigs(TALK)
    session = rig.session()
    path = f"/v1/sessions/{session}/events"
    for body, where in (
        ({}, "events"), ({"events": []}, "events"), ({"events": {}}, "events"), ({"events": [1]}, "events[0]"),
        ({"events": [{}]}, "events[0].type"), ({"events": [{"type": "agent.message", "content": []}]}, "events[0].type"),
        ({"events": [{"type": "user.message"}]}, "events[0].content"),
        ({"events": [{"type": "user.message", "content": []}]}, "events[0].content"),
        ({"events": [{"type": "user.message", "content": "hi"}]}, "events[0].content"),
        ({"events": [message("x"), {"type": "user.message", "content": [{"type": "text"}]}]}, "events[1].content[0].text"),
        ({"events": [{"type": "user.message", "content": [{"type": "audio"}]}]}, "events[0].content[0].type"),
        ({"events": [{"type": "user.message", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
         "events[0].content[0].source.media_type"),
        ({"events": [{**message("x"), "role": "user"}]}, "events[0].role"), ({"events": [message("x")], "stream": True}, "stream"),
        ({"events": [{"type": "system.message", "content": text("x")}]}, "events[0]"),
        ({"events": [{"type": "user.tool_result"}]}, "events[0].tool_use_id"),
        ({"events": [{"type": "user.tool_confirmation", "tool_use_id": "a", "result": "maybe"}]}, "events[0].result"),
        ({"events": [{"type": "user.tool_confirmation", "tool_use_id": "a", "result": "allow", "deny_message": "x"}]},
         "events[0].deny_message"),
        ({"events": [message("x")] * 1001}, "events"),
    ):
        answer = rig.api.post(path, body, want=400)
        assert answer["error"]["type"] == "invalid_request_error"
        assert where in answer["error"]["message"], (where, answer)
    for raw in (b"", b"{", b"[]", b"null", b"\xff", b'{"events":[],"events":[]}', b'{"a":' * 200, json.dumps({"events": ["\0"]}).encode()):
        rig.api.post(path, raw, want=400)
    assert rig.history(session) == []
    ok = [message("a"), {"type": "system.message", "content": text("b")}]
    assert len(rig.send(session, *ok)["data"]) == 2
    wait_until(lambda: rig.get(session)["status"] == "idle", "it ends its turn")
