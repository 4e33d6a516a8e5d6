"""Whatever is killed while a sandbox is made or runs, nothing of it is left: no process, no mount, no directory, and after the
next start no control group. Killed are the spawner, its starter, and, from inside, what the sandbox itself is kept by."""
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import BIN, environment, sallyport, wait_until

pytestmark = pytest.mark.hostile


def alive(mark):
    """The processes that have the mark in their arguments or are below a spawner that has."""
    found = []
    for p in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (p / "cmdline").read_bytes() and (p / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX":
                found.append(int(p.name))
        except OSError:
            pass
    return found


def children(pid):
    try:
        return [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except OSError:
        return []


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def is_gone(pid, started):
    return start_time(pid) != started


def start_time(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def groups():
    """The control groups that this process's spawners would make theirs in."""
    found = set()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for mount in (f"/sys/fs/cgroup/{names}", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            found.update(str(g) for g in Path(mount + path).glob("sallyport-[0-9]*-*"))
    return found


def places():
    return {n for n in os.listdir("/tmp") if n.startswith("sallyport-run")}


@pytest.mark.rounds
@pytest.mark.parametrize("victim", ["spawner", "starter"])
def test_killed_at_a_random_moment_of_its_making_nothing_is_left(victim, rounds):
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    before, mounts = places(), len(Path("/proc/self/mountinfo").read_text().splitlines())
    spawners = set()
    for round_ in range(rounds * 5):
        mark = f"1000.{seed}{round_}"
        p = subprocess.Popen([BIN, "sandbox", "run", "--", "/bin/sleep", mark], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=environment())
        time.sleep(rng.uniform(0.005, 0.06))  # the moment is the test's subject
        family = {pid: start_time(pid) for pid in descendants(p.pid)}
        spawners.update(family)
        target = next(iter(children(p.pid)), p.pid) if victim == "spawner" else p.pid
        os.kill(target, signal.SIGKILL)
        assert p.wait(60) != 0
        wait_until(lambda: not alive(mark.encode()), f"round {round_}: no process has the mark")
        wait_until(lambda: all(t is None or is_gone(pid, t) for pid, t in family.items()), f"round {round_}: its processes are gone")
    assert places() == before
    assert len(Path("/proc/self/mountinfo").read_text().splitlines()) == mounts
    assert sallyport("sandbox", "run", "--", "/bin/true").returncode == 0
    assert not {g for g in groups() if int(g.rsplit("-", 2)[1]) in spawners}


def inside(script):
    return sallyport("sandbox", "run", "--", "/bin/bash", "-c", script, timeout=60)


NURSERY = "for p in /proc/[0-9]*; do [ $(<$p/comm) = nursery ] && kill -%s ${p#/proc/}; done; "


def test_a_stopped_nursery_goes_on():
    done = inside(NURSERY % "STOP" + "kill -STOP 1; echo told; exit 3")
    assert (done.stdout, done.returncode) == ("told\n", 3)
    done = inside("kill -STOP -1; exit 4")
    assert done.returncode == 4
    # Stopped it really was: what is not the nursery stays so.
    done = inside("sleep 100 & kill -STOP $!; until grep -q 'State:.T' /proc/$!/status; do :; done; echo stopped")
    assert done.stdout == "stopped\n"


def test_the_program_itself_goes_on_too():
    done = inside("kill -STOP $$; echo on; exit 6")
    assert (done.stdout, done.returncode) == ("on\n", 6)
    done = inside(NURSERY % "KILL" + "kill -STOP $$; echo on; exit 7")  # it is the init's child now
    assert (done.stdout, done.returncode) == ("on\n", 7)


SCENARIO = """
version: 1
scenes:
  - name: any
    steps:
      - say:
          - tool: bash
            input: { command: "kill -STOP -1; echo told" }
      - say:
          - tool: bash
            input: { command: "echo again" }
      - say:
          - text: "over"
"""


def test_a_session_that_stops_its_own_tools_goes_on(instance):
    instance.start_all(SCENARIO, worker=True)
    env = {"ANTHROPIC_BASE_URL": instance.control_url, "ANTHROPIC_API_KEY": instance.api_key}
    done = sallyport("run", "--config", instance.config, "--json", "stop them", env=env, timeout=120)
    results = [e for e in map(json.loads, done.stdout.splitlines()) if e["type"] == "user.tool_result"]
    assert [(r["content"][0]["text"].strip(), r["is_error"]) for r in results] == [("told", False), ("again", False)]


def test_a_killed_nursery_is_replaced():
    done = inside(NURSERY % "KILL" + "echo told; exit 5")
    assert (done.stdout, done.returncode) == ("told\n", 5)
