"""Already a customer of the hosted service: one environment variable and a key file, no configuration, and the worker serves, with
a recorder and a log of its own."""
import signal

from harness import BIN, Process, sallyport, wait_until
from mock_control import MockControl, idle, tool_use


def test_without_a_configuration(workdir):
    mock = MockControl(calls=None)
    (workdir / "key").write_text("sp-env-hosted\n")
    (workdir / "key").chmod(0o600)
    env = {"ANTHROPIC_ENVIRONMENT_ID": mock.environment, "ANTHROPIC_BASE_URL": mock.url, "XDG_STATE_HOME": str(workdir / "state"),
           "HOME": str(workdir)}
    worker = Process([BIN, "worker", "--environment-key-file", workdir / "key", "--max-idle", "500ms"], workdir / "log", ready=True,
                     timeout=40, env=env, cwd=workdir)
    try:
        assert worker.ready["environment"] == mock.environment and mock.polls()[0].token == "sp-env-hosted"
        session = mock.session(tool_use("call_1", "echo served"))
        item = mock.add_item(session)
        assert mock.wait_result(session, "call_1") == (False, "served")
        session.emit(idle())
        mock.wait_stop(item)
        config = workdir / "state/sallyport/sallyport.yaml"
        shown = sallyport("audit", "show", "--json", "--config", config, check=True).stdout
        assert "call_1" in shown or session.id in shown
        assert worker.stop() == 0
    finally:
        worker.kill()
        mock.close()


def test_what_is_missing_is_said(workdir):
    env = {"HOME": str(workdir)}
    done = sallyport("worker", env=env, cwd=workdir)
    assert done.returncode != 0 and "--config" in done.stderr and len(done.stderr.splitlines()) <= 3
    key = workdir / "key"
    key.write_text("k\n")
    key.chmod(0o644)
    env.update(ANTHROPIC_ENVIRONMENT_ID="env_x", XDG_STATE_HOME=str(workdir / "state"))
    done = sallyport("worker", "--max-idle", "soon", "--environment-key-file", key, env=env, cwd=workdir)
    assert done.returncode == 2 and "--max-idle" in done.stderr
