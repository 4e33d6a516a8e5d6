"""`sallyport ps` asks every role on this machine, shows who does not answer, and lets nothing hostile reach the terminal."""
import json

from harness import wait_until
from mock_control import MockControl, tool_use


def test_ps_shows_what_runs_and_what_does_not(instance, sallyport):
    mock = MockControl()
    instance.settings["worker"].update(environment=mock.environment, base_url=mock.url)
    instance.start("recorder")
    instance.start("worker")
    session = mock.session(tool_use("call_1", "sleep 20"))
    item = mock.add_item(session)
    instance.roles["worker"].wait_log("worker.sandbox ")

    def running():
        answer = json.loads(sallyport("ps", "--json", "--config", instance.config, check=True).stdout)
        boxes = answer["worker"]["sandboxes"]
        return answer if boxes and boxes[0].get("call") == "call_1" and boxes[0]["state"] == "running" else None

    answer = wait_until(running, "the call runs")
    assert answer["worker"]["ready"] and answer["worker"]["environment"] == mock.environment
    assert answer["worker"]["sessions"][0]["session"] == session.id
    assert answer["worker"]["sandboxes"][0]["where"]["place"] == "local"
    assert not answer["control"]["reachable"]
    text = sallyport("ps", "--config", instance.config, check=True).stdout
    assert session.id in text and "control   not reachable" in text and "call_1" in text and "bash" in text
    session.emit({"type": "session.status_terminated"})  # so that nothing is left to wait for
    mock.wait_stop(item)
    mock.close()


def test_ps_with_nothing_running_says_what_to_type(instance, sallyport):
    instance.write_config()
    done = sallyport("ps", "--config", instance.config)
    assert done.returncode == 4 and "sallyport up" in done.stderr and done.stdout == ""
