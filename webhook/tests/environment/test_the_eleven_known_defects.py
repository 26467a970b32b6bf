"""The eleven defects of the field's anchor (injection.md §2.4), each of which this injector does not have."""

from typing import Any

import jsonpatch
import pytest

from floe_webhook.owners import Owner, owner_of, workload_of
from floe_webhook.reasons import Reason
from webhook.tests.builders import container, injected, owner, pod
from webhook.tests.kubelet import environment

ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"


def patched(document: dict[str, Any], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = jsonpatch.apply_patch(document, injected(document, **options).operations)
    return result


def variables(document: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    """Entries of the first container after the injection, by name."""
    return {entry["name"]: entry for entry in patched(document, **options)["spec"]["containers"][0]["env"]}


def attributes(document: dict[str, Any]) -> dict[str, str]:
    """The resource attributes of the first container, still encoded."""
    text = variables(document)[ATTRIBUTES]["value"]
    pairs = [pair.partition("=") for pair in text.split(",")]
    found = {key: value for key, _, value in pairs}
    assert len(found) == len(pairs), "a key stands twice"
    return found


@pytest.mark.requirement("DEF-1")
def test_def_1_attributes_from_elsewhere_never_get_a_value_beside_value_from() -> None:
    source = {"configMapKeyRef": {"name": "settings", "key": "attributes"}}
    document = pod(container(variables={ATTRIBUTES: source}))
    assert variables(document)[ATTRIBUTES] == {"name": ATTRIBUTES, "valueFrom": source}
    assert Reason.RESOURCE_ATTRIBUTES_UNREADABLE in injected(document).plan.decision.reasons


@pytest.mark.requirement("DEF-2")
@pytest.mark.parametrize("empty", ["", None])
def test_def_2_empty_attributes_get_no_leading_comma(empty: str | None) -> None:
    text = variables(pod(container(variables={ATTRIBUTES: empty})))[ATTRIBUTES]["value"]
    assert text.startswith("k8s.")
    assert text == variables(pod())[ATTRIBUTES]["value"]


@pytest.mark.requirement("DEF-3")
def test_def_3_a_key_that_contains_another_keys_name_suppresses_nothing() -> None:
    found = attributes(pod(container(variables={ATTRIBUTES: "my.service.version.x=1"})))
    assert found["my.service.version.x"] == "1"
    assert found["service.version"] == "1.2.3"


@pytest.mark.requirement("DEF-4", "FP-31")
def test_def_4_values_are_percent_encoded() -> None:
    odd = {"resource.opentelemetry.io/cost": "a,b=c d%", "resource.opentelemetry.io/service.version": "1,0+$(HOME)\n"}
    found = attributes(pod(annotations=odd))
    assert found["cost"] == "a%2Cb%3Dc%20d%25"
    assert found["service.version"] == "1%2C0%2B%24%28HOME%29%0A"


@pytest.mark.requirement("DEF-5")
def test_def_5_a_users_reference_to_its_own_attributes_resolves_to_the_same() -> None:
    document = pod(container(variables={ATTRIBUTES: "team=data", "JAVA_OPTS": f"-Dattributes=$({ATTRIBUTES})"}))
    after = environment(patched(document)["spec"]["containers"][0])
    assert after["JAVA_OPTS"] == "-Dattributes=team=data"
    assert after[ATTRIBUTES] == "team=data"
    assert Reason.RESOURCE_ATTRIBUTES_REFERENCED in injected(document).plan.decision.reasons


@pytest.mark.requirement("DEF-5")
def test_def_5_a_users_reference_to_our_attributes_resolves_at_last() -> None:
    document = pod(container(variables={"JAVA_OPTS": f"-Dattributes=$({ATTRIBUTES})"}))
    after = environment(patched(document)["spec"]["containers"][0])
    assert after["JAVA_OPTS"] == f"-Dattributes={after[ATTRIBUTES]}"
    assert "$(" not in after["JAVA_OPTS"]


@pytest.mark.requirement("DEF-6")
@pytest.mark.parametrize(
    "attributes_of_user",
    ["team=data,service.name=mine", {"configMapKeyRef": {"name": "settings", "key": "may-name-the-service"}}],
    ids=["named among the attributes", "perhaps named elsewhere"],
)
def test_def_6_a_service_name_among_the_users_attributes_is_not_overridden(attributes_of_user: Any) -> None:
    assert "OTEL_SERVICE_NAME" not in variables(pod(container(variables={ATTRIBUTES: attributes_of_user})))


@pytest.mark.requirement("DEF-7", "FP-14")
def test_def_7_a_key_from_env_from_is_not_shadowed_where_it_is_known() -> None:
    document = pod(container(envFrom=[{"configMapRef": {"name": "settings"}}]))
    known = {("configMapRef", "settings"): {"OTEL_SERVICE_NAME", "OPENLINEAGE_URL"}}
    found = variables(document, known_keys=known)
    assert not {"OTEL_SERVICE_NAME", "OPENLINEAGE_URL"} & found.keys()
    assert Reason.LINEAGE_IS_USERS in injected(document, known_keys=known).plan.decision.reasons


@pytest.mark.requirement("DEF-7", "FP-14")
def test_def_7_a_prefix_makes_other_names_of_known_keys() -> None:
    document = pod(container(envFrom=[{"prefix": "OTEL_", "configMapRef": {"name": "settings"}}]))
    found = variables(document, known_keys={("configMapRef", "settings"): {"SERVICE_NAME"}})
    assert "OTEL_SERVICE_NAME" not in found


@pytest.mark.requirement("DEF-7", "FP-14")
def test_def_7_a_source_whose_name_speaks_of_telemetry_keeps_ours_out() -> None:
    document = pod(container(envFrom=[{"configMapRef": {"name": "otel-settings"}}]))
    assert not [name for name in variables(document) if name.startswith("OTEL_")]
    assert Reason.ENV_FROM_SPEAKS_OF_IT in injected(document).plan.decision.reasons


@pytest.mark.requirement("DEF-7")
def test_def_7_what_is_assumed_about_unseen_keys_is_told() -> None:
    document = pod(container(envFrom=[{"secretRef": {"name": "warehouse"}}]))
    assert "OTEL_SERVICE_NAME" in variables(document)
    assert injected(document).plan.decision.reasons == (Reason.ENV_FROM_UNSEEN,)


@pytest.mark.requirement("DEF-7")
def test_def_7_a_prefix_that_cannot_make_our_names_is_no_matter() -> None:
    document = pod(container(envFrom=[{"prefix": "DB_", "configMapRef": {"name": "otel"}}]))
    assert injected(document).plan.decision.reasons == ()


@pytest.mark.requirement("DEF-8")
def test_def_8_a_helper_that_is_there_already_is_not_doubled() -> None:
    name = "OTEL_RESOURCE_ATTRIBUTES_POD_NAME"
    document = pod(container(variables={name: {"fieldRef": {"fieldPath": "metadata.name"}}, "FLOE_POD_NAME": "mine"}))
    names = [entry["name"] for entry in patched(document)["spec"]["containers"][0]["env"]]
    assert names.count(name) == 1
    assert names.count("FLOE_POD_NAME") == 1
    assert Reason.OUR_NAME_TAKEN in injected(document).plan.decision.reasons


@pytest.mark.requirement("DEF-8")
def test_def_8_an_equals_sign_in_a_value_hides_no_key() -> None:
    found = attributes(pod(container(variables={ATTRIBUTES: "k8s.pod.name=a=b"})))
    assert found["k8s.pod.name"] == "a=b"


@pytest.mark.requirement("DEF-9", "FP-7")
def test_def_9_fields_that_nobody_knows_yet_survive() -> None:
    document = pod(container(fieldOfTomorrow={"a": [1, None]}), otherField={"b": True})
    after = patched(document)
    assert after["spec"]["containers"][0]["fieldOfTomorrow"] == {"a": [1, None]}
    assert after["spec"]["otherField"] == {"b": True}


@pytest.mark.requirement("DEF-10", "FP-2", "FP-15")
def test_def_10_a_cron_jobs_pod_names_its_owners_and_can_complete() -> None:
    document = pod(owned_by=owner("Job", "nightly-29391840"), name=None, restartPolicy="Never")
    found = attributes(document)
    assert found["k8s.job.name"] == "nightly-29391840"
    assert found["k8s.cronjob.name"] == "nightly"
    assert variables(document)["OTEL_SERVICE_NAME"]["value"] == "nightly"
    assert patched(document)["spec"]["initContainers"][0]["restartPolicy"] == "Always"


@pytest.mark.requirement("DEF-11", "FP-32")
def test_def_11_a_generated_pod_is_named_by_the_kubelet() -> None:
    document = pod(name=None)
    document["metadata"]["generateName"] = "task-"
    after = environment(patched(document)["spec"]["containers"][0])
    assert after["OTEL_SERVICE_NAME"] == "<metadata.name>"
    assert "k8s.pod.name=<metadata.name>" in after[ATTRIBUTES]


@pytest.mark.requirement("DEF-10", "FP-15")
@pytest.mark.parametrize(
    ("reference", "labels", "expected"),
    [
        (
            ("ReplicaSet", "web-5d4f"),
            {"pod-template-hash": "5d4f"},
            Owner("Deployment", "web", ("ReplicaSet", "web-5d4f")),
        ),
        (("ReplicaSet", "web-5d4f"), {}, Owner("ReplicaSet", "web-5d4f")),
        (
            ("ReplicaSet", "web-77"),
            {"rollouts-pod-template-hash": "77"},
            Owner("Rollout", "web", ("ReplicaSet", "web-77")),
        ),
        (("Job", "load-29391840"), {}, Owner("CronJob", "load", ("Job", "load-29391840"))),
        (("Job", "load-20240101"), {}, Owner("Job", "load-20240101")),
        (("Job", "29391840"), {}, Owner("Job", "29391840")),
        (("StatefulSet", "db"), {}, Owner("StatefulSet", "db")),
    ],
    ids=["Deployment", "bare ReplicaSet", "Rollout", "CronJob", "a date in a Job's name", "only digits", "StatefulSet"],
)
def test_def_10_owners_are_read_off_names_and_labels(
    reference: tuple[str, str], labels: dict[str, str], expected: Owner
) -> None:
    assert owner_of(pod(owned_by=owner(*reference), labels=labels)) == expected


@pytest.mark.requirement("FP-15", "FP-3", "FP-4")
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (pod(labels={"dag_id": "customers", "task_id": "load"}, name="load-x2k9"), "customers.load"),
        (pod(labels={"dagster/job": "orders"}, owned_by=owner("Job", "dagster-run-4f6c")), "orders"),
        (pod(labels={"spark-app-name": "sessions"}, name="sessions-1-driver"), "sessions"),
        (pod(labels={"dag_id": "customers"}, name="alone"), "alone"),
        (pod(labels={"dagster/job": "orders"}, owned_by=owner("StatefulSet", "server")), "server"),
    ],
    ids=["Airflow task", "Dagster run", "Spark driver", "half of Airflow's labels", "a server of Dagster's"],
)
def test_runs_of_one_work_share_a_name(document: dict[str, Any], expected: str) -> None:
    found = variables(document)
    assert found["OTEL_SERVICE_NAME"]["value"] == expected
    assert found["OPENLINEAGE_NAMESPACE"]["value"] == f"single-tenant/{expected}"


@pytest.mark.requirement("FP-4", "DEF-10")
def test_a_dagster_runs_job_stays_among_the_attributes() -> None:
    document = pod(labels={"dagster/job": "orders"}, owned_by=owner("Job", "dagster-run-4f6c"))
    assert workload_of(document) == Owner("DagsterJob", "orders", ("Job", "dagster-run-4f6c"))
    assert attributes(document)["k8s.job.name"] == "dagster-run-4f6c"
