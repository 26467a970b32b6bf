"""The table of floe_webhook.selection, and that places and names of containers stay."""

from typing import Any

import jsonpatch
import pytest

from floe_core.manifest.models import FOREIGN_SIDECARS
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from webhook.tests.builders import PROFILE, Pod, container, injected, pod, profile

pytestmark = pytest.mark.requirement("HOUSE-2", "FP-16")

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def some_pod(**annotations: str) -> Pod:
    """Two containers beside a service mesh's and an init container; `a_b` is the annotation floe.dev/a-b."""
    own = {
        DEFAULT_CONTAINER if name == "default_container" else f"floe.dev/{name.replace('_', '-')}": text
        for name, text in annotations.items()
    }
    return pod(
        container("istio-proxy"),
        container("app"),
        container("helper"),
        initContainers=[container("migrate"), container("logs", restartPolicy="Always")],
        annotations=own,
    )


def configured(document: Pod, by: Profile = PROFILE) -> list[str]:
    return [one.name for one in injected(document, by=by).plan.containers]


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        pytest.param({}, ["migrate", "logs", "app", "helper"], id="all but known sidecars"),
        pytest.param({"containers": "helper, istio-proxy"}, ["istio-proxy", "helper"], id="by name, a known one too"),
        pytest.param({"exclude_containers": "helper, logs"}, ["migrate", "app"], id="without those that are named"),
        pytest.param({"containers": "app,helper", "exclude_containers": "app"}, ["helper"], id="both"),
        pytest.param({"init_containers": "false"}, ["app", "helper"], id="no init containers"),
        pytest.param({"default_container": "app"}, ["migrate", "logs", "app"], id="kubectl's default container"),
        pytest.param({"default_container": "istio-proxy"}, ["migrate", "logs", "app", "helper"], id="no application's"),
        pytest.param({"default_container": "gone"}, ["migrate", "logs", "app", "helper"], id="nobody's"),
        pytest.param({"default_container": "migrate"}, ["migrate", "logs", "app", "helper"], id="an init container's"),
        pytest.param(
            {"default_container": "app", "containers": "helper"}, ["helper"], id="our own word before kubectl's"
        ),
        pytest.param(
            {"default_container": "app", "init_containers": "false"}, ["app"], id="the default container alone"
        ),
        pytest.param({"containers": ","}, ["migrate", "logs", "app", "helper"], id="names that are none"),
    ],
)
def test_containers_are_chosen_by_the_table(annotations: dict[str, str], names: list[str]) -> None:
    assert configured(some_pod(**annotations)) == names


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        pytest.param({"include": ["helper", "logs"]}, ["logs", "helper"], id="only those included"),
        pytest.param({"exclude": ["app"]}, ["migrate", "logs", "istio-proxy", "helper"], id="a list of one's own"),
        pytest.param({"init_containers": False}, ["app", "helper"], id="no init containers"),
    ],
)
def test_the_manifest_chooses_where_the_pod_says_nothing(selection: dict[str, Any], names: list[str]) -> None:
    by = profile(injection={"containers": selection})
    assert configured(some_pod(), by) == names


def test_a_pod_asks_for_its_init_containers_where_the_manifest_leaves_them() -> None:
    by = profile(injection={"containers": {"init_containers": False}})
    assert configured(some_pod(init_containers="true"), by) == ["migrate", "logs", "app", "helper"]


def test_kubectls_default_container_counts_for_nothing_where_the_manifest_says_so() -> None:
    by = profile(injection={"containers": {"default_container": False}})
    assert configured(some_pod(default_container="app"), by) == ["migrate", "logs", "app", "helper"]


def test_what_the_default_container_leaves_out_is_told() -> None:
    decision = injected(some_pod(default_container="app")).plan.decision
    assert decision.reasons == (Reason.DEFAULT_CONTAINER_ONLY,)
    alone = pod(container("app"), annotations={DEFAULT_CONTAINER: "app"})
    assert injected(alone).plan.decision.reasons == ()


def test_a_name_that_the_pod_lacks_is_told() -> None:
    for annotation in ("containers", "exclude_containers"):
        found = injected(some_pod(**{annotation: "app,nobody"})).plan.decision
        assert found.reasons == (Reason.CONTAINER_UNKNOWN,)


@pytest.mark.parametrize("name", FOREIGN_SIDECARS)
def test_a_known_sidecar_of_others_is_left_alone(name: str) -> None:
    document = pod(container("app"), container(name), initContainers=[container(f"{name}-first"[:63]), container(name)])
    assert name not in configured(document)


@pytest.mark.requirement("FP-3")
def test_an_airflow_pod_keeps_base_where_it_is_and_its_result_sidecar_as_it_is() -> None:
    result = container("airflow-xcom-sidecar", command=["sh", "-c", "trap 'exit 0' INT; while true; do sleep 1; done"])
    document = pod(container("base"), result, labels={"dag_id": "sales", "task_id": "load"})
    after = jsonpatch.apply_patch(document, injected(document).operations)
    assert [one["name"] for one in after["spec"]["containers"]] == ["base", "airflow-xcom-sidecar"]
    assert after["spec"]["containers"][1] == result
    assert {**after["spec"]["containers"][0], "env": None} == {**container("base"), "env": None}
