"""The log can be checked by programs that are not ours (openssl, npm's @sigstore/verify, and a second reading from the
specifications in audit_log.py), they and `audit verify` refuse what was altered, and `audit show` tells a session's story."""
import base64
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess

import pytest

import audit_log
from audit_log import Bad, RecorderClient
from harness import NODE, PEERS, environment

hostile = pytest.mark.hostile
ENTRIES = 600


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of some hundred entries, written by the real recorder; never changed."""
    from harness import Instance
    with Instance(tmp_path_factory.mktemp("log")) as inst:
        inst.start("recorder")
        c = RecorderClient(inst.dir / "data/run/recorder.sock", role="worker")
        ids = [c.submit(uid=f"call_{i}.{'intent' if i % 2 == 0 else 'outcome'}", phase="intent" if i % 2 == 0 else "outcome",
                        operation="tool_call", object="bash", session="sesn_story", arguments=b"x" * (i % 50),
                        **({} if i % 2 == 0 else {"pair": f"call_{i - 1}.intent"})) for i in range(ENTRIES)]
        for _ in ids:
            c.answer()
        assert inst.roles["recorder"].stop() == 0
        yield inst.dir / "data/audit"


@pytest.fixture
def copy(log, workdir):
    to = workdir / "copy"
    shutil.copytree(log, to, ignore=shutil.ignore_patterns("sidecar"))
    return to


def verify(sallyport, directory, *args):
    done = sallyport("audit", "verify", "--dir", directory, "--json", *args)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def texts(report):
    return [(f.get("index"), f.get("file"), f["text"]) for f in report["findings"]]


def flip(path, at, bit=1):
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)


def flip_at_random(path, rng):
    flip(path, rng.randrange(path.stat().st_size), 1 << rng.randrange(8))


def partial(directory, level):
    """The partial tile (or bundle) that the checkpoint covers."""
    size = int((directory / "checkpoint").read_text().split("\n")[1])
    width = (size >> (8 * level if level != "entries" else 0)) % 256
    return directory / audit_log.tile_path(level, size // 256 if level in (0, "entries") else 0, width)


def entry_offset(bundle, k):
    data, at = bundle.read_bytes(), 0
    for _ in range(k):
        at += 2 + struct.unpack_from(">H", data, at)[0]
    return at


# ---- programs of others

def test_openssl_and_a_second_reading_accept_it(log):
    entries = audit_log.verified_entries(log)
    assert len(entries) == ENTRIES + 2
    assert json.loads(entries[0])["unmapped"]["perimeter"]["operation"] == "recorder.start"


SIGSTORE = """
import { createRequire } from 'node:module';
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
const require = createRequire(process.argv[2] + '/');
const { verifyCheckpoint } = require('./node_modules/@sigstore/verify/dist/tlog/checkpoint.js');
const { verifyMerkleInclusion } = require('./node_modules/@sigstore/verify/dist/tlog/merkle.js');
const input = JSON.parse(readFileSync(0, 'utf8'));
const b64 = (s) => Buffer.from(s, 'base64');
const tlogs = [{ logID: b64(input.keyId), publicKey: createPublicKey({ key: b64(input.der), format: 'der', type: 'spki' }),
                 baseURL: 'https://' + input.origin, validFor: { start: new Date(0), end: new Date(8640000000000000) } }];
let refused = 0;
for (const p of input.proofs) {
  const entry = { logIndex: String(p.index), canonicalizedBody: b64(p.entry),
    inclusionProof: { logIndex: String(p.index), treeSize: String(input.size), rootHash: b64(input.root),
                      hashes: p.hashes.map(b64), checkpoint: { envelope: input.checkpoint } } };
  try {
    const checkpoint = verifyCheckpoint(entry, tlogs);
    verifyMerkleInclusion(entry, checkpoint);
  } catch (e) {
    refused++;
    console.error(String(e.message ?? e));
  }
}
console.log(JSON.stringify({ checked: input.proofs.length, refused }));
"""


def sigstore(directory, indices):
    """What npm's @sigstore/verify says of these entries: how many it refused."""
    b64 = lambda b: base64.b64encode(b).decode()
    note = (directory / "checkpoint").read_bytes()
    name, key_id, key = audit_log.parse_vkey((directory / "log.vkey").read_text())
    _, size, root = note.decode().split("\n")[:3]
    size, entries = int(size), []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        entries += audit_log.bundle_entries(audit_log.read_tile(directory, "entries", n, width), width)
    tiles = [audit_log.read_tile(directory, 0, n, min(256, size - n * 256)) for n in range((size + 255) // 256)]
    hashes = [t[i:i + 32] for n, t in enumerate(tiles) for i in range(0, 32 * min(256, size - n * 256), 32)]
    proofs = [{"index": i, "entry": b64(entries[i]), "hashes": [b64(h) for h in audit_log.inclusion_path(hashes, i)]} for i in indices]
    script = directory.parent / "sigstore.mjs"
    script.write_text(SIGSTORE)
    done = subprocess.run([NODE, script, PEERS / "sigstore"], text=True, capture_output=True, timeout=120, env=environment(),
                          input=json.dumps({"keyId": b64(key_id), "der": b64(audit_log.public_der(key)), "origin": name, "size": size,
                                            "root": root, "checkpoint": note.decode(), "proofs": proofs}))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["refused"]


def test_sigstore_accepts_it_and_refuses_what_was_altered(copy):
    indices = [0, 1, 255, 256, 300, 511, 512, ENTRIES, ENTRIES + 1]
    assert sigstore(copy, indices) == 0
    bundle = copy / "tile/entries/001"
    flip(bundle, entry_offset(bundle, 44) + 30)
    assert sigstore(copy, [299, 300, 301]) == 1
    flip(copy / "checkpoint", len((copy / "checkpoint").read_bytes()) - 20)
    assert sigstore(copy, [0, 1]) == 2


GO_SOURCES = pathlib.Path("/usr/share/gocode")  # Debian's golang-golang-x-mod-dev


@pytest.fixture(scope="module")
def tlog(tmp_path_factory):
    """Go's own reading of transparency logs, as a program that verifies a whole log and counts its entries."""
    if shutil.which("go") is None or not (GO_SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("golang-go and golang-golang-x-mod-dev are not here")
    program = tmp_path_factory.mktemp("go") / "tlog"
    subprocess.run(["go", "build", "-o", program, pathlib.Path(__file__).parent / "peers/tlog.go"], check=True,
                   env={**environment(), "GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOCACHE": str(PEERS.parent / "go-cache")})
    return lambda directory, vkey=None: subprocess.run([program, directory, vkey or (directory / "log.vkey").read_text().strip()],
                                                       capture_output=True, text=True)


def test_go_accepts_it_and_refuses_what_was_altered(tlog, copy):
    done = tlog(copy)
    assert done.returncode == 0 and int(done.stdout) == ENTRIES + 2, done.stderr
    for path, where, says in ((copy / "tile/entries/001", 40, "entry 256: not the one"), (partial(copy, 0), 70, "inconsistent tile"),
                              (partial(copy, 1), 40, "inconsistent tile"), (copy / "checkpoint", 20, "invalid signature")):
        whole = path.read_bytes()
        flip(path, where)
        done = tlog(copy)
        assert done.returncode == 1 and says in done.stderr, (path, done.stderr)
        path.write_bytes(whole[:-1])
        assert tlog(copy).returncode == 1
        path.write_bytes(whole)
    assert tlog(copy).returncode == 0


# ---- what was altered

def both_refuse(sallyport, directory):
    with pytest.raises((Bad, ValueError)):
        audit_log.verified_entries(directory)
    code, report = verify(sallyport, directory)
    assert code == 5 and not report["verified"], report
    return report


def test_a_copy_verifies_with_the_key_alone(sallyport, copy):
    code, report = verify(sallyport, copy)
    assert code == 0 and report["size"] == ENTRIES + 2 and report["vkey_from_log"]
    vkey = (copy / "log.vkey").read_text().strip()
    (copy / "log.vkey").unlink()
    shutil.rmtree(copy / "journal")
    code, report = verify(sallyport, copy, "--vkey", vkey)
    assert code == 0 and not report["vkey_from_log"] and not report["journal"]
    key_file = copy.parent / "key"
    key_file.write_text(vkey + "\n")
    assert verify(sallyport, copy, "--vkey", key_file)[0] == 0
    name, _, key = vkey.split("+", 2)
    other = audit_log.hashlib.sha256(b"other\n" + base64.b64decode(key)).digest()[:4].hex()
    code, report = verify(sallyport, copy, "--vkey", f"other+{other}+{key}")
    assert code == 5 and report["findings"][0]["file"] == "checkpoint"
    assert verify(sallyport, copy, "--vkey", vkey[:-4])[0] == 1
    assert verify(sallyport, copy)[0] == 1
    assert verify(sallyport, copy.parent / "nowhere", "--vkey", vkey)[0] == 1


@hostile
def test_a_flipped_bit_in_a_bundle_names_the_entry(sallyport, copy):
    bundle = copy / "tile/entries/001"
    flip(bundle, entry_offset(bundle, 44) + 30)
    report = both_refuse(sallyport, copy)
    assert texts(report)[0] == (300, "tile/entries/001", "this entry is not the one that was signed")
    assert len(report["findings"]) == 1, report["findings"]


@hostile
def test_a_flipped_bit_in_a_tile_names_the_tile(sallyport, copy):
    flip(partial(copy, 0), 32 * 7)
    report = both_refuse(sallyport, copy)
    index, file, text = texts(report)[0]
    assert index == 519 and file.startswith("tile/0/002.p/") and "hash in the tile" in text


@hostile
def test_a_flipped_bit_in_an_upper_tile_is_found(sallyport, copy):
    flip(partial(copy, 1), 40)
    report = both_refuse(sallyport, copy)
    index, file, text = texts(report)[0]
    assert index == 256 and file.startswith("tile/1/000.p/") and "root of the entries 256 to 511" in text


@hostile
def test_any_flipped_bit_of_the_checkpoint_is_found(sallyport, copy, rounds):
    note = (copy / "checkpoint").read_bytes()
    rng = random.Random(1)
    for _ in range(8 * rounds):
        flip_at_random(copy / "checkpoint", rng)
        code, report = verify(sallyport, copy)
        assert code == 5 and texts(report)[0][1] == "checkpoint"
        (copy / "checkpoint").write_bytes(note)


@hostile
def test_any_flipped_bit_anywhere_is_found(sallyport, copy, rounds):
    rng = random.Random(2)
    size = int((copy / "checkpoint").read_text().split("\n")[1])
    covered = [copy / audit_log.tile_path(level, n, min(256, count - n * 256))
               for level, count in (("entries", size), (0, size), (1, size // 256)) for n in range((count + 255) // 256)]
    for _ in range(8 * rounds):
        path = rng.choice(covered)
        before = path.read_bytes()
        flip_at_random(path, rng)
        report = both_refuse(sallyport, copy)
        assert any(f.get("file") == str(path.relative_to(copy)) for f in report["findings"]), (path, report["findings"])
        path.write_bytes(before)


@hostile
@pytest.mark.parametrize("level", ["entries", 0, 1])
def test_a_truncated_or_missing_file_is_named(sallyport, copy, level):
    path = partial(copy, level)
    data = path.read_bytes()
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        report = both_refuse(sallyport, copy)
        assert report["findings"][0]["file"] == str(path.relative_to(copy))
    path.unlink()
    report = both_refuse(sallyport, copy)
    assert report["findings"][0]["file"] == str(path.relative_to(copy))


def bundle_of(entries):
    return b"".join(struct.pack(">H", len(e)) + e for e in entries)


@hostile
def test_swapped_and_dropped_entries_are_found(sallyport, copy):
    bundle = copy / "tile/entries/000"
    entries = audit_log.bundle_entries(bundle.read_bytes(), 256)
    swapped = entries[:10] + [entries[11], entries[10]] + entries[12:]
    bundle.write_bytes(bundle_of(swapped))
    index, file, text = texts(both_refuse(sallyport, copy))[0]
    assert (index, file) == (10, "tile/entries/000") and "1 after it" in text
    following = audit_log.bundle_entries((copy / "tile/entries/001").read_bytes(), 256)
    bundle.write_bytes(bundle_of(entries[:10] + entries[11:] + following[:1]))
    index, file, _ = texts(both_refuse(sallyport, copy))[0]
    assert (index, file) == (10, "tile/entries/000")
    bundle.write_bytes(bundle_of(entries[:10] + entries[11:]))
    both_refuse(sallyport, copy)


@hostile
def test_an_entry_altered_together_with_every_tile_above_it_is_found(sallyport, copy):
    """Whoever has the directory but not the key can make everything consistent but the signature."""
    bundle = copy / "tile/entries/000"
    entries = audit_log.bundle_entries(bundle.read_bytes(), 256)
    entries[20] = entries[20].replace(b"bash", b"base")
    bundle.write_bytes(bundle_of(entries))
    hashes = [audit_log.leaf_hash(e) for e in entries]
    (copy / "tile/0/000").write_bytes(b"".join(hashes))
    upper = partial(copy, 1)
    upper.write_bytes(audit_log.tree_root(hashes) + upper.read_bytes()[32:])
    report = both_refuse(sallyport, copy)
    found = texts(report)
    assert any(file == "checkpoint" for _, file, _ in found)
    assert any(index == 21 and "its previous entry is not the one" in text for index, _, text in found)


@hostile
def test_an_older_checkpoint_than_the_journal_goes_on_from_is_seen(sallyport, instance):
    """A rolled-back log. Within the directory only the journal can tell; whoever kept a newer checkpoint always can."""
    instance.start("recorder")
    log = instance.dir / "data/audit"
    c = RecorderClient(instance.dir / "data/run/recorder.sock")
    c.record(uid="one")
    instance.roles["recorder"].stop()
    old = (log / "checkpoint").read_bytes()
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock")
    c.record(uid="two")
    instance.roles["recorder"].stop()
    for _ in range(2):  # each start begins a segment, of which there are two: these are not in the journal any more
        instance.start("recorder")
        instance.roles["recorder"].stop()
    (log / "checkpoint").write_bytes(old)
    code, report = verify(sallyport, log)
    assert code == 5 and "older than the log" in report["findings"][0]["text"]


@hostile
def test_a_kept_checkpoint_shows_a_log_set_back_and_another_history(sallyport, instance):
    """What the log's own signature can't tell: it verifies by itself, and not against what was kept."""
    log, older = instance.dir / "data/audit", instance.dir / "older"

    def record(*uids):
        instance.start("recorder")
        c = RecorderClient(instance.dir / "data/run/recorder.sock")
        for uid in uids:
            c.record(uid=uid)
        instance.roles["recorder"].stop()

    record("one")
    first = instance.dir / "first"
    shutil.copy(log / "checkpoint", first)
    shutil.copytree(log, older)
    record("two", "three")
    kept = instance.dir / "kept"
    shutil.copy(log / "checkpoint", kept)
    assert verify(sallyport, log, "--checkpoint", first)[0] == 0 == verify(sallyport, log, "--checkpoint", kept)[0]
    record("four")
    assert verify(sallyport, log, "--checkpoint", kept)[0] == 0

    shutil.rmtree(log)
    shutil.copytree(older, log)
    assert verify(sallyport, log)[0] == 0
    code, report = verify(sallyport, log, "--checkpoint", kept)
    assert code == 5 and texts(report) == [(3, "checkpoint", "the log has 3 entries, the checkpoint that was kept has 7: it was set "
                                            "back to an older copy; look for the newer one")]
    record("another two", "another three")
    assert verify(sallyport, log)[0] == 0 == verify(sallyport, log, "--checkpoint", first)[0]
    code, report = verify(sallyport, log, "--checkpoint", kept)
    assert code == 5 and len(report["findings"]) == 1 and "another history" in report["findings"][0]["text"]

    flip(kept, 30)
    code, complaint = verify(sallyport, log, "--checkpoint", kept)
    assert code == 1 and str(kept) in complaint


@hostile
def test_hostile_directories_end_in_an_answer(sallyport, copy):
    vkey = (copy / "log.vkey").read_text().strip()
    (copy / "tile/entries/000").unlink()
    (copy / "tile/entries/000").mkdir()
    assert verify(sallyport, copy)[0] in (1, 5)
    shutil.rmtree(copy / "tile")
    os.mkfifo(copy / "tile")
    assert verify(sallyport, copy)[0] in (1, 5)
    (copy / "checkpoint").write_bytes(b"\xff" * 70000)
    assert verify(sallyport, copy)[0] in (1, 5)
    (copy / "checkpoint").unlink()
    (copy / "checkpoint").symlink_to("/dev/zero")
    assert verify(sallyport, copy)[0] in (1, 5)
    for segment in (copy / "journal").iterdir():
        segment.write_bytes(os.urandom(1 << 20))
    assert verify(sallyport, copy, "--vkey", vkey)[0] in (1, 5)


# ---- what is said

def test_intents_without_an_outcome_are_listed(sallyport, instance):
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock", role="worker")
    c.record(uid="run.intent", phase="intent", operation="tool_call", object="bash", session="sesn_a")
    c.record(uid="deny.intent", phase="intent", operation="tool_call", object="web", session="sesn_a", denied=True, reason="no rule")
    c.record(uid="done.intent", phase="intent", operation="tool_call", object="read", session="sesn_a")
    c.record(uid="done.outcome", phase="outcome", pair="done.intent", operation="tool_call", object="read", session="sesn_a")
    instance.roles["recorder"].stop()
    code, report = verify(sallyport, instance.dir / "data/audit")
    assert code == 0 and [o["uid"] for o in report["open"]] == ["run.intent"]
    text = sallyport("audit", "verify", "--config", instance.config).stdout
    assert text.startswith("verified") and "1 intent without an outcome" in text and "sesn_a" in text


@hostile
def test_nobody_can_tell_how_anothers_act_ended(sallyport, instance):
    instance.start("recorder")
    worker = RecorderClient(instance.dir / "data/run/recorder.sock", role="worker")
    control = RecorderClient(instance.dir / "data/run/recorder.sock", role="control")
    worker.record(uid="w.intent", phase="intent", operation="tool_call")
    control.record(uid="c.outcome", phase="outcome", pair="w.intent", operation="tool_call")
    instance.roles["recorder"].stop()
    code, report = verify(sallyport, instance.dir / "data/audit")
    assert code == 5 and "is not open before it" in report["findings"][0]["text"]
    assert [o["uid"] for o in report["open"]] == ["w.intent"]


def test_show_tells_a_session(sallyport, instance):
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock", role="worker")
    act = {"operation": "tool_call", "session": "sesn_a", "actor": "model"}
    c.record(uid="1.intent", phase="intent", object="bash", arguments=b"echo hello", **act)
    c.record(uid="x.intent", phase="intent", object="other", operation="tool_call", session="sesn_b")
    c.record(uid="1.outcome", phase="outcome", pair="1.intent", object="bash", duration_us=212000, result=b"y" * 2100, **act)
    c.record(uid="2.intent", phase="intent", object="web", denied=True, reason="no egress rule for paste.example", rule="default", **act)
    c.record(uid="3.intent", phase="intent", object="read", **act)
    instance.roles["recorder"].stop()
    text = sallyport("audit", "show", "sesn_a", "--config", instance.config, check=True).stdout
    lines = text.splitlines()
    assert "sesn_b" not in text and "other" not in text and len(lines) == 6
    assert all(w in lines[0] for w in ("tool_call", "bash", "ok", "212 ms", "10 B in", "2.1 kB out", "#1, 3", "by model"))
    assert lines[0][:5] == "2026-" or lines[0][4] == "-"
    assert "denied" in lines[1] and "no egress rule for paste.example" in lines[2] and "default" in lines[3]
    assert "open" in lines[4]
    rows = [json.loads(r) for r in sallyport("audit", "show", "sesn_a", "--config", instance.config, "--json").stdout.splitlines()]
    assert [r["result"] for r in rows] == ["ok", "denied", "open"]
    assert rows[0]["outcome_index"] == 3 and rows[0]["duration_us"] == 212000
    everything = sallyport("audit", "show", "--config", instance.config, check=True).stdout
    assert "recorder.start" in everything and "other" in everything
    done = sallyport("audit", "show", "sesn_none", "--config", instance.config)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) <= 3


def test_show_leaves_out_the_steps_between_unless_something_is_wrong_there(sallyport, instance):
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock", role="control")
    for uid, operation, more in (("1", "turn.begin", {}), ("2", "call.expose", {}), ("3", "call.close", {}), ("4", "tool_call", {}),
                                 ("5", "call.close", {"reason": "its worker is gone: outcome unknown"}),
                                 ("6", "event.accept", {"object": "user.tool_result"}), ("7", "turn.end", {"failed": True})):
        c.record(uid=uid, session="sesn_a", operation=operation, **more)
    instance.roles["recorder"].stop()

    def shown(*args):
        text = sallyport("audit", "show", "sesn_a", *args, "--config", instance.config, check=True).stdout
        return [line.split()[2] for line in text.splitlines() if line[:4].isdigit()], text

    few, text = shown()
    assert few == ["tool_call", "call.close", "turn.end"] and "outcome unknown" in text and "4 steps between them" in text
    assert len(shown("--all")[0]) == 7


@hostile
def test_hostile_bytes_in_entries_do_not_reach_the_terminal(sallyport, instance):
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock", role="worker")
    evil = "a\x1b[31mred\x07\r\nnew\u202egnp.exe\u200b"
    c.record(uid="u\u202e", session="sesn_e", operation="tool_call", object=evil, reason=evil, actor=evil, rule=evil)
    c.record(uid="i\u202e", phase="intent", session="sesn_e", operation="tool_call", object=evil)
    instance.roles["recorder"].stop()
    for args in (("show", "sesn_e"), ("verify",), ("show",)):
        out = sallyport("audit", *args, "--config", instance.config, check=True).stdout
        assert not set(out) & {"\x1b", "\x07", "\r", "\u202e", "\u200b"}
        assert "\\x1b" in out or "<1b>" in out or args == ("verify",)
