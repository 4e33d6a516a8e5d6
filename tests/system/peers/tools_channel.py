"""Drives the tools program as a worker does: one end of a SOCK_SEQPACKET pair, JSON headers, sealed memfds."""

import array
import fcntl
import json
import os
import select
import socket
import subprocess

F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEALS = 0x1 | 0x2 | 0x4 | 0x8


def memfd(data, seals=SEALS):
    fd = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def read_memfd(fd):
    assert fcntl.fcntl(fd, F_GET_SEALS) & SEALS == SEALS
    size, data = os.fstat(fd).st_size, b""
    while len(data) < size:
        data += os.pread(fd, size - len(data), len(data))
    return data


class Tools:
    """One running tools program. `call` waits for the answer; the rest is for tests of the protocol."""

    def __init__(self, program, workdir, env=None, user=None, pass_fds=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock, self.count = ours, 0
        self.peer = theirs

        def place():
            if theirs.fileno() == 3:
                os.set_inheritable(3, True)
            else:
                os.dup2(theirs.fileno(), 3)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)

        self.proc = subprocess.Popen([program, str(workdir)], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     close_fds=False, pass_fds=pass_fds, preexec_fn=place)
        theirs.close()

    def send(self, header, data=None, fds=None):
        text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
        if fds is None:
            fds = [] if data is None else [memfd(data)]
        self.sock.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        if data is not None:
            os.close(fds[0])

    def send_call(self, name, tool_input, call_id=None, timeout_ms=60000):
        self.count += 1
        call_id = call_id or f"sevt_{self.count:06d}"
        data = tool_input if isinstance(tool_input, bytes) else json.dumps(tool_input).encode()
        self.send({"do": "call", "id": call_id, "name": name, "timeout_ms": timeout_ms}, data)
        return call_id

    def receive(self, timeout=30):
        """(header, text or None); None when nothing came in time."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        data, control, flags, _ = self.sock.recvmsg(8192, 256)
        if not data:
            raise EOFError(self.proc.stderr.read().decode())
        fds = array.array("i")
        for _, _, part in control:
            fds.frombytes(part[:len(part) - len(part) % 4])
        text = read_memfd(fds[0]).decode() if fds else None
        for fd in fds:
            os.close(fd)
        return json.loads(data), text

    def call(self, name, tool_input, timeout_ms=60000, wait=90):
        """The answer as (text, is_error); the call is forgotten afterwards."""
        call_id = self.send_call(name, tool_input, timeout_ms=timeout_ms)
        got = self.receive(wait)
        assert got is not None, f"no answer to {name} {tool_input!r}"
        header, text = got
        assert header["id"] == call_id, header
        assert header["do"] == "result", (header, text)
        self.send({"do": "forget", "id": call_id})
        return text, header["is_error"]

    def close(self):
        self.sock.close()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise
        finally:
            self.stderr = self.proc.stderr.read().decode()
            self.proc.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
