"""The webhook program behind a real API server: what is stored of a pod that somebody creates."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.admission import IMAGE, Namespace, in_force, pod
from tests.e2e.cluster.client import ApiError, KubernetesClient, Manifest
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.pod_shapes import RESTRICTED
from tests.e2e.webhook_program import Webhook, WebhookRunner

pytestmark = pytest.mark.e2e

NamespaceMaker = Callable[..., Namespace]


@pytest.fixture(scope="module", params=["test_cluster", "older_cluster"])
def kubernetes(request: pytest.FixtureRequest) -> Iterator[KubernetesClient]:
    """An administrator's client of each API server in turn: the newest and the oldest that we look at."""
    cluster: Cluster = request.getfixturevalue(request.param)
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def webhook(
    kubernetes: KubernetesClient, run_id: str, run_webhook: WebhookRunner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webhook]:
    """The webhook program, registered and in force."""
    with run_webhook(tmp_path_factory.mktemp("webhook")) as program:
        configuration = program.configuration(f"floe-e2e-{run_id}")
        with in_force(kubernetes, configuration, run_id, program.admissions):
            yield program


def _container(stored: Manifest, name: str = "app") -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in stored["spec"]["containers"] if one["name"] == name)
    return found


def _environment(stored: Manifest, name: str = "app") -> dict[str, Any]:
    return {variable["name"]: variable for variable in _container(stored, name).get("env", [])}


@pytest.mark.requirement("HOUSE-2", "HOUSE-4", "HOUSE-6")
@pytest.mark.parametrize(
    ("namespace_label", "pod_label"),
    [
        pytest.param(None, "true", id="a labelled pod"),
        pytest.param("enabled", None, id="a pod of a labelled namespace"),
        pytest.param("disabled", "enabled", id="a pod that overrules its namespace"),
    ],
)
def test_an_opted_in_pod_is_stored_injected(
    namespace_label: str | None,
    pod_label: str | None,
    webhook: Webhook,
    namespace: NamespaceMaker,
    kubernetes: KubernetesClient,
) -> None:
    created = pod(namespace(inject=namespace_label), inject=pod_label)
    answered_before = webhook.admissions()

    kubernetes.create(created)
    stored = kubernetes.get("Pod", created["metadata"]["name"], created["metadata"]["namespace"])

    assert stored["metadata"]["labels"]["floe.dev/injected"] == "true"
    assert {"OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OPENLINEAGE_URL"} <= _environment(stored).keys()
    assert stored["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    assert webhook.admissions() == answered_before + 1


@pytest.mark.requirement("HOUSE-2", "HOUSE-3")
@pytest.mark.parametrize(
    ("namespace_label", "pod_label"),
    [
        pytest.param(None, None, id="a pod that nobody labelled"),
        pytest.param("disabled", None, id="a pod of a namespace that opted out"),
        pytest.param("enabled", "false", id="a pod that opted out of its namespace"),
        pytest.param("enabled", "yes", id="a pod whose label we do not know"),
    ],
)
def test_a_pod_without_our_label_is_stored_untouched_and_never_reaches_us(
    namespace_label: str | None,
    pod_label: str | None,
    webhook: Webhook,
    namespace: NamespaceMaker,
    kubernetes: KubernetesClient,
) -> None:
    created = pod(namespace(inject=namespace_label), inject=pod_label)
    answered_before = webhook.admissions()

    kubernetes.create(created)
    stored = kubernetes.get("Pod", created["metadata"]["name"], created["metadata"]["namespace"])

    assert stored["metadata"].get("labels", {}) == created["metadata"]["labels"]
    assert "env" not in _container(stored)
    assert "initContainers" not in stored["spec"]
    assert webhook.admissions() == answered_before


@pytest.mark.requirement("INV-4")
def test_an_injected_pod_that_is_created_again_is_stored_unchanged(
    webhook: Webhook, namespace: NamespaceMaker, kubernetes: KubernetesClient
) -> None:
    first = kubernetes.create(pod(namespace(inject="enabled")))
    kubernetes.delete(first)  # its name is part of what it is told: the second one has to carry the same
    answered_before = webhook.admissions()

    second = kubernetes.create(_without_what_the_server_adds(first))

    assert webhook.admissions() == answered_before + 1
    assert second["spec"] == first["spec"]
    assert second["metadata"]["labels"] == first["metadata"]["labels"]
    assert second["metadata"]["annotations"] == first["metadata"]["annotations"]


def _without_what_the_server_adds(stored: Manifest) -> Manifest:
    again = copy.deepcopy(stored)
    del again["status"]
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"):
        again["metadata"].pop(key, None)
    return again


@pytest.mark.requirement("INV-9", "HOUSE-3")
@pytest.mark.usefixtures("webhook")
def test_a_restricted_pod_is_injected_under_pod_security_restricted(
    namespace: NamespaceMaker, kubernetes: KubernetesClient
) -> None:
    home = namespace(inject="enabled", **{"pod-security.kubernetes.io/enforce": "restricted"})
    restricted = {"containers": [{"name": "app", "image": IMAGE, "securityContext": RESTRICTED}]}

    stored = kubernetes.create(pod(home, spec=restricted))

    assert stored["metadata"]["labels"]["floe.dev/injected"] == "true"
    assert stored["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    with pytest.raises(ApiError, match='violates PodSecurity "restricted'):
        kubernetes.create(pod(home, inject="false"))


@pytest.mark.requirement("HOUSE-3")
def test_a_pod_is_created_as_it_is_while_the_webhook_is_down(
    namespace: NamespaceMaker, kubernetes: KubernetesClient, run_id: str, run_webhook: WebhookRunner, tmp_path: Path
) -> None:
    run = f"{run_id}-down"  # the other tests' webhook stays up
    created = pod(namespace(inject="enabled", run=run))
    with run_webhook(tmp_path) as program:
        configuration = program.configuration(f"floe-e2e-{run}")
        with in_force(kubernetes, configuration, run, program.admissions):
            assert program.process.stop() == 0

            stored = kubernetes.create(created)

    assert "floe.dev/injected" not in stored["metadata"].get("labels", {})
    assert "env" not in _container(stored)
