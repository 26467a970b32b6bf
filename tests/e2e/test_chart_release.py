"""The chart on a real cluster: installed by helm, obeyed at a label, changed without a gap, removed without a trace."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.admission import INJECT_LABEL, Namespace, create_namespace, pod
from tests.e2e.chart_release import GONE_SECONDS, Release, released, wait_until_gone
from tests.e2e.cluster import images
from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.network_policies import network_policies
from tests.e2e.cluster.node import Node
from tests.e2e.helm import Values
from tests.e2e.inventory import everything
from tests.e2e.lineage_backend import LineageBackend, lineage_backend
from tests.e2e.reachability import denied_by_default, open_from, standing_by
from tests.e2e.trickle import INJECTED_LABEL, trickle, wait_until_injected
from tests.e2e.workloads import SIDECAR, condition, emitting, end_of, job, log_of, python, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-2", "HOUSE-3")]

RELEASE = "floe-injector"
NOTICED_SECONDS = 30.0
_POLL_SECONDS = 0.5


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster, which has the webhook's image."""
    node.runtime.load(images.archive_of("webhook"))
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture(scope="module")
def backend(node: Node) -> Iterator[LineageBackend]:
    """A lineage backend on the node's address."""
    with lineage_backend(node.address) as listening:
        yield listening


@pytest.fixture(scope="module")
def release(
    node: Node, client: KubernetesClient, backend: LineageBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """The chart, installed."""
    with released(node, client, backend.url, tmp_path_factory.mktemp("release"), RELEASE) as installed:
        yield installed


@pytest.fixture
def home(client: KubernetesClient, release: Release) -> Iterator[Namespace]:  # noqa: ARG001 - it has to be there
    """A namespace that has opted in by its label."""
    namespace = create_namespace(client, {INJECT_LABEL: "enabled"})
    wait_until_injected(client, namespace)
    yield namespace
    client.delete(namespace.manifest)


@pytest.mark.requirement("HOUSE-4", "HOUSE-5", "REQ-521")
def test_a_labelled_namespaces_job_completes_and_its_lineage_arrives(
    home: Namespace, client: KubernetesClient, backend: LineageBackend
) -> None:
    created = job(home, {"containers": [emitting("app", "by-the-chart")]}, labels={})

    ran = run_job(client, created)

    assert condition(client, created) == "Complete"
    assert end_of(ran, "app")["exitCode"] == 0, log_of(client, ran, "app")
    assert end_of(ran, SIDECAR)["exitCode"] == 0, log_of(client, ran, SIDECAR)
    assert backend.event("by-the-chart")["eventType"] == "COMPLETE"
    # What the webhook's leader tells of the pod itself goes through the gateway, with the release's own token.
    assert backend.end_of(ran["metadata"]["uid"])["eventType"] == "COMPLETE"


@pytest.mark.requirement("HOUSE-5")
def test_helms_own_test_finds_the_release_working_and_leaves_nothing(release: Release, node: Node) -> None:
    before = everything(node.cluster.kubeconfig)

    said = release.helm.test()

    assert "Phase:          Succeeded" in said
    assert "Failed" not in said
    _wait_for_no_more_than(before, node)


@pytest.mark.requirement("CC-3.1")
def test_floe_check_finds_nothing_wrong_with_the_release(release: Release, home: Namespace, node: Node) -> None:
    command = [str(Path(sys.executable).with_name("floe")), "check", "--output=json", f"--namespace={home.name}"]

    said = run([*command, f"--kubeconfig={node.cluster.kubeconfig}", f"--release={release.helm.release}"])

    findings = json.loads(said)
    assert [one for one in findings["findings"] if one["result"] == "failed"] == []
    assert len(findings["findings"]) > 5


@pytest.mark.requirement("HOUSE-11", "FP-1", "FP-24")
def test_no_pod_is_missed_while_the_release_is_upgraded_and_rolled_back(
    release: Release, home: Namespace, client: KubernetesClient
) -> None:
    changed = release.values | {"webhook": release.values["webhook"] | {"podAnnotations": {"changed": "yes"}}}

    with trickle(client, home) as created:
        release.helm.upgrade(changed)
        after_the_upgrade = len(created.pods)
        release.helm.rollback()

    assert 0 < after_the_upgrade < len(created.pods)
    assert created.not_injected() == []


@pytest.mark.requirement("HOUSE-4", "HOUSE-7")
def test_a_pod_without_a_sidecar_sends_through_the_gateway_with_its_namespaces_token(
    release: Release, home: Namespace, client: KubernetesClient, node: Node, backend: LineageBackend
) -> None:
    kubectl = [str(program("kubectl")), f"--kubeconfig={node.cluster.kubeconfig}"]
    gateway = f"{release.helm.release}-gateway-0"
    tokens = ["/opt/floe/bin/python", "-m", "floe_sidecar.tokens", home.name]
    secrets = run([*kubectl, "exec", f"--namespace={release.helm.namespace}", gateway, "--", *tokens])
    run([*kubectl, "apply", "--filename=-"], standard_input=secrets)
    annotations = {"floe.dev/environment-only": "true"}
    created = job(home, {"containers": [emitting("app", "through-the-gateway")]}, annotations=annotations)

    ran = run_job(client, created)

    assert condition(client, created) == "Complete", log_of(client, ran, "app")
    assert "initContainers" not in ran["spec"]
    assert backend.event("through-the-gateway")


@pytest.mark.requirement("FP-5")
def test_a_digest_that_does_not_exist_costs_the_sidecar_alone_and_is_mended_by_an_upgrade(
    release: Release, home: Namespace, client: KubernetesClient, node: Node, backend: LineageBackend
) -> None:
    image = release.values["images"]["sidecar"]
    nowhere = image | {"digest": f"sha256:{'0' * 64}", "pullPolicy": "IfNotPresent"}
    with _upgraded(release, {"images": release.values["images"] | {"sidecar": nowhere}}):
        _wait_for_sidecar(release, client, node, home, f"{image['repository']}@{nowhere['digest']}")

        hangs = client.create(pod(home, spec={"containers": [python("app", "print('ran')")]}))
        _wait_until_noticed(release, client)
        alone = job(home, {"containers": [python("app", "print('ran')")]}, labels={})
        ran = run_job(client, alone)

        assert condition(client, alone) == "Complete"
        assert "initContainers" not in ran["spec"]
        assert "sidecar_does_not_start" in ran["metadata"]["annotations"]["floe.dev/injection"]
        for replica in _replicas(release, client):
            assert "floe_webhook_sidecar_starts 0.0" in _get(replica, "/metrics").text
        _wait_for_event(node, release, f"{release.helm.release}-webhook", "SidecarDoesNotStart")

    _wait_for_sidecar(release, client, node, home, f"{image['repository']}:{image['tag']}")
    mended = job(home, {"containers": [emitting("app", "mended")]}, labels={})
    pod_with_sidecar = run_job(client, mended)

    assert end_of(pod_with_sidecar, SIDECAR)["exitCode"] == 0, log_of(client, pod_with_sidecar, SIDECAR)
    assert backend.event("mended")["eventType"] == "COMPLETE"
    client.delete(hangs)


@pytest.mark.requirement("HOUSE-8", "FP-21")
def test_under_default_deny_an_injected_pod_reaches_what_it_has_to_and_nothing_else(
    release: Release, home: Namespace, client: KubernetesClient, node: Node, backend: LineageBackend
) -> None:
    services, lineage = f"{release.helm.namespace}.svc", backend.url.removeprefix("http://")
    needed = {f"{RELEASE}-gateway.{services}:5055", lineage}
    others = {f"{RELEASE}-gateway.{services}:5056", f"{RELEASE}-webhook.{services}:443", "kubernetes.default.svc:443"}

    with denied_by_default(client, release.pipelines), network_policies(node.cluster) as policies:
        injected = standing_by(client, release.pipelines)
        stranger = standing_by(client, home, **{INJECT_LABEL: "disabled"})
        policies.wait_until_in_force()
        reached = [open_from(node, one, sorted(needed | others)) for one in (injected, stranger)]
        told = job(release.pipelines, {"containers": [emitting("app", "under-default-deny")]}, labels={})
        ran = run_job(client, told)

    assert injected["metadata"]["labels"][INJECTED_LABEL] == "true", "the API server reaches the webhook"
    # The same places are there for others; only the gateway's door is for injected pods alone.
    assert reached == [needed, {lineage} | others]
    assert end_of(ran, SIDECAR)["exitCode"] == 0, log_of(client, ran, SIDECAR)
    assert backend.event("under-default-deny")["eventType"] == "COMPLETE"
    client.delete(injected)
    client.delete(stranger)


@pytest.mark.requirement("FP-23")
def test_uninstalling_leaves_nothing_of_any_kind(
    node: Node, client: KubernetesClient, backend: LineageBackend, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = "floe-elsewhere"
    before = everything(node.cluster.kubeconfig)
    with released(node, client, backend.url, tmp_path_factory.mktemp("elsewhere"), name) as installed:
        made = everything(node.cluster.kubeconfig) - before
        home = create_namespace(client, {INJECT_LABEL: "enabled"})
        wait_until_injected(client, home)
        client.delete(home.manifest)

        installed.helm.uninstall()

        wait_until_gone(client, name)
    assert {kind.split()[0] for kind in made} >= {
        "Lease",
        "Secret",
        "PersistentVolumeClaim",
        "MutatingWebhookConfiguration",
    }
    _wait_for_no_more_than(before, node)


def _wait_for_no_more_than(before: set[str], node: Node) -> None:
    """Namespaces and volumes that were removed take a moment to go."""
    deadline = time.monotonic() + GONE_SECONDS
    while left := everything(node.cluster.kubeconfig) - before:
        assert time.monotonic() < deadline, f"still there after {GONE_SECONDS:g} s: {sorted(left)}"
        time.sleep(_POLL_SECONDS)


def _wait_for_sidecar(release: Release, client: KubernetesClient, node: Node, home: Namespace, image: str) -> None:
    """Returns when pods of a namespace get a sidecar of this image."""
    deadline = time.monotonic() + GONE_SECONDS
    kubectl = [str(program("kubectl")), f"--kubeconfig={node.cluster.kubeconfig}"]
    for replica in _replicas(release, client):
        # The kubelet brings a changed ConfigMap into a pod when it next looks at it, which is within a minute or now.
        metadata = replica["metadata"]
        looked_at = f"floe.dev/e2e-looked-at={time.monotonic()}"
        run(
            [
                *kubectl,
                "annotate",
                f"--namespace={metadata['namespace']}",
                "pod",
                metadata["name"],
                looked_at,
                "--overwrite",
            ]
        )
    while (found := _sidecar_image(client.create(pod(home), dry_run=True))) != image:
        assert time.monotonic() < deadline, f"pods get {found!r}, not {image!r}, after {GONE_SECONDS:g} s"
        time.sleep(_POLL_SECONDS)


def _wait_until_noticed(release: Release, client: KubernetesClient) -> None:
    """Returns when every replica knows that the sidecar does not start."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while any(_get(replica, "/readyz").json()["sidecar"]["starts"] for replica in _replicas(release, client)):
        assert time.monotonic() < deadline, f"not noticed within {NOTICED_SECONDS:g} s"
        time.sleep(_POLL_SECONDS)


@contextmanager
def _upgraded(release: Release, changes: Values) -> Iterator[None]:
    """The release with other values, which its pods may never get ready with; as it was when the block is left."""
    release.helm.upgrade(release.values | changes, wait=False)
    try:
        yield
    finally:
        release.helm.upgrade(release.values)


def _wait_for_event(node: Node, release: Release, name: str, reason: str) -> None:
    """Returns when somebody has told of it; the leader does some time after it has noticed."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while reason not in (found := _events(node, release, name)):
        assert time.monotonic() < deadline, f"no Event {reason} within {NOTICED_SECONDS:g} s, only {found}"
        time.sleep(_POLL_SECONDS)


def _events(node: Node, release: Release, name: str) -> list[str]:
    """The reasons of the Events on an object of the release's namespace."""
    kubectl = [str(program("kubectl")), f"--kubeconfig={node.cluster.kubeconfig}", "get", "events"]
    of = [f"--namespace={release.helm.namespace}", f"--field-selector=involvedObject.name={name}"]
    return run([*kubectl, *of, "--output=jsonpath={.items[*].reason}"]).split()


def _sidecar_image(injected: Manifest) -> str | None:
    containers = {one["name"]: one["image"] for one in injected["spec"].get("initContainers", [])}
    return containers.get(SIDECAR)


def _replicas(release: Release, client: KubernetesClient) -> list[Manifest]:
    """The webhook's pods."""
    return client.pods(release.helm.namespace, label="app.kubernetes.io/component=webhook")


def _get(replica: Manifest, path: str) -> httpx.Response:
    return httpx.get(f"http://{replica['status']['podIP']}:8080{path}", trust_env=False, timeout=10.0)
