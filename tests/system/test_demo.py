"""The demo shows its three beats, within 30 seconds once all is built, and leaves nothing behind."""
import os
import pathlib
import signal
import subprocess
import time

from harness import BIN, ROOT, SLOW, environment


def run_demo(tmp, *args, **kw):
    return subprocess.Popen([ROOT / "demo/run", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=environment({"TMPDIR": str(tmp), "SALLYPORT_BIN": BIN}), start_new_session=True, **kw)


def processes_about(tmp):
    """Processes whose arguments name the demo's directory."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(tmp).encode() in p.read_bytes():
                found.append(int(p.parent.name))
        except OSError:
            pass
    return found


def test_three_beats(workdir):
    begin = time.monotonic()
    demo = run_demo(workdir)
    out, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, out
    assert time.monotonic() - begin < 30 * SLOW, out
    assert "The reserve for claim 4711 is EUR 23480." in out
    assert "denied: this sandbox has no network" in out
    assert "/etc/shadow: No such file or directory" in out
    assert "root:" not in out
    assert "tool_call" in out and "\nverified" in out
    assert os.listdir(workdir) == []
    assert processes_about(workdir) == []


def test_ended_in_the_middle_it_cleans_up(workdir):
    demo = run_demo(workdir, "--keep")
    for line in demo.stdout:
        if line.startswith("export ANTHROPIC_BASE_URL="):
            break
    else:
        raise AssertionError("the demo did not get to its end")
    left = processes_about(workdir)
    assert len(left) >= 4
    os.killpg(demo.pid, signal.SIGINT)
    demo.communicate(timeout=60)
    assert processes_about(workdir) == []


def test_an_unknown_option_is_misuse(workdir):
    demo = run_demo(workdir, "--kep")
    out, _ = demo.communicate(timeout=20)
    assert demo.returncode == 2 and "no option '--kep'" in out
