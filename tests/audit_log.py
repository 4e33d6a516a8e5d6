"""A second reading of the audit log, written from the specifications and sharing nothing with the C code: RFC 6962 hashing,
C2SP tiles, notes and checkpoints (signatures checked by openssl); and a client of the recorder's socket."""
import base64
import hashlib
import json
import pathlib
import secrets
import socket
import struct
import subprocess
import tempfile


class Bad(Exception):
    """The log is not what was signed."""


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(hashes):
    """MTH of RFC 6962, by its recursive definition."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(tree_root(hashes[:k]), tree_root(hashes[k:]))


def inclusion_path(hashes, m):
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return inclusion_path(hashes[:k], m) + [tree_root(hashes[k:])]
    return inclusion_path(hashes[k:], m - k) + [tree_root(hashes[:k])]


def tile_path(level, n, width=256):
    groups = [f"{n % 1000:03d}"]
    n //= 1000
    while n:
        groups.insert(0, f"x{n % 1000:03d}")
        n //= 1000
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < 256 else "")


def parse_vkey(vkey):
    name, key_id, key64 = vkey.strip().split("+", 2)
    typed = base64.b64decode(key64, validate=True)
    if len(typed) != 33 or typed[0] != 1:
        raise Bad("not an Ed25519 verifier key")
    if hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4].hex() != key_id:
        raise Bad("the verifier key's id does not fit")
    return name, bytes.fromhex(key_id), typed[1:]


def public_der(key):
    return bytes.fromhex("302a300506032b6570032100") + key


def openssl_verifies(key, message, signature):
    """`openssl pkeyutl` over files, as anybody would do it."""
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "key").write_bytes(public_der(key))
        (d / "message").write_bytes(message)
        (d / "signature").write_bytes(signature)
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", d / "key", "-rawin", "-in",
                               d / "message", "-sigfile", d / "signature"], capture_output=True)
        return done.returncode == 0


def open_checkpoint(note, vkey):
    """(size, root) of a checkpoint that this key has signed."""
    name, key_id, key = parse_vkey(vkey)
    cut = note.rindex(b"\n\n")
    text, lines = note[:cut + 1], note[cut + 2:].decode().splitlines()
    signed = False
    for line in lines:
        dash, who, sig64 = line.split(" ")
        raw = base64.b64decode(sig64, validate=True)
        if dash != "—":
            raise Bad("a malformed signature line")
        if who == name and raw[:4] == key_id:
            if not openssl_verifies(key, text, raw[4:]):
                raise Bad("the checkpoint's signature does not verify")
            signed = True
    if not signed:
        raise Bad("the checkpoint is not signed by this key")
    origin, size, root = text.decode().split("\n")[:3]
    if origin != name or str(int(size)) != size:
        raise Bad("a malformed checkpoint")
    return int(size), base64.b64decode(root, validate=True)


def read_tile(directory, level, n, width):
    for w in (width, 256):
        path = pathlib.Path(directory) / tile_path(level, n, w)
        if path.exists():
            return path.read_bytes()
    raise Bad(f"{tile_path(level, n, width)} is missing")


def bundle_entries(data, width):
    out, at = [], 0
    for _ in range(width):
        if at + 2 > len(data):
            raise Bad("a bundle ends early")
        (n,) = struct.unpack_from(">H", data, at)
        if at + 2 + n > len(data):
            raise Bad("a bundle ends inside an entry")
        out.append(data[at + 2:at + 2 + n])
        at += 2 + n
    return out


def verified_entries(directory, vkey=None):
    """The entries under the checkpoint, after checking the signature, every bundle and every tile of every level."""
    directory = pathlib.Path(directory)
    vkey = vkey or (directory / "log.vkey").read_text()
    size, root = open_checkpoint((directory / "checkpoint").read_bytes(), vkey)
    entries = []
    for n in range((size + 255) // 256):
        width = min(256, size - n * 256)
        entries += bundle_entries(read_tile(directory, "entries", n, width), width)
    hashes = [leaf_hash(e) for e in entries]
    if tree_root(hashes) != root:
        raise Bad("the entries do not lead to the signed root")
    level = 0
    while hashes:
        for n in range((len(hashes) + 255) // 256):
            part = hashes[n * 256:n * 256 + 256]
            if read_tile(directory, level, n, len(part))[:32 * len(part)] != b"".join(part):
                raise Bad(f"{tile_path(level, n, len(part))} does not hold the hashes it should")
        hashes = [tree_root(hashes[n * 256:n * 256 + 256]) for n in range(len(hashes) // 256)]
        level += 1
    return entries


class Refused(Exception):
    """The recorder did not store the entry."""


class Lost(Exception):
    """The connection ended."""


class RecorderClient:
    """Speaks the recorder's frames: length-prefixed, answers by id."""
    HEADER = struct.Struct(">BBHIQII")

    def __init__(self, path, role="test", greet=True, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.data, self.next_id = b"", 1
        if greet:
            self.send(b"H", json.dumps({"role": role, "version": 1}).encode())
            kind, _, _, text = self.read()
            assert kind == b"W", (kind, text)
            self.origin = json.loads(text)["origin"]

    def close(self):
        self.sock.close()

    def send(self, kind, text, frame_id=0, arguments=b"", result=b""):
        head = self.HEADER.pack(kind[0], 0, 0, len(text), frame_id, len(arguments), len(result))
        self.sock.sendall(head + text + arguments + result)

    def read(self):
        """(type, kind, id, text) of the next frame."""
        while True:
            if len(self.data) >= self.HEADER.size:
                kind, err, _, n, frame_id, _, _ = self.HEADER.unpack_from(self.data)
                if len(self.data) >= self.HEADER.size + n:
                    text = self.data[self.HEADER.size:self.HEADER.size + n]
                    self.data = self.data[self.HEADER.size + n:]
                    return bytes([kind]), err, frame_id, text.decode()
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise Lost("the recorder closed the connection")
            self.data += more

    def submit(self, arguments=b"", result=b"", **members):
        """Hands an entry in without waiting; returns its frame id."""
        entry = {"phase": "admin", "uid": f"uid_{secrets.token_hex(8)}", "operation": "test.act"}
        entry.update(members)
        frame_id, self.next_id = self.next_id, self.next_id + 1
        self.send(b"E", json.dumps(entry).encode(), frame_id, arguments, result)
        return frame_id

    def answer(self):
        """(frame id, index) of the next answer; Refused when it was refused."""
        kind, _, frame_id, text = self.read()
        if kind == b"A":
            return frame_id, int(text)
        if kind == b"R":
            raise Refused(text)
        raise Lost(text)

    def record(self, **members):
        """Hands an entry in and waits; returns its index in the log."""
        frame_id = self.submit(**members)
        got, index = self.answer()
        assert got == frame_id
        return index
