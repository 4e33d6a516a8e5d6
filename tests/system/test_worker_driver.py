"""The driver of the conformance suite, unchanged, with our worker in the place of the SDK's, in three of its releases."""
import pathlib

import pytest

from harness import BIN, sallyport
from test_driver_official import DRIVER, SCENARIO, SEEN

HOOK = pathlib.Path(__file__).parent / "peers/our_worker_hook.mjs"


@pytest.mark.parametrize("peer", ["sdk-1.12.0", "sdk-1.2.0", "sdk-0.137.0"])
def test_our_worker_runs_the_official_drivers_turn(instance, peer):
    instance.start_all(SCENARIO)
    key = sallyport("environment", "key", "create", "--any", "--config", instance.config, check=True).stdout.strip()
    log = instance.dir / "our-worker.log"
    done = instance.node(DRIVER, peer=peer, env={"ANTHROPIC_ENVIRONMENT_KEY": key, "NODE_OPTIONS": f"--import {HOOK}",
                                                 "SALLYPORT_BIN": BIN, "SALLYPORT_WORKER_CONFIG": str(instance.config),
                                                 "SALLYPORT_WORKER_LOG": str(log)})
    said = log.read_text() if log.exists() else "our worker was not started"
    assert done.returncode == 0, done.stdout + said
    types = iter(done.stdout.rstrip("\n").split("\n")[-1].split())
    assert all(t in types for t in SEEN), done.stdout + said
    assert "worker.call_ended" in said, "the SDK's own worker answered"
    assert key not in said
