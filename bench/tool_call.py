"""One tool call end to end, as control sees it: from the commit of the model's answer with the call to the commit of its result.
Ours (sandbox, recorded before and after) and the official worker (a shell on the host, unrecorded), on disk and on tmpfs."""
import datetime
import json
import os
import pathlib
import statistics
import sys
import tempfile

import harness

CALLS, SKIPPED = (20, 5) if "SALLYPORT_BENCH_QUICK" in os.environ else (120, 20)  # the first calls make the sandbox and the shell
SCENARIO = f"""version: 1
scenes:
  - steps:
      - when: {{ turn: {CALLS + 1} }}
        say: [{{ text: done }}]
      - when: {{}}
        say: [{{ tool: bash, input: {{ command: "echo hello" }} }}]
"""
OFFICIAL = """
import Anthropic from '@anthropic-ai/sdk';
import { EnvironmentWorker } from '@anthropic-ai/sdk/helpers/beta/environments';
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await new EnvironmentWorker({ client: new Anthropic(), environmentId: process.env.ENVIRONMENT_ID,
  environmentKey: process.env.ANTHROPIC_ENVIRONMENT_KEY, workdir: process.env.WORKDIR, workerId: 'bench', maxIdleMs: 500,
  signal: stop.signal }).run();
"""


def call(inst, method, path, body=None):
    status, answer, _ = inst.api(method, path, body)
    if status != 200:
        raise RuntimeError(f"{method} {path}: {status} {answer}")
    return answer


def when(event):
    return datetime.datetime.fromisoformat(event["processed_at"].replace("Z", "+00:00"))


def history(inst, session):
    events, page = [], ""
    while page is not None:
        answer = call(inst, "GET", f"/v1/sessions/{session}/events?limit=1000{page}")
        events += answer["data"]
        page = f"&page={answer['next_page']}" if answer.get("next_page") else None
    return events


def milliseconds(parent, official):
    """The median of a call's time."""
    with tempfile.TemporaryDirectory(prefix="sp-", dir=parent) as d, harness.Instance(pathlib.Path(d) / "i") as inst:
        inst.start_all(SCENARIO, worker=not official)
        if official:
            inst.node(OFFICIAL, background=True)
        agent = call(inst, "POST", "/v1/agents", {"name": "a", "model": "bench", "tools": [{"type": "agent_toolset_20260401"}]})
        session = call(inst, "POST", "/v1/sessions", {"agent": agent["id"], "environment_id": inst.environment_id})["id"]
        call(inst, "POST", f"/v1/sessions/{session}/events",
             {"events": [{"type": "user.message", "content": [{"type": "text", "text": "go"}]}]})

        def over():
            last = call(inst, "GET", f"/v1/sessions/{session}/events?limit=2&order=desc")["data"]
            return any(e["type"] == "session.status_idle" and e["stop_reason"]["type"] == "end_turn" for e in last)

        harness.wait_until(over, "the session is done", timeout=120, interval=0.1)
        events = history(inst, session)
        begun = {e["id"]: when(e) for e in events if e["type"] == "agent.tool_use"}
        times = [(when(e) - begun[e["tool_use_id"]]).total_seconds() * 1000 for e in events
                 if e["type"] == "user.tool_result" and not e.get("is_error")]
    if len(times) != CALLS:
        raise RuntimeError(f"{len(times)} of {CALLS} calls have a result")
    return statistics.median(times[SKIPPED:])


def main():
    disk = harness.ROOT / "build"
    for place, parent in (("disk", disk), ("tmpfs", "/dev/shm")):
        if not os.path.isdir(parent):
            print(json.dumps({"name": f"tool_call.{place}", "skipped": f"there is no {parent}"}))
            continue
        ours, official = milliseconds(parent, False), milliseconds(parent, True)
        print(json.dumps({"name": f"tool_call.{place}", "unit": "ms", "ours": round(ours, 3),
                          "peers": {"official worker": round(official, 3)},
                          "note": f"bash 'echo hello', {CALLS - SKIPPED} calls of one session; control's data on {place}; "
                                  "the official worker has no sandbox and records nothing itself"}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
