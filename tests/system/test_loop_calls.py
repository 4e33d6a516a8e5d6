"""The agent loop's turns over the API: worker's, custom, asked-about, unknown and disabled calls, partial answers, input that
arrives meanwhile, interrupts, refusals and answers that were cut, previews of deltas."""
import pytest

from agent_session import TOOLS, Session, check_order, text

OWN = {"type": "custom", "name": "own", "description": "d", "input_schema": {"type": "object"}}
ASK = [{"type": "agent_toolset_20260401",
        "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}, {"name": "edit", "enabled": False}]}, OWN]


def of(events, *types):
    return [e for e in events if e["type"] in types]


def run(instance, steps, tools=TOOLS, message="go", **agent):
    instance.start_all("version: 1\nscenes:\n  - take: { r: { from: result } }\n    steps:\n" + steps)
    s = Session(instance, tools, **agent)
    s.say(message)
    return s


TWO = """
      - say: [{ tool: bash, input: { command: a } }, { tool: read, input: { file_path: b } }]
      - when: { turn: 2, result: { equals: second } }
        say: [{ text: "both" }]
"""


def test_a_partial_answer_is_a_new_idle_with_the_rest(instance):
    s = run(instance, TWO)
    a, b = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    s.result(a, "first")
    assert s.wait_idle("requires_action", 2)["stop_reason"]["event_ids"] == [b]
    s.result(b, "second")
    s.wait_idle("end_turn", 3)
    check_order(s.events())
    assert [e["evaluated_permission"] for e in of(s.events(), "agent.tool_use")] == ["allow", "allow"]


def test_results_for_unknown_answered_and_other_calls_are_refused(instance):
    s = run(instance, TWO, tools=[*TOOLS, OWN])
    a, b = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    before = s.events()
    result = {"type": "user.tool_result", "tool_use_id": a, "content": text("x")}
    for bad in ({**result, "tool_use_id": "sevt_none"},
                {"type": "user.custom_tool_result", "custom_tool_use_id": a, "content": text("x")}):
        status, answer = s.post(bad)
        assert status == 400 and answer["error"]["type"] == "invalid_request_error", answer
    assert s.events() == before
    s.send(result)
    assert s.post(result)[0] == 200  # the same bytes again: the stored event
    assert s.post({**result, "content": text("y")})[0] == 400
    s.result(b, "second")
    s.wait_idle("end_turn", 3)
    check_order(s.events())


def test_a_custom_tool_waits_for_its_client(instance):
    s = run(instance, """
      - say: [{ tool: own, input: { q: 1 } }]
      - say: [{ text: "got {{r}}" }]
""", tools=[OWN])
    call, = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    use, = of(s.events(), "agent.custom_tool_use")
    assert use["id"] == call and use["input"] == {"q": 1} and "evaluated_permission" not in use
    s.send({"type": "user.custom_tool_result", "custom_tool_use_id": call, "content": text("it")})
    s.wait_idle("end_turn", 2)
    assert of(s.events(), "agent.message")[0]["content"] == text("got it")


def test_a_denied_call_is_closed_with_the_reason_and_the_turn_goes_on(instance):
    s = run(instance, """
      - say: [{ tool: bash, input: { command: a } }]
      - when: { turn: 2, failed: true }
        say: [{ text: "{{r}}" }]
""", tools=ASK)
    call, = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    assert of(s.events(), "agent.tool_use")[0]["evaluated_permission"] == "ask"
    s.send({"type": "user.tool_confirmation", "tool_use_id": call, "result": "deny", "deny_message": "not on Fridays"})
    s.wait_idle("end_turn", 2)
    events = s.events()
    check_order(events)
    result, = of(events, "user.tool_result")
    assert result["tool_use_id"] == call and result["is_error"] and "not on Fridays" in result["content"][0]["text"]
    assert "not on Fridays" in of(events, "agent.message")[0]["content"][0]["text"]
    assert of(events, "user.tool_confirmation")[0]["result"] == "deny"


def test_an_allowed_call_is_the_workers(instance):
    s = run(instance, """
      - say: [{ tool: bash, input: { command: a } }]
      - say: [{ text: "{{r}}" }]
""", tools=ASK)
    call, = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    s.send({"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"})
    assert s.open_calls() == [call]
    s.result(call, "ran")
    s.wait_idle("end_turn")
    check_order(s.events())


def test_unknown_and_disabled_tools_get_an_error_and_no_worker_sees_them_open(instance):
    s = run(instance, """
      - say: [{ tool: teleport, input: {} }, { tool: edit, input: {} }]
      - when: { turn: 2, failed: true, tool: edit }
        say: [{ text: "{{r}}" }]
""", tools=ASK)
    s.wait_idle("end_turn")
    events = s.events()
    check_order(events)
    assert [e["evaluated_permission"] for e in of(events, "agent.tool_use")] == ["deny", "deny"]
    assert [e["is_error"] for e in of(events, "user.tool_result")] == [True, True]
    assert [e["stop_reason"]["type"] for e in of(events, "session.status_idle")] == ["end_turn"]
    assert "turned off" in of(events, "agent.message")[0]["content"][0]["text"]


def test_input_that_arrives_meanwhile_waits_for_the_next_turn(instance):
    s = run(instance, """
      - say: [{ tool: bash, input: { command: a } }]
      - when: { turn: 2, user: { contains: more } }
        say: [{ text: "saw it" }]
""")
    call, = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    assert s.say("more")[0]["processed_at"] is None
    assert s.get()["status"] == "idle"
    s.result(call, "x")
    s.wait_idle("end_turn")
    events = s.events()
    check_order(events)
    assert all(e["processed_at"] for e in events)
    assert of(events, "agent.message")[0]["content"] == text("saw it")


def test_an_interrupt_drops_the_request_that_is_under_way(instance):
    s = run(instance, """
      - when: { turn: 1, user: { contains: again } }
        say: [{ text: "second" }]
      - when: { turn: 1 }
        say: [{ text: "never stored" }]
        faults: [{ do: stall, at: 4 }]
""")
    s.instance.roles["model-replay"].wait_log("fault=yes")
    s.send({"type": "user.interrupt"})
    s.wait_idle("end_turn")
    assert s.get()["status"] == "idle"
    assert not of(s.events(), "agent.message") and of(s.events(), "user.interrupt")
    s.say("again")
    s.wait_idle("end_turn", 2)
    events = s.events()
    check_order(events)
    assert [e["content"] for e in of(events, "agent.message")] == [text("second")]


def test_an_interrupt_closes_open_calls_and_late_results_are_refused(instance):
    s = run(instance, """
      - say: [{ tool: bash, input: { command: a } }, { tool: bash, input: { command: b } }]
      - when: { turn: 2, failed: true }
        say: [{ text: "next" }]
""")
    a, b = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    s.send({"type": "user.interrupt"})
    s.wait_idle("end_turn", 2)
    events = s.events()
    check_order(events)
    results = of(events, "user.tool_result")
    assert {r["tool_use_id"] for r in results} == {a, b} and all(r["is_error"] for r in results)
    assert s.post({"type": "user.tool_result", "tool_use_id": a, "content": text("late")})[0] == 400
    s.say("go on")
    s.wait_idle("end_turn", 3)
    check_order(s.events())


@pytest.mark.parametrize("stop,reason,error", [
    ("refusal", "refusal", False), ("max_tokens", "end_turn", True), ("pause_turn", "end_turn", False),
    ("model_context_window_exceeded", "end_turn", True)])
def test_other_ends_of_an_answer(instance, stop, reason, error):
    s = run(instance, f"""
      - say: [{{ text: "some" }}]
        stop: {stop}
""")
    idle = s.wait_idle(reason)
    assert (idle["stop_details"] is not None) == (stop == "refusal")
    events = s.events()
    check_order(events)
    assert bool(of(events, "session.error")) == error
    assert of(events, "agent.message")[0]["content"] == text("some")


def test_previews_have_the_ids_of_what_is_stored(instance):
    instance.start_all("""
version: 1
scenes:
  - steps:
      - say: [{ thinking: "hm" }, { text: "One and two and " }, { text: "three." }, { tool: bash, input: { command: a } }]
        pace: 5ms
""")
    s = Session(instance)
    stream = s.stream("?event_deltas%5B%5D=agent.message&event_deltas%5B%5D=agent.thinking")
    plain = s.stream()
    s.say("go")
    for st in (stream, plain):
        st.wait(lambda e: e["type"] == "session.status_idle", "idle")
    started = {e["event"]["id"]: e["event"]["type"] for e in stream.frames if e["type"] == "event_start"}
    stored = {e["id"]: e for e in s.events()}
    assert [stored[i]["type"] for i in started] == list(started.values()) == ["agent.thinking", "agent.message"]
    message = next(e for e in stored.values() if e["type"] == "agent.message")
    parts = ["", ""]
    for e in stream.frames:
        if e["type"] == "event_delta":
            assert e["event_id"] == message["id"]
            parts[e["delta"]["index"]] += e["delta"]["content"]["text"]
    assert parts == [b["text"] for b in message["content"]] == ["One and two and ", "three."]
    order = [e["type"] for e in stream.frames if e["type"] in ("event_start", "event_delta", "agent.message")]
    assert order[0] == "event_start" and order[-1] == "agent.message"
    assert not [e for e in plain.frames if e["type"].startswith("event_")]
    assert not [e for e in s.events() if e["type"].startswith("event_") or "kept" in e]
    stream.close()
    plain.close()
