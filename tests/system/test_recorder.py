"""Nothing runs unrecorded: what the recorder has acknowledged is on disk, once, in order, and in a log that verifies, whatever
kills it, fills its disk or talks garbage to it; when it can't write, it refuses."""
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

import audit_log
from audit_log import Lost, RecorderClient, Refused
from harness import BIN, SLOW, wait_until

hostile = pytest.mark.hostile


@pytest.fixture
def recorder(instance):
    instance.start("recorder")
    return instance


def socket_of(inst):
    return inst.dir / "data/run/recorder.sock"


def log_of(inst):
    return inst.dir / "data/audit"


def client(inst, **kw):
    return RecorderClient(socket_of(inst), **kw)


def stop(inst):
    assert inst.roles["recorder"].stop() == 0, inst.logs()


def verify(sallyport, inst, code=0):
    done = sallyport("audit", "verify", "--dir", log_of(inst), "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def uids(inst):
    return [json.loads(e)["metadata"]["uid"] for e in audit_log.verified_entries(log_of(inst))]


def test_what_is_acknowledged_stands_at_its_index(sallyport, recorder):
    c = client(recorder)
    indices = {f"a{i}": c.record(uid=f"a{i}", object=f"thing {i}") for i in range(20)}
    c.close()
    stop(recorder)
    report = verify(sallyport, recorder)
    assert report["verified"] and report["uncovered"] == 0
    stored = uids(recorder)
    assert all(stored[i] == uid for uid, i in indices.items())


def test_many_callers_are_synced_together_and_nothing_is_mixed_up(sallyport, recorder):
    answers = {}

    def work(k):
        c = client(recorder)
        ids = {c.submit(uid=f"c{k}.{i}"): f"c{k}.{i}" for i in range(50)}
        for _ in ids:
            frame_id, index = c.answer()
            answers[ids[frame_id]] = index
        c.close()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stop(recorder)
    verify(sallyport, recorder)
    stored = uids(recorder)
    assert len(answers) == 16 * 50
    assert all(stored[index] == uid for uid, index in answers.items())


def test_a_checkpoint_follows_within_a_second_and_the_journal_covers_until_then(sallyport, recorder):
    c = client(recorder)
    c.record(uid="one")
    report = verify(sallyport, recorder)
    assert report["verified"] and report["entries"] == 2
    wait_until(lambda: verify(sallyport, recorder)["uncovered"] == 0, "the checkpoint covers it", timeout=5)
    assert "one" in uids(recorder)


def test_the_same_uid_is_stored_once_and_other_content_is_refused(sallyport, recorder):
    c = client(recorder)
    first = c.record(uid="twice", object="a", arguments=b"payload")
    assert c.record(uid="twice", object="a", arguments=b"payload") == first
    with pytest.raises(Refused, match="this uid and other content"):
        c.record(uid="twice", object="a", arguments=b"another")
    other = client(recorder, role="worker")
    assert other.record(uid="twice", object="c") not in (first, None), "nobody can use up another's uids"
    pipelined = [c.submit(uid="thrice", object="b") for _ in range(3)]
    got = dict(c.answer() for _ in pipelined)
    assert len(set(got.values())) == 1
    recorder.roles["recorder"].kill()
    recorder.start("recorder")
    c = client(recorder)
    assert c.record(uid="twice", object="a", arguments=b"payload") == first
    stop(recorder)
    verify(sallyport, recorder)
    stored = uids(recorder)
    assert stored.count("twice") == 2 and stored.count("thrice") == 1


def load(inst, acknowledged, submitted, k, stop_event):
    """Hands in entries until told to stop, over every death of the recorder; an entry whose fate is unknown is handed in
    again under its uid."""
    unknown, i = [], 0
    while not stop_event.is_set():
        try:
            c = client(inst, timeout=10)
        except (OSError, Lost):
            stop_event.wait(0.002)
            continue
        flight = {}
        try:
            while not stop_event.is_set():
                while len(flight) < 8:
                    uid = unknown.pop() if unknown else f"k{k}.{i}"
                    i += 1
                    submitted.add(uid)
                    flight[c.submit(uid=uid, session=f"sesn_{k}", arguments=uid.encode())] = uid
                frame_id, index = c.answer()
                acknowledged.append((flight.pop(frame_id), index))
        except (OSError, Lost):
            unknown += flight.values()
        finally:
            c.close()


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(sallyport, instance, rounds):
    acknowledged, submitted, done = [], set(), threading.Event()
    instance.start("recorder")
    threads = [threading.Thread(target=load, args=(instance, acknowledged, submitted, k, done)) for k in range(4)]
    for t in threads:
        t.start()
    rng = random.Random(os.environ.get("SALLYPORT_SEED", "4711"))
    try:
        for _ in range(rounds):
            count = len(acknowledged) + rng.randrange(20, 400)
            wait_until(lambda: len(acknowledged) >= count, "entries are acknowledged", interval=0.0005)
            instance.roles["recorder"].kill()
            before = len(acknowledged)
            report = verify(sallyport, instance)  # the dead one's directory, as it lies there
            assert report["entries"] >= before
            instance.start("recorder")
    finally:
        done.set()
        for t in threads:
            t.join()
    stop(instance)
    report = verify(sallyport, instance)
    stored = uids(instance)
    places = {uid: i for i, uid in enumerate(stored)}
    assert len(places) == len(stored), "an entry is in the log twice"
    assert acknowledged and all(places[uid] == index for uid, index in acknowledged)
    assert set(stored) - submitted == {u for u in stored if u.startswith("rec_")}
    assert report["verified"] and report["uncovered"] == 0


def journal_end(path):
    """Where the records of a segment end, and the index that would come next."""
    data = path.read_bytes()
    if data[:8] != b"SPjrnl1\n":
        return None
    generation, index = struct.unpack_from(">QQ", data, 8)
    at = 4096
    while at + 32 <= len(data):
        length, _, found = struct.unpack_from(">IIQ", data, at)
        if length == 0 or found != index:
            break
        at, index = at + 32 + length, index + 1
    return generation, at, index


@hostile
def test_a_torn_record_is_cut_and_told(sallyport, recorder):
    c = client(recorder)
    c.record(uid="whole")
    recorder.roles["recorder"].kill()
    segments = [p for p in sorted((log_of(recorder) / "journal").iterdir()) if journal_end(p)]
    newest = max(segments, key=lambda p: journal_end(p)[0])
    _, at, index = journal_end(newest)
    with open(newest, "r+b") as f:
        f.seek(at)
        f.write(struct.pack(">IIQ", 500, 0, index) + b"\x55" * 16 + b'{"half of an entr')
    report = verify(sallyport, recorder)
    assert report["verified"] and report["torn_record"]
    recorder.start("recorder", name="again")
    stop(recorder)
    report = verify(sallyport, recorder)
    assert report["verified"] and not report["torn_record"]
    starts = [json.loads(e) for e in audit_log.verified_entries(log_of(recorder)) if b'"recorder.start"' in e]
    assert "cut off" in starts[-1]["status_detail"]
    assert "whole" in uids(recorder)


def on_small_disk(inst, size):
    """The recorder with its log on a file system of `size`, in a mount namespace of its own; and how to run a command there."""
    disk = inst.dir / "disk"
    disk.mkdir()
    inst.settings["audit"] = {"dir": str(disk / "audit")}
    inst.write_config()
    flags = ["-m"] if os.geteuid() == 0 else ["-Urm"]
    script = f'mount -t tmpfs -o size={size} tmpfs "$1" && dd if=/dev/zero of="$1/ballast" bs=1M count=20 2>/dev/null && shift && exec "$@"'
    p = inst.process(["unshare", *flags, "sh", "-c", script, "sh", disk, BIN, "recorder", "--config", inst.config], "recorder",
                     ready=True)
    inst.roles["recorder"] = p

    def there(*argv):
        ns = ["nsenter", "-t", str(p.ready["pid"]), "-m"] + ([] if os.geteuid() == 0 else ["-U", "--preserve-credentials"])
        return subprocess.run([*ns, *map(str, argv)], check=True, capture_output=True)
    return disk, there


def covered(sallyport, there, disk, copy):
    shutil.rmtree(copy, ignore_errors=True)
    there("cp", "-r", disk / "audit", copy)
    done = sallyport("audit", "verify", "--dir", copy, "--json")
    return done.returncode == 0 and json.loads(done.stdout)["uncovered"] == 0


@hostile
def test_a_full_disk_refuses_and_recovers_when_there_is_room(sallyport, instance):
    disk, there = on_small_disk(instance, "40m")
    c = client(instance, timeout=60)
    big, taken, refusal, sent = "\1" * 2000, [], None, {}
    while refusal is None:
        while len(sent) < 64:
            uid = f"u{len(taken) + len(sent)}"
            sent[c.submit(uid=uid, reason=big)] = uid
        try:
            taken.append(sent.pop(c.answer()[0]))
        except Refused as e:
            refusal = str(e)
        assert len(taken) < 10000
    assert "No space left on device" in refusal
    for _ in range(63):  # those that were in flight
        with pytest.raises(Refused):
            c.answer()
    with pytest.raises(Refused):
        c.record(uid="while full")
    assert instance.roles["recorder"].running()
    there("rm", disk / "ballast")

    def again():
        try:
            return c.record(uid="after")
        except Refused:
            return None
    wait_until(again, "entries are taken again")
    copy = instance.dir / "copy"
    wait_until(lambda: covered(sallyport, there, disk, copy), "the checkpoint covers them")
    stored = [json.loads(e)["metadata"]["uid"] for e in audit_log.verified_entries(copy)]
    assert [u for u in stored if u.startswith("u")] == taken
    assert "while full" not in stored and stored[-1] == "after"


GARBAGE = [
    ("nothing known", b"\xff" * 64),
    ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("text too long", struct.pack(">BBHIQII", ord("E"), 0, 0, 1 << 20, 1, 0, 0)),
    ("payload too long", struct.pack(">BBHIQII", ord("E"), 0, 0, 2, 1, 0xffffffff, 0) + b"{}"),
    ("payload on a greeting", struct.pack(">BBHIQII", ord("H"), 0, 0, 2, 1, 1, 0) + b"{}x"),
    ("reserved bits", struct.pack(">BBHIQII", ord("E"), 0, 7, 2, 1, 0, 0) + b"{}"),
    ("an answer", struct.pack(">BBHIQII", ord("A"), 0, 0, 1, 1, 0, 0) + b"1"),
    ("not JSON", struct.pack(">BBHIQII", ord("E"), 0, 0, 3, 1, 0, 0) + b"{x}"),
    ("no members", struct.pack(">BBHIQII", ord("E"), 0, 0, 2, 1, 0, 0) + b"{}"),
    ("a second greeting", struct.pack(">BBHIQII", ord("H"), 0, 0, 29, 1, 0, 0) + b'{"role":"test","version":1}  '),
]


@hostile
@pytest.mark.parametrize("what,data", GARBAGE, ids=[g[0] for g in GARBAGE])
def test_garbage_ends_that_caller_only(sallyport, recorder, what, data):
    good, bad = client(recorder), client(recorder)
    bad.sock.sendall(data)
    kind, _, _, text = bad.read()
    assert kind == b"X" and text
    with pytest.raises(Lost):
        bad.read()
    good.record(uid="still served")
    stop(recorder)
    assert "still served" in uids(recorder)


MALFORMED = [
    {"operation": None}, {"uid": ""}, {"uid": "x" * 500}, {"session": "../../etc/passwd"}, {"session": ".machine"},
    {"session": "a/b"}, {"phase": "intend"}, {"surprise": 1}, {"denied": "yes"}, {"duration_us": -1}, {"duration_us": 1.5},
    {"trace": "xyz"}, {"pair": "p"}, {"uid": "a\u0000b"}, {"uid": "a\nb"}, {"object": 7}, {"operation": "a b"},
]


@hostile
@pytest.mark.parametrize("members", MALFORMED, ids=[json.dumps(m)[:30] for m in MALFORMED])
def test_a_malformed_entry_is_refused(recorder, members):
    c = client(recorder)
    c.submit(**members)
    kind, _, _, text = c.read()
    assert kind == b"X" and text.startswith("audit entry")


@hostile
def test_callers_need_the_right_greeting(recorder):
    for text in (b'{"role":"emperor","version":1}', b'{"role":"test","version":2}', b'{"role":"test"}', b"[]",
                 b'{"role":"test","version":1,"x":1}'):
        c = client(recorder, greet=False)
        c.send(b"H", text)
        assert c.read()[0] == b"X"
    c = client(recorder, greet=False)
    c.submit(uid="ungreeted")
    assert c.read()[0] == b"X"


@hostile
def test_bytes_that_come_one_at_a_time_are_as_good(sallyport, recorder):
    c = client(recorder)
    text = json.dumps({"phase": "admin", "uid": "slow", "operation": "test.act"}).encode()
    for b in RecorderClient.HEADER.pack(ord("E"), 0, 0, len(text), 9, 5, 4) + text + b"hello" + b"back":
        c.sock.sendall(bytes([b]))
    assert c.answer()[0] == 9
    stop(recorder)
    entry = json.loads(audit_log.verified_entries(log_of(recorder))[1])["unmapped"]["perimeter"]
    assert (entry["args_len"], entry["result_len"]) == (5, 4)


@hostile
def test_a_caller_that_reads_nothing_is_bounded_and_holds_up_nobody(recorder):
    flood, good = client(recorder), client(recorder)
    flood.sock.settimeout(0.5)
    sent = 0
    try:
        while sent < 100000:
            flood.submit(uid=f"f{sent}")
            sent += 1
    except TimeoutError:
        pass
    assert sent < 100000
    for i in range(20):
        good.record(uid=f"good{i}")
    anonymous, _ = recorder.roles["recorder"].memory_kib()
    assert anonymous < 100 * 1024 * SLOW


@hostile
def test_a_large_payload_costs_no_memory(sallyport, recorder):
    c = client(recorder)
    before, _ = recorder.roles["recorder"].memory_kib()
    payload = os.urandom(1 << 20) * 60
    c.record(uid="large", session="sesn_L", result=payload)
    after, _ = recorder.roles["recorder"].memory_kib()
    assert after - before < 8 * 1024 * SLOW
    stop(recorder)
    entry = json.loads(audit_log.verified_entries(log_of(recorder))[1])["unmapped"]["perimeter"]
    key = bytes.fromhex((log_of(recorder) / "sidecar/sesn_L.key").read_text().strip())
    assert entry["result_len"] == len(payload)
    assert entry["result_mac"] == hmac.new(key, payload, hashlib.sha256).hexdigest()


def test_payloads_are_kept_as_macs_under_a_key_that_can_be_erased(sallyport, recorder):
    secret = b"account 4711 of Erika Mustermann"
    c = client(recorder)
    c.record(uid="a.intent", phase="intent", session="sesn_1", arguments=secret)
    c.record(uid="a.outcome", phase="outcome", pair="a.intent", session="sesn_1", result=secret)
    c.record(uid="b.intent", phase="intent", session="sesn_2", arguments=secret)
    c.record(uid="b.outcome", phase="outcome", pair="b.intent", session="sesn_2", failed=True)
    stop(recorder)
    entries = [json.loads(e)["unmapped"]["perimeter"] for e in audit_log.verified_entries(log_of(recorder))]
    macs = [p["args_mac"] for p in entries if "args_mac" in p]
    assert len(macs) == 2 and macs[0] != macs[1], "two sessions must not share a key"
    sidecar = log_of(recorder) / "sidecar"
    key = bytes.fromhex((sidecar / "sesn_1.key").read_text().strip())
    assert macs[0] == hmac.new(key, secret, hashlib.sha256).hexdigest()
    assert all((sidecar / f).stat().st_mode & 0o777 == 0o600 for f in os.listdir(sidecar))
    everything = b"".join(p.read_bytes() for p in log_of(recorder).rglob("*") if p.is_file())
    assert secret not in everything and hashlib.sha256(secret).digest() not in everything
    assert hashlib.sha256(secret).hexdigest().encode() not in everything
    (sidecar / "sesn_1.key").unlink()
    assert verify(sallyport, recorder)["verified"]
    recorder.start("recorder")
    c = client(recorder)
    c.record(uid="c", session="sesn_1", arguments=secret)
    stop(recorder)
    assert bytes.fromhex((sidecar / "sesn_1.key").read_text().strip()) != key


def test_writers_are_numbered_and_chained_across_restarts(sallyport, recorder):
    client(recorder, role="worker").record(uid="w1")
    client(recorder, role="control").record(uid="c1")
    stop(recorder)
    recorder.start("recorder")
    client(recorder, role="worker").record(uid="w2")
    recorder.roles["recorder"].kill()
    (log_of(recorder) / "writers").write_text("damaged")
    recorder.start("recorder")
    client(recorder, role="worker").record(uid="w3")
    stop(recorder)
    assert verify(sallyport, recorder)["writers"] == 3
    stored = audit_log.verified_entries(log_of(recorder))
    own = [(json.loads(e), e) for e in stored if json.loads(e)["unmapped"]["perimeter"]["writer"].startswith("worker@")]
    assert [e["unmapped"]["perimeter"]["seq"] for e, _ in own] == ["1", "2", "3"]
    for (_, before), (after, _) in zip(own, own[1:]):
        assert after["unmapped"]["perimeter"]["prev"] == hashlib.sha256(before).hexdigest()


def test_term_acknowledges_what_it_took_and_covers_it(sallyport, recorder):
    c = client(recorder)
    ids = [c.submit(uid=f"t{i}") for i in range(200)]
    c.answer()
    stop(recorder)
    answered = 1
    try:
        while True:
            c.answer()
            answered += 1
    except Lost:
        pass
    report = verify(sallyport, recorder)
    assert report["uncovered"] == 0
    assert sum(u.startswith("t") for u in uids(recorder)) >= answered and ids


def test_a_second_recorder_does_not_start(sallyport, recorder):
    done = sallyport("recorder", "--config", recorder.config)
    assert done.returncode == 1 and "another recorder has this log open" in done.stderr
    client(recorder).record(uid="still served")
    other = recorder.dir / "other.yaml"
    other.write_text(recorder.config.read_text().replace(str(recorder.dir / "data"), str(recorder.dir / "elsewhere"))
                     + f"\naudit:\n  dir: {json.dumps(str(log_of(recorder)))}\n")
    done = sallyport("recorder", "--config", other)
    assert done.returncode == 1 and "another recorder has this log open" in done.stderr


@hostile
def test_it_does_not_append_to_what_it_can_not_vouch_for(sallyport, recorder):
    c = client(recorder)
    for i in range(300):
        c.submit(uid=f"e{i}")
    for i in range(300):
        c.answer()
    stop(recorder)
    log = log_of(recorder)
    keep = recorder.dir / "keep"
    shutil.copytree(log, keep)

    def fails(saying):
        done = sallyport("recorder", "--config", recorder.config, timeout=20)
        assert done.returncode == 1 and saying in done.stderr, done.stderr
        shutil.rmtree(log)
        shutil.copytree(keep, log)

    (log / "checkpoint").unlink()
    fails("has lost its checkpoint")
    note = (log / "checkpoint").read_text().split("\n")
    (log / "checkpoint").write_text("\n".join([note[0], str(int(note[1]) + 1), *note[2:]]))
    fails("does not verify")
    tile = next((log / "tile/0").glob("*.p/*"))
    data = bytearray(tile.read_bytes())
    data[40] ^= 1
    tile.write_bytes(data)
    fails("do not lead to the checkpoint's root")
    bundle = max((log / "tile/entries").glob("*.p/*"), key=lambda p: int(p.name))
    data = bytearray(bundle.read_bytes())
    data[40] ^= 1
    bundle.write_bytes(data)
    fails("not the one that was signed")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", recorder.dir / "keys/audit.pem"], check=True,
                   capture_output=True)
    fails("begun with another key")


def test_another_user_is_not_served(recorder):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for p in (recorder.dir.parent, recorder.dir, recorder.dir / "data", recorder.dir / "data/run"):
        p.chmod(0o755)
    socket_of(recorder).chmod(0o666)
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
              "s.settimeout(10); sys.exit(0 if s.recv(1) == b'' else 3)")
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", script,
                           str(socket_of(recorder))], capture_output=True, cwd="/")
    assert done.returncode == 0, done.stderr
    recorder.roles["recorder"].wait_log("not the recorder's user")


def ask(inst, request):
    """One request to the recorder's admin socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(inst.dir / "data/run/recorder-admin.sock"))
        s.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(s.makefile().readline())


def test_it_tells_how_it_is(recorder):
    c = client(recorder)
    c.record(uid="one")
    state = ask(recorder, {"do": "ps"})
    assert state["ok"] and state["role"] == "recorder" and state["pid"] == recorder.roles["recorder"].pid
    assert state["entries"] == 2 and state["callers"] == 1 and not state["writing_fails"] and state["problem"] == ""
    wait_until(lambda: ask(recorder, {"do": "ready"})["published"] == 2, "the checkpoint covers both")
    assert not ask(recorder, {"do": "sing"})["ok"]
    stop(recorder)
    assert not list((recorder.dir / "data/run").iterdir()), "sockets are removed"


def test_it_outlives_whoever_read_its_log_lines(recorder):
    recorder.roles["recorder"].popen.send_signal(signal.SIGPIPE)
    client(recorder).record(uid="alive")
