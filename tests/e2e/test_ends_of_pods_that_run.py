"""Pods that end on a real node in each way that a pod can end, and the runs that the leader makes of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.announcements import Silence
from floe_webhook.cluster.api import Access, KubernetesApi
from floe_webhook.cluster.ended_pods import EndedPods
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.cluster.progress import NoProgress
from floe_webhook.following_metrics import FollowingMetrics
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, in_force, pod
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.images import image_name
from tests.e2e.cluster.kubeconfig import read_access
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.processes import LOOPBACK
from tests.e2e.webhook_program import webhook_program
from tests.e2e.workloads import log_of, python
from webhook.tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-5")]

RUN = "ends"
SECONDS = 90.0
_WAIT = "import time; print('waiting', flush=True); time.sleep(600)"
_EAT = "block = []\nwhile True: block.append(bytes(range(256)) * 4096)"
_FAIL_ONCE = """\
import pathlib, sys
file = pathlib.Path("/shared/tried")
is_first = not file.exists()
file.touch()
sys.exit(4 if is_first else 0)
"""
_SHARED: dict[str, Any] = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
_LITTLE = {"resources": {"limits": {"memory": "32Mi", "cpu": "500m"}}}

MANIFEST = f"""
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: acme}}
plugins: {{lineage_backend: {{type: marquez, config: {{url: "http://127.0.0.1:9"}}}}}}
injection: {{sidecar: {{image: "{image_name("sidecar")}", image_pull_policy: Never}}}}
"""

POD_SPECS: Mapping[str, Mapping[str, Any]] = {
    "completes": {"containers": [python("app", "")]},
    "fails": {"containers": [python("app", "raise SystemExit(3)")]},
    "eats": {"containers": [python("app", _EAT) | _LITTLE]},
    "overruns": {"containers": [python("app", _WAIT)], "activeDeadlineSeconds": 3},
    "is-deleted": {"containers": [python("app", _WAIT)]},
    "is-tried-again": {
        "containers": [python("app", _FAIL_ONCE) | _SHARED],
        "restartPolicy": "OnFailure",
        "volumes": [{"name": "shared", "emptyDir": {}}],
    },
}
ENDS = {
    "completes": [("COMPLETE", "completes", None)],
    "fails": [("FAIL", "fails", "Error")],
    "eats": [("FAIL", "eats", "OOMKilled")],
    "overruns": [("FAIL", "overruns", "DeadlineExceeded")],
    "is-deleted": [("ABORT", "is-deleted", "Deleted")],
    "is-tried-again": [
        ("FAIL", "is-tried-again.app", "Error"),
        ("COMPLETE", "is-tried-again.app", None),
        ("COMPLETE", "is-tried-again", None),
    ],
}


class Receiver:
    """Takes the events of this run's pods."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.ends: dict[str, list[tuple[str, str, str | None]]] = {}

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """Keeps type, job and reason of each end, by pod."""
        for event in map(json.loads, events):
            where = event["run"]["facets"]["floe_pod"]
            if where["namespace"] == self._namespace and event["eventType"] != "START":
                told = (event["eventType"], event["job"]["name"], where.get("reason"))
                self.ends.setdefault(where["name"], []).append(told)
        return Outcome.SENT


@pytest.fixture
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture
def home(client: KubernetesClient, authority: Authority, serving: KeyPairFiles, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace whose labelled pods are injected."""
    manifest = tmp_path / "floe.yaml"
    manifest.write_text(MANIFEST)
    namespace = create_namespace(client, {RUN_LABEL: RUN})
    try:
        with (
            webhook_program(manifest, authority, serving, LOOPBACK, tmp_path) as program,
            in_force(client, program.configuration(f"floe-e2e-{RUN}"), RUN, program.admissions),
        ):
            yield namespace
    finally:
        client.delete(namespace.manifest)


@contextlib.asynccontextmanager
async def following(node: Node, receiver: Receiver) -> AsyncIterator[KubernetesApi]:
    """The leader's duty, while the block runs; gives what it asks with."""
    access = read_access(node.cluster.kubeconfig)
    async with aiohttp.ClientSession() as session:
        api = KubernetesApi(session, Access(access.server, access.tls, lambda: access.token))
        metrics = FollowingMetrics(CollectorRegistry())
        duty = asyncio.create_task(EndedPods(api, receiver, NoProgress(), Silence(), metrics).run())
        try:
            yield api
        finally:
            duty.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await duty


async def test_each_way_of_ending_becomes_the_run_that_it_was(
    node: Node, client: KubernetesClient, home: Namespace
) -> None:
    receiver = Receiver(home.name)
    async with following(node, receiver) as api:
        for name, spec in POD_SPECS.items():
            whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, **spec}
            created = await asyncio.to_thread(client.create, pod(home, inject="true", spec=whole, name=name))
            assert created["metadata"]["labels"]["floe.dev/injected"] == "true"
        waiting = client.get("Pod", "is-deleted", home.name)
        await until(lambda: "waiting" in log_of(client, waiting, "app"), "run by its node", seconds=SECONDS)
        await api("DELETE", f"/api/v1/namespaces/{home.name}/pods/is-deleted")
        await until(lambda: receiver.ends.keys() >= POD_SPECS.keys(), "told of all", seconds=SECONDS)

    assert receiver.ends == ENDS
