"""One cluster for all end-to-end tests of a run, and what each test makes in it."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace
from tests.e2e.cluster import images
from tests.e2e.cluster.binaries import OLDER_KUBERNETES
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.control_plane import KUBECONFIG_VARIABLE, Cluster, cluster, control_plane
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.node import node as start_node
from tests.e2e.cluster.processes import LOOPBACK
from tests.e2e.evidence import scan
from tests.e2e.scheduling import NodeBesideControlPlane
from tests.e2e.traces import traces_of_a_node
from tests.e2e.webhook_program import EXAMPLE_MANIFEST, WebhookRunner, webhook_program

NODE_WAIT_SECONDS = 900.0
"""For another run on this machine, whose node has to end first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> NodeBesideControlPlane | None:
    """With `--dist loadscope` the tests of the node run beside all others."""
    return NodeBesideControlPlane(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="session", autouse=True)
def no_credential_is_told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the run if what stood in a Secret stands anywhere else of what the run has left."""
    yield  # it is set up first, so what follows comes when every cluster has ended
    assert scan(tmp_path_factory.getbasetemp()).leaks == []


@pytest.fixture(scope="session")
def test_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of `E2E_KUBECONFIG`, or a control plane of our own."""
    with cluster(tmp_path_factory.mktemp("cluster")) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="session")
def older_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of our own with an API server of 1.30."""
    if KUBECONFIG_VARIABLE in os.environ:
        pytest.skip("an existing cluster is used: no API server is built")
    with control_plane(tmp_path_factory.mktemp("older-cluster"), kubernetes=OLDER_KUBERNETES) as older:
        yield older


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A cluster that runs pods, with the base image and the sidecar's; nothing of it stays on the machine."""
    if KUBECONFIG_VARIABLE in os.environ:
        pytest.skip("an existing cluster is used: images cannot be loaded into it")
    if os.geteuid() != 0:
        pytest.skip("a node makes networks, mounts and cgroups, which needs root")
    folder = tmp_path_factory.mktemp("node")
    with start_node(
        folder, kept=folder / "pods", wait_seconds=NODE_WAIT_SECONDS, afterwards=_nothing_is_left
    ) as running_node:
        for archive in (images.base_archive(), images.archive_of("sidecar")):
            running_node.runtime.load(archive)
        yield running_node


def _nothing_is_left() -> None:
    assert traces_of_a_node() == []


@pytest.fixture(scope="session")
def kubernetes(test_cluster: Cluster) -> Iterator[KubernetesClient]:
    """An administrator's client."""
    with test_cluster.client() as client:
        yield client


@pytest.fixture(scope="session")
def run_id() -> str:
    """What marks this run's objects in a cluster that others use too."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="session")
def webhook_host() -> str:
    """The address under which the API server reaches this machine."""
    return os.environ.get("E2E_WEBHOOK_HOST", LOOPBACK)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signs the webhook's certificate; its own certificate is the caBundle."""
    return Authority.create(tmp_path_factory.mktemp("authority"), "floe e2e webhook authority")


@pytest.fixture(scope="session")
def serving(authority: Authority, webhook_host: str) -> KeyPairFiles:
    """The webhook's certificate."""
    return authority.server("webhook", addresses=[webhook_host])


@pytest.fixture
def namespace(kubernetes: KubernetesClient, run_id: str) -> Iterator[Callable[..., Namespace]]:
    """Makes namespaces of this run: `namespace(inject="enabled")`; they are deleted after the test."""
    with ExitStack() as made:

        def make(*, inject: str | None = None, run: str = run_id, **more_labels: str) -> Namespace:
            labels = {RUN_LABEL: run} | more_labels | ({"floe.dev/inject": inject} if inject is not None else {})
            new = create_namespace(kubernetes, labels)
            made.callback(kubernetes.delete, new.manifest)
            return new

        yield make


@pytest.fixture(scope="session")
def run_webhook(authority: Authority, serving: KeyPairFiles, webhook_host: str) -> WebhookRunner:
    """A context manager that runs the webhook program with the example's platform manifest, logging into a folder."""
    return lambda folder: webhook_program(EXAMPLE_MANIFEST, authority, serving, webhook_host, folder)
