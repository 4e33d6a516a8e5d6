"""Every kind of entry is a valid OCSF event: checked against the published schema's own files, where they are at hand, by a
reading of them that is shown to refuse what is not valid."""
import copy
import functools
import json

import pytest

import audit_log
from audit_log import RecorderClient
from harness import ROOT

SCHEMA = ROOT.parent / "shared/data/ocsf"

pytestmark = pytest.mark.skipif(not SCHEMA.is_dir(), reason="../shared/data/ocsf, the schema, is not here")


@functools.cache
def load(path):
    return json.loads((SCHEMA / path).read_text())


@functools.cache
def by_name(kind):
    found = {}
    for path in (SCHEMA / kind).rglob("*.json"):
        data = load(path.relative_to(SCHEMA))
        found[data.get("name") or path.stem] = data
    return found


@functools.cache
def classes():
    """class_uid → definition."""
    categories = load("categories.json")["attributes"]

    def category(data):
        while "category" not in data:
            data = by_name("events")[data["extends"]]
        return data["category"]
    return {categories[category(d)]["uid"] * 1000 + d["uid"]: d for d in by_name("events").values()
            if "uid" in d and category(d) in categories}


def attributes(data, kind):
    """(attributes with what they inherit, constraints)"""
    own, constraints = {}, dict(data.get("constraints", {}))
    if "extends" in data:
        parents = by_name(kind)
        parent, inherited = attributes(parents[data["extends"]], kind)
        own.update(copy.deepcopy(parent))
        constraints = constraints or inherited
    for name, spec in data.get("attributes", {}).items():
        if name == "$include":
            for path in spec:
                profile = load(path)
                for n, s in profile["attributes"].items():
                    own.setdefault(n, dict(s, profile=profile["name"]))
        else:
            own[name] = {**own.get(name, {}), **(spec or {})}
    return own, constraints


SCALARS = {"integer_t": int, "long_t": int, "timestamp_t": int, "port_t": int, "boolean_t": bool, "float_t": (int, float)}


def check_value(name, value, spec, where, profiles):
    kind = spec.get("type")
    if kind in ("object", "json_t"):
        return []
    if kind in by_name("objects"):
        return check_object(value, by_name("objects")[kind], "objects", where, profiles)
    want = SCALARS.get(kind, str)
    if not isinstance(value, want) or (want is int and isinstance(value, bool)):
        return [f"{where}: {value!r} is not of type {kind}"]
    if name in ("category_uid", "class_uid", "type_uid"):
        return []  # their enumerations are put together from the classes; the arithmetic is checked instead
    if want is int and "enum" in spec and str(value) not in spec["enum"] and value not in (0, 99):
        return [f"{where}: {value} is not in the enumeration"]
    return []


def check_object(data, definition, kind, where, profiles):
    if not isinstance(data, dict):
        return [f"{where}: not an object"]
    known, constraints = attributes(definition, kind)
    known = {n: s for n, s in known.items() if s.get("profile") is None or s["profile"] in profiles}
    wrong = [f"{where}.{n}: required" for n, s in known.items() if s.get("requirement") == "required" and n not in data]
    wrong += [f"{where}.{n}: not an attribute of {definition['name']}" for n in data if n not in known]
    for name in constraints.get("at_least_one", []) and [constraints["at_least_one"]]:
        if not set(name) & set(data):
            wrong.append(f"{where}: none of {name}")
    for name in set(known) & set(data):
        spec = {**load("dictionary.json")["attributes"].get(name, {}), **known[name]}
        values = data[name] if spec.get("is_array") else [data[name]]
        if not isinstance(values, list):
            wrong.append(f"{where}.{name}: not a list")
            continue
        for value in values:
            wrong += check_value(name, value, spec, f"{where}.{name}", profiles)
    return wrong


def check_event(event):
    definition = classes().get(event.get("class_uid"))
    if definition is None:
        return [f"unknown class {event.get('class_uid')}"]
    profiles = event["metadata"].get("profiles", [])
    wrong = check_object(event, definition, "events", definition["name"], profiles)
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"] or event["category_uid"] != event["class_uid"] // 1000:
        wrong.append("type_uid or category_uid does not fit")
    return wrong


ENTRIES = [
    {"operation": "tool_call", "phase": "intent"},
    {"operation": "tool_call", "phase": "intent", "denied": True, "reason": "no rule", "rule": "default", "object": "web"},
    {"operation": "tool_call", "phase": "outcome", "failed": True, "duration_us": 12345, "reason": "exit 1"},
    {"operation": "model.request", "phase": "outcome", "object": "claude-x", "duration_us": 5, "trace": "ab" * 16},
    {"operation": "session.create", "object": "sesn_1"},
    {"operation": "sandbox.create", "object": "sbx_1", "session": "sesn_1"},
    {"operation": "work.claim", "actor": "key local", "agent": "agent_1", "session": "sesn_1", "object": "wrk_1"},
    {"operation": "key.create", "object": "key_1", "actor": "operator"},
    {"operation": "key.revoke"},
    {"operation": "environment.update", "object": "env_1"},
    {"operation": "policy.update", "object": "policy"},
    {"operation": "agent.disable", "object": "agent_1"},
]


@pytest.fixture
def events(instance):
    instance.start("recorder")
    c = RecorderClient(instance.dir / "data/run/recorder.sock", role="worker")
    for members in ENTRIES:
        c.record(arguments=b"in", result=b"out", **members)
    instance.roles["recorder"].stop()
    return [json.loads(e) for e in audit_log.verified_entries(instance.dir / "data/audit")]


def test_every_kind_of_entry_is_valid(events):
    assert len(events) == len(ENTRIES) + 2
    assert {e["class_uid"] for e in events} == {1008, 3004, 6003}
    for event in events:
        assert check_event(event) == []


def test_what_is_not_valid_is_refused(events):
    good = next(e for e in events if e["class_uid"] == 6003)

    def bent(**changes):
        event = copy.deepcopy(good)
        for path, value in changes.items():
            at, *rest = path.split("__")
            target = event
            while rest:
                target, at, rest = target[at], rest[0], rest[1:]
            if value is None:
                del target[at]
            else:
                target[at] = value
        return check_event(event)

    assert bent() == []
    for changes in ({"actor": None}, {"metadata__product": None}, {"api__operation": None}, {"surprise": 1}, {"actor": {}},
                    {"time": "now"}, {"severity_id": 77}, {"resources": {}}, {"src_endpoint": {}}, {"action_id": 9},
                    {"class_uid": 6999}, {"type_uid": 1}, {"actor__user": {"nickname": "x"}}):
        assert bent(**changes), changes
