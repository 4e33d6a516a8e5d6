"""The model endpoint stalls, truncates, sends garbage, answers 429, 529, 500 or drops the connection, at each boundary of its
stream: the turn ends as the API says, once. What is retried is retried with backoff and told; what can't be is given up."""
import concurrent.futures

import pytest

from agent_session import Session, check_order

# Frames of the step's stream: message_start, ping, text start, 2 deltas, stop, tool start, 3 deltas, stop, message_delta, message_stop
FRAMES = 13
STEP = """
      - say: [{{ text: "I will say it." }}, {{ tool: bash, input: {{ command: "echo hello" }} }}]
        faults: [{faults}]
      - say: [{{ text: "done" }}]
"""


def scene(name, faults):
    return f"  - when: {{ user: {{ starts: \"{name}\" }} }}\n    steps:{STEP.format(faults=faults)}"


def scenario(scenes):
    return "version: 1\nscenes:\n" + "".join(scene(name, faults) for name, faults in scenes.items())


def start(instance, scenes, **model):
    instance.start("recorder")
    instance.start_model(scenario(scenes))
    instance.settings["control"]["models"][0].update(model)
    instance.start("control")


def play(instance, name):
    """A whole turn, whose one call is answered; its events."""
    s = Session(instance)
    s.say(name)
    idle = s.wait_idle("requires_action")
    call, = idle["stop_reason"]["event_ids"]
    s.result(call, "hello")
    s.wait_idle("end_turn", 2)
    events = s.events()
    check_order(events)
    assert [e["content"][0]["text"] for e in events if e["type"] == "agent.message"] == ["I will say it.", "done"]
    assert [e["id"] for e in events if e["type"] == "agent.tool_use"] == [call]
    return events


def play_all(instance, names):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(lambda n: play(instance, n), names)))


def errors(events):
    return [(e["error"]["type"], e["error"]["retry_status"]["type"]) for e in events if e["type"] == "session.error"]


def failed_requests(events):
    return sum(e["type"] == "span.model_request_end" and bool(e["is_error"]) for e in events)


def test_a_stream_broken_at_any_boundary_is_asked_again(instance):
    scenes = {f"{deed} {at:02}": f"{{ do: {deed}, at: {at} }}"
              for deed in ("stall", "truncate", "drop", "garbage", "error") for at in range(FRAMES)}
    start(instance, scenes, silence="2s")
    for name, events in play_all(instance, list(scenes)).items():
        kind = "model_overloaded_error" if name.startswith("error") else "model_request_failed_error"
        assert errors(events) == [(kind, "retrying")], name
        assert failed_requests(events) == 1, name
        types = [e["type"] for e in events]
        at = types.index("session.error")
        assert types[at:at + 3] == ["session.error", "span.model_request_end", "session.status_rescheduled"], (name, types)


def test_a_stream_broken_behind_its_end_is_whole(instance):
    scenes = {deed: f"{{ do: {deed}, at: {FRAMES} }}" for deed in ("stall", "truncate", "drop", "garbage", "error")}
    scenes["drip"] = "{ do: drip, bytes: 1, pause: 0ms }"
    start(instance, scenes)
    for name, events in play_all(instance, list(scenes)).items():
        assert errors(events) == [] and failed_requests(events) == 0, name


@pytest.mark.parametrize("status,kind", [
    (429, "model_rate_limited_error"), (529, "model_overloaded_error"), (500, "model_request_failed_error"),
    (503, "model_request_failed_error"), (408, "model_request_failed_error"), (409, "model_request_failed_error")])
def test_a_status_that_may_pass_is_asked_again(instance, status, kind):
    start(instance, {"go": f"{{ do: status, status: {status}, times: 2 }}"})
    events = play(instance, "go")
    assert errors(events) == [(kind, "retrying")] * 2
    assert failed_requests(events) == 2


def test_retry_after_is_kept_to(instance):
    start(instance, {"go": "{ do: status, status: 429, retry_after: 3 }"})
    events = play(instance, "go")
    first, second = [e["processed_at"] for e in events if e["type"] == "span.model_request_start"][:2]
    seconds = [int(t[14:16]) * 60 + float(t[17:26]) for t in (first, second)]
    assert (seconds[1] - seconds[0]) % 3600 >= 3


def given_up(instance, name, kind, requests):
    s = Session(instance)
    s.say(name)
    s.wait_idle("retries_exhausted")
    events = s.events()
    check_order(events)
    assert errors(events) == [(kind, "retrying")] * (requests - 1) + [(kind, "exhausted")]
    assert failed_requests(events) == requests
    assert not [e for e in events if e["type"].startswith("agent.")]
    assert s.get()["status"] == "idle"
    return s


@pytest.mark.parametrize("status,kind", [
    (400, "model_request_failed_error"), (401, "model_request_failed_error"), (402, "billing_error"),
    (403, "model_request_failed_error"), (404, "model_request_failed_error"), (413, "model_request_failed_error")])
def test_a_status_that_stays_is_given_up_at_once(instance, status, kind):
    start(instance, {"go": f"{{ do: status, status: {status} }}"})
    s = given_up(instance, "go", kind, 1)
    # The session is not lost: the next message is answered, out of both.
    s.say("again")
    s.wait_idle("requires_action", 2)
    check_order(s.events())


def test_retries_end_and_the_session_goes_on(instance):
    start(instance, {"go": "{ do: status, status: 529, times: 3 }"}, retries=2)
    s = given_up(instance, "go", "model_overloaded_error", 3)
    s.say("again")
    call, = s.wait_idle("requires_action", 2)["stop_reason"]["event_ids"]
    s.result(call, "hello")
    s.wait_idle("end_turn", 3)
    check_order(s.events())


def test_a_turn_that_is_given_up_takes_the_waiting_input_with_it(instance):
    """An endpoint that fails is not asked on and on: what waited is answered when somebody speaks again."""
    start(instance, {"go": "{ do: status, status: 529, retry_after: 1 }, { do: status, status: 401 }"})
    s = Session(instance)
    stream = s.stream()
    s.say("go")
    stream.wait(lambda e: e["type"] == "session.status_rescheduled", "rescheduled")
    stream.wait(lambda e: e["type"] == "session.status_running", "it tries again")
    stream.close()
    s.say("while it tries")
    s.wait_idle("retries_exhausted")
    events = s.events()
    check_order(events)
    assert failed_requests(events) == 2 and s.get()["status"] == "idle"
    assert all(e["processed_at"] for e in events)
    s.say("again")
    s.wait_idle("requires_action", 2)
    check_order(s.events())


def test_no_endpoint_at_all_is_given_up_and_named(instance):
    instance.start("recorder")
    instance.settings["control"]["models"] = [{"name": "other-*", "url": "http://127.0.0.1:1"},
                                              {"name": "closed", "url": "http://127.0.0.1:1", "retries": 1}]
    instance.start("control")
    s = given_up(instance, "go", "model_request_failed_error", 1)
    error = next(e for e in s.events() if e["type"] == "session.error")
    assert 'no endpoint is configured for the model "test"' in error["error"]["message"]


def test_an_interrupt_ends_the_wait_for_another_try(instance):
    start(instance, {"go": "{ do: status, status: 529, retry_after: 200 }"})
    s = Session(instance)
    stream = s.stream()
    s.say("go")
    stream.wait(lambda e: e["type"] == "session.status_rescheduled", "rescheduled")
    assert s.get()["status"] == "rescheduling"
    s.send({"type": "user.interrupt"})
    s.wait_idle("end_turn")
    s.say("again")
    s.wait_idle("requires_action", 2)
    stream.close()
    check_order(s.events())


def test_input_that_arrives_during_the_wait_is_in_the_next_try(instance):
    start(instance, {"go": "{ do: status, status: 429, retry_after: 2 }"})
    s = Session(instance)
    stream = s.stream()
    s.say("go")
    stream.wait(lambda e: e["type"] == "session.status_rescheduled", "rescheduled")
    s.say("more")
    s.wait_idle("requires_action")
    stream.close()
    events = s.events()
    check_order(events)
    starts = [i for i, e in enumerate(events) if e["type"] == "span.model_request_start"]
    messages = [i for i, e in enumerate(events) if e["type"] == "user.message"]
    assert len(starts) == 2 and messages[0] < starts[0] < messages[1] < starts[1]
