"""What control sends to a Messages endpoint: the key and version it takes, the agent's system prompt and tools, and the
conversation as the API wants it, thinking blocks exactly as they came. Each request stands in the audit log before it leaves, and
its outcome after it."""
import http.server
import json
import ssl
import subprocess
import threading

import pytest

from agent_session import TOOLS, Session, check_order, text
from harness import sallyport, wait_until

OWN = {"type": "custom", "name": "own", "description": "does it", "input_schema": {"type": "object", "properties": {"q": {}}}}
THINKING = {"type": "thinking", "thinking": "Hm, é \\ \" </x>", "signature": "c2lnbmF0dXJl+/="}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}


def frame(kind, **rest):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n"


def stream_of(blocks, stop):
    out = frame("message_start", message={"id": "msg_1", "usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 2}})
    for i, b in enumerate(blocks):
        if b["type"] == "tool_use":
            out += frame("content_block_start", index=i, content_block={**b, "input": {}})
            out += frame("content_block_delta", index=i, delta={"type": "input_json_delta", "partial_json": json.dumps(b["input"])})
        elif b["type"] == "thinking":
            out += frame("content_block_start", index=i, content_block={**b, "thinking": "", "signature": ""})
            out += frame("content_block_delta", index=i, delta={"type": "thinking_delta", "thinking": b["thinking"]})
            out += frame("content_block_delta", index=i, delta={"type": "signature_delta", "signature": b["signature"]})
        else:
            out += frame("content_block_start", index=i, content_block=b)
        out += frame("content_block_stop", index=i)
    out += frame("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 7})
    return (out + frame("message_stop")).encode()


@pytest.fixture
def model():
    """A Messages endpoint that answers what the test has put into `answers`, each when `go` lets it, and keeps what it was asked in
    `asked`."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.server.asked.append((self.path, dict(self.headers.items()), body))
            self.server.go.wait()
            data = self.server.answers.pop(0)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answers, server.go = [], [], threading.Event()
    server.go.set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()


def start(instance, model, **settings):
    instance.write_secret("model", "sk-secret-of-the-model")
    instance.settings["control"]["models"] = [{"name": "claude-*", "url": f"http://127.0.0.1:{model.server_port}/some/base/",
                                               "key_file": "keys/model", **settings}]
    instance.start("recorder")
    instance.start("control")


def test_the_request_is_what_the_messages_api_wants(instance, model):
    start(instance, model, max_tokens=4321)
    call = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "é \n", "n": [1, {"a": None}]}}
    own = {"type": "tool_use", "id": "toolu_2", "name": "own", "input": {}}
    model.answers = [stream_of([THINKING, REDACTED, text("I do.")[0], call, own], "tool_use"),
                     stream_of(text("Done."), "end_turn"), stream_of(text("Bye."), "end_turn")]
    s = Session(instance, tools=[*TOOLS, OWN], model="claude-x", system="Be brief.")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    s.send({"type": "user.message", "content": [*text("look"), image]})
    a, b = s.wait_idle("requires_action")["stop_reason"]["event_ids"]
    s.say("meanwhile")
    s.send({"type": "user.custom_tool_result", "custom_tool_use_id": b, "content": text("own result"), "is_error": True})
    s.result(a, "bash result")
    s.wait_idle("end_turn")
    s.say("and now?")
    s.wait_idle("end_turn", 4)
    check_order(s.events())

    path, headers, first = model.asked[0]
    head = {k.lower(): v for k, v in headers.items()}
    assert path == "/some/base/v1/messages"
    assert head["x-api-key"] == "sk-secret-of-the-model" and head["anthropic-version"] == "2023-06-01"
    assert first["model"] == "claude-x" and first["max_tokens"] == 4321 and first["stream"] is True and first["system"] == "Be brief."
    assert [t["name"] for t in first["tools"]] == ["bash", "read", "write", "edit", "glob", "grep", "own"]
    assert first["tools"][-1] == {k: OWN[k] for k in ("name", "description", "input_schema")}
    assert first["messages"] == [{"role": "user", "content": [*text("look"), image]}]
    said = {"role": "assistant", "content": [THINKING, REDACTED, text("I do.")[0], {**call, "id": a}, {**own, "id": b}]}
    told = {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": b, "content": text("own result"), "is_error": True},
        {"type": "tool_result", "tool_use_id": a, "content": text("bash result")}, *text("meanwhile")]}
    assert model.asked[1][2]["messages"] == [*first["messages"], said, told]
    assert model.asked[2][2]["messages"] == [*first["messages"], said, told, {"role": "assistant", "content": text("Done.")},
                                             {"role": "user", "content": text("and now?")}]
    usage = s.get()["usage"]
    assert usage["input_tokens"] == 15 and usage["output_tokens"] == 21 and usage["cache_read_input_tokens"] == 6
    assert "sk-secret-of-the-model" not in instance.logs() + json.dumps(s.events())


@pytest.mark.parametrize("wish,sent,beta", [
    ("claude-x", {}, None),
    ({"id": "claude-x", "speed": "standard", "effort": "low"}, {"output_config": {"effort": "low"}}, None),
    ({"id": "claude-x", "speed": "fast", "effort": {"type": "max"}, "inference_geo": "eu"},
     {"output_config": {"effort": "max"}, "speed": "fast", "inference_geo": "eu"}, "fast-mode-2026-02-01")])
def test_what_the_agent_asks_of_its_model_is_sent(instance, model, wish, sent, beta):
    start(instance, model)
    model.answers = [stream_of(text("Hi."), "end_turn")]
    s = Session(instance, model=wish)
    s.say("go")
    s.wait_idle("end_turn")
    _, headers, body = model.asked[0]
    assert {k: v for k, v in body.items() if k in ("output_config", "speed", "inference_geo")} == sent
    assert {k.lower(): v for k, v in headers.items()}.get("anthropic-beta") == beta


def test_requests_beyond_those_that_may_run_at_once_wait_in_line(instance, model):
    start(instance, model, requests=2)
    model.go.clear()
    model.answers = [stream_of(text("Hi."), "end_turn") for _ in range(5)]
    sessions = [Session(instance, model="claude-x") for _ in range(6)]
    for i, s in enumerate(sessions):
        s.say(f"number {i}")
        wait_until(lambda: len(model.asked) >= min(i + 1, 2), "the endpoint is asked")
    last = sessions[5]
    assert [s.get()["status"] for s in sessions] == ["running"] * 6
    assert all("span.model_request_start" not in s.types() for s in sessions[2:])
    last.send({"type": "user.interrupt"})  # it leaves the line
    last.wait_idle("end_turn")
    sessions[4].say("and this")  # what comes while a turn waits in line is in it
    assert len(model.asked) == 2
    model.go.set()
    for s in sessions[:5]:
        s.wait_idle("end_turn")
        check_order(s.events())
    asked = [body["messages"][0]["content"] for _, _, body in model.asked]
    assert [c[0]["text"] for c in asked[2:]] == ["number 2", "number 3", "number 4"] and len(asked) == 5
    assert [c["text"] for c in asked[4]] == ["number 4", "and this"]
    assert last.types().count("span.model_request_start") == 0


def test_a_configured_id_is_sent_instead_of_the_agents(instance, model):
    start(instance, model, sends="other-model")
    model.answers = [stream_of(text("Hi."), "end_turn")]
    s = Session(instance, model="claude-x")
    s.say("go")
    s.wait_idle("end_turn")
    assert model.asked[0][2]["model"] == "other-model"


def test_each_request_is_in_the_audit_log_before_and_after(instance, model):
    start(instance, model)
    model.answers = [b"garbage", stream_of(text("Hi."), "end_turn")]
    s = Session(instance, model="claude-x")
    s.say("go")
    s.wait_idle("end_turn")
    spans = [e["id"] for e in s.events() if e["type"] == "span.model_request_start"]
    assert len(spans) == 2
    shown = sallyport("audit", "show", s.id, "--config", instance.config, "--json", check=True).stdout
    rows = {r["uid"]: r for r in map(json.loads, shown.splitlines())}
    first, second = (rows[f"{span}.intent"] for span in spans)
    for row in first, second:
        assert row["operation"] == "model.request" and row["object"] == "claude-x" and row["index"] < row["outcome_index"]
        assert row["arguments_bytes"] > 50
    assert (first["result"], second["result"]) == ("failed", "ok") and "before message_stop" in first["reason"]
    sallyport("audit", "verify", "--config", instance.config, check=True)


def serve_tls(instance, model):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", instance.dir / "tls.key",
                    "-out", instance.dir / "tls.crt"], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(instance.dir / "tls.crt", instance.dir / "tls.key")
    model.socket = tls.wrap_socket(model.socket, server_side=True, do_handshake_on_connect=False)


def test_an_authority_of_ones_own_vouches_for_its_endpoint(instance, model):
    serve_tls(instance, model)
    start(instance, model, url=f"https://127.0.0.1:{model.server_port}", ca_file="tls.crt")
    model.answers = [stream_of(text("Hi."), "end_turn")]
    s = Session(instance, model="claude-x")
    s.say("go")
    s.wait_idle("end_turn")


@pytest.mark.parametrize("content,why", [(None, "no such file"), ("nothing of the kind", "no certificate in PEM")])
def test_an_authority_that_cannot_be_read_is_told_at_the_start(instance, content, why):
    if content is not None:
        (instance.dir / "ca.pem").write_text(content)
    instance.settings["control"]["models"] = [{"name": "*", "url": "https://127.0.0.1:1", "ca_file": "ca.pem"}]
    instance.write_config()
    done = sallyport("control", "--config", instance.config)
    assert done.returncode == 1 and "ca.pem" in done.stderr and why in done.stderr, done.stderr


def test_an_endpoint_that_nobody_vouches_for_gets_nothing(instance, model):
    serve_tls(instance, model)
    start(instance, model, url=f"https://127.0.0.1:{model.server_port}", retries=0)
    s = Session(instance, model="claude-x")
    s.say("go")
    s.wait_idle("retries_exhausted")
    error = next(e["error"] for e in s.events() if e["type"] == "session.error")
    assert error["type"] == "model_request_failed_error" and "certificate" in error["message"], error
    assert model.asked == []
