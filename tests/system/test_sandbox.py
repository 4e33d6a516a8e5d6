"""`sallyport sandbox run` runs any program in the sandbox that sessions have, and behaves like the program itself: its output,
its input, its exit status, its end by a signal. What a program expects to find is there."""
import os
import signal
import subprocess

import pytest

from harness import BIN, environment, on_terminal, sallyport

pytestmark = pytest.mark.hostile


def inside(*argv, timeout=60, env=None, **kw):
    return sallyport("sandbox", "run", *kw.pop("options", ()), "--", *argv, timeout=timeout, env=env, **kw)


def bash(script, **kw):
    return inside("/bin/bash", "-c", script, **kw)


def test_output_and_exit_status_are_the_programs():
    done = bash("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_a_program_opens_its_standard_streams_by_name_in_their_own_direction():
    done = bash("cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr", input="in\n")
    assert done.stdout == "in\nout\n" and done.stderr == "err\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the pipe is the user's, who may read it anyway")
def test_a_program_reads_nothing_that_others_write_to_its_output():
    read, write = os.pipe()
    with os.fdopen(read) as r, os.fdopen(write, "w") as w:
        w.write("others\n")
        w.flush()
        done = subprocess.run([BIN, "sandbox", "run", "--", "/bin/bash", "-c", "read -t 1 x </dev/stdout && echo $x >&2"],
                              stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE, text=True, timeout=60)
        w.close()
        assert "Permission denied" in done.stderr and "others" not in done.stderr
        assert r.read() == "others\n"


def test_a_signal_ends_it_as_in_a_shell():
    assert bash("kill -TERM $$").returncode == 128 + signal.SIGTERM
    assert bash("kill -SEGV $$").returncode == 128 + signal.SIGSEGV


def test_a_program_that_is_not_there_is_one_clear_error():
    done = inside("/no/such/program")
    assert done.returncode == 1 and done.stdout == ""
    assert "/no/such/program" in done.stderr and "No such file" in done.stderr and len(done.stderr.splitlines()) <= 3


def test_a_name_is_found_in_the_path():
    assert inside("true").returncode == 0


def test_input_is_passed_through():
    for source in (subprocess.PIPE,):
        done = subprocess.run([BIN, "sandbox", "run", "--", "sha256sum"], input=b"x" * 300000, capture_output=True,
                              timeout=60, env=environment())
        assert done.stdout.startswith(b"57c24757d08f6cd2a8b9e8b5fd3ef2a9") or len(done.stdout.split()[0]) == 64
        plain = subprocess.run(["sha256sum"], input=b"x" * 300000, capture_output=True)
        assert done.stdout == plain.stdout


def test_a_directory_as_input_is_refused():
    fd = os.open("/", os.O_RDONLY)
    try:
        done = subprocess.run([BIN, "sandbox", "run", "--", "/bin/bash", "-c", "cd /proc/self/fd/0 && ls"], stdin=fd,
                              capture_output=True, text=True, timeout=60, env=environment())
    finally:
        os.close(fd)
    assert "root" not in done.stdout and "boot" not in done.stdout


def test_the_environment_is_small_and_its_own():
    done = inside("env", env={"SECRET_TOKEN": "sp-ses-planted", "HOME": "/root"})
    names = sorted(line.split("=")[0] for line in done.stdout.splitlines())
    assert names == ["HOME", "LANG", "PATH", "TERM", "USER"]
    assert "planted" not in done.stdout
    shown = subprocess.run(["env"], env=environment({"SECRET_TOKEN": "sp-ses-planted"}), capture_output=True, text=True)
    assert "planted" in shown.stdout  # what would have been found


def test_what_programs_need_is_there():
    done = bash(r"""
        set -e
        cd /workspace && pwd
        echo a > /workspace/a; echo b > /tmp/b; echo c > ~/c; echo d > /var/tmp/d; echo e > /dev/shm/e; echo f > /run/f
        cat <(echo process substitution)
        head -c 4 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c; echo x > /dev/null
        ! echo x > /dev/full 2>/dev/null && echo full
        awk 'BEGIN { print "awk" }'
        id -un; id -u; getent hosts localhost | head -1 | awk '{print $2}'
        mv /workspace/a /workspace/b && mkdir -p /workspace/d && mv /workspace/b /workspace/d/ && ln /workspace/d/b /workspace/e
        mkfifo /workspace/fifo && test -p /workspace/fifo && echo fifo
        ls -d /etc/ssl/certs >/dev/null && echo certs
        (ulimit -c; ulimit -n)
    """)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == ["/workspace", "process substitution", " 00 00 00 00", "8", "full", "awk", "agent", "1000",
                                            "localhost", "fifo", "certs", "0", "1024"]


def test_threads_and_terminals_work():
    done = inside("/usr/bin/python3", "-c", """
import threading, subprocess, os, pty, multiprocessing
t = threading.Thread(target=lambda: print("thread", flush=True)); t.start(); t.join()
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout, end="", flush=True)
master, slave = pty.openpty(); os.write(slave, b"tty"); print(os.read(master, 10).decode(), flush=True)
multiprocessing.Lock(); print("semaphore")
""")
    assert (done.stdout, done.stderr) == ("thread\nchild\ntty\nsemaphore\n", "")


def test_on_a_terminal_the_program_has_one_of_its_own():
    out, status = on_terminal([BIN, "sandbox", "run", "--", "/bin/bash", "-c",
                               "test -t 0 && test -t 1 && test -t 2 && echo ready; read line; echo got:$line; stty size; exit 3"],
                              ("ready", "hello\n"))
    assert "got:hello" in out and status == 3


def test_ctrl_c_on_the_terminal_reaches_the_program():
    out, status = on_terminal([BIN, "sandbox", "run", "--", "/bin/bash", "-c", "trap 'echo trapped; exit 9' INT; echo ready; sleep 100 & wait"],
                              ("ready", "\x03"))
    assert "trapped" in out and status == 9


def test_sigterm_is_passed_on():
    p = subprocess.Popen([BIN, "sandbox", "run", "--", "/bin/bash", "-c", "trap 'echo ended; exit 5' TERM; echo ready; sleep 100 & wait"],
                         stdout=subprocess.PIPE, text=True, env=environment())
    assert p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.stdout.read() == "ended\n" and p.wait(20) == 5


def make_root(directory):
    """A root of a few programs of the host's, with their libraries."""
    for d in ("bin", "etc", "lib64", "var/tmp", "opt"):
        (directory / d).mkdir(parents=True)
    for program in ("bash", "cat", "ls", "id"):
        real = os.path.realpath(f"/usr/bin/{program}")
        subprocess.run(["cp", real, directory / "bin" / program], check=True)
        for word in subprocess.run(["ldd", real], capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                subprocess.run(["cp", "-n", "--parents", "-L", word, directory], check=True)
    (directory / "etc/passwd").write_text("root:x:0:0::/:/bin/bash\nother:x:1001:1001::/:/bin/bash\n")
    (directory / "opt/mine").write_text("mine\n")
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return directory


def test_a_directory_can_be_the_root(workdir):
    root = make_root(workdir / "root")
    (root / "etc/hosts").symlink_to("/etc/shadow")
    (root / "way-out").symlink_to("/root")
    workdir.chmod(0o755)
    done = inside("/bin/bash", "-c", "cat /opt/mine; id; echo x 2>/dev/null > /opt/new || echo read-only; ls /usr 2>&1; cat /etc/hosts; "
                  "cat /etc/passwd; ls /way-out 2>&1; echo x > /tmp/x && echo x > /var/tmp/y && echo x > /workspace/z && echo written",
                  options=("--root", str(root)))
    assert "mine\nuid=1000(agent) gid=1000(agent) groups=1000(agent)\nread-only\n" in done.stdout
    assert "127.0.0.1 localhost" in done.stdout and "other:x:1001" in done.stdout and done.stdout.endswith("written\n")
    assert "root:$" not in done.stdout and not (root / "opt/new").exists()


def test_a_workspace_can_be_given(workdir):
    work = workdir / "work"
    work.mkdir()
    work.chmod(0o755)
    (work / "given").write_text("given\n")
    if os.geteuid() == 0:  # root's own is refused
        refused = bash("true", options=("--workspace", str(work)))
        assert refused.returncode == 3 and "belongs to root" in refused.stderr
        for path in (work, work / "given"):
            os.chown(path, 1000, 1000)
    done = bash("cat given && echo made > made && ls -ln given made", options=("--workspace", str(work)))
    if os.geteuid() != 0 and "without root only an empty directory" in done.stderr:
        assert done.returncode == 3  # a range of ids, and nobody who may map them on a mount
        (work / "given").unlink()
        made = bash("echo made > made; cat made; rm made", options=("--workspace", str(work)))
        assert made.stdout == "made\n"
        return
    assert done.returncode == 0, done.stderr
    assert (work / "made").read_text() == "made\n"
    assert os.stat(work / "made").st_uid == os.stat(work).st_uid  # it is the owner's, whoever the tools are inside
    again = bash("cat made given", options=("--workspace", str(work)))
    assert again.stdout == "made\ngiven\n"
