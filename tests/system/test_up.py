"""`sallyport up` runs the roles as processes of their own: it says when they work, restarts one that dies, ends with them, and
`sallyport run` shows a session that goes through all of them."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import harness

SCENARIO = """
version: 1
scenes:
  - name: any
    steps:
      - say:
          - tool: bash
            input: { command: "echo hello" }
      - say:
          - text: "It said hello."
"""


def children(pid):
    """Every process below `pid`, also those that it did not start itself."""
    parents = {}
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    below, found = {pid}, True
    while found:
        found = {c for c, parent in parents.items() if parent in below} - below
        below |= found
    return below - {pid}


def alive(pid):
    """Not ended, nor waiting to be reaped."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Up:
    def __init__(self, directory, scenario=SCENARIO):
        self.inst = harness.Instance(directory / "model")
        self.model = self.inst.start_model(scenario)
        harness.sallyport("init", directory / "i", "--listen", "127.0.0.1:0", "--model-url", self.inst.model_url, check=True)
        self.config = directory / "i/sallyport.yaml"
        self.start()

    def start(self, *before):
        self.process = harness.Process([*before, harness.BIN, "up", "--json", "--config", self.config], self.inst.dir / f"up-{len(self.inst.processes)}.log")
        self.inst.processes.append(self.process)
        harness.wait_until(lambda: "\n" in self.said() or not self.process.running(), "up says that it is ready", 30)
        assert self.process.running(), self.process.tail()
        self.ready = json.loads(self.said())
        self.pids = {name: line["pid"] for name, line in self.ready["roles"].items()}

    def said(self):
        return "".join(t for t in self.process.tail(1 << 20).splitlines(True) if t.startswith('{"ready"'))

    def env(self):
        key = pathlib.Path(self.ready["key_files"]["api"]).read_text().strip()
        return {"ANTHROPIC_BASE_URL": self.ready["base_url"], "ANTHROPIC_API_KEY": key}

    def run(self, *args):
        return harness.sallyport("run", "--config", self.config, *args, "go", env=self.env())


@pytest.fixture
def up(workdir):
    made = Up(workdir)
    yield made
    made.inst.close()


def test_names_everything_in_one_object(up):
    ready = up.ready
    assert ready["ready"] is True and ready["pid"] == up.process.pid
    assert set(ready["roles"]) == {"recorder", "control", "worker"}
    assert all(alive(pid) for pid in up.pids.values())
    assert all(pathlib.Path(path).is_file() for path in ready["key_files"].values())
    assert {"api", "environment", "audit", f"environment {ready['environment']}"} == set(ready["key_files"])
    assert ready["environment"].startswith("env_") and ready["base_url"].startswith("http://127.0.0.1:")


def test_a_session_runs_and_is_shown(up):
    plain = up.run()
    assert plain.returncode == 0, plain.stderr
    lines = plain.stdout.splitlines()
    assert lines[0].startswith("session sesn_")
    assert lines[1].startswith("  ▸ bash  echo hello") and "in sandbox" in lines[1]
    assert lines[2] == "It said hello." and lines[3].startswith("done in ") and "1 tool call ·" in lines[3]
    assert "\x1b" not in plain.stdout
    events = [json.loads(line) for line in up.run("--json").stdout.splitlines()]
    assert events[0]["type"] == "session"
    assert [e["type"] for e in events if e["type"].startswith(("user.", "agent."))] == \
        ["user.message", "agent.tool_use", "user.tool_result", "agent.message"]
    assert up.run("-q").stdout == "It said hello.\n"


def test_ps_shows_agents_sessions_and_sandboxes(up):
    session = up.run().stdout.split()[1]
    told = json.loads(harness.sallyport("ps", "--json", "--config", up.config, check=True).stdout)
    assert {name: told[name]["pid"] for name in ("recorder", "control")} == {n: up.pids[n] for n in ("recorder", "control")}
    assert [(a["name"], a["sessions"]) for a in told["control"]["agents"]] == [("run", 1)]
    assert [s["id"] for s in told["control"]["sessions"]] == [session] == [b["session"] for b in told["worker"]["sandboxes"]]
    text = harness.sallyport("ps", "--config", up.config, check=True).stdout
    assert "not reachable" not in text and text.count(session) >= 2 and "agents" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stops_in_order_and_leaves_nothing(up, number):
    up.run()
    below = children(up.process.pid)
    assert len(below) >= 3
    assert up.process.stop(number) == 0
    assert not [p for p in below if alive(p)]
    verified = harness.sallyport("audit", "verify", "--config", up.config)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_fixed_port_lets_control_and_worker_start_together(workdir):
    """The worker then asks control before it is there, and finds it soon."""
    inst = harness.Instance(workdir / "model")
    inst.start_model(SCENARIO)
    harness.sallyport("init", workdir / "i", "--listen", f"127.0.0.1:{harness.free_port()}", "--model-url", inst.model_url, check=True)
    up = harness.Process([harness.BIN, "up", "--config", workdir / "i/sallyport.yaml"], workdir / "up.log")
    inst.processes.append(up)
    try:
        up.wait_log("ready  control http://127.0.0.1:", 30)
        assert harness.sallyport("run", "--config", workdir / "i/sallyport.yaml", "-q", "go").stdout == "It said hello.\n"
    finally:
        inst.close()


def test_nohup_keeps_it(up):
    up.process.stop()
    up.start("nohup")
    up.process.popen.send_signal(signal.SIGHUP)
    assert "It said hello." in up.run().stdout and up.process.running()


@pytest.mark.parametrize("role", ["recorder", "control", "worker"])
def test_restarts_a_role_that_dies(up, role):
    os.kill(up.pids[role], signal.SIGKILL)
    harness.wait_until(lambda: up.process.tail(1 << 20).count(f"up.role role={role}") == 2, "up tells that it is back")
    if role == "recorder":  # nothing runs unrecorded: until the others have found it again they refuse
        for other in ("control", "worker"):
            harness.wait_until(lambda: up.process.tail(1 << 20).count(f"caller.joined role={other}") == 2, f"{other} is back")
    again = up.run()
    assert again.returncode == 0 and "It said hello." in again.stdout, again.stdout + again.stderr + up.process.tail()
    assert up.process.running() and not alive(up.pids[role])


def test_killed_up_ends_its_roles_and_the_next_one_goes_on(up):
    up.run()
    below = children(up.process.pid)
    up.process.kill()
    harness.wait_until(lambda: not [p for p in below if alive(p)], "every process below up has ended")
    up.start()
    again = up.run()
    assert again.returncode == 0 and "It said hello." in again.stdout


def test_a_second_up_is_refused(up):
    second = harness.sallyport("up", "--config", up.config)
    assert second.returncode == 1 and "another 'sallyport up' runs" in second.stderr and "sallyport ps" in second.stderr


def test_says_why_a_role_does_not_start(workdir):
    harness.sallyport("init", workdir / "i", "--listen", "127.0.0.1:0", "--model-url", "http://127.0.0.1:1", check=True)
    (workdir / "i/keys/audit.pem").write_text("garbage")
    refused = harness.sallyport("up", "--config", workdir / "i/sallyport.yaml")
    assert refused.returncode == 1
    assert "recorder did not start" in refused.stderr and "audit.pem" in refused.stderr


def test_says_where_the_models_key_belongs(workdir):
    told = harness.sallyport("init", workdir / "i", "--listen", "127.0.0.1:0", check=True).stdout
    assert f"put the model's key into {workdir}/i/keys/model" in told
    refused = harness.sallyport("up", "--config", workdir / "i/sallyport.yaml")
    assert refused.returncode == 1 and f"{workdir}/i/keys/model: no such file" in refused.stderr
    assert "put the key of https://api.anthropic.com into it" in refused.stderr


def test_another_user_is_told_why_ps_shows_nothing(up, workdir):
    shutil.copy(harness.BIN, workdir / "sallyport")  # the build may lie where only its owner comes
    workdir.chmod(0o755)
    run, other = workdir / "i/data/run", dict(user=65534, group=65534, extra_groups=[]) if os.geteuid() == 0 else {}
    run.chmod(0)
    try:
        done = subprocess.run([workdir / "sallyport", "ps", "--config", up.config], capture_output=True, text=True,
                              env=harness.environment(), cwd=workdir, **other)
    finally:
        run.chmod(0o700)
    assert done.returncode == 3 and "not yours" in done.stderr and "nothing of Sallyport" not in done.stderr


def test_interrupt_ends_the_turn(workdir):
    up = Up(workdir, SCENARIO.replace("echo hello", "sleep 600"))
    try:
        p = harness.Process([harness.BIN, "run", "--config", up.config, "--json", "go"], up.inst.dir / "run.log", env=up.env())
        harness.wait_until(lambda: "agent.tool_use" in p.tail(1 << 20), "the call is under way", 30)
        p.popen.send_signal(signal.SIGINT)
        assert p.wait() == 0
        assert '"end_turn"' in p.tail(1 << 20) and "user.interrupt" in p.tail(1 << 20)
    finally:
        up.inst.close()
