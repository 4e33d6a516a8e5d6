"""Credentials, errors, environments, agents and sessions (P3, P4, P29 to P33): exact shapes, refusals that name what is wrong."""
import json

import pytest

from control_rig import ONE_CALL, TALK, Client, Rig, message
from harness import wait_until


@pytest.fixture
def rig(instance):
    r = Rig(instance, TALK)
    yield r
    r.close()


def code(answer):
    return answer["error"]["details"]["error_code"]


def test_who_may_ask_what(rig):
    rig.session()
    nobody = Client(rig.inst, "sp-api-wrong")
    for method, path in (("GET", "/v1/sessions"), ("POST", "/v1/agents"), ("GET", f"{rig.w}/poll"), ("GET", "/v1/nonesuch"), ("GET", "/")):
        assert nobody(method, path, want=401)["error"]["type"] == "authentication_error"
    assert rig.env("POST", "/v1/agents", {"name": "a", "model": "m"}, want=403)["error"]["type"] == "permission_error"
    for method, path in (("GET", f"{rig.w}/poll"), ("GET", rig.w)):
        rig.api(method, path, want=403)
    for method, path in (("GET", "/v1/sessions"), ("GET", "/v1/agents"), ("GET", f"/v1/environments/{rig.e}"), ("GET", f"{rig.w}/work_x")):
        rig.env(method, path, want=403)
    other = rig.api.post("/v1/environments", {"name": "b", "config": {"type": "self_hosted"}})["id"]
    rig.env.get(f"/v1/environments/{other}/work/poll", want=(403, 404))
    assert rig.api.get("/v1/nonesuch", want=404)["error"]["type"] == "not_found_error"
    rig.api("DELETE", "/v1/agents", want=405)


def test_either_header_and_any_version(rig):
    for headers in ({"x-api-key": "", "authorization": f"Bearer {rig.inst.api_key}"},
                    {"x-api-key": rig.inst.api_key},
                    {"authorization": f"bearer {rig.inst.api_key}", "anthropic-version": "2026-10-21"},
                    {"x-api-key": rig.inst.api_key, "anthropic-beta": "a,b", "anthropic-version": "whatever"}):
        assert rig.inst.api("GET", "/v1/sessions?beta=true", headers=headers)[0] == 200
    status, _, _ = rig.inst.api("GET", f"{rig.w}/poll?beta=true",
                                headers={"x-api-key": rig.inst.environment_key})
    assert status == 200
    assert rig.inst.api("GET", "/v1/sessions", headers={"x-api-key": "", "authorization": f"Basic {rig.inst.api_key}"})[0] in (200, 401)


def test_environments(rig):
    api = rig.api
    env = api.post("/v1/environments", {"name": "one", "config": {"type": "self_hosted"}, "description": "d", "metadata": {"k": "v"}})
    assert env["id"].startswith("env_") and env["type"] == "environment" and env["config"] == {"type": "self_hosted"}
    assert env["archived_at"] is None and env["created_at"] == env["updated_at"] and env["metadata"] == {"k": "v"}
    path = f"/v1/environments/{env['id']}"
    assert api.get(path) == env
    assert api.post("/v1/environments", {"name": "one", "config": {"type": "self_hosted"}}, want=409)
    cloud = api.post("/v1/environments", {"name": "c", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a"]}}})
    assert cloud["config"]["networking"] == {"type": "limited", "allowed_hosts": ["a"], "allow_mcp_servers": False,
                                             "allow_package_managers": False}
    assert cloud["config"]["packages"]["pip"] == []
    assert code(api.post(path, {"config": {"type": "cloud"}}, want=400)) == "invalid_config_type_change"
    changed = api.post(path, {"description": None, "metadata": {"k": None, "n": "w"}})
    assert changed["description"] is None and changed["metadata"] == {"n": "w"} and changed["name"] == "one"
    assert api.post(path, {"metadata": {"n": ""}})["metadata"] == {}
    assert code(api.post(path, {"metadata": {"n": 1}}, want=400)) == "invalid_metadata"
    assert api.post(path + "/archive")["archived_at"]
    assert code(api.post(path, {"name": "x"}, want=400)) == "environment_archived"
    assert env["id"] not in [e["id"] for e in api.get("/v1/environments")["data"]]
    assert env["id"] in [e["id"] for e in api.get("/v1/environments", include_archived="true")["data"]]
    assert api("DELETE", path) == {"id": env["id"], "type": "environment_deleted"}
    assert code(api.get(path, want=404)) == "environment_not_found"
    for bad in ({}, {"name": ""}, {"name": 1}, {"name": "x" * 257}, {"name": "x", "config": {"type": "moon"}},
                {"name": "x", "config": {"type": "self_hosted", "networking": {}}}, {"name": "x", "nmae": "y"},
                {"name": "x", "metadata": {str(i): "v" for i in range(17)}}, {"name": "x", "metadata": {"k" * 65: "v"}},
                {"name": "x", "metadata": {"k": "v" * 513}}, {"name": "a\nb"}):
        api.post("/v1/environments", bad, want=400)


def test_agents(rig):
    api = rig.api
    made = api.post("/v1/agents", {
        "name": "a", "model": {"id": "m", "effort": "high"}, "system": "s", "metadata": {"k": "v"},
        "tools": [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "always_ask"}},
                   "configs": [{"name": "read", "permission_policy": {"type": "always_allow"}}, {"name": "grep", "enabled": False}]},
                  {"type": "custom", "name": "c", "description": "d", "input_schema": {"type": "object", "properties": {"x": {}}}}]})
    assert made["version"] == 1 and made["type"] == "agent" and made["id"].startswith("agent_")
    assert made["model"]["id"] == "m" and made["model"]["effort"] == {"type": "high"}
    tools = made["tools"][0]
    ask, allow = {"type": "always_ask"}, {"type": "always_allow"}
    assert tools["default_config"] == {"enabled": True, "permission_policy": ask}
    assert tools["configs"] == [{"name": "read", "type": "read", "enabled": True, "permission_policy": allow},
                                {"name": "grep", "type": "grep", "enabled": False, "permission_policy": ask}]
    assert (made["skills"], made["mcp_servers"], made["multiagent"], made["archived_at"], made["description"]) == ([], [], None, None, None)
    assert made["execution_identity"] == {"type": "service_account"}
    path = f"/v1/agents/{made['id']}"
    second = api.post(path, {"version": 1, "system": "t", "metadata": {"k": None}})
    assert second["version"] == 2 and second["system"] == "t" and second["metadata"] == {} and second["tools"] == made["tools"]
    api.post(path, {"version": 1, "system": "u"}, want=409)
    assert api.get(path)["version"] == 2
    assert api.get(path, version=1) == made
    api.get(path, version=3, want=404)
    assert [a["version"] for a in api.get(path + "/versions")["data"]] == [2, 1]
    assert api.post(path, {"tools": None, "system": ""})["tools"] == []
    old = rig.session(made["id"])
    assert rig.get(old)["agent"]["version"] == 3
    pinned = rig.api.post("/v1/sessions", {"agent": {"type": "agent", "id": made["id"], "version": 1}, "environment_id": rig.e})
    api.post(path, {"system": "new"})
    kept = rig.get(pinned["id"])["agent"]
    assert kept["system"] == "s" and kept["version"] == 1 and "metadata" not in kept and "created_at" not in kept
    assert api.post(path + "/archive")["archived_at"]
    api.post("/v1/sessions", {"agent": made["id"], "environment_id": rig.e}, want=400)
    assert api.get("/v1/agents")["data"] == []
    assert len(api.get("/v1/agents", include_archived="true")["data"]) == 1
    base = {"name": "x", "model": "m"}
    custom = {"type": "custom", "name": "c", "description": "d", "input_schema": {"type": "object"}}
    for bad, where in (
        ({"name": "x"}, "model"), ({"model": "m"}, "name"), ({**base, "model": 1}, "model"), ({**base, "model": {}}, "model.id"),
        ({**base, "model": {"id": "m", "effort": "huge"}}, "model.effort"), ({**base, "system": "x" * 100001}, "system"),
        ({**base, "tools": [{}]}, "tools[0].type"), ({**base, "tools": [{"type": "bash_20250124"}]}, "tools[0].type"),
        ({**base, "tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "bahs"}]}]}, "tools[0].configs[0].name"),
        ({**base, "tools": [{"type": "agent_toolset_20260401", "default_config": {"permision_policy": ask}}]},
         "tools[0].default_config.permision_policy"),
        ({**base, "tools": [{"type": "agent_toolset_20260401", "default_config": {"permission_policy": {"type": "never"}}}]},
         "tools[0].default_config.permission_policy.type"),
        ({**base, "tools": [custom, custom]}, "tools[1]"), ({**base, "tools": [{**custom, "name": "bash"}]}, "tools[0].name"),
        ({**base, "tools": [{**custom, "name": "a b"}]}, "tools[0].name"), ({**base, "tools": [{**custom, "description": ""}]}, "description"),
        ({**base, "tools": [{**custom, "input_schema": {"type": "object", "anyOf": []}}]}, "input_schema"),
        ({**base, "mcp_servers": [{"type": "url", "name": "s", "url": "http://x"}]}, "mcp_servers"),
        ({**base, "multiagent": {"type": "coordinator", "agents": []}}, "multiagent"), ({**base, "temperature": 1}, "temperature"),
    ):
        assert where in api.post("/v1/agents", bad, want=400)["error"]["message"], (bad, where)


def test_sessions(rig):
    api = rig.api
    agent = rig.agent(system="s")
    made = api.post("/v1/sessions", {"agent": agent, "environment_id": rig.e, "title": "t \"quoted\" \u00e9", "metadata": {"a": "b"}})
    for name in ("resources", "vault_ids", "outcome_evaluations"):
        assert made[name] == []
    assert made["agent"]["skills"] == [] and isinstance(made["stats"], dict) and isinstance(made["usage"], dict)
    assert (made["type"], made["status"], made["budget"], made["archived_at"]) == ("session", "idle", None, None)
    assert made["id"].startswith("sesn_") and made["title"] == "t \"quoted\" \u00e9" and made["environment_id"] == rig.e
    path = f"/v1/sessions/{made['id']}"
    stream = rig.stream(made["id"])
    changed = api.post(path, {"title": None, "metadata": {"a": None, "c": "d"}})
    assert changed["title"] is None and changed["metadata"] == {"c": "d"}
    updated = stream.until("session.updated")
    assert updated["title"] is None and updated["metadata"] == {"c": "d"} and "agent" not in updated
    tools = [{"type": "agent_toolset_20260401", "configs": [{"name": "bash", "enabled": False}]}]
    assert api.post(path, {"agent": {"tools": tools}})["agent"]["tools"][0]["configs"][0]["enabled"] is False
    for bad in ({"vault_ids": []}, {"budget": {"type": "limit"}}, {"agent": {"system": "x"}}, {"status": "idle"}):
        api.post(path, bad, want=400)
    over = api.post("/v1/sessions", {"agent": {"type": "agent_with_overrides", "id": agent, "system": "other", "model": "n"},
                                     "environment_id": rig.e})
    assert over["agent"]["system"] == "other" and over["agent"]["model"]["id"] == "n" and over["agent"]["id"] == agent
    for bad, want in (({"agent": agent}, 400), ({"environment_id": rig.e}, 400), ({"agent": "agent_x", "environment_id": rig.e}, 404),
                      ({"agent": agent, "environment_id": "env_x"}, 404), ({"agent": 7, "environment_id": rig.e}, 400),
                      ({"agent": {"type": "agent", "id": agent, "version": 9}, "environment_id": rig.e}, 404),
                      ({"agent": agent, "environment_id": rig.e, "vault_ids": ["v"]}, 400),
                      ({"agent": agent, "environment_id": rig.e, "initial_events": [{"type": "user.interrupt"}]}, 400),
                      ({"agent": agent, "environment_id": rig.e, "initial_events": [message("x")] * 51}, 400)):
        api.post("/v1/sessions", bad, want=want)
    for kind in ({"type": "file", "file_id": "f"}, {"type": "github_repository", "url": "https://x"}):
        api.post("/v1/sessions", {"agent": agent, "environment_id": rig.e, "resources": [kind]}, want=400)
    store = api.post("/v1/sessions", {"agent": agent, "environment_id": rig.e,
                                      "resources": [{"type": "memory_store", "memory_store_id": "memstore_1"}]}, want=400)
    assert "no memory stores" in store["error"]["message"]
    api.post("/v1/sessions", {"agent": agent, "environment_id": rig.e, "title": "x" * 4097}, want=400)
    cloud = api.post("/v1/environments", {"name": "c", "config": {"type": "cloud"}})["id"]
    api.post("/v1/sessions", {"agent": agent, "environment_id": cloud}, want=400)


def test_an_update_that_changes_nothing(rig):
    """No new version of an agent, and nothing for a session's stream."""
    api = rig.api
    made = api.post("/v1/agents", {"name": "a", "model": {"id": "m", "effort": "max", "inference_geo": "eu"}, "metadata": {"k": "v"}})
    path = f"/v1/agents/{made['id']}"
    assert api.post(path, {}) == made
    assert api.post(path, {"name": "a", "model": made["model"], "metadata": {"k": "v", "gone": None}, "version": 1}) == made
    api.post(path, {"version": 0}, want=400)
    # A model is replaced as a whole but for its effort.
    assert api.post(path, {"model": {"id": "n"}})["model"] == {"id": "n", "speed": "standard", "effort": {"type": "max"}}
    assert api.post(path, {"model": "o"})["model"] == {"id": "o", "speed": "standard", "effort": {"type": "max"}}
    session = rig.session(metadata={"a": "b"}, title="t")
    path = f"/v1/sessions/{session}"
    tools = rig.get(session)["agent"]["tools"]
    for same in ({}, {"title": "t"}, {"metadata": {}}, {"metadata": {"a": "b"}}, {"agent": {"tools": tools}}, {"metadata": None}):
        api.post(path, same)
    api.post(path, {"title": "u", "metadata": {"a": "b"}})
    api.post(path, {"metadata": {"a": None}})
    api.post(path, {"title": None})
    told = [{k: v for k, v in e.items() if k not in ("id", "type", "processed_at")} for e in rig.history(session)]
    assert told == [{"title": "u"}, {}, {"title": None}]


def test_what_belongs_to_a_session(rig):
    session = rig.session()
    path, thread = f"/v1/sessions/{session}", f"sthr_{session.removeprefix('sesn_')}"
    assert rig.api.get(path + "/resources") == {"data": [], "next_page": None}
    rig.api.post(path + "/resources", {"type": "file", "file_id": "f"}, want=400)
    for method in ("GET", "POST", "DELETE"):
        rig.api(method, path + "/resources/sesrsc_x", want=404)
    assert [t["id"] for t in rig.api.get(path + "/threads")["data"]] == [thread]
    assert [t["id"] for t in rig.api.get(path + "/threads", **{"statuses[]": ["idle", "running"]})["data"]] == [thread]
    assert rig.api.get(path + "/threads", **{"statuses[]": "running"})["data"] == []
    rig.api.get(path + "/threads", **{"statuses[]": "x"}, want=400)
    rig.api.get("/v1/sessions/sesn_x/threads", want=404)
    rig.api.post(f"{path}/threads/{thread}/archive", want=400)


def test_lists_of_sessions(rig):
    one, two = rig.agent(), rig.agent()
    ids = [rig.session(one if i % 2 else two) for i in range(9)]
    path = "/v1/sessions"
    assert [s["id"] for s in rig.api.get(path)["data"]] == ids[::-1]
    assert [s["id"] for s in rig.api.get(path, order="asc")["data"]] == ids
    assert [s["id"] for s in rig.api.get(path, agent_id=one)["data"]] == ids[1::2][::-1]
    assert rig.api.get(path, **{"statuses[]": ["running", "terminated"]})["data"] == []
    assert len(rig.api.get(path, **{"statuses[]": ["idle", "running"]})["data"]) == 9
    assert rig.api.get(path, deployment_id="dep_x")["data"] == rig.api.get(path, memory_store_id="memstore_x")["data"] == []
    assert len(rig.api.get(path, agent_version=7)["data"]) == 9 and rig.api.get(path, agent_id=one, agent_version=7)["data"] == []
    rig.api.get(path, **{"statuses[]": "sleeping"}, want=400)
    first = rig.api.get(path, limit=4)
    assert first["prev_page"] is None
    second = rig.api.get(path, limit=4, page=first["next_page"])
    third = rig.api.get(path, limit=4, page=second["next_page"])
    assert third["next_page"] is None
    assert [s["id"] for p in (first, second, third) for s in p["data"]] == ids[::-1]
    back = rig.api.get(path, limit=4, page=third["prev_page"])
    assert [s["id"] for s in back["data"]] == [s["id"] for s in second["data"]]
    again = rig.api.get(path, limit=4, page=back["prev_page"])
    assert [s["id"] for s in again["data"]] == [s["id"] for s in first["data"]] and again["prev_page"] is None
    assert [s["id"] for s in rig.api.get(path, limit=4, page=back["next_page"])["data"]] == [s["id"] for s in third["data"]]


def test_archive_and_delete(instance):
    rig = Rig(instance, """
version: 1
scenes:
  - when: { user: { equals: slow } }
    steps: [{ say: [{ text: "one two three four five six" }], pace: 200ms }]
  - steps: [{ when: {}, say: [{ text: "yes" }] }]
""")
    running = rig.session(initial_events=[message("slow")])
    stream = rig.stream(running)
    wait_until(lambda: rig.get(running)["status"] == "running", "it runs")
    rig.api.post(f"/v1/sessions/{running}/archive", want=400)
    rig.api("DELETE", f"/v1/sessions/{running}", want=400)
    rig.send(running, {"type": "user.interrupt"})
    stream.idle()
    idle = rig.session()
    assert rig.claim().session == running
    lease = rig.claim()
    assert lease.session == idle
    worker = rig.stream(idle, key=lease.token)
    archived = rig.api.post(f"/v1/sessions/{idle}/archive")
    assert archived["status"] == "terminated" and archived["archived_at"]
    worker.until("session.status_terminated")
    assert lease.beat()["state"] == "stopping"
    assert lease.stop()["state"] == "stopped"
    rig.send(idle, message("x"), want=400)
    assert idle not in [s["id"] for s in rig.api.get("/v1/sessions")["data"]]
    assert idle in [s["id"] for s in rig.api.get("/v1/sessions", include_archived="true")["data"]]
    assert rig.api("DELETE", f"/v1/sessions/{running}") == {"id": running, "type": "session_deleted"}
    assert stream.until("session.deleted")
    assert stream.next() is None
    rig.api.get(f"/v1/sessions/{running}", want=404)
    rig.api("DELETE", f"/v1/environments/{rig.e}", want=400)
    rig.close()


SHAPES = """
import Anthropic from '@anthropic-ai/sdk';
import assert from 'node:assert';
const client = new Anthropic({ maxRetries: 0 });
const { environments, agents, sessions } = client.beta;
const e = await environments.create({ name: 'shapes', config: { type: 'self_hosted' } });
assert.equal((await environments.retrieve(e.id)).name, 'shapes');
assert.equal((await environments.update(e.id, { description: 'd' })).description, 'd');
const a = await agents.create({ name: 'a', model: 'm', tools: [{ type: 'agent_toolset_20260401' }] });
assert.equal((await agents.update(a.id, { version: 1, name: 'b' })).version, 2);
const versions = []; for await (const v of agents.versions.list(a.id, { limit: 1 })) versions.push(v.version);
assert.deepEqual(versions, [2, 1]);
await assert.rejects(agents.update(a.id, { version: 1, name: 'c' }), (x) => x.status === 409);
const ids = [];
for (let i = 0; i < 5; i++) ids.push((await sessions.create({ agent: a.id, environment_id: e.id, metadata: { i: String(i) } })).id);
const listed = []; for await (const s of sessions.list({ limit: 2, statuses: ['idle', 'running'] })) listed.push(s.id);
assert.deepEqual(listed, ids.reverse());
const s = listed[0];
const stream = await sessions.events.stream(s, { event_deltas: ['agent.message'] });
await sessions.events.send(s, { events: [{ type: 'user.message', content: [{ type: 'text', text: 'hi' }] }] });
for await (const ev of stream) if (ev.type === 'session.status_idle') break;
const types = []; for await (const ev of sessions.events.list(s, { limit: 2, types: ['user.message', 'agent.message'] })) types.push(ev.type);
assert.deepEqual(types, ['user.message', 'agent.message']);
const threads = []; for await (const t of sessions.threads.list(s)) threads.push(t.id);
assert.equal(threads.length, 1);
assert.equal((await sessions.update(s, { title: 'x' })).title, 'x');
assert.equal((await environments.work.stats(e.id)).type, 'work_queue_stats');
await assert.rejects(environments.retrieve('env_none'), (x) => x.status === 404 && x.requestID && x.error.error.type === 'not_found_error');
assert.equal((await sessions.archive(s)).status, 'terminated');
assert.equal((await sessions.delete(s)).type, 'session_deleted');
assert.equal((await environments.archive(e.id)).archived_at.length > 10, true);
console.log('shapes hold');
"""


@pytest.mark.parametrize("peer", ["sdk-1.12.0", "sdk-1.2.0", "sdk-0.137.0"])
def test_the_official_client(rig, peer):
    done = rig.inst.node(SHAPES, peer=peer)
    assert done.returncode == 0 and "shapes hold" in done.stdout, done.stdout


DRIVER = """
import Anthropic from '@anthropic-ai/sdk';
import { EnvironmentWorker } from '@anthropic-ai/sdk/helpers/beta/environments';
import assert from 'node:assert';
const client = new Anthropic();
const { environments, agents, sessions } = client.beta;
const e = await environments.create({ name: `t-${Date.now()}`, config: { type: 'self_hosted' } });
const agent = await agents.create({ name: 'a', model: 'test', tools: [{ type: 'agent_toolset_20260401' }] });
const s = await sessions.create({ agent: agent.id, environment_id: e.id });
const stream = await sessions.events.stream(s.id);
const seen = [];
const turn = (async () => {
  for await (const ev of stream) {
    seen.push(ev);
    if (ev.type === 'session.status_idle' && ev.stop_reason.type === 'end_turn') return;
  }
})();
await sessions.events.send(s.id, { events: [{ type: 'user.message', content: [{ type: 'text', text: 'go' }] }] });
const stop = new AbortController();
const worker = new EnvironmentWorker({ client, environmentId: e.id, environmentKey: process.env.ANTHROPIC_ENVIRONMENT_KEY,
  workdir: process.env.WORKDIR, workerId: 'w', maxIdleMs: 300, signal: stop.signal });
const running = worker.run();
await turn;
const items = async () => { const out = []; for await (const w of client.beta.environments.work.list(e.id, {},
  { headers: { authorization: `Bearer ${process.env.ANTHROPIC_ENVIRONMENT_KEY}`, 'x-api-key': null } })) out.push(w.state); return out; };
while (!(await items()).every((state) => state === 'stopped')) await new Promise((r) => setTimeout(r, 20));
stop.abort(); await running;
const res = seen.find((ev) => ev.type === 'user.tool_result');
assert.equal(res.content[0].text, 'hello'); assert.equal(res.is_error, false);
console.log('answered');
"""


@pytest.mark.parametrize("peer", ["sdk-1.12.0", "sdk-1.2.0", "sdk-0.137.0"])
def test_the_official_worker(instance, peer, sallyport):
    rig = Rig(instance, ONE_CALL)
    key = json.loads(sallyport("environment", "key", "create", "--any", "--json", "--config", instance.config, check=True).stdout)["key"]
    done = instance.node(DRIVER, peer=peer, env={"ANTHROPIC_ENVIRONMENT_KEY": key})
    assert done.returncode == 0 and "answered" in done.stdout, done.stdout
    rig.close()
