"""Which pods travel to the webhook, and by which entry: on a real API server, for every pair of labels."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.admission import Namespace, in_force, pod
from tests.e2e.cluster.admission_recorder import AdmissionRecorder, admission_recorder
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.webhook_configuration import by_url, mutating_webhook_configuration

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-2")]

NamespaceMaker = Callable[..., Namespace]

BY_POD, BY_NAMESPACE, NEVER = ["/mutate/pod"], ["/mutate"], list[str]()

BY_POD_LABEL = {"enabled": BY_POD, "true": BY_POD, "disabled": NEVER, "false": NEVER, "yes": NEVER, "": NEVER}
"""The pod's own label decides, whatever its namespace says; what we do not know travels nowhere."""

BY_NAMESPACE_LABEL = {
    None: NEVER,
    "enabled": BY_NAMESPACE,
    "true": BY_NAMESPACE,
    "disabled": NEVER,
    "false": NEVER,
    "yes": NEVER,
    "": NEVER,
}
"""For a pod without a label of its own."""


@pytest.fixture(scope="module")
def recorder(
    kubernetes: KubernetesClient, run_id: str, authority: Authority, serving: KeyPairFiles, webhook_host: str
) -> Iterator[AdmissionRecorder]:
    """Our configuration in force, with a recorder behind it that tells the entries apart by their paths."""
    with admission_recorder(serving, webhook_host) as listening:
        configuration = mutating_webhook_configuration(
            f"floe-e2e-{run_id}-recorder", by_url(listening.url, authority.certificate_pem)
        )
        with in_force(kubernetes, configuration, run_id, lambda: len(listening.calls)):
            yield listening


@pytest.mark.parametrize("namespace_label", list(BY_NAMESPACE_LABEL), ids=lambda label: f"namespace {label!r}")
def test_exactly_one_entry_fires_for_opted_in_pods_and_none_for_others(
    namespace_label: str | None,
    namespace: NamespaceMaker,
    kubernetes: KubernetesClient,
    recorder: AdmissionRecorder,
) -> None:
    home = namespace(inject=namespace_label)
    expected = {None: BY_NAMESPACE_LABEL[namespace_label]} | BY_POD_LABEL

    created = {label: kubernetes.create(pod(home, inject=label)) for label in expected}

    assert {label: recorder.paths_for(one["metadata"]["name"]) for label, one in created.items()} == expected


def test_a_mirror_pod_never_travels(
    namespace: NamespaceMaker, kubernetes: KubernetesClient, recorder: AdmissionRecorder
) -> None:
    mirror = pod(
        namespace(inject="enabled"),
        spec={"nodeName": "node-1"},
        inject="true",
        annotations={"kubernetes.io/config.mirror": "a-kubelets-hash"},
    )

    kubernetes.create(mirror)

    assert recorder.paths_for(mirror["metadata"]["name"]) == []


def test_other_annotations_do_not_keep_a_pod_from_travelling(
    namespace: NamespaceMaker, kubernetes: KubernetesClient, recorder: AdmissionRecorder
) -> None:
    created = kubernetes.create(pod(namespace(), inject="true", annotations={"team": "data"}))

    assert recorder.paths_for(created["metadata"]["name"]) == BY_POD


def test_a_dry_run_travels_too(
    namespace: NamespaceMaker, kubernetes: KubernetesClient, recorder: AdmissionRecorder
) -> None:
    created = kubernetes.create(pod(namespace(inject="enabled")), dry_run=True)

    assert recorder.paths_for(created["metadata"]["name"]) == BY_NAMESPACE
