"""What is added to an event, what is never changed of it, and by which rule a parent or a namespace is the pod's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.enrichment import Enrichment
from floe_sidecar.kinship import Kinship
from floe_sidecar.redaction import redact
from floe_sidecar.settings.pod import PodSettings
from sidecar.tests.builders import body, event, run_id
from sidecar.tests.understanding_runs.events import POD, TRACEPARENT, UID, events, facets_of, job_namespace, texts

pytestmark = pytest.mark.requirement("RELAY-10", "HOUSE-3")

EVERYTHING = replace(
    POD,
    run_tags={"team": "sales", "Tier": "gold"},
    job_tags={"team": "sales"},
    environment_variables={"GIT_SHA": "c0ffee", "REGION": "eu"},
)
NOTHING = replace(POD, add_parent=False, add_pod=False, add_trace_context=False, replaced_namespaces=())


def enrichment(pod: PodSettings = POD, **kinship: Any) -> Enrichment:
    return Enrichment(pod, Kinship(**kinship))


def run(facets: dict[str, Any], number: int = 1) -> dict[str, Any]:
    return {"runId": run_id(number), "facets": facets}


def parent(of_run: str, namespace: str = "default", **root: Any) -> dict[str, Any]:
    return {
        "_producer": "p",
        "_schemaURL": "s",
        "run": {"runId": of_run},
        "job": {"namespace": namespace, "name": "j"},
    } | ({"root": root} if root else {})


def without_ours(document: Any, original: Any) -> Any:
    """The document as it was: without the members and entries that the original has not."""
    if isinstance(document, dict) and isinstance(original, dict):
        return {name: without_ours(value, original[name]) for name, value in document.items() if name in original}
    if isinstance(document, list) and isinstance(original, list):
        kept = document[len(document) - len(original) :]
        return [without_ours(value, old) for value, old in zip(kept, original, strict=True)]
    return document


def is_subsequence(short: bytes, long: bytes) -> bool:
    rest = iter(long)
    return all(byte in rest for byte in short)


@settings(max_examples=25)
@given(st.data(), events, st.sampled_from(["", TRACEPARENT, "nonsense"]))
def test_everything_that_an_event_says_stays_byte_for_byte(
    data: st.DataObject, document: dict[str, Any], traceparent: str
) -> None:
    written = data.draw(texts(document)).encode()

    enriched = enrichment(replace(EVERYTHING, replaced_namespaces=())).enrich(written, traceparent)

    # Nothing was taken out and nothing has changed its place: what came is what is left without what was added.
    assert is_subsequence(_NULL_FACETS.sub(rb"\1", written), enriched)
    as_it_was = {**json.loads(enriched), **_null_facets(json.loads(enriched), document)}
    assert without_ours(as_it_was, document) == document


# `facets` that say nothing become an object, as the specification has it.
_NULL_FACETS = re.compile(rb'("facets"\s*:\s*)null')


def test_facets_that_are_null_become_an_object() -> None:
    enriched = enrichment(replace(POD, add_parent=False)).enrich(b'{"run":{"facets" : null,"z":0.10},"job":null}')

    assert list(json.loads(enriched)["run"]["facets"]) == ["floe_pod"]
    assert enriched.startswith(b'{"run":{"facets" : {"floe_pod":{')
    assert enriched.endswith(b'}},"z":0.10},"job":null}')


def _null_facets(enriched: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Parts whose `facets` were null and have become an object."""
    return {
        name: {**enriched[name], "facets": None}
        for name in ("run", "job")
        if isinstance(document.get(name), dict) and "facets" in document[name] and document[name]["facets"] is None
    }


@settings(max_examples=25)
@given(st.data(), events)
def test_an_enriched_event_is_not_enriched_again(data: st.DataObject, document: dict[str, Any]) -> None:
    written = data.draw(texts(document)).encode()
    subject = enrichment(EVERYTHING)

    once = subject.enrich(written, TRACEPARENT)

    assert subject.enrich(once, TRACEPARENT) is once
    assert enrichment(EVERYTHING).enrich(once, "") is once


@settings(max_examples=25)
@given(st.data(), events)
def test_an_event_that_is_sent_again_becomes_the_same_bytes(data: st.DataObject, document: dict[str, Any]) -> None:
    written = data.draw(texts(document)).encode()
    subject = enrichment(EVERYTHING)

    assert subject.enrich(written, TRACEPARENT) == subject.enrich(written, TRACEPARENT)


@given(st.binary(max_size=80) | st.builds(lambda text: b'{"run":' + text + b"}", st.binary(max_size=40)))
def test_what_is_no_event_is_left_alone(written: bytes) -> None:
    subject = enrichment()
    try:
        is_object = isinstance(json.loads(written), dict)
    except (ValueError, RecursionError):
        is_object = False
    assert is_object or subject.enrich(written, TRACEPARENT) is written


@settings(max_examples=25)
@given(st.data(), events)
def test_with_everything_switched_off_nothing_is_added(data: st.DataObject, document: dict[str, Any]) -> None:
    written = data.draw(texts(document)).encode()

    assert enrichment(NOTHING).enrich(written, TRACEPARENT) is written
    assert enrichment(PodSettings()).enrich(written, "") is written


def test_numbers_keys_and_white_space_are_as_the_client_wrote_them() -> None:
    written = b'{ "run" : {"runId":"x", "facets":{ "a":1.50e+3, "\\u0062":18446744073709551617 }},\r\n "z":0.10}'

    enriched = enrichment(replace(POD, add_parent=False)).enrich(written)

    before, _, after = enriched.partition(b'"floe_pod":')
    assert before == b'{ "run" : {"runId":"x", "facets":{'
    assert after.endswith(b'}]}, "a":1.50e+3, "\\u0062":18446744073709551617 }},\r\n "z":0.10}')


def test_a_run_is_told_with_where_it_ran_and_whose_child_it_is() -> None:
    facets = facets_of(enrichment().enrich(body(), TRACEPARENT))

    assert facets["floe_pod"] == {
        "_producer": "https://floe.dev/sidecar",
        "_schemaURL": "https://floe.dev/spec/facets/1-0-0/PodRunFacet.json#/$defs/PodRunFacet",
        "namespace": "sales",
        "name": "load-29391840-x7k2p",
        "node": "worker-3",
        "owner": {"kind": "CronJob", "name": "load"},
        "containers": [{"name": "app", "image": "registry.example/load:1.2.3"}],
    }
    own = {"run": {"runId": UID}, "job": {"namespace": "acme/load", "name": "load"}}
    told = {key: value for key, value in facets["parent"].items() if not key.startswith("_")}
    assert told == {**own, "root": own}
    assert facets["floe_traceContext"]["traceId"] == "0af7651916cd43dd8448eb211c80319c"


def test_an_events_own_facets_win() -> None:
    own = {
        "floe_pod": {"name": "another"},
        "floe_traceContext": {"traceparent": "theirs"},
        "parent": parent("0198aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee", "theirs"),
        "environmentVariables": {"environmentVariables": [{"name": "GIT_SHA", "value": "theirs"}]},
        "tags": {"tags": [{"key": "TEAM", "value": "theirs", "source": "USER"}]},
    }

    facets = facets_of(enrichment(EVERYTHING).enrich(body(run=run(own)), TRACEPARENT))

    assert {name: facets[name] for name in ("floe_pod", "floe_traceContext", "parent")} == {
        name: own[name] for name in ("floe_pod", "floe_traceContext", "parent")
    }
    assert facets["environmentVariables"]["environmentVariables"] == [
        {"name": "REGION", "value": "eu"},
        {"name": "GIT_SHA", "value": "theirs"},
    ]
    assert facets["tags"]["tags"] == [
        {"key": "Tier", "value": "gold", "source": "FLOE"},
        {"key": "TEAM", "value": "theirs", "source": "USER"},
    ]


def test_jobs_get_their_tags_also_in_events_without_a_run() -> None:
    job_event = json.dumps({"eventTime": "t", "job": {"namespace": "mine", "name": "j"}}).encode()

    facets = facets_of(enrichment(EVERYTHING).enrich(job_event), "job")

    assert facets["tags"]["tags"] == [{"key": "team", "value": "sales", "source": "FLOE"}]
    assert facets["tags"]["_schemaURL"].endswith("TagsJobFacet")


@pytest.mark.parametrize("facets", [..., None, {}])
def test_a_run_without_facets_gets_them(facets: Any) -> None:
    given_run = {"runId": run_id(1), "facets": facets}
    if facets is ...:
        del given_run["facets"]

    assert facets_of(enrichment().enrich(body(run=given_run))).keys() == {"floe_pod", "parent"}


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        pytest.param("default", "acme/load", id="what clients say that were told none"),
        pytest.param("sales/orders", "sales/orders", id="what somebody chose"),
        pytest.param("Default", "Default", id="what is spelt otherwise"),
    ],
)
def test_a_job_namespace_is_replaced_only_where_nobody_chose_it(namespace: str, expected: str) -> None:
    written = body(job={"namespace": namespace, "name": "j"})

    assert job_namespace(enrichment().enrich(written)) == expected
    assert job_namespace(enrichment(replace(POD, replaced_namespaces=())).enrich(written)) == namespace


def test_namespaces_of_datasets_stay() -> None:
    inputs = [{"namespace": "default", "name": "public.orders"}]

    assert json.loads(enrichment().enrich(body(inputs=inputs)))["inputs"] == inputs


def test_a_parent_and_a_root_that_came_through_here_have_the_namespaces_that_their_own_events_got() -> None:
    subject = enrichment()
    subject.enrich(body(1, job={"namespace": "dbt", "name": "dbt-run"}))
    kin = parent(run_id(1).upper(), "dbt", run={"runId": run_id(1)}, job={"namespace": "dbt", "name": "dbt-run"})

    child = subject.enrich(body(2, job={"namespace": "dbt", "name": "model"}, run=run({"parent": kin}, 2)))

    facet = facets_of(child)["parent"]
    assert (job_namespace(child), facet["job"]["namespace"], facet["root"]["job"]["namespace"]) == ("acme/load",) * 3


def test_a_parent_in_another_pod_is_never_rewritten() -> None:
    kin = parent(run_id(77), "default", run={"runId": run_id(78)}, job={"namespace": "default", "name": "dag"})

    child = enrichment().enrich(body(2, job={"namespace": "default", "name": "task"}, run=run({"parent": kin}, 2)))

    assert facets_of(child)["parent"] == kin
    assert job_namespace(child) == "acme/load"


@pytest.mark.parametrize("missing", ["job_name", "job_namespace", "pod_uid"])
def test_without_a_job_or_an_id_the_pod_is_nobodys_parent(missing: str) -> None:
    changed: Any = {missing: ""}
    assert "parent" not in facets_of(enrichment(replace(POD, **changed)).enrich(body()))


def test_the_pods_own_run_is_not_its_own_child() -> None:
    written = body(run={"runId": UID.upper(), "facets": {}})

    assert facets_of(enrichment().enrich(written)).keys() == {"floe_pod"}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param(["START", "RUNNING", "COMPLETE"], [True, True, True], id="no event names a parent"),
        pytest.param(["START+", "COMPLETE"], [False, False], id="START alone names one"),
        pytest.param(["START", "COMPLETE+", "OTHER"], [True, False, False], id="one is named later"),
        pytest.param(["COMPLETE"], [True], id="an end without a START"),
    ],
)
def test_a_runs_parent_is_decided_by_its_first_event(kinds: list[str], expected: list[bool]) -> None:
    subject = enrichment()
    own = {"parent": parent(run_id(77), "theirs")}

    given_ours = []
    for kind in kinds:
        written = body(kind=kind.rstrip("+"), run=run(own if kind.endswith("+") else {}))
        given_ours.append(facets_of(subject.enrich(written)).get("parent", {}).get("run") == {"runId": UID})

    assert given_ours == expected


def test_after_a_restart_an_end_gets_no_parent_and_a_start_does() -> None:
    kinship = Kinship()
    kinship.remember([run_id(1)])
    subject = Enrichment(POD, kinship)

    assert "parent" not in facets_of(subject.enrich(body(1, "COMPLETE")))
    assert "parent" not in facets_of(subject.enrich(body(2, "COMPLETE")))
    assert "parent" in facets_of(subject.enrich(body(3, "START")))


def test_a_parent_of_an_earlier_process_is_known_to_live_here() -> None:
    kinship = Kinship()
    kinship.remember([run_id(1)])

    child = Enrichment(POD, kinship).enrich(body(2, run=run({"parent": parent(run_id(1), "dbt")}, 2)))

    assert facets_of(child)["parent"]["job"]["namespace"] == "acme/load"


def test_what_is_remembered_is_bounded_and_what_is_forgotten_gets_no_other_parent() -> None:
    kinship = Kinship(limit=2)
    subject = Enrichment(POD, kinship)
    own = {"parent": parent(run_id(77), "theirs")}
    subject.enrich(body(1, run=run(own, 1)))
    subject.enrich(body(2))
    subject.enrich(body(3))

    assert [kinship.holds(run_id(number)) for number in (1, 2, 3)] == [False, True, True]
    assert "parent" not in facets_of(subject.enrich(body(1, "COMPLETE")))


@pytest.mark.parametrize(
    ("header", "of_pod", "expected"),
    [
        pytest.param(TRACEPARENT, "", TRACEPARENT, id="the request's"),
        pytest.param("", TRACEPARENT, TRACEPARENT, id="the application's"),
        pytest.param(
            TRACEPARENT, TRACEPARENT.replace("-01", "-00"), TRACEPARENT, id="the request's before the application's"
        ),
        pytest.param("nonsense", TRACEPARENT, TRACEPARENT, id="nonsense is none"),
        pytest.param(TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), "", None, id="no trace"),
        pytest.param(TRACEPARENT.replace("b7ad6b7169203331", "0" * 16), "", None, id="no span"),
        pytest.param("ff" + TRACEPARENT[2:], "", None, id="an invalid version"),
        pytest.param(TRACEPARENT + "-more", "", None, id="more than version 00 has"),
        pytest.param("01" + TRACEPARENT[2:] + "-more", "", "01" + TRACEPARENT[2:] + "-more", id="a later version"),
        pytest.param(TRACEPARENT.upper(), "", None, id="capitals"),
    ],
)
def test_the_trace_context_is_the_requests_or_else_the_applications(
    header: str, of_pod: str, expected: str | None
) -> None:
    facets = facets_of(enrichment(replace(POD, traceparent=of_pod)).enrich(body(), header))

    assert facets.get("floe_traceContext", {}).get("traceparent") == expected


def test_what_is_added_is_bounded_and_whole_facets_stay_out() -> None:
    large = replace(EVERYTHING, run_tags={"note": "x" * 9000})
    subject = enrichment(large)

    added = facets_of(subject.enrich(body()))

    assert subject.left_out == ["tags"]
    assert "tags" not in added
    assert added["environmentVariables"]["environmentVariables"][0] == {"name": "GIT_SHA", "value": "c0ffee"}
    assert enrichment(replace(large, enrichment_max_bytes=0)).enrich(body()) == body()


def test_credentials_among_what_is_added_are_cut_out() -> None:
    pod = replace(POD, environment_variables={"DB_PASSWORD": "hunter2", "DSN": "postgres://me:hunter2@db/x"})
    variables = {"environmentVariables": {"environmentVariables": [{"name": "A", "value": "1"}]}}

    subject = Enrichment(pod, Kinship(), redact=redact)

    assert b"hunter2" not in subject.enrich(body())
    assert b"hunter2" not in subject.enrich(body(run=run(variables)))


def test_a_list_that_is_none_is_left_as_it_is() -> None:
    odd = {"tags": {"tags": "none"}, "environmentVariables": {"environmentVariables": [1, 2]}}

    facets = facets_of(enrichment(EVERYTHING).enrich(body(run=run(odd))))

    assert {name: facets[name] for name in odd} == odd


def test_an_event_that_says_a_name_twice_is_left_alone() -> None:
    twice = json.dumps(event()).encode()[:-1] + b',"run":{"runId":"' + run_id(9).encode() + b'"}}'

    assert enrichment().enrich(twice, TRACEPARENT) is twice
