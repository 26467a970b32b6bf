"""What the webhook tells a sidecar of its pod, as the sidecar reads it; and what a user's variables keep it from."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest
from hypothesis import given

from floe_sidecar.settings import PROTOCOL_VARIABLE, Settings, Variable
from floe_sidecar.settings.pod import PodSettings
from floe_sidecar.settings.protocol import settings_from
from floe_webhook.plan import Plan
from floe_webhook.profile import compile_profile
from webhook.tests.builders import PROFILE, Pod, SomeLineageBackend, container, injected, manifest, owner, pod, profile
from webhook.tests.strategies import pods

pytestmark = pytest.mark.requirement("RELAY-10", "HOUSE-5")

WITH_GATEWAY = {"gateway": {"url": "http://gateway.floe-system.svc:5055"}}
CRON_JOB = owner("Job", "load-29391840")
OF_THE_KUBELET = {
    "metadata.namespace": "sales",
    "metadata.name": "load-x7k2p",
    "metadata.uid": "6f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d10",
    "spec.nodeName": "worker-3",
}


def environment_of(plan: Plan) -> dict[str, str]:
    """The sidecar's variables as the kubelet gives them to it."""
    assert plan.sidecar is not None
    found: dict[str, str] = {}
    for entry in plan.sidecar["env"]:
        if "valueFrom" in entry:
            found[entry["name"]] = OF_THE_KUBELET[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            text = entry["value"].replace("$(FLOE_SIDECAR_POD_NAMESPACE)", found.get("FLOE_SIDECAR_POD_NAMESPACE", ""))
            found[entry["name"]] = text.replace("$$", "$")
    return found


def told(document: Pod, **sections: Any) -> PodSettings:
    """What the pod's sidecar reads of it."""
    by = profile(injection=sections) if sections else PROFILE
    settings, remarks = settings_from(environment_of(injected(document, by=by).plan))
    assert remarks == ()
    return settings.pod


def test_a_sidecar_is_told_who_its_pod_is() -> None:
    document = pod(
        container("app", image="registry.example/load:1.2.3@sha256:0"),
        container("other"),
        owned_by=CRON_JOB,
        restartPolicy="Never",
    )

    found = told(document)

    assert (found.pod_namespace, found.pod_name, found.pod_uid, found.node_name) == tuple(OF_THE_KUBELET.values())
    assert (found.job_namespace, found.job_name, found.pod_owner) == ("single-tenant/load", "load", "CronJob/load")
    assert found.processing_type == "BATCH"
    assert list(found.pod_containers) == ["app", "other"]
    assert found.pod_containers["app"] == "registry.example/load:1.2.3@sha256:0"
    assert found.replaced_namespaces == ("default", "dbt", "dagster")


def test_a_pod_that_is_to_run_for_ever_is_a_service() -> None:
    assert told(pod(restartPolicy="Always")).processing_type == "SERVICE"


@pytest.mark.parametrize(
    ("sections", "begins"),
    [
        pytest.param(WITH_GATEWAY, True, id="the leader sends the end through the gateway"),
        pytest.param({}, False, id="there is no gateway"),
        pytest.param({**WITH_GATEWAY, "enrichment": {"pod_run": False}}, False, id="the manifest does not want it"),
    ],
)
def test_a_run_is_begun_only_where_it_is_ended(sections: dict[str, Any], begins: bool) -> None:
    assert told(pod(owned_by=CRON_JOB), **sections).pod_run is begins


def test_a_webhook_that_does_not_follow_ended_pods_lets_no_run_begin() -> None:
    compiled = compile_profile(
        manifest(injection=WITH_GATEWAY), telemetry=None, lineage=SomeLineageBackend(), ends_pod_runs=False
    )
    assert compiled.sidecar is not None
    assert compiled.sidecar.begins_runs is False


def test_the_manifests_choices_reach_the_sidecar() -> None:
    enrichment = {
        "parent": False,
        "pod": False,
        "trace_context": False,
        "replaced_namespaces": ["none, at all"],
        "run_tags": {"team": "sales = $(EU)"},
        "job_tags": {"cost centre": "ä"},
        "environment_variables": ["GIT_SHA", "ABSENT", "SECRET", "REFERRING"],
        "max_bytes": "1Ki",
    }
    variables = {"GIT_SHA": "c0ffee", "REFERRING": "$(GIT_SHA)", "OTHER": "1"}
    document = pod(container("app", variables=variables), owned_by=CRON_JOB)
    secret = {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    document["spec"]["containers"][0]["env"].append(secret)

    found = told(document, enrichment=enrichment)

    assert (found.add_parent, found.add_pod, found.add_trace_context) == (False, False, False)
    assert found.replaced_namespaces == ("none, at all",)
    assert (found.run_tags, found.job_tags) == ({"team": "sales = $(EU)"}, {"cost centre": "ä"})
    assert found.environment_variables == {"GIT_SHA": "c0ffee"}
    assert found.enrichment_max_bytes == 1024


def test_the_applications_trace_context_is_told() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert told(pod(container(variables={"TRACEPARENT": traceparent}))).traceparent == traceparent
    assert told(pod(container(variables={"TRACEPARENT": "$(OTHER)"}))).traceparent == ""


@pytest.mark.parametrize(
    ("variable", "gives_parent", "names_jobs"),
    [
        pytest.param("OPENLINEAGE_PARENT_ID", False, True, id="a parent of the user's own"),
        pytest.param("OPENLINEAGE_CONTEXT", False, True, id="a context of the user's own"),
        pytest.param("OPENLINEAGE_NAMESPACE", True, False, id="a namespace of the user's own"),
        pytest.param("OTHER", True, True, id="neither"),
    ],
)
def test_what_the_user_has_set_in_one_container_is_not_done_by_the_sidecar_either(
    variable: str, gives_parent: bool, names_jobs: bool
) -> None:
    found = told(pod(container("app"), container("other", variables={variable: "theirs"}), owned_by=CRON_JOB))

    assert found.add_parent is gives_parent
    assert bool(found.replaced_namespaces) is names_jobs


def test_a_pod_that_nothing_names_is_told_no_job() -> None:
    found = told(pod(name=None))

    assert found.job_name == ""
    assert found.pod_name == "load-x7k2p"


@given(pods())
def test_whatever_a_pod_holds_its_sidecar_starts(document: Pod) -> None:
    plan = injected(document).plan
    if plan.sidecar is None:
        return
    environment = environment_of(plan)
    settings, remarks = settings_from(environment)
    assert remarks == ()
    assert isinstance(settings, Settings)
    assert PROTOCOL_VARIABLE in environment
    assert sum(len(text) for name, text in environment.items() if name in set(Variable)) < 32_768


def test_a_container_that_another_injector_adds_is_told_too() -> None:
    document = pod(owned_by=CRON_JOB)
    first = jsonpatch.apply_patch(document, injected(document).operations)
    first["spec"]["containers"].append(container("proxy"))

    again = settings_from(environment_of(injected(first).plan))[0].pod

    assert list(again.pod_containers) == ["app", "proxy"]
