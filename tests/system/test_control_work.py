"""The work queue as workers see it (managed-agents-conformance.md P5 to P18, P36, P38): one item to one worker, leases that can't
be held twice, nothing lost when a poller, a worker or a message comes at the wrong moment."""
import concurrent.futures
import socket
import time
import urllib.parse

import pytest

from control_rig import EVERY_TIME, TALK, Client, Rig, message
from harness import wait_until


@pytest.fixture
def rig(instance):
    r = Rig(instance)
    yield r
    r.close()


def test_one_item_to_one_of_twenty_pollers(rig):
    rig.session()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        items = list(pool.map(lambda i: Client(rig.inst, rig.inst.environment_key).get(f"{rig.w}/poll", block_ms=500), range(20)))
    got = [i for i in items if i]
    assert len(got) == 1 and got[0]["secret"]
    item = got[0]
    assert item["state"] == "queued" and item["type"] == "work" and item["data"]["type"] == "session"
    assert rig.api.get(f"{rig.w}/{item['id']}")["secret"] is None
    assert [i["secret"] for i in rig.env.get(rig.w)["data"]] == [None]


def test_reclaim_of_what_was_not_acknowledged(rig):
    rig.session()
    first = rig.poll()
    began = time.monotonic()
    assert first
    assert rig.poll(reclaim_older_than_ms=2000) is None
    stats = rig.env.get(f"{rig.w}/stats")
    assert (stats["pending"], stats["depth"], stats["type"]) == (1, 0, "work_queue_stats") and stats["oldest_queued_at"]
    again = wait_until(lambda: rig.poll(reclaim_older_than_ms=2000), "the item comes again", 10)
    assert again["id"] == first["id"] and time.monotonic() - began > 1.9
    assert again["secret"] != first["secret"]


@pytest.mark.parametrize("value", ["0", "1000", "x", "-1", "1e2", " ", "999999999999999999999"])
def test_block_ms_out_of_range(rig, value):
    rig.env("GET", f"{rig.w}/poll?block_ms={urllib.parse.quote(value)}", want=400)


def test_null_as_official_clients_write_it(rig):
    """They leave the value out; the default holds."""
    rig.session()
    assert rig.poll(block_ms="", reclaim_older_than_ms="")
    assert rig.poll(block_ms="", reclaim_older_than_ms="") is None
    lease = rig.claim()
    assert rig.env.post(f"{lease.path}/heartbeat?expected_last_heartbeat=&desired_ttl_seconds=")["ttl_seconds"] == 60
    rig.env("POST", f"{lease.path}/heartbeat", want=412, expected_last_heartbeat="NO_HEARTBEAT")


def test_long_poll(rig):
    rig.claim().stop() if rig.session() else None
    began = time.monotonic()
    assert rig.poll(block_ms=400) is None
    assert 0.35 < time.monotonic() - began < 2
    assert rig.env.head["content-type"] == "application/json"
    began = time.monotonic()
    assert rig.poll() is None and time.monotonic() - began < 0.3
    agent = rig.agent()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(rig.poll, block_ms=999)
        wait_until(lambda: rig.env.get(f"{rig.w}/stats") is not None, "stats")
        began = time.monotonic()
        session = rig.session(agent)
        assert waiting.result(5)["data"]["id"] == session
        assert time.monotonic() - began < 0.6


def test_a_poller_that_goes_away_loses_nothing(rig):
    rig.claim().stop() if rig.session() else None
    agent = rig.agent()
    host, port = rig.inst.control_url.removeprefix("http://").rsplit(":", 1)
    for _ in range(5):
        with socket.create_connection((host, int(port))) as s:
            s.sendall(f"GET {rig.w}/poll?block_ms=900 HTTP/1.1\r\nHost: x\r\nx-api-key: {rig.inst.environment_key}\r\n\r\n".encode())
            time.sleep(0.02)  # sent, and perhaps waiting: the cut must be harmless at any moment
        session = rig.session(agent)
        item = wait_until(lambda: rig.poll(block_ms=500, reclaim_older_than_ms=300), "the item comes", 10)
        assert item["data"]["id"] == session
        rig.env.post(f"{rig.w}/{item['id']}/stop", {"force": True})


def test_acknowledgement(rig):
    rig.session()
    item = rig.poll()
    acked = rig.env.post(f"{rig.w}/{item['id']}/ack")
    assert acked["state"] == "starting" and acked["acknowledged_at"] and acked["secret"] is None
    rig.env.post(f"{rig.w}/{item['id']}/ack", want=(400, 404, 409))
    rig.env.post(f"{rig.w}/work_nonesuch/ack", want=404)
    rig.env.post(f"{rig.w}/{'x' * 300}/ack", want=404)
    assert rig.env.get(f"{rig.w}/stats")["pending"] == 0


def test_two_first_heartbeats_at_once(rig):
    rig.session()
    lease = rig.claim(beat=False)
    rig.env.post(f"{lease.path}/ack")
    clients = [Client(rig.inst, lease.token) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda c: c("POST", f"{lease.path}/heartbeat", want=(200, 412), expected_last_heartbeat="NO_HEARTBEAT"), clients))
    won = [a for a in answers if a["type"] == "work_heartbeat"]
    lost = [a for a in answers if a["type"] == "error"]
    assert len(won) == 1 and len(lost) == 7
    assert won[0]["state"] == "active" and won[0]["lease_extended"] is True and won[0]["ttl_seconds"] == 60
    for a in lost:
        assert a["error"]["type"] == "invalid_request_error"
        d = a["error"]["details"]
        assert d["error_code"] == "heartbeat_precondition_failed"
        assert d["current_state"] == {"state": "active", "last_heartbeat": won[0]["last_heartbeat"], "lease_extended": False,
                                      "ttl_seconds": 60}


def test_the_chain_of_heartbeats(rig):
    rig.session()
    lease = rig.claim()
    values = [lease.last]
    for _ in range(20):
        lease.beat()
        values.append(lease.last)
    assert len(set(values)) == len(values)
    lease.last = values[-2]
    lease.beat(want=412)
    lease.last = values[-1]
    assert lease.beat()["last_heartbeat"] not in values
    assert rig.api.get(lease.path)["latest_heartbeat_at"] == lease.last
    assert lease.beat(desired_ttl_seconds=1)["ttl_seconds"] == 5
    assert lease.beat(desired_ttl_seconds=100000)["ttl_seconds"] == 300
    assert lease.beat()["ttl_seconds"] == 300
    lease.beat(want=400, desired_ttl_seconds="x")


def test_a_lease_that_lapses(rig):
    rig.session()
    old = rig.claim()
    old.beat(desired_ttl_seconds=5)
    assert rig.poll() is None
    item = wait_until(lambda: rig.poll(block_ms=500), "the item comes again", 12)
    assert item["id"] == old.id and item["latest_heartbeat_at"] is None and item["acknowledged_at"] is None
    assert old.beat(want=412)["error"]["details"]["error_code"] == "heartbeat_precondition_failed"
    rig.env.post(f"{old.path}/ack")
    old.beat(want=412)
    rig.env("POST", f"{old.path}/heartbeat", want=200, expected_last_heartbeat="NO_HEARTBEAT")
    old.beat(want=412)
    old.stop(want=409)  # it can't end the other's lease
    assert rig.api.get(old.path)["state"] == "active"
    old.api.get(f"/v1/sessions/{old.session}", want=401)


def test_stop(rig):
    rig.session()
    lease = rig.claim()
    assert lease.stop(force=False)["state"] == "stopping"
    lease.last = "anything"
    assert lease.beat()["state"] == "stopping"
    stopped = lease.stop()
    assert stopped["state"] == "stopped" and stopped["stopped_at"] and stopped["stop_requested_at"]
    lease.stop(want=409)
    assert lease.api.head["x-should-retry"] == "false"
    assert lease.beat()["state"] == "stopped"
    # The token has ended with its lease.
    lease.api.get(f"/v1/sessions/{lease.session}", want=401)
    lease.api.post(f"/v1/sessions/{lease.session}/events", {"events": [message("x")]}, want=401)


def test_stop_by_others(rig):
    rig.session()
    lease = rig.claim()
    rig.api.post(f"{lease.path}/stop", {})
    rig.env.post(f"{lease.path}/stop", {"force": True})
    rig.session()
    item = rig.poll()
    assert rig.env.post(f"{rig.w}/{item['id']}/stop", {"force": "yes"}, want=400)
    assert rig.env.post(f"{rig.w}/{item['id']}/stop")["state"] == "stopping"


def test_metadata_of_an_item(rig):
    rig.session()
    item = rig.poll()
    path = f"{rig.w}/{item['id']}"
    assert rig.api.post(path, {"metadata": {"a": "1", "b": "2"}})["metadata"] == {"a": "1", "b": "2"}
    assert rig.api.post(path, {"metadata": {"a": None, "c": "3"}})["metadata"] == {"b": "2", "c": "3"}
    assert rig.api.post(path, {"metadata": {"x": 1}}, want=400)["error"]["details"]["error_code"] == "invalid_metadata"
    rig.env.get(path, want=403)


def test_a_message_to_a_dormant_session_queues_once(instance):
    rig = Rig(instance, TALK)
    session = rig.session()
    stream = rig.stream(session)
    assert rig.env.get(f"{rig.w}/stats")["depth"] == 1
    rig.claim().stop()
    assert rig.env.get(f"{rig.w}/stats")["depth"] == 0
    rig.send(session, message("one"))
    stream.idle()
    rig.send(session, message("two"))
    stream.idle()
    assert rig.env.get(f"{rig.w}/stats")["depth"] == 1
    lease = rig.claim()
    rig.send(session, message("three"))
    stream.idle()
    assert rig.env.get(f"{rig.w}/stats") == {"type": "work_queue_stats", "depth": 0, "pending": 0, "oldest_queued_at": None,
                                             "workers_polling": 0}
    assert lease.beat()["state"] == "active"
    rig.close()


def test_stop_while_a_message_arrives(instance, rounds):
    """Whatever comes first: afterwards an item waits for the session, and its call can be answered."""
    rig = Rig(instance, EVERY_TIME)
    session = rig.session(rig.agent())
    stream = rig.stream(session)

    def turn(lease):
        ev = stream.idle("requires_action")
        for call in ev["stop_reason"]["event_ids"]:
            lease.answer(call, "hello")
        stream.idle()

    for i in range(rounds * 10):
        rig.send(session, message("first"))
        lease = rig.claim()
        turn(lease)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = [pool.submit(rig.send, session, message(f"m{i}")), pool.submit(lease.stop)]
            [d.result(20) for d in done]
        lease = rig.claim()
        turn(lease)
        lease.stop()
    rig.close()


def test_workers_that_poll_are_counted(rig):
    for name in ("w1", "w2", "w3", "w1"):
        rig.poll(headers={"Anthropic-Worker-ID": name})
    assert rig.env.get(f"{rig.w}/stats")["workers_polling"] == 3
    assert rig.api.get(f"{rig.w}/stats")["workers_polling"] == 3


def test_pages_of_items(rig):
    ids = []
    for _ in range(7):
        rig.session()
        item = rig.poll()
        rig.env.post(f"{rig.w}/{item['id']}/stop", {"force": True})
        ids.append(item["id"])
    seen, page = [], None
    while True:
        got = rig.env.get(rig.w, limit=3, **({"page": page} if page else {}))
        seen += [i["id"] for i in got["data"]]
        page = got["next_page"]
        if page is None:
            break
    assert seen == ids[::-1]
