"""A call's life (ARCHITECTURE.md): whatever dies when, no call has two effects, each call has one result, one whose outcome
nobody can know is closed as that, and the log, which verifies, says why.

Every call appends its own line to a file in /workspace; the workspaces of all workers that took part are counted."""
import concurrent.futures
import json
import os
import pathlib
import random
import signal
import time

import pytest

from harness import PEERS, SLOW, sallyport, wait_until

STEPS = 4
SESSIONS = 3

SCENARIO = "version: 1\nscenes:\n  - steps:\n" + "".join(
    f'      - say: [{{ tool: bash, input: {{ command: "echo step-{k} >> effects; sleep 0.2; echo did-{k}" }} }}]\n'
    for k in range(STEPS)) + "      - say: [{ text: \"All done.\" }]\n"

OFFICIAL = """
import Anthropic from '@anthropic-ai/sdk';
import { EnvironmentWorker } from '@anthropic-ai/sdk/helpers/beta/environments';
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await new EnvironmentWorker({ client: new Anthropic({ apiKey: 'none' }), environmentId: process.env.ENVIRONMENT_ID,
  environmentKey: process.env.ANTHROPIC_ENVIRONMENT_KEY, workdir: process.env.WORKDIR, maxIdleMs: 500, signal: stop.signal }).run();
"""


class Life:
    def __init__(self, inst, scenario=SCENARIO, at_least_once=False):
        self.inst = inst
        if at_least_once:
            inst.settings["control"]["environments"][0]["calls"] = "at-least-once"
        inst.settings["worker"]["max_idle"] = "2s"
        inst.start("recorder")
        inst.start_model(scenario)
        inst.start("control")
        self.workspaces = [inst.dir / "data/worker/sessions"]
        self.start_worker()
        self.sessions = []

    def start_worker(self, name="worker"):
        self.worker = self.inst.start("worker", "--lease", "5s", name=name, timeout=40)

    def start_other(self):
        """Ours, with another data directory (so another journal), and its recorder."""
        other = type(self.inst)(self.inst.dir / "other")
        other.settings = json.loads(json.dumps(self.inst.settings))
        other.settings["data_dir"] = str(other.dir / "data")
        other.write_secret("environment", self.inst.environment_key)
        other.start("recorder")
        other.start("worker", "--lease", "5s")
        self.inst.processes += other.processes
        self.workspaces.append(other.dir / "data/worker/sessions")

    def start_official(self):
        self.official = self.inst.node(OFFICIAL, background=True)
        self.workspaces.append(pathlib.Path(self.official.popen.args[1]).parent / "work")

    def call(self, method, path, body=None):
        status, answer, _ = self.inst.api(method, path, body)
        assert status == 200, (path, status, answer)
        return answer

    def begin(self, n=SESSIONS):
        agent = self.call("POST", "/v1/agents", {"name": "a", "model": "test", "tools": [{"type": "agent_toolset_20260401"}]})
        for _ in range(n):
            s = self.call("POST", "/v1/sessions", {"agent": agent["id"], "environment_id": self.inst.environment_id, "initial_events": [
                {"type": "user.message", "content": [{"type": "text", "text": "go"}]}]})
            self.sessions.append(s["id"])

    def events(self, session):
        return self.call("GET", f"/v1/sessions/{session}/events?limit=1000")["data"]

    def over(self, session):
        try:
            events = self.events(session)
        except OSError:
            return False
        idles = [e for e in events if e["type"] == "session.status_idle"]
        return bool(idles) and idles[-1]["stop_reason"]["type"] == "end_turn" and events[-1]["type"] != "session.status_running"

    def wait_over(self, timeout):
        for s in self.sessions:
            wait_until(lambda s=s: self.over(s), f"{s} has ended its turn", timeout, interval=0.2)

    def effects(self, session):
        """step -> how often it was done, over every workspace."""
        count = {}
        for root in self.workspaces:
            for path in (root / session / "workspace/effects", root / "effects"):
                if path.exists() and (path.parent == root) == (path == root / "effects"):
                    for line in path.read_text().split("\n"):
                        if line and (path.parent != root or len(self.sessions) == 1):
                            count[line] = count.get(line, 0) + 1
        return count

    def official_effects(self):
        count = {}
        for root in self.workspaces:
            if (root / "effects").exists():
                for line in (root / "effects").read_text().split():
                    count[line] = count.get(line, 0) + 1
        return count

    def check(self):
        """Returns the ids of the calls that were closed as unknown."""
        unknown, shared = [], self.official_effects()
        totals = {}
        for session in self.sessions:
            events = self.events(session)
            calls = [e for e in events if e["type"] == "agent.tool_use"]
            results = {}
            for e in events:
                if e["type"] == "user.tool_result":
                    assert e["tool_use_id"] not in results, f"two results of {e['tool_use_id']}"
                    results[e["tool_use_id"]] = e
            assert len(calls) == STEPS and set(results) == {c["id"] for c in calls}, (session, results)
            done = self.effects(session) if len(self.sessions) > 1 else {}
            for k, c in enumerate(calls):
                r = results[c["id"]]
                text = r["content"][0]["text"]
                here = done.get(f"step-{k}", 0)
                assert here <= 1, f"{c['id']} was done {here} times\n{text}"
                totals[f"step-{k}"] = totals.get(f"step-{k}", 0) + here
                if r["is_error"]:
                    assert "unknown" in text or "cancelled" in text.lower() or "did not run" in text, text
                    unknown.append(c["id"])
                else:
                    assert text == f"did-{k}", text
                    assert here == 1 or shared or len(self.sessions) == 1, f"{c['id']} has a result and no effect"
        # A worker without sandboxes has one directory for all sessions: there only the sum can be told.
        for step, n in shared.items():
            assert totals.get(step, 0) + n <= len(self.sessions), f"{step} was done {totals.get(step, 0) + n} times"
        assert sallyport("audit", "verify", "--config", self.inst.config).returncode == 0
        log = sallyport("audit", "show", "--json", "--config", self.inst.config, check=True).stdout
        for call in unknown:
            assert call in log, f"the log says nothing of {call}"
        return unknown

    def children(self):
        return [int(p) for p in pathlib.Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text().split()]

    def poller(self):
        return next(p for p in self.children() if b"worker-poller" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes())

    def kill(self, victim):
        """SIGKILL; what `up` would start again is started again by the caller."""
        if victim == "poller":
            os.kill(self.poller(), signal.SIGKILL)
        elif victim == "worker":
            self.worker.kill()
        elif victim == "spawner":
            poller = self.poller()
            os.kill(next(p for p in self.children() if p != poller), signal.SIGKILL)
            self.worker.wait(20)
        else:
            self.inst.roles["control"].kill()


@pytest.fixture
def life(make_instance):
    return lambda **kw: Life(make_instance(), **kw)


@pytest.mark.parametrize("victim", ["poller", "worker", "spawner", "control"])
def test_the_same_worker_goes_on(life, victim):
    l = life()
    l.begin()
    l.worker.wait_log("worker.call_ended")
    time.sleep(random.uniform(0, 0.5))  # the moment is the test's subject, not something waited for
    l.kill(victim)
    if victim in ("worker", "spawner"):
        l.start_worker("worker-again")
    elif victim == "control":
        l.inst.start("control")
    l.wait_over(60)
    unknown = l.check()
    # Control's death takes nothing from the worker, and a poller leaves what runs behind: only what it had written down and
    # not yet handed to the sandbox is unknown then, at most one call of each session.
    assert len(unknown) <= (0 if victim == "control" else SESSIONS), unknown


def test_killed_between_run_and_post(life):
    l = life()
    l.begin(1)
    control = l.inst.roles["control"]
    l.worker.wait_log("worker.call ")
    os.kill(control.pid, signal.SIGSTOP)
    try:
        l.worker.wait_log("worker.call_ended")
        os.kill(l.poller(), signal.SIGKILL)
    finally:
        os.kill(control.pid, signal.SIGCONT)
    l.wait_over(60)
    assert l.check() == []
    root = l.workspaces[0] / l.sessions[0] / "workspace/effects"
    assert root.read_text().split() == [f"step-{k}" for k in range(STEPS)]


def a_round(l, i, victim, wait, following):
    print(f"round {i}: {victim} killed after {wait:.3f} s, then {following}")
    l.begin()
    time.sleep(wait)
    l.kill(victim)
    if following == "other":
        l.start_other()
    elif following == "official":
        l.start_official()
    elif victim in ("worker", "spawner"):
        l.start_worker("worker-again")
    elif victim == "control":
        l.inst.start("control")
    l.wait_over(150)
    print(f"round {i}: unknown {l.check()}")
    l.inst.close()


def test_random_moments_and_who_comes_next(life, rounds):
    """Three at a time: most of a round is waiting for what control holds back."""
    seed = int(os.environ.get("SALLYPORT_SEED", random.randrange(1 << 32)))
    print(f"SALLYPORT_SEED={seed}")
    dice = random.Random(seed)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        under_way = []
        for i in range(rounds):
            following = ["same", "other", "official"][i % 3]
            victim = dice.choice(["worker", "worker", "spawner", "poller", "control"] if following == "same" else ["worker", "spawner"])
            under_way.append(pool.submit(lambda *how: a_round(life(), *how), i, victim, dice.uniform(0, 2.5), following))
        for r in under_way:
            r.result()


@pytest.mark.parametrize("following", ["same", "other"])
def test_at_least_once_where_it_is_configured(life, following):
    l = life(at_least_once=True)
    l.begin(1)
    l.worker.wait_log("worker.sandbox session=" + l.sessions[0])
    l.kill("worker")
    l.start_worker("worker-again") if following == "same" else l.start_other()
    l.wait_over(90)
    results = [e for e in l.events(l.sessions[0]) if e["type"] == "user.tool_result"]
    assert [(r["is_error"], r["content"][0]["text"]) for r in results] == [(False, f"did-{k}") for k in range(STEPS)]
