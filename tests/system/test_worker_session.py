"""The worker in a session, against a scripted control plane: which calls run and which do not, the stream in every shape, the
results, the idle countdown (conformance cases W19 to W31, W38), and calls that may have been another worker's."""
import itertools
import json
import os
import time

import pytest

from harness import SLOW, sallyport, wait_until
from mock_control import MockControl, idle, stamp, tool_use

pytestmark = pytest.mark.hostile


@pytest.fixture
def serve(make_instance):
    mocks = []

    def start(max_idle="1s", recorder=True, **kw):
        mock = MockControl(**kw)
        mocks.append(mock)
        inst = make_instance()
        inst.settings["worker"].update(environment=mock.environment, base_url=mock.url, max_idle=max_idle)
        inst.start("recorder")
        inst.start("worker")
        return mock, inst

    yield start
    for m in mocks:
        m.close()


def run_until_stop(mock, session, timeout=30):
    item = mock.add_item(session)
    stop = mock.wait_stop(item, timeout)
    return item, stop


def test_w19_w20_w22_history_decides(serve):
    mock, _ = serve(page_events=1000)
    filler = [{"type": "span.model_request_start", "id": f"sevt_f{i}"} for i in range(2500)]
    stopped = {"type": "user.interrupt", "id": "sevt_stopped"}
    session = mock.session(stopped, tool_use("call_open", "echo open >> ran; cat ran"), tool_use("call_done", "echo done >> ran"),
                           {"type": "user.tool_result", "tool_use_id": "call_done", "content": []}, *filler)
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    for ev in session.events[:2]:
        session.emit(dict(ev), history=False)  # the same again, by the stream
    assert mock.wait_result(session, "call_open") == (False, "open")
    pages = mock.find("GET", f"/v1/sessions/{session.id}/events")
    assert [p.query.get("page") for p in pages][:3] == [None, "1000", "2000"]
    session.emit(idle())
    mock.wait_stop(item)
    assert set(session.results) == {"call_open"} and len(mock.posts(session)) == 1


def test_w21_a_cut_stream_loses_no_call(serve):
    mock, _ = serve()
    session = mock.session(tool_use("call_0", "echo first"))
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_0") == (False, "first")  # so the history has been listed once
    session.streams[0].cut()
    session.emit(tool_use("call_1", "echo once >> ran; cat ran"), live=False)
    assert mock.wait_result(session, "call_1") == (False, "once")
    opened = mock.find("GET", ".*/events/stream")
    listed = mock.find("GET", f"/v1/sessions/{session.id}/events")
    assert len(opened) >= 2 and listed[-1].at > opened[-1].at
    session.emit(idle())
    mock.wait_stop(item)


def test_w23_w24_confirmations(serve):
    mock, _ = serve(max_idle="500ms")
    session = mock.session(*[tool_use(f"call_{p}", f"echo {p}", evaluated_permission=permission) for p, permission in
                             [("allowed", "ask"), ("denied", "ask"), ("maybe", "ask"), ("later", "later"), ("never", "deny")]], idle())
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    time.sleep(1.2)  # twice the idle time: a held call keeps the item
    assert not mock.stops(item) and not session.results
    for call, result in [("allowed", "allow"), ("denied", "deny"), ("maybe", "maybe"), ("later", "allow")]:
        session.emit({"type": "user.tool_confirmation", "tool_use_id": f"call_{call}", "result": result})
    assert mock.wait_result(session, "call_allowed") == (False, "allowed")
    assert mock.wait_result(session, "call_later") == (False, "later")
    session.emit(idle())
    mock.wait_stop(item)
    assert set(session.results) == {"call_allowed", "call_later"}


def test_a_held_call_that_was_answered_holds_the_item_no_longer(serve):
    """An interrupt closes it with a result; no confirmation will come."""
    mock, _ = serve(max_idle="500ms")
    session = mock.session()
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    session.emit(tool_use("call_1", "echo no", evaluated_permission="ask"))
    session.emit({"type": "user.interrupt"}, {"type": "user.tool_result", "tool_use_id": "call_1", "is_error": True, "content": []}, idle())
    mock.wait_stop(item)
    assert not mock.posts(session)


def test_w25_w26_calls_that_are_not_ours(serve):
    mock, _ = serve()
    thread = {"session_thread_id": "sthr_1"}
    session = mock.session(
        {"type": "agent.custom_tool_use", "id": "call_custom", "name": "bash", "input": {"command": "echo no"}},
        {"type": "agent.mcp_tool_use", "id": "call_mcp", "name": "bash", "mcp_server_name": "m", "input": {}},
        tool_use("call_web", name="web_fetch"), tool_use("call_odd", name="../../bin/sh"), tool_use("bad/id", "echo no"),
        {"type": "session.thread_status_terminated", **thread}, tool_use("call_ended", "echo no", **thread), tool_use("call_1", "echo yes"))
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_1") == (False, "yes")
    session.emit({"type": "session.status_terminated"})
    mock.wait_stop(item)
    assert set(session.results) == {"call_1"}


def test_w27_w28_the_idle_countdown(serve):
    mock, _ = serve(max_idle="1s")
    session = mock.session(idle())
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    time.sleep(0.5)
    session.emit({"type": "user.message", "content": []})
    time.sleep(1.2)
    session.emit(idle("requires_action"))
    time.sleep(1.2)
    assert not mock.stops(item)
    armed = time.monotonic()
    session.emit(idle("a reason of tomorrow"))
    assert 0.9 <= mock.wait_stop(item).at - armed <= 2 * SLOW


def test_w29_w30_results_are_posted_until_they_are_refused(serve):
    mock, _ = serve()
    session = mock.session(tool_use("call_1", "echo one"), tool_use("call_2", "echo two"), tool_use("call_3", "echo three"))
    mock.hook("POST", f"/v1/sessions/{session.id}/events", mock.error(503), times=4)
    refuse = lambda r: mock.error(400) if b"call_2" in r.body else None
    mock.hook("POST", f"/v1/sessions/{session.id}/events", refuse)
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_3", 40) == (False, "three")
    bodies = [p.body for p in mock.posts(session)]
    assert len(bodies) == 7 and len(set(bodies[:5])) == 1  # five times the first, once the second, once the third
    assert session.results["call_1"] == (False, "one") and "call_2" not in session.results
    session.emit(idle("requires_action"), {"type": "session.deleted"})
    mock.wait_stop(item)


def test_w31_streams_in_every_shape(serve):
    mock, _ = serve()
    session = mock.session()
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    stream = session.streams[0]

    def frame(ev, head=None):
        return (f"event: {ev['type']}\r\n" if head is None else head) + f"data: {json.dumps(ev)}\r\n\r\n"

    stream.send(b"\xef\xbb\xbf: a comment\r\n\r\nevent: ping\r\ndata: {}\r\n\r\n")
    stream.send(frame(tool_use("call_crlf", "echo crlf")).encode())
    assert mock.wait_result(session, "call_crlf") == (False, "crlf")
    stream.send(frame(tool_use("call_nameless", "echo nameless"), "").replace("\r\n", "\n").encode())
    text = json.dumps(tool_use("call_lines", "echo lines"), indent=1)
    stream.send(("event: message\n" + "".join(f"data: {line}\n" for line in text.split("\n")) + "\n").encode())
    assert mock.wait_result(session, "call_lines") == (False, "lines")
    for byte in frame(tool_use("call_bytes", "echo bytes")).encode():
        stream.send(bytes([byte]))
    assert mock.wait_result(session, "call_bytes") == (False, "bytes")
    long = tool_use("call_long", "echo long", padding="x" * (1 << 20))
    stream.send(f"event: agent.tool_use\ndata: {json.dumps(long)}\n\n".encode())
    assert mock.wait_result(session, "call_long") == (False, "long")
    # What can't be read is read again from the history.
    session.emit(tool_use("call_history", "echo history"), live=False)
    stream.send(b"event: agent.tool_use\ndata: {\"type\": nonsense}\n\n")
    assert mock.wait_result(session, "call_history") == (False, "history")
    session.emit(idle())
    mock.wait_stop(item)


def test_text_that_no_character_stands_for(serve):
    """What other programs write into events, escaped, makes neither an event nor a page of the history unreadable."""
    mock, _ = serve()
    odd = {"type": "user.message", "content": [{"type": "text", "text": "a\0b\ud83d"}]}
    session = mock.session(odd, tool_use("call_1", "printf %s 'a\0b' | od -An -tx1"))
    mock.add_item(session)
    assert mock.wait_result(session, "call_1") == (False, " 61 ef bf bd 62")
    session.emit(odd | {"id": "sevt_odd"}, tool_use("call_2", "echo '\udc00'"))
    assert mock.wait_result(session, "call_2") == (False, "\ufffd")


POLLS = [b"", b"[]", b'"x"', b"{", b'{"id":7}', b'{"id":"../x","data":{"type":"session","id":"s"}}',
         b'{"id":"w","data":{"type":"session","id":"../../etc"}}', b'{"id":"w","id":"v"}', b"\xff\xfe{}", b"[" * 100000, b" " * (3 << 20)]


def test_hostile_polls(serve):
    """After each of them the worker still serves a session: that also ends its growing pauses."""
    mock, _ = serve()
    for i, answer in enumerate(POLLS):
        hook = mock.hook("GET", ".*/work/poll", (200, answer), times=1)
        mock.wait(lambda: hook["times"] == 0, f"poll {i} was answered")
        session = mock.session(tool_use(f"call_{i}", "echo fine"))
        mock.add_item(session)
        assert mock.wait_result(session, f"call_{i}", 60) == (False, "fine"), answer[:60]
        mock.unhook(hook)


def test_hostile_sessions(serve):
    mock, _ = serve()
    bad = [{"type": 7}, {"type": "agent.tool_use"}, {"type": "agent.tool_use", "id": 5, "name": {}}, {"id": "x"},
           {"type": "user.tool_result", "tool_use_id": None}, {"type": "session.thread_status_terminated"},
           {"type": "agent.tool_use", "id": "call_a", "name": None}, {"type": "agent.tool_use", "id": "call_b", "name": "bash", "input": [1]},
           {"type": "user.interrupt", "session_thread_id": 9}, {"type": "session.status_idle", "stop_reason": []}]
    session = mock.session()
    with mock.changed:
        session.events += bad
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    for ev in bad:
        session.streams[0].send(f"event: x\ndata: {json.dumps(ev)}\n\n".encode())
    mock.wait(lambda: [r for r in mock.find("GET", f"/v1/sessions/{session.id}/events") if r.status], "the history was read")
    session.emit(tool_use("call_1", "echo fine"))
    assert mock.wait_result(session, "call_1") == (False, "fine")
    session.emit(idle())
    mock.wait_stop(item)


def test_w38_nothing_of_the_host_is_inside(serve):
    mock, inst = serve()
    worker = inst.roles["worker"]
    session = mock.session(tool_use("call_1", "env; cat /proc/self/environ /proc/*/environ | tr '\\0' '\\n'; ls -l /proc/self/fd"),
                           tool_use("call_2", f"cat /proc/{worker.pid}/environ; cat /proc/{worker.ready['poller']}/environ"),
                           tool_use("call_3", "exec 3<>/dev/tcp/127.0.0.1/" + mock.url.rsplit(":", 1)[1]))
    mock.add_item(session)
    inside = mock.wait_result(session, "call_1")[1]
    assert "ANTHROPIC" not in inside and inst.environment_key not in inside and "sp-" not in inside and "socket:" not in inside
    assert mock.wait_result(session, "call_2")[0]
    error, text = mock.wait_result(session, "call_3")
    assert error and ("unreachable" in text or "refused" in text), text


def test_an_interrupt_kills_the_running_call(serve):
    mock, inst = serve()
    session = mock.session()
    item = mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    begin = time.monotonic()
    session.emit(tool_use("call_1", "sleep 60"))
    inst.roles["worker"].wait_log("worker.sandbox ")
    session.emit({"type": "user.interrupt"}, {"type": "user.tool_result", "tool_use_id": "call_1", "is_error": True, "content": []}, idle())
    mock.wait_stop(item)
    assert time.monotonic() - begin < 15 * SLOW
    assert not mock.posts(session)


def test_without_a_recorder_nothing_runs(serve):
    mock, inst = serve()
    session = mock.session()
    mock.add_item(session)
    mock.wait(lambda: session.streams, "the stream")
    inst.roles["recorder"].kill()
    session.emit(tool_use("call_1", "echo ran > /workspace/ran"))
    error, text = mock.wait_result(session, "call_1")
    assert error and "did not run" in text and "record" in text
    inst.start("recorder", name="recorder-again")
    calls = itertools.count(2)

    def recorded():
        call = f"call_{next(calls)}"
        session.emit(tool_use(call, "ls /workspace"))
        error, text = mock.wait_result(session, call)
        return None if error else text

    assert wait_until(recorded, "the worker has found the recorder again") == "(no output)"


# --- a control plane that does not keep count: the hosted service

def test_hosted_a_call_of_our_own_time_runs(serve):
    mock, _ = serve(calls=None)
    session = mock.session(tool_use("call_before", "echo before"))
    mock.add_item(session)
    assert mock.wait_result(session, "call_before") == (False, "before")  # nobody else ever held an item of the session
    session.emit(tool_use("call_during", "echo during"))
    assert mock.wait_result(session, "call_during") == (False, "during")


@pytest.mark.parametrize("how", ["started before", "another item", "list refused"])
def test_hosted_a_call_that_another_worker_may_have_run_is_unknown(serve, how):
    mock, _ = serve(calls=None)
    session = mock.session(tool_use("call_old", "echo ran twice"))
    more = {}
    if how == "started before":
        more["started_at"] = stamp(time.time() - 60)
    elif how == "another item":
        other = mock.add_item(session)
        with mock.changed:
            mock.queue.remove(other)
            mock.items[other].update(state="active", acknowledged_at=stamp(), started_at=stamp())
    else:
        mock.hook("GET", f"/v1/environments/{mock.environment}/work", mock.error(403))
    mock.add_item(session, **more)
    error, text = mock.wait_result(session, "call_old")
    assert error and "unknown" in text and "not run again" in text
    session.emit(tool_use("call_new", "echo new"))
    assert mock.wait_result(session, "call_new") == (False, "new")


def test_hosted_an_item_that_ended_before_the_call_does_not_matter(serve):
    mock, _ = serve(calls=None)
    session = mock.session()
    other = mock.add_item(session)
    with mock.changed:
        mock.queue.remove(other)
        past = stamp(time.time() - 60)
        mock.items[other].update(state="stopped", acknowledged_at=past, started_at=past, stopped_at=past)
    session.emit(tool_use("call_1", "echo mine"))
    mock.add_item(session)
    assert mock.wait_result(session, "call_1") == (False, "mine")


def workspace_of(inst, session):
    return inst.dir / "data/worker/sessions" / session.id


def test_a_deleted_sessions_workspace_is_removed(serve):
    mock, inst = serve()
    session = mock.session(tool_use("call_1", "mkdir -m 0 d; echo kept > file; echo ok"))
    item = mock.add_item(session)
    assert mock.wait_result(session, "call_1") == (False, "ok")
    assert (workspace_of(inst, session) / "workspace/file").exists()
    session.emit({"type": "session.deleted"})
    mock.wait_stop(item)
    wait_until(lambda: not workspace_of(inst, session).exists(), "its files are gone")
    log = sallyport("audit", "show", "--json", "--config", inst.config, check=True).stdout
    assert "workspace.remove" in log and sallyport("audit", "verify", "--config", inst.config).returncode == 0


def test_a_workspace_that_nobody_came_back_to_is_removed(serve):
    mock, inst = serve(max_idle="500ms")
    sessions = [mock.session(tool_use(f"call_{i}", "echo kept > file")) for i in range(2)]
    for i, s in enumerate(sessions):
        item = mock.add_item(s)
        mock.wait_result(s, f"call_{i}")
        s.emit(idle())
        mock.wait_stop(item)
    assert inst.roles["worker"].stop() == 0
    past = time.time() - 31 * 86400
    os.utime(workspace_of(inst, sessions[0]) / "lock", (past, past))
    inst.start("worker", name="worker-again")
    wait_until(lambda: not workspace_of(inst, sessions[0]).exists(), "the old one is gone")
    assert (workspace_of(inst, sessions[1]) / "workspace/file").exists()


def test_the_next_item_finds_the_same_workspace(serve):
    mock, _ = serve(max_idle="500ms")
    session = mock.session(tool_use("call_1", "echo kept > file; export X=kept; echo ok"))
    item = mock.add_item(session)
    mock.wait_result(session, "call_1")
    session.emit(idle())
    mock.wait_stop(item)
    session.emit(tool_use("call_2", "cat file; echo $X"))
    mock.add_item(session)
    assert mock.wait_result(session, "call_2") == (False, "kept\nkept")
