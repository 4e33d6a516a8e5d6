"""The channel's promises: a call runs once whatever is asked again, its result stays until it is forgotten, a cancel is never late,
and nothing that comes in or goes on inside breaks the program."""

import fcntl
import os
import shutil
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import harness
from peers.tools_channel import SEALS, Tools, memfd
from peers.toolsets import PROGRAM

pytestmark = pytest.mark.hostile


@pytest.fixture
def tools(workdir):
    with Tools(PROGRAM, workdir, env=harness.environment({"ANTHROPIC_API_KEY": "secret", "anthropic_x": "secret", "KEPT": "1"})) as t:
        yield t
    assert "AddressSanitizer" not in t.stderr and "runtime error" not in t.stderr, t.stderr


def do(tools, word, call_id):
    tools.send({"do": word, "id": call_id})


def result(tools, call_id, timeout=30):
    header, text = tools.receive(timeout)
    assert header == {"do": "result", "id": call_id, "is_error": header["is_error"]}
    return text, header["is_error"]


def test_a_known_call_is_not_run_again(tools, workdir):
    call = tools.send_call("bash", {"command": "echo x >>ran; echo done"})
    assert result(tools, call) == ("done", False)
    for _ in range(3):
        tools.send_call("bash", {"command": "echo x >>ran; echo done"}, call)
        assert result(tools, call) == ("done", False)
        do(tools, "collect", call)
        assert result(tools, call) == ("done", False)
    do(tools, "forget", call)
    do(tools, "collect", call)
    assert tools.receive() == ({"do": "unknown", "id": call}, None)
    tools.send_call("bash", {"command": "echo x >>ran"}, call)
    assert tools.receive() == ({"do": "unknown", "id": call}, None)
    assert (workdir / "ran").read_text() == "x\n"


def test_a_running_call_is_not_run_again_and_can_be_collected(tools, workdir):
    os.mkfifo(workdir / "go")
    call = tools.send_call("bash", {"command": "echo x >>ran; read x <go; echo $x"})
    do(tools, "collect", call)
    tools.send_call("bash", {"command": "echo x >>ran"}, call)
    do(tools, "forget", call)  # not while it runs
    do(tools, "collect", "sevt_never")
    assert tools.receive() == ({"do": "unknown", "id": "sevt_never"}, None)
    (workdir / "go").write_text("went\n")
    assert result(tools, call) == ("went", False)
    assert (workdir / "ran").read_text() == "x\n"


def test_another_process_collects_what_one_had_started(tools, workdir):
    """A worker that dies leaves its end of the channel to its successor; what it had asked for is still answered."""
    os.mkfifo(workdir / "go")
    pid = os.fork()
    if pid == 0:
        tools.send_call("bash", {"command": "read x <go; echo $x"}, "sevt_heir")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    do(tools, "collect", "sevt_heir")
    (workdir / "go").write_text("inherited\n")
    assert result(tools, "sevt_heir") == ("inherited", False)
    do(tools, "collect", "sevt_heir")
    assert result(tools, "sevt_heir") == ("inherited", False)


def test_calls_run_one_after_another_in_order(tools):
    ids = [tools.send_call("bash", {"command": f"sleep 0.0{9 - i}; echo {i} >>order"}) for i in range(8)]
    ids.append(tools.send_call("read", {"file_path": "order"}))
    for call in ids[:-1]:
        assert result(tools, call) == ("(no output)", False)
    assert result(tools, ids[-1]) == ("".join(f"{i}\n" for i in range(8)), False)


def test_cancel_a_running_command(tools, workdir):
    os.mkfifo(workdir / "started")
    call = tools.send_call("bash", {"command": "X=1; echo >started; sleep 1000"})
    waiting = tools.send_call("bash", {"command": "echo [$X]"})
    (workdir / "started").read_text()
    begin = time.monotonic()
    do(tools, "cancel", call)
    assert result(tools, call) == ("bash: the call was cancelled", True)
    assert result(tools, waiting) == ("[]", False)
    assert time.monotonic() - begin < 2 * harness.SLOW
    do(tools, "cancel", call)  # has ended: nothing happens
    do(tools, "cancel", "sevt_never")
    assert tools.call("bash", {"command": "echo ok"}) == ("ok", False)


def test_cancel_a_call_that_waits(tools, workdir):
    os.mkfifo(workdir / "go")
    first = tools.send_call("bash", {"command": "read x <go"})
    second = tools.send_call("write", {"file_path": "never", "content": "x"})
    do(tools, "cancel", second)
    assert result(tools, second) == ("write: the call was cancelled", True)
    (workdir / "go").write_text("\n")
    assert result(tools, first) == ("(no output)", False)
    assert not (workdir / "never").exists()


# Takes PCRE2 (and V8) longer than anybody waits.
HARD = {"pattern": "^(a+)+(a+)+(a+)+(a+)+$"}


@pytest.fixture
def walker(workdir):
    with Tools(PROGRAM, workdir, env=harness.environment({"PATH": "/nonexistent"})) as t:
        yield t


def test_cancel_and_limit_a_search(walker, workdir):
    (workdir / "f").write_text("a" * 1900 + "b\n")
    call = walker.send_call("grep", HARD)
    do(walker, "collect", "sevt_never")  # answered while the search runs
    assert walker.receive() == ({"do": "unknown", "id": "sevt_never"}, None)
    do(walker, "cancel", call)
    assert result(walker, call) == ("grep: the call was cancelled", True)
    begin = time.monotonic()
    assert walker.call("grep", HARD, timeout_ms=300) == ("grep: stopped after 300 ms", True)
    assert time.monotonic() - begin < 3 * harness.SLOW
    assert walker.call("read", {"file_path": "f"})[1] is False


def test_the_calls_own_limit_and_the_inputs(tools):
    assert tools.call("bash", {"command": "sleep 10"}, timeout_ms=200) == ("bash: This operation was aborted", True)
    assert tools.call("bash", {"command": "sleep 10", "timeout_ms": 5000}, timeout_ms=200) == ("bash: This operation was aborted", True)
    assert tools.call("bash", {"command": "sleep 10", "timeout_ms": 200}) == ("bash: bash command timed out after 200ms", True)


GARBAGE = [b"", b"\x00", b"{", b"[]", b"null", b"{}", b'{"do":"call"}', b'{"do":"nothing","id":"a"}', b'{"do":"collect","id":""}',
           b'{"do":"collect","id":"a/b"}', b'{"do":"collect","id":1}', b'{"do":"collect","id":"a","x":1}', b'{"do":"collect","do":"forget","id":"a"}',
           b'{"do":"call","id":"a","name":"bash"}', b'{"do":"call","id":"a","name":"bash","timeout_ms":0}',
           b'{"do":"call","id":"a","name":"bash","timeout_ms":-1}', b'{"do":"call","id":"a","name":"bash","timeout_ms":1e3}',
           b'{"do":"call","id":"a","name":"bash","timeout_ms":99999999999999999999}', b'{"do":"collect","id":"' + b"a" * 129 + b'"}',
           b"[" * 4000, b"x" * 4096, b"x" * 4097, b"x" * 60000, b'{"do":"collect","id":"\xff"}', b'{"do":"collect","id":"a\\u0000"}']


def test_garbage_is_dropped(tools):
    for text in GARBAGE:
        if text:
            tools.send(text)
        tools.send(text or b" ", b"bulk data")
        assert tools.call("bash", {"command": "echo ok"}) == ("ok", False)


def test_what_comes_as_input(tools, workdir):
    """Inputs that are no sealed memfd, no JSON, or too much are answered, not believed."""
    def call(fds, data=None):
        tools.count += 1
        call_id = f"sevt_{tools.count:06d}"
        tools.send({"do": "call", "id": call_id, "name": "read", "timeout_ms": 5000}, data, fds)
        header, text = tools.receive()
        assert header["id"] == call_id
        return header["do"], text

    assert call([]) == ("refused", "the call came without its input")
    unsealed = memfd(b'{"file_path":"x"}', 0)
    assert call([unsealed]) == ("result", "read: bulk data came in something other than a sealed memfd")
    partly = memfd(b'{"file_path":"x"}', SEALS & ~0x8)
    assert call([partly])[1] == "read: bulk data came in something other than a sealed memfd"
    (workdir / "plain").write_text("{}")
    plain, null = os.open(workdir / "plain", os.O_RDONLY), os.open("/dev/zero", os.O_RDONLY)
    assert call([plain])[1] == call([null])[1] == "read: bulk data came in something other than a sealed memfd"
    big = os.memfd_create("big", os.MFD_ALLOW_SEALING)
    os.ftruncate(big, 1 << 40)
    fcntl.fcntl(big, 1033, SEALS)
    assert "over the limit" in call([big])[1]
    for data in (b"", b"{", b'{"file_path"', b"\xff", b'{"file_path":"\xff"}', b"[" * 100000, b'{"a":1e999}'):
        assert call(None, data) == ("result", "read: the input is not valid JSON")
    for data in (b"null", b"[]", b"1", b'"x"', b"true"):
        assert call(None, data) == ("result", "read: file_path is required")
    for fd in (unsealed, partly, plain, null, big):
        os.close(fd)
    do(tools, "collect", "sevt_never")
    tools.receive()
    before = len(os.listdir(f"/proc/{tools.proc.pid}/fd")) if os.getuid() == 0 else 0
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    for _ in range(20):
        tools.send({"do": "collect", "id": "a"}, None, many)
    tools.call("read", {})
    do(tools, "collect", "sevt_never")  # the forgetting of the last result is over
    while tools.receive()[0]["id"] != "sevt_never":
        pass
    if before:
        assert len(os.listdir(f"/proc/{tools.proc.pid}/fd")) <= before
    for fd in many:
        os.close(fd)


def test_an_unknown_tool_is_refused(tools):
    for name in ("web_fetch", "Bash", "bash2", "x" * 32):
        call = tools.send_call(name, {})
        assert tools.receive() == ({"do": "refused", "id": call}, "there is no tool of that name")


def test_what_is_kept_is_bounded(tools):
    for i in range(128):
        result(tools, tools.send_call("bash", {"command": ":"}, f"kept_{i}"))
    tools.send_call("bash", {"command": ":"}, "one_more")
    assert tools.receive() == ({"do": "refused", "id": "one_more"}, "too many calls or results are waiting to be collected")
    do(tools, "forget", "kept_0")
    assert result(tools, tools.send_call("bash", {"command": "echo ran"}, "one_more")) == ("ran", False)


def test_nobody_reads_for_a_while(tools):
    """Results wait inside while the channel is full, and none is lost."""
    ids = [tools.send_call("bash", {"command": f"echo {i}"}, f"c{i}") for i in range(100)]
    for call in ids:
        tools.sock.setblocking(False)
        try:
            for _ in range(30):
                do(tools, "collect", call)
        except BlockingIOError:
            break
    tools.sock.setblocking(True)
    seen = {}
    while len(seen) < len(ids):
        header, text = tools.receive()
        if header["do"] == "result":
            seen[header["id"]] = text
    assert seen == {f"c{i}": str(i) for i in range(100)}


def test_it_ends_when_the_channel_is_closed(workdir):
    t = Tools(PROGRAM, workdir, env=harness.environment())
    t.call("bash", {"command": "sleep 1000 & echo $$ $! >pids"})
    pids = [int(x) for x in (workdir / "pids").read_text().split()]
    t.close()
    assert t.proc.returncode == 0
    for pid in pids:
        harness.wait_until(lambda: not alive(pid), f"process {pid} ended")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_bash_gets_no_secret_and_no_descriptor(tools):
    text, error = tools.call("bash", {"command": "env; ls -l /proc/self/fd; ls -l /proc/$$/fd"})
    assert not error and "KEPT=1" in text
    assert "nthropic" not in text.lower() and "socket:" not in text and "memfd" not in text
    for line in text.splitlines():
        if " -> " in line:
            assert line.split(" -> ")[1].startswith(("/dev/null", "pipe:", "/proc/")), line


def test_same_user_can_not_look_into_it(workdir):
    if os.getuid() != 0:
        pytest.skip("only root can start it as another user")
    workdir.chmod(0o777)
    # The build may lie where only root comes, as in root's own home.
    program = shutil.copy(PROGRAM, workdir / "program")
    with Tools(program, workdir, env=harness.environment(), user=65534) as t:
        for path in ("mem", "environ", "maps", "fd/3", "exe"):
            text, _ = t.call("bash", {"command": f"head -c 1 /proc/{t.proc.pid}/{path} 2>&1 | od -c | head -2; ls -l /proc/{t.proc.pid}/fd 2>&1"})
            assert "ermission denied" in text or "P   e   r   m" in text, text
        text, error = t.call("read", {"file_path": f"/proc/{t.proc.pid}/environ"})
        assert error


def test_a_timeout_takes_the_group_but_not_what_left_it(tools, workdir):
    tools.call("bash", {"command": "(sleep 1000 & echo $! >in); setsid sleep 1000 & echo $! >out"})
    tools.call("bash", {"command": "sleep 1000", "timeout_ms": 200})
    inside, outside = int((workdir / "in").read_text()), int((workdir / "out").read_text())
    harness.wait_until(lambda: not alive(inside), "the job in the group ended")
    assert alive(outside)
    os.kill(outside, signal.SIGKILL)


def test_a_job_that_floods_the_pipe_between_calls(tools):
    tools.call("bash", {"command": "yes flood & echo $! >pid"})
    for i in range(5):
        text, error = tools.call("bash", {"command": f"echo mark{i}"})
        # It answers; what the flood pushed out of the last 102,400 characters may include the mark itself.
        assert not error and (f"mark{i}" in text or text.startswith("[output truncated]"))
    tools.call("bash", {"command": "kill $(cat pid); wait 2>/dev/null"})
    assert tools.call("read", {"file_path": "pid"})[1] is False


def test_memory_stays_bounded(tools):
    if harness.BUILD == "asan":
        pytest.skip("a sanitizer's memory is not ours")
    tools.call("bash", {"command": "yes 0123456789 | head -c 200000000"})
    tools.call("bash", {"command": "head -c 100000000 /dev/zero"})
    if os.getuid() == 0:
        status = pathlib.Path(f"/proc/{tools.proc.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 12 * 1024, f"{peak} KiB"


SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
print(flush=True)
while True:
    for a, b in (("real", "d"), ("d", "real"), ("link", "d"), ("d", "link")):
        try:
            os.rename(a, b)
        except OSError:
            pass
"""


@pytest.fixture
def swapping(workdir):
    """`d` is now a directory inside, now a link to one outside that holds a secret, while the test runs. Gives that one."""
    outside = workdir.parent / (workdir.name + "-outside")
    outside.mkdir()
    (outside / "f").write_text("SECRET hit\n")
    (workdir / "real").mkdir()
    (workdir / "real/f").write_text("hit\n")
    os.symlink(outside, workdir / "link")
    child = subprocess.Popen(["/usr/bin/python3", "-c", SWAPPER, str(workdir)], stdout=subprocess.PIPE)
    child.stdout.readline()
    yield outside
    child.kill()
    child.wait()
    child.stdout.close()
    assert os.listdir(outside) == ["f"] and (outside / "f").read_text() == "SECRET hit\n"
    subprocess.run(["rm", "-rf", str(outside)], check=True)


def test_nothing_outside_is_ever_read_or_written(tools, swapping):
    for i in range(60):
        assert "SECRET" not in tools.call("read", {"file_path": "d/f"})[0]
        tools.call("write", {"file_path": f"d/new{i % 3}", "content": "x"})
        tools.call("write", {"file_path": "d/sub/deep", "content": "x"})
        tools.call("edit", {"file_path": "d/f", "old_string": "SECRET", "new_string": "changed"})
        assert "outside" not in tools.call("glob", {"pattern": "d/*"})[0]


def test_the_walker_follows_no_link_that_appears(walker, swapping):
    for _ in range(80):
        assert "SECRET" not in walker.call("grep", {"pattern": "hit"})[0]
        assert "SECRET" not in walker.call("grep", {"pattern": "hit", "path": "d"})[0]


def test_how_it_must_be_started(workdir):
    def run(*args, fd=None):
        done = subprocess.run([PROGRAM, *args], env=harness.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              preexec_fn=None if fd is None else lambda: os.dup2(fd, 3), close_fds=fd is None, timeout=20)
        return done.returncode, done.stderr

    assert run()[0] == run("relative")[0] == run("/a", "/b")[0] == 2
    code, err = run("/nonexistent")
    assert code == 1 and "/nonexistent" in err
    code, err = run(str(workdir))
    assert code == 1 and "descriptor 3" in err
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    code, err = run(str(workdir), fd=a.fileno())
    assert code == 1 and "SOCK_SEQPACKET" in err
    a.close()
    b.close()
