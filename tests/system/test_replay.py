"""The replayed model speaks the Messages API: the official SDK, streaming and not, gets what the scenario says, its faults
look to it like the faults they play, and hostile requests get a clear 400 and do no harm."""
import concurrent.futures
import http.client
import json
import socket

import pytest

from harness import BIN, Process, sallyport

pytestmark = pytest.mark.hostile

SCENARIO = """
version: 1
scenes:
  - when: { user: { equals: faults } }
    steps:
      - say: [{ text: "after the faults" }]
        faults:
          - { do: status, status: 529 }
          - { do: status, status: 429, retry_after: 0 }
          - { do: drop, at: 0 }
  - when: { user: { starts: "break " } }
    take: { how: { from: user, after: "break " } }
    steps:
      - when: { user: { equals: "break truncate" } }
        say: [{ text: "one two three four five six" }]
        faults: [{ do: truncate, at: 6, times: 1000 }]
      - when: { user: { equals: "break drop" } }
        say: [{ text: "one two three four five six" }]
        faults: [{ do: drop, at: 6, times: 1000 }]
      - when: { user: { equals: "break error" } }
        say: [{ text: "one two three four five six" }]
        faults: [{ do: error, at: 3, times: 1000 }]
      - when: { user: { equals: "break garbage" } }
        say: [{ text: "one two three four five six" }]
        faults: [{ do: garbage, at: 3, times: 1000 }]
      - when: { user: { equals: "break drip" } }
        say: [{ text: "one two three" }]
        faults: [{ do: drip, bytes: 3, pause: 0ms, times: 1000 }]
  - take:
      who: { from: first, after: "I am ", before: "." }
      sum: { from: result, tool: bash, json: /sum }
    steps:
      - say:
          - thinking: "What is asked?"
          - text: "Grüße, {{who}}. I compute it."
          - { tool: bash, input: { command: "echo ${X}", deep: { list: [1, "2", true, null] } } }
        usage: { input: 11, output: 22 }
      - say: [{ text: "The sum is {{sum}}." }]
"""

PROGRAM = """
import Anthropic from '@anthropic-ai/sdk';
import assert from 'node:assert';
const client = new Anthropic({ baseURL: process.env.MODEL_URL, apiKey: 'none', maxRetries: 0 });
const retrying = new Anthropic({ baseURL: process.env.MODEL_URL, apiKey: 'none', maxRetries: 5 });
const tools = [{ name: 'bash', description: 'd', input_schema: { type: 'object' } }];
const ask = (messages) => ({ model: 'any-1', max_tokens: 100, messages, tools });
const first = [{ role: 'user', content: 'Hello. I am Ada. Add.' }];
const streamed = await client.messages.stream(ask(first)).on('text', (t) => assert(t.length > 0)).finalMessage();
const whole = await client.messages.create(ask(first));
for (const field of ['id', 'type', 'role', 'model', 'content', 'stop_reason', 'stop_sequence', 'usage'])
  assert.deepEqual(JSON.parse(JSON.stringify(streamed[field])), JSON.parse(JSON.stringify(whole[field])), field);
assert.equal(whole.stop_reason, 'tool_use');
assert.equal(whole.model, 'any-1');
assert.equal(whole.usage.input_tokens, 11);
assert.equal(whole.usage.output_tokens, 22);
const [thinking, text, call] = whole.content;
assert.equal(thinking.thinking, 'What is asked?');
assert.equal(text.text, 'Grüße, Ada. I compute it.');
assert.deepEqual(call.input, { command: 'echo ${X}', deep: { list: [1, '2', true, null] } });
const second = [...first, { role: 'assistant', content: whole.content },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '{"sum": 42}' }] }];
const last = await client.messages.stream(ask(second)).finalMessage();
assert.equal(last.content[0].text, 'The sum is 42.');
assert.equal(last.stop_reason, 'end_turn');
const raw = [];
for await (const e of await client.messages.create({ ...ask(first), stream: true })) raw.push(e.type);
assert.equal(raw[0], 'message_start');
assert.equal(raw.at(-1), 'message_stop');
assert(raw.filter((t) => t === 'content_block_delta').length > 8);

const say = (text) => ask([{ role: 'user', content: text }]);
assert.equal((await retrying.messages.create(say('faults'))).content[0].text, 'after the faults');
assert.equal((await client.messages.stream(say('break drip')).finalMessage()).content[0].text, 'one two three');
for (const how of ['truncate', 'drop', 'error', 'garbage'])
  await assert.rejects(client.messages.stream(say('break ' + how)).finalMessage(), undefined, how);
await assert.rejects(client.messages.create(ask([{ role: 'assistant', content: 'x' }])),
  (e) => e.status === 400 && e.error.error.type === 'invalid_request_error' && /alternate/.test(e.message));
const models = [];
for await (const m of client.models.list()) models.push(m);
assert.equal(models.length, 1);
assert.match(models[0].display_name, /no model/);
assert.equal((await client.models.retrieve('any-1')).id, 'any-1');
await assert.rejects(client.messages.countTokens(ask(first)), (e) => e.status === 404);
console.log('fine');
"""


def test_the_official_sdk_gets_what_the_scenario_says(instance):
    instance.start_model(SCENARIO)
    done = instance.node(PROGRAM, env={"MODEL_URL": instance.model_url})
    assert done.returncode == 0 and done.stdout.endswith("fine\n"), done.stdout


def post(address, body, headers=None):
    host, port = address.removeprefix("http://").rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30)
    conn.request("POST", "/v1/messages", body, headers or {"content-type": "application/json"})
    answer = conn.getresponse()
    text = answer.read()
    conn.close()
    return answer.status, text


def say(text, **more):
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more})


def test_the_same_request_gets_the_same_bytes_also_at_once_with_others(instance):
    instance.start_model(SCENARIO)
    bodies = [say(f"I am number {n}.", stream=n % 2 == 0) for n in range(8)] * 8
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda b: post(instance.model_url, b), bodies))
    for n in range(8):
        got = set(answers[n::8])
        assert len(got) == 1
        status, text = got.pop()
        assert status == 200
        assert f"number {n}" in text.decode().replace('"}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta",'
                                                      '"index":1,"delta":{"type":"text_delta","text":"', "")


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b'{"model":"m"}', b'{"a":1,"a":2}', b"[" * 100000,
    say("x", max_tokens=0).encode(), say("x", stream="yes").encode(), say("x", tools=[{"name": "a b", "input_schema": {}}]).encode(),
    json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}).encode(),
    json.dumps({"model": "m", "max_tokens": 1, "messages": [7]}).encode(),
])
def test_a_request_that_is_none_gets_a_400_that_says_why(instance, body):
    instance.start_model(SCENARIO)
    status, text = post(instance.model_url, body)
    error = json.loads(text)
    assert status == 400 and error["type"] == "error" and error["error"]["type"] == "invalid_request_error"
    assert error["error"]["message"]
    assert post(instance.model_url, say("I am b."))[0] == 200


def test_clients_that_leave_at_any_moment_do_no_harm(instance):
    instance.start_model(SCENARIO)
    host, port = instance.model_url.removeprefix("http://").rsplit(":", 1)
    body = say("break drip", stream=True).encode()
    request = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for n in list(range(0, len(request), 7)) + [len(request)] * 10:
        with socket.create_connection((host, int(port)), 10) as s:
            s.sendall(request[:n])
            if n == len(request):
                s.recv(50)
    assert post(instance.model_url, say("I am b."))[0] == 200
    assert instance.roles["model-replay"].stop() == 0


def test_a_wrong_scenario_is_named_with_its_place(workdir):
    path = workdir / "wrong.yaml"
    path.write_text("version: 1\nscenes:\n  - steps:\n      - say: [{ txt: a }]\n")
    done = sallyport("model-replay", path)
    assert done.returncode == 1
    assert f"{path}:4:17: unknown key 'txt' in say; did you mean 'text'?" in done.stderr
    assert sallyport("model-replay").returncode == 2
    assert sallyport("model-replay", workdir / "nowhere").returncode == 1


def test_it_says_ready_only_when_it_listens(workdir):
    path = workdir / "s.yaml"
    path.write_text(SCENARIO)
    p = Process([BIN, "model-replay", path], workdir / "log", ready=True)
    try:
        assert p.ready["role"] == "model-replay" and p.ready["pid"] == p.pid
        assert post(p.ready["address"], say("I am b."))[0] == 200
        assert p.stop() == 0
    finally:
        p.kill()
