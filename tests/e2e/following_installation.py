"""A release whose replicas follow pods after their admission, with the rights that the documentation lists."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from floe_core.testing.lineage_receiver import LineageReceiver, lineage_receiver
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.missed import SETTLE
from tests.e2e.admission import Namespace
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.webhook_load import Load, in_force
from tests.e2e.webhook_release import Release, release
from webhook.tests.serving.program import Program, program
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.waiting import until

Document = Mapping[str, Any]

PROGRESS = "floe-progress"
FLAGS = (
    *("--trust-settle", "1s", "--certificate-poll", "0.25s", "--progress", PROGRESS),
    *("--follow", "events", "--follow", "missed-pods", "--follow", "ended-pods", "--missed-pods-interval", "1s"),
)
RIGHTS = (
    ("", ["events"], ["create", "patch"]),
    ("apps", ["replicasets"], ["get"]),
    ("batch", ["jobs"], ["get"]),
    ("", ["namespaces"], ["list"]),
    ("", ["pods"], ["get", "list", "watch"]),
)
MANIFEST = """
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: acme}}
plugins: {{lineage_backend: {{type: marquez, config: {{url: "http://marquez.invalid:5000"}}}}}}
injection: {{gateway: {{url: "{gateway}"}}}}
"""


@dataclass(slots=True)
class Installation:
    """A release whose replicas follow pods, a namespace that opted in, and the gateway that takes lineage."""

    release: Release
    entrance: Switch
    sales: Namespace
    gateway: LineageReceiver
    folder: Path

    @contextlib.asynccontextmanager
    async def replica(self, name: str, *flags: object) -> AsyncIterator[Program]:
        """A replica that is ready, leads, and is called by the API server."""
        manifest = self.folder / "floe.yaml"
        manifest.write_text(MANIFEST.format(gateway=self.gateway.origin))
        running = program(
            self.folder / f"{name}.log",
            *self.release.flags(name, *FLAGS, *flags),
            manifest=manifest,
            environment=self.release.environment,
        )
        async with running as replica:
            self.entrance.replicas = [replica]
            await until(lambda: bool(self.entrance.ready), "ready")
            await in_force(Load(self.release, self.sales))
            yield replica
            self.entrance.replicas = []
            replica.stop()
            await replica.process.wait()

    async def create(self, path: str, document: Document) -> Document:
        """An object as the API server stores it."""
        answer = await self.release.api("POST", path, body=document)
        assert answer.status == 201, answer.document
        return answer.document

    async def create_pod(self, document: Document) -> Document:
        """A pod, through admission."""
        return await self.create(f"/api/v1/namespaces/{document['metadata']['namespace']}/pods", document)

    async def end(self, stored: Document, phase: str, state: Document) -> None:
        """Writes what a kubelet writes when a pod has ended."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        terminated = {"startedAt": now, "finishedAt": now, **state}
        containers = [status(one["name"], terminated) for one in stored["spec"]["containers"]]
        sidecars = [
            status(one["name"], terminated | {"exitCode": 0, "message": '{"acked_events":2,"unsent_events":2}'})
            for one in stored["spec"].get("initContainers", [])
        ]
        await patch_status(
            self.release.api,
            stored,
            {"phase": phase, "containerStatuses": containers, "initContainerStatuses": sidecars},
        )

    async def events_on(self, uid: str) -> list[Document]:
        """What `kubectl describe` finds on an object."""
        query = {"fieldSelector": f"involvedObject.uid={uid}"}
        answer = await self.release.api("GET", f"/api/v1/namespaces/{self.sales.name}/events", query=query)
        found: list[Document] = answer.document["items"]
        return found

    async def told(self, uid: str, reason: str, count: int) -> Document:
        """The one Event with a reason on an object, once it has been counted so often."""
        found: list[Document] = []

        async def look() -> bool:
            found[:] = [one for one in await self.events_on(uid) if one["reason"] == reason]
            return bool(found) and found[0]["count"] >= count

        await eventually(look, f"{reason} told {count} times")
        (event,) = found
        return event

    async def settled(self) -> None:
        """Returns when the webhook configuration is so old that a pod that is not injected was missed."""
        collection = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        found = await self.release.api.read(f"{collection}/{self.release.configuration}")
        assert found is not None
        since = datetime.fromisoformat(found["metadata"]["creationTimestamp"]) + SETTLE + timedelta(seconds=1)
        await until(lambda: datetime.now(UTC) > since, "settled")

    def runs(self) -> list[tuple[str, str]]:
        """Event type and run id of what the gateway got."""
        return [(one.body["eventType"], one.body["run"]["runId"]) for one in self.gateway.received]


def status(name: str, terminated: Document) -> dict[str, Any]:
    """A container's status."""
    return {
        "name": name, "image": "e2e.invalid/app:1", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": terminated},
    }  # fmt: skip


async def patch_status(api: KubernetesApi, stored: Document, changes: Document) -> None:
    """Writes a pod's status as a kubelet does."""
    metadata = stored["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    answer = await api("PATCH", path, body={"status": changes}, content_type="application/merge-patch+json")
    assert answer.status == 200, answer.document


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Returns as soon as an awaited condition holds."""
    deadline = asyncio.get_running_loop().time() + 30.0
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not {what} within 30 s"
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def following_installation(
    cluster: Cluster, home: Namespace, sales: Namespace, run_id: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    """A release in `home` with the rights that following needs; nothing of it stays."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    with lineage_receiver() as gateway:
        async with switch() as entrance, release(cluster, home.name, run_id, entrance.port, folder) as made:
            name = f"{made.configuration}-following"
            wide = "/apis/rbac.authorization.k8s.io/v1"
            account = {"kind": "ServiceAccount", "name": "floe-injector-webhook", "namespace": home.name}
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            rules = [{"apiGroups": [group], "resources": one, "verbs": verbs} for group, one, verbs in RIGHTS]
            documents: dict[str, Document] = {
                f"{wide}/clusterroles": {"metadata": {"name": name}, "rules": rules},
                f"{wide}/clusterrolebindings": {
                    "metadata": {"name": name}, "subjects": [account], "roleRef": reference
                },
                f"{wide}/namespaces/{home.name}/roles": {
                    "metadata": {"name": PROGRESS},
                    "rules": [
                        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"],
                         "resourceNames": [PROGRESS]}
                    ],
                },
                f"{wide}/namespaces/{home.name}/rolebindings": {
                    "metadata": {"name": PROGRESS},
                    "subjects": [account],
                    "roleRef": reference | {"kind": "Role", "name": PROGRESS},
                },
                f"/api/v1/namespaces/{home.name}/configmaps": {"metadata": {"name": PROGRESS}},
            }  # fmt: skip
            found = Installation(made, entrance, sales, gateway, tmp_path)
            try:
                for path, document in documents.items():
                    await found.create(path, document)
                yield found
            finally:
                for kind in ("clusterroles", "clusterrolebindings"):
                    await made.api("DELETE", f"{wide}/{kind}/{name}")
