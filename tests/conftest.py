"""Fixtures for system tests; see harness.py.

sallyport     runs a command to its end: sallyport("audit", "verify", "--json")
instance      an Instance in a directory of its own; ended, and its logs shown when the test fails
make_instance the same, as often as called
rounds        how many rounds a test of random moments does: 3, or 50 in a soak run
"""
import os
import pathlib
import re
import tempfile
import threading

import pytest

import harness


def pytest_addoption(parser):
    parser.addoption("--match", default="", help="only tests whose names match this regular expression")
    parser.addoption("--match-name", default="", help="GROUP@BUILD, what a test's name begins and ends with")


def pytest_configure(config):
    config.addinivalue_line("markers", "hostile: feeds hostile input; runs against the sanitizer build too")
    config.addinivalue_line("markers", "rounds: takes the fixture `rounds`, so a soak run repeats it more often")


def pytest_collection_modifyitems(config, items):
    for i in items:
        if "rounds" in i.fixturenames:
            i.add_marker("rounds")
    pattern, name = re.compile(config.getoption("--match")), config.getoption("--match-name")
    group, _, build = name.partition("@")

    def full(item):
        return f"{group or 'system.' + item.path.stem[5:]}.{item.name}@{build or harness.BUILD}"

    out = [i for i in items if not pattern.search(full(i))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]


def pytest_sessionfinish(session, exitstatus):
    # Nothing of this file's name matched: that is the runner's business, not an error.
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.getoption("--match-name"):
        session.exitstatus = 0


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def sallyport():
    return harness.sallyport


@pytest.fixture
def workdir():
    """A short path (unix sockets have at most 107 bytes), removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="sp-") as d:
        yield pathlib.Path(d)


@pytest.fixture
def make_instance(request, workdir):
    made, lock = [], threading.Lock()

    def make(**kw):
        with lock:
            inst = harness.Instance(workdir / f"i{len(made)}", **kw)
            made.append(inst)
        return inst

    yield make
    problems = []
    for inst in reversed(made):
        try:
            inst.close()
        except AssertionError as e:
            problems.append(str(e))
    report = getattr(request.node, "report_call", None)
    if problems or (report is not None and report.failed):
        for inst in made:
            print(inst.logs())
    assert not problems, "\n".join(problems)


@pytest.fixture
def instance(make_instance):
    return make_instance()


@pytest.fixture
def rounds():
    return int(os.environ.get("SALLYPORT_ROUNDS", "3"))
