"""Injected pods on a real node: what they send arrives, they end when they should, and nothing makes them worse."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, in_force
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.images import image_name
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.processes import LOOPBACK, free_port
from tests.e2e.lineage_backend import LineageBackend, lineage_backend
from tests.e2e.webhook_program import EXAMPLE_MANIFEST, webhook_program
from tests.e2e.workloads import SIDECAR, condition, emitting, end_of, job, log_of, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-3")]

SHUTDOWN_SECONDS = 5
RESTRICTED_NAMESPACE = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture(scope="module")
def backend(node: Node) -> Iterator[LineageBackend]:
    """A lineage backend on the node's address."""
    with lineage_backend(node.address) as listening:
        yield listening


Injecting = Callable[[str, str], AbstractContextManager[None]]
"""Has the webhook in force for the namespaces of a run, with a lineage backend's URL in its manifest."""


@pytest.fixture(scope="module")
def injecting(
    client: KubernetesClient, authority: Authority, serving: KeyPairFiles, tmp_path_factory: pytest.TempPathFactory
) -> Injecting:
    """The webhook program with the real sidecar's image."""

    @contextmanager
    def injecting_for(run: str, lineage_url: str) -> Iterator[None]:
        folder = tmp_path_factory.mktemp("webhook")
        manifest = _manifest(folder / "manifest.yaml", lineage_url)
        with (
            webhook_program(manifest, authority, serving, LOOPBACK, folder) as program,
            in_force(client, program.configuration(f"floe-e2e-{run}"), run, program.admissions),
        ):
            yield

    return injecting_for


def _manifest(path: Path, lineage_url: str) -> Path:
    yaml = YAML(typ="safe", pure=True)
    manifest = yaml.load(EXAMPLE_MANIFEST)
    manifest["plugins"]["lineage_backend"]["config"]["url"] = lineage_url
    manifest["injection"]["sidecar"] |= {"image": image_name("sidecar"), "shutdown_seconds": SHUTDOWN_SECONDS}
    yaml.dump(manifest, path)
    return path


@pytest.fixture(scope="module")
def webhook(backend: LineageBackend, injecting: Injecting) -> Iterator[str]:
    """The webhook in force; gives the run whose namespaces it looks at."""
    with injecting("alive", backend.url):
        yield "alive"


@pytest.fixture
def home(client: KubernetesClient, webhook: str) -> Iterator[Namespace]:
    """A namespace under Pod Security restricted whose labelled pods are injected."""
    with _home(client, webhook) as namespace:
        yield namespace


@contextmanager
def _home(client: KubernetesClient, run: str) -> Iterator[Namespace]:
    namespace = create_namespace(client, {RUN_LABEL: run} | RESTRICTED_NAMESPACE)
    try:
        yield namespace
    finally:
        client.delete(namespace.manifest)


@pytest.mark.requirement("HOUSE-4", "HOUSE-5", "REQ-521")
def test_what_a_job_tells_its_sidecar_arrives_and_the_job_completes(
    home: Namespace, client: KubernetesClient, backend: LineageBackend
) -> None:
    created = job(home, {"containers": [emitting("app", "orders")]})

    pod = run_job(client, created)

    assert condition(client, created) == "Complete"
    assert end_of(pod, "app")["exitCode"] == 0, log_of(client, pod, "app")
    assert end_of(pod, SIDECAR)["exitCode"] == 0, log_of(client, pod, SIDECAR)
    assert "answered 201" in log_of(client, pod, "app")
    assert backend.event("orders")["eventType"] == "COMPLETE"


@pytest.mark.requirement("HOUSE-4", "HOUSE-5")
def test_init_containers_of_a_pod_are_served_too(
    home: Namespace, client: KubernetesClient, backend: LineageBackend
) -> None:
    init_containers = [emitting("prepare", "load-first"), emitting("migrate", "load-second")]
    created = job(home, {"initContainers": init_containers, "containers": [emitting("app", "load-last")]})

    pod = run_job(client, created)

    assert condition(client, created) == "Complete"
    assert {backend.event(name)["job"]["name"] for name in ("load-first", "load-second", "load-last")}
    assert end_of(pod, SIDECAR)["exitCode"] == 0
    assert _time(end_of(pod, SIDECAR)["finishedAt"]) >= _time(end_of(pod, "app")["finishedAt"])


@pytest.mark.requirement("HOUSE-5")
def test_a_pipelines_own_exit_code_is_its_jobs(
    home: Namespace, client: KubernetesClient, backend: LineageBackend
) -> None:
    created = job(home, {"containers": [emitting("app", "failing", exit_code=3)]})

    pod = run_job(client, created)

    assert condition(client, created) == "Failed"
    assert (end_of(pod, "app")["exitCode"], end_of(pod, SIDECAR)["exitCode"]) == (3, 0)
    assert backend.event("failing")


@pytest.mark.requirement("HOUSE-4")
def test_a_pod_that_wants_environment_only_sends_to_the_backend_itself(
    home: Namespace, client: KubernetesClient, backend: LineageBackend
) -> None:
    annotations = {"floe.dev/environment-only": "true"}
    created = job(home, {"containers": [emitting("app", "without-sidecar")]}, annotations=annotations)

    pod = run_job(client, created)

    assert condition(client, created) == "Complete"
    assert "initContainers" not in pod["spec"]
    assert _variable(pod, "OPENLINEAGE_URL") == backend.url
    assert backend.event("without-sidecar")


@pytest.mark.requirement("HOUSE-5")
def test_a_job_completes_in_time_while_the_lineage_backend_is_dead(
    node: Node, client: KubernetesClient, injecting: Injecting
) -> None:
    nobody = f"http://{node.address}:{free_port()}"
    with injecting("dead", nobody), _home(client, "dead") as home:
        created = job(home, {"containers": [emitting("app", "undelivered")]})

        pod = run_job(client, created)

        sidecar_log = log_of(client, pod, SIDECAR)
        outcome = condition(client, created)
    app, sidecar = end_of(pod, "app"), end_of(pod, SIDECAR)
    held_up = _time(sidecar["finishedAt"]) - _time(app["finishedAt"])
    assert outcome == "Complete"
    assert (app["exitCode"], sidecar["exitCode"]) == (0, 0), sidecar_log
    assert _time(app["finishedAt"]) - _time(app["startedAt"]) < timedelta(seconds=SHUTDOWN_SECONDS)
    # Times of containers are whole seconds.
    assert held_up <= timedelta(seconds=SHUTDOWN_SECONDS + 2)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _variable(pod: dict[str, Any], name: str) -> str | None:
    (app,) = pod["spec"]["containers"]
    return next((one.get("value") for one in app["env"] if one["name"] == name), None)
