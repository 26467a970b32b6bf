"""Documents as bytes, written in every way that JSON allows."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from floe_sidecar.settings.pod import PodSettings

UID = "6f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d10"
POD = PodSettings(
    pod_namespace="sales",
    pod_name="load-29391840-x7k2p",
    pod_uid=UID,
    node_name="worker-3",
    pod_owner="CronJob/load",
    pod_containers={"app": "registry.example/load:1.2.3"},
    job_namespace="acme/load",
    job_name="load",
    replaced_namespaces=("default", "dbt"),
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def facets_of(body: bytes, part: str = "run") -> dict[str, Any]:
    """The facets of an event's run or job."""
    found: dict[str, Any] = json.loads(body)[part].get("facets") or {}
    return found


def job_namespace(body: bytes) -> str:
    """Where the event's job is filed."""
    return str(json.loads(body)["job"]["namespace"])


def texts(document: Any) -> st.SearchStrategy[str]:
    """A document as JSON, with white space anywhere and strings escaped or not."""
    return st.builds(_written, st.just(document), st.randoms(use_true_random=False))


def _written(document: Any, chance: Random) -> str:
    if isinstance(document, dict):
        pairs = [f"{_written(key, chance)}:{_written(value, chance)}" for key, value in document.items()]
        text = "{" + (",".join(pairs) or _blank(chance)) + "}"
    elif isinstance(document, list):
        text = "[" + (",".join(_written(value, chance) for value in document) or _blank(chance)) + "]"
    else:
        text = json.dumps(document, ensure_ascii=chance.random() < _SHARE)
    return f"{_blank(chance)}{text}{_blank(chance)}"


def _blank(chance: Random) -> str:
    return chance.choice(" \t\r\n") if chance.random() < _SHARE else ""


_SHARE = 0.3


_names = st.one_of(st.text(max_size=8), st.sampled_from(['"{', "}", "run", "\\", "facets", "{}", "a,b"]))
_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _names)
values = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(_names, values, max_size=5)

_tags = st.fixed_dictionaries(
    {},
    optional={"tags": st.one_of(values, st.lists(st.fixed_dictionaries({"key": _names, "value": _names}), max_size=2))},
)
_ids = st.sampled_from([UID, "0198aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee", "0198AAAA-bbbb-7ccc-8ddd-eeeeeeeeeee1", "", "x"])
_jobs = st.fixed_dictionaries(
    {}, optional={"namespace": st.one_of(st.sampled_from(["default", "dbt", "mine"]), _names), "name": _names}
)
_kin = st.fixed_dictionaries({}, optional={"run": st.fixed_dictionaries({"runId": _ids}), "job": _jobs})
_parents = st.builds(lambda kin, root: {**kin, **({"root": root} if root else {})}, _kin, _kin)
_run_facets = st.builds(
    lambda others, known: {**others, **known},
    objects,
    st.fixed_dictionaries(
        {},
        optional={
            "parent": st.one_of(values, _parents),
            "tags": _tags,
            "floe_pod": values,
            "environmentVariables": values,
        },
    ),
)
_runs = st.fixed_dictionaries({}, optional={"runId": st.one_of(_ids, values), "facets": st.one_of(_run_facets, values)})
_event_jobs = st.builds(
    lambda job, facets: {**job, **facets},
    _jobs,
    st.fixed_dictionaries({}, optional={"facets": st.one_of(_tags, values)}),
)
events = st.builds(
    lambda others, known: {**others, **known},
    objects,
    st.fixed_dictionaries(
        {},
        optional={
            "eventType": st.one_of(st.sampled_from(["START", "COMPLETE"]), values),
            "run": st.one_of(_runs, values),
            "job": st.one_of(_event_jobs, values),
        },
    ),
)
"""What clients send, and what they should not."""
