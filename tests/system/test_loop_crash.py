"""control killed (SIGKILL) at each commit point of a turn, and while the model answers: after the next start the turn goes on from
the log alone and ends as the API says, once. Nothing is stored twice, nothing that was acknowledged is lost."""
import http.client
import os
import subprocess

import pytest

from agent_session import Session, check_order, text
from harness import wait_until

SCENARIO = """
version: 1
scenes:
  - steps:
      - say: [{ text: "I run it." }, { tool: bash, input: { command: "echo hello" } }]
      - say: [{ text: "done" }]
"""
UNREACHABLE = (OSError, http.client.HTTPException)


class Killer:
    """Ends control with SIGKILL at its nth call of these from now on: strace, attached to all its threads, puts it there."""

    def __init__(self, instance, calls, n):
        self.control = instance.roles["control"]
        self.strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={n}",
             "-o", "/dev/null", "-p", str(self.control.pid)], stderr=subprocess.PIPE, text=True)
        wait_until(self._attached, "strace is attached")

    def _attached(self):
        assert self.strace.poll() is None, self.strace.stderr.read()
        tasks = [f"/proc/{self.control.pid}/task/{t}/status" for t in os.listdir(f"/proc/{self.control.pid}/task")]
        return all("TracerPid:\t0" not in open(t).read() for t in tasks)

    def close(self):
        self.strace.terminate()
        self.strace.wait()


def deliver(instance, session, event):
    """Sends an event as an SDK does: what got no answer is sent again, and says so."""
    for retry in range(4):
        try:
            status, answer = session.post(event, headers={"x-stainless-retry-count": str(retry)})
            assert status == 200, answer
            return
        except UNREACHABLE:
            restart(instance)
    raise AssertionError("control did not come back")


def restart(instance):
    instance.roles["control"].wait(5)  # fails when it was not killed at all
    instance.start("control")


def settled(instance, session, idles):
    """Waits for the session's next idle, starting control again when it was killed; the idle event."""
    while True:
        try:
            return session.wait_idle(count=idles)
        except (AssertionError, *UNREACHABLE):
            restart(instance)


def finish(instance, session):
    """Plays the worker until the session has ended its turn."""
    while True:
        idle = settled(instance, session, 1)
        if idle["stop_reason"]["type"] != "requires_action":
            return
        before = len([t for t in session.types() if t == "session.status_idle"])
        for call in idle["stop_reason"]["event_ids"]:
            deliver(instance, session, {"type": "user.tool_result", "tool_use_id": call, "content": text("hello")})
        settled(instance, session, before + 1)


def check_once(session):
    events = session.events()
    check_order(events)
    types = [e["type"] for e in events]
    assert [e["content"] for e in events if e["type"] == "agent.message"] == [text("I run it."), text("done")], types
    assert types.count("user.message") == types.count("agent.tool_use") == types.count("user.tool_result") == 1, types
    assert types[-1] == "session.status_idle" and events[-1]["stop_reason"]["type"] == "end_turn", types
    assert session.get()["status"] == "idle"


# At each sync the commit is written and nobody knows it yet; at a write it is there in part.
@pytest.mark.parametrize("calls,stride,least", [("fdatasync,fsync", 1, 6), ("pwrite64", 4, 5)])
def test_killed_at_each_commit_point_the_turn_ends_once(make_instance, calls, stride, least):
    instance = make_instance()
    instance.start_all(SCENARIO)
    killed = 0
    for n in range(1, 200, stride):
        session = Session(instance)
        killer = Killer(instance, calls, n)
        try:
            deliver(instance, session, {"type": "user.message", "content": text("go")})
            finish(instance, session)
            hit = not killer.control.running()
        finally:
            killer.close()
        check_once(session)
        if not hit:
            break
        killed += 1
    assert killed >= least, f"only {killed} commit points were met"


@pytest.mark.parametrize("at", range(13))
def test_killed_while_the_model_answers_it_is_asked_again(make_instance, at):
    instance = make_instance()
    instance.start_all(SCENARIO.replace('- say: [{ text: "I run', f'- faults: [{{ do: stall, at: {at} }}]\n        say: [{{ text: "I run'))
    session = Session(instance)
    session.say("go")
    instance.roles["model-replay"].wait_log("fault=yes")
    instance.roles["control"].kill()
    restart(instance)
    finish(instance, session)
    check_once(session)
    ends = [e for e in session.events() if e["type"] == "span.model_request_end"]
    assert [bool(e["is_error"]) for e in ends] == [True, False, False]
