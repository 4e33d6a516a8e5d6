"""A sandbox has no network, and a call that tries to use one is told just that: in the model's own answer, on the screen of the
person who watches, whatever the program inside says about it. What stays inside is not called denied."""
import json

import pytest

import harness

DENIED = '[sallyport] denied: this sandbox has no network (rule "network: none").'

SCENARIO = """
version: 1
scenes:
  - name: any
    take:
      command: {{ from: first, after: "run: " }}
    steps:
      - say:
          - tool: bash
            input: {{ command: "{{{{command}}}}" }}
      - say:
          - text: "over"
""".format()

OUT = {
    "address": "echo > /dev/tcp/203.0.113.7/80",
    "address, v6": "echo > /dev/tcp/2001:db8::7/80",
    "datagram": "echo > /dev/udp/203.0.113.7/53",
    "name": "echo > /dev/tcp/paste.example/80",
    "said by nobody": "{ echo > /dev/tcp/203.0.113.7/80; } 2>/dev/null || true",
}
INSIDE = {"nothing": "echo here", "its own loopback": "echo > /dev/tcp/127.0.0.1/9"}


@pytest.fixture
def ask(instance):
    instance.start_all(SCENARIO, worker=True)
    env = {"ANTHROPIC_BASE_URL": instance.control_url, "ANTHROPIC_API_KEY": instance.api_key}

    def run(command, *args):
        done = harness.sallyport("run", "--config", instance.config, *args, f"run: {command}", env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def result(text):
    events = [json.loads(line) for line in text.splitlines()]
    (event,) = [e for e in events if e["type"] == "user.tool_result"]
    return event["content"][0]["text"], event["is_error"]


def test_every_way_out_says_why_it_is_closed(ask):
    for how, command in OUT.items():
        text, is_error = result(ask(command, "--json"))
        assert text.splitlines()[-1].startswith(DENIED), (how, text)
        assert is_error == (how != "said by nobody"), (how, text)


def test_what_stays_inside_is_not_denied(ask):
    for how, command in INSIDE.items():
        text, _ = result(ask(command, "--json"))
        assert "[sallyport]" not in text, (how, text)


def test_the_screen_says_it_too(ask):
    shown = ask(OUT["address"])
    assert "✗ bash" in shown and DENIED.removeprefix("[sallyport] ") in shown and ", 1 denied" in shown
