"""Jobs end while their lineage backend is dead, and nothing of what they told is lost: the gateway has it.

The gateway is a process on the node's address rather than a pod, so that it can be killed and started again; the
chart's own is installed by `test_chart_release`.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from floe_sidecar import tokens
from sidecar.tests.gateways import KEY, gateway_process
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, in_force
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.images import image_name
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.processes import LOOPBACK, free_port
from tests.e2e.lineage_backend import lineage_backend
from tests.e2e.webhook_program import EXAMPLE_MANIFEST, webhook_program
from tests.e2e.workloads import SIDECAR, condition, emitting, end_of, job, log_of, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-4", "HOUSE-5", "BUDGET-6")]

JOBS = 4
SHUTDOWN_SECONDS = 20
END_SECONDS = 2.0
RUN = "gateway"


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture
def home(client: KubernetesClient) -> Iterator[Namespace]:
    """A namespace whose pods may send to the gateway."""
    namespace = create_namespace(client, {RUN_LABEL: RUN})
    token = tokens.issue(KEY, namespace.name)
    client.create(tokens.secret(namespace.name, token, name="floe-gateway-token", key="token"))
    try:
        yield namespace
    finally:
        client.delete(namespace.manifest)


Injecting = Callable[[str, str], AbstractContextManager[None]]
"""Has the webhook in force, with the URLs of a lineage backend and of a gateway in its manifest."""


@pytest.fixture
def injecting(client: KubernetesClient, authority: Authority, serving: KeyPairFiles, tmp_path: Path) -> Injecting:
    """The webhook program with the real sidecar's image."""

    @contextmanager
    def injecting_for(lineage: str, gateway: str) -> Iterator[None]:
        yaml = YAML(typ="safe", pure=True)
        manifest = yaml.load(EXAMPLE_MANIFEST)
        manifest["plugins"]["lineage_backend"]["config"]["url"] = lineage
        manifest["injection"]["sidecar"] |= {"image": image_name("sidecar"), "shutdown_seconds": SHUTDOWN_SECONDS}
        manifest["injection"]["gateway"] = {"url": gateway}
        file = tmp_path / "manifest.yaml"
        yaml.dump(manifest, file)
        with (
            webhook_program(file, authority, serving, LOOPBACK, tmp_path) as program,
            in_force(client, program.configuration(f"floe-e2e-{RUN}"), RUN, program.admissions),
        ):
            yield

    return injecting_for


def test_lineage_of_jobs_outlives_them_and_a_killed_gateway_while_the_backend_is_dead(
    node: Node, client: KubernetesClient, home: Namespace, injecting: Injecting, tmp_path: Path
) -> None:
    names = [f"outlived-{number}" for number in range(JOBS)]
    nobody = f"http://{node.address}:{free_port()}"
    with gateway_process(tmp_path, LINEAGE_URL=nobody, HOST=node.address) as gateway:
        url = f"http://{node.address}:{gateway.port}"
        with injecting(nobody, url):
            created = [job(home, {"containers": [emitting("app", name)]}) for name in names]
            with ThreadPoolExecutor(JOBS) as at_once:
                pods = list(at_once.map(lambda one: run_job(client, one), created))
            conditions = [condition(client, one) for one in created]
        assert gateway.status()["events"]["taken_over"] == JOBS
        gateway.kill()
    assert conditions == ["Complete"] * JOBS
    logs = [log_of(client, pod, SIDECAR) for pod in pods]
    for pod, log in zip(pods, logs, strict=True):
        told = json.loads(end_of(pod, SIDECAR)["message"])
        assert (told["handed_over_events"], told["unsent_events"]) == (1, 0), log
        # A sidecar that waits for the dead backend takes at least the backend's half of the time.
        assert held_up(pod) < timedelta(seconds=SHUTDOWN_SECONDS / 2), log
    # What is the sidecar's own of the budget of two seconds; how soon a busy node stops it and tells is the node's.
    assert statistics.median(seconds_to_end(log) for log in logs) <= END_SECONDS, logs
    with lineage_backend(node.address) as backend, gateway_process(tmp_path, LINEAGE_URL=backend.url):
        for name in names:
            assert backend.event(name)["eventType"] == "COMPLETE"


def held_up(pod: dict[str, Any]) -> timedelta:
    app, sidecar = (datetime.fromisoformat(end_of(pod, name)["finishedAt"]) for name in ("app", SIDECAR))
    return sidecar - app


def seconds_to_end(log: str) -> float:
    """From the sidecar's SIGTERM to its last word."""
    told = {line["event"]: datetime.fromisoformat(line["time"]) for line in map(json.loads, log.splitlines())}
    return (told["ended"] - told["ending"]).total_seconds()
