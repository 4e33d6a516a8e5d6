"""The driver of the conformance suite, unchanged, with the official SDK's own worker, in three of its releases: an agent made
through the API runs a shell command in that worker and the turn ends."""
import pytest

from harness import sallyport

SCENARIO = """
version: 1
scenes:
  - steps:
      - say: [{ tool: bash, input: { command: "echo hello" } }]
      - say: [{ text: "It said hello." }]
"""

DRIVER = """
import Anthropic from '@anthropic-ai/sdk';
import { EnvironmentWorker } from '@anthropic-ai/sdk/helpers/beta/environments';
import assert from 'node:assert';
const key = process.env.ANTHROPIC_ENVIRONMENT_KEY;       // issued by the control plane under test
const client = new Anthropic();                          // ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY
const { environments: envs, agents, sessions } = client.beta;
const env = await envs.create({ name: `t-${Date.now()}`, config: { type: 'self_hosted' } });
const agent = await agents.create({ name: 'a', model: 'test', tools: [{ type: 'agent_toolset_20260401' }] });
const s = await sessions.create({ agent: agent.id, environment_id: env.id });
const stream = await sessions.events.stream(s.id);       // stream first, then send
const seen = [];
const turn = (async () => {
  for await (const ev of stream) {
    seen.push(ev);
    if (ev.type === 'session.status_idle' && ev.stop_reason.type === 'end_turn') return;
  }
})();
await sessions.events.send(s.id, { events: [{ type: 'user.message', content: [{ type: 'text', text: 'go' }] }] });
const stop = new AbortController();
const worker = new EnvironmentWorker({ client, environmentId: env.id, environmentKey: key,
  workdir: process.env.WORKDIR, workerId: 'conf-1', maxIdleMs: 500, signal: stop.signal });
const running = worker.run();
await turn;
await new Promise((r) => setTimeout(r, 1200));           // let the idle countdown end the item
stop.abort(); await running;
const res = seen.find((e) => e.type === 'user.tool_result');
assert.equal(res.content[0].text, 'hello'); assert.equal(res.is_error, false);
console.log(seen.map((e) => e.type).join(' '));
"""

# What a client of the hosted service saw, in this order; spans and usage stand between.
SEEN = ["user.message", "session.status_running", "agent.tool_use", "session.status_idle", "user.tool_result",
        "session.status_running", "agent.message", "session.status_idle"]


@pytest.mark.parametrize("peer", ["sdk-1.12.0", "sdk-1.2.0", "sdk-0.137.0"])
def test_the_official_worker_runs_a_turn(instance, peer):
    instance.start_all(SCENARIO)
    # The driver makes its environment itself, so its worker's key must be good for one that is not there yet.
    key = sallyport("environment", "key", "create", "--any", "--config", instance.config, check=True).stdout.strip()
    done = instance.node(DRIVER, peer=peer, env={"ANTHROPIC_ENVIRONMENT_KEY": key})
    assert done.returncode == 0, done.stdout
    types = iter(done.stdout.split("\n")[-2].split())
    assert all(t in types for t in SEEN), done.stdout
