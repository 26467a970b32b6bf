"""Certificates that change every few seconds, on a real API server: nobody who trusts the caBundle is ever refused."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
from aiohttp import web

from certs.tests.builders import Noted
from certs.tests.kubernetes_contract import RULES, Rule
from floe_certs.api import UnreachableError
from floe_certs.election import Election
from floe_certs.events import Repair
from floe_certs.kubernetes import FIELD_MANAGER, Answer, ClusterApi, ClusterObjects, Document, Request
from floe_certs.planning import Step
from floe_certs.rotation import Rotation
from floe_certs.serving import ServingContext, client_context
from floe_certs.settings import CertificateSettings
from tests.e2e.admission import Namespace, pod
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.kubeconfig import read_access
from tests.e2e.cluster.processes import free_port
from tests.e2e.webhook_configuration import mutating_webhook_configuration

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-8", "FP-9", "FP-10", "FP-24", "HOUSE-11")]

NamespaceMaker = Callable[..., Namespace]

SERVING_SECONDS = 9.0
AUTHORITY_SECONDS = 13.5
SETTLE_SECONDS = 1.0
ROTATED = [Step.TRUST, Step.SIGN, Step.FORGET] * 2
TIMEOUT_SECONDS = 90.0


@asynccontextmanager
async def api_requests(cluster: Cluster) -> AsyncIterator[Request]:
    """What rotation needs of an HTTP client, over httpx."""
    access = read_access(cluster.kubeconfig)
    headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
    async with httpx.AsyncClient(
        base_url=access.server, verify=access.tls, headers=headers, timeout=10.0, trust_env=False
    ) as client:

        async def request(
            method: str, path: str, *, query: Mapping[str, str], body: Document | None, content_type: str
        ) -> Answer:
            content = None if body is None else json.dumps(body).encode()
            try:
                answer = await client.request(
                    method, path, params=dict(query), content=content, headers={"Content-Type": content_type}
                )
            except httpx.TransportError as error:
                raise UnreachableError(type(error).__name__) from error
            return Answer(answer.status_code, answer.json())

        yield request


@dataclass(slots=True)
class Installation:
    """The objects of a release and the ports of its two replicas; each entry of the configuration calls one of them."""

    objects: ClusterObjects
    host: str
    ports: tuple[int, int]
    label: dict[str, str]
    namespace: Namespace

    def pod(self) -> Document:
        return pod(self.namespace, labels=self.label)


@pytest.fixture
def installation(
    kubernetes: KubernetesClient, namespace: NamespaceMaker, run_id: str, webhook_host: str
) -> Iterator[Installation]:
    """As the chart makes it: no Secret, no Lease, no caBundle. A pod that cannot be admitted is refused, to see it."""
    home = namespace()
    label = {"floe.dev/e2e-certificates": home.name}
    ports = (free_port(), free_port())
    name = f"floe-e2e-{run_id}-{home.name}"
    configuration = mutating_webhook_configuration(name, lambda path: {"url": f"https://{webhook_host}{path}"})
    for entry, port in zip(configuration["webhooks"], ports, strict=True):
        entry["clientConfig"] = {"url": f"https://{webhook_host}:{port}/"}
        entry["namespaceSelector"] = {}
        entry["objectSelector"] = {"matchLabels": label}
        entry["failurePolicy"] = "Fail"
    kubernetes.create(configuration)
    try:
        objects = ClusterObjects(
            namespace=home.name, secret="floe-webhook-tls", lease="floe-webhook", webhook_configuration=name
        )
        yield Installation(objects, webhook_host, ports, label, home)
    finally:
        kubernetes.delete(configuration)


@dataclass(slots=True)
class Replica:
    """A webhook that allows everything over TLS, with its own election and rotation."""

    rotation: Rotation
    election: Election
    noted: Noted


@asynccontextmanager
async def replica(api: ClusterApi, installation: Installation, number: int) -> AsyncIterator[Replica]:
    settings = CertificateSettings(
        names=(installation.host,),
        serving_lifetime=timedelta(seconds=SERVING_SECONDS),
        authority_lifetime=timedelta(seconds=AUTHORITY_SECONDS),
        settle=timedelta(seconds=SETTLE_SECONDS),
        poll=timedelta(seconds=0.25),
    )
    address = (installation.host, installation.ports[number])
    serving, noted = ServingContext(), Noted()
    election = Election(api, f"replica-{number}", duration_seconds=3)
    rotation = Rotation(
        settings,
        secrets=api,
        trust=api,
        serving=serving,
        address=lambda: address,
        leads=election.leads,
        observer=noted,
    )
    runner = web.ServerRunner(web.Server(_allow))
    await runner.setup()
    await web.TCPSite(runner, *address, ssl_context=serving.context).start()
    tasks = [asyncio.create_task(election.run()), asyncio.create_task(rotation.run())]
    try:
        yield Replica(rotation, election, noted)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


async def _allow(request: web.BaseRequest) -> web.StreamResponse:
    """Allows a pod and closes the connection, so that the API server shakes hands for every pod."""
    review = await request.json()
    response = web.json_response({**review, "response": {"uid": review["request"]["uid"], "allowed": True}})
    response.force_close()
    return response


@dataclass(slots=True)
class Clients:
    """Those who trust what the API server has now, and what happened to them."""

    handshakes: int = 0
    admissions: int = 0
    failures: list[str] = field(default_factory=list)
    certificates: set[bytes] = field(default_factory=set)

    async def shake_hands(self, api: ClusterApi, installation: Installation) -> None:
        """With each replica in turn, trusting the caBundle of its entry as it is read right before."""
        while True:
            live = await api.read_trust()
            assert live is not None
            for port, (entry, bundle) in zip(installation.ports, live.bundles.items(), strict=True):
                try:
                    _, writer = await asyncio.open_connection(
                        installation.host, port, ssl=client_context(bundle), server_hostname=installation.host
                    )
                except OSError as error:
                    self.failures.append(f"handshake by {entry}: {error}")
                    continue
                self.certificates.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
                self.handshakes += 1
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(0.02)

    async def create_pods(self, request: Request, installation: Installation) -> None:
        """As dry runs; the API server calls both replicas and refuses the pod if one cannot be called."""
        path = f"/api/v1/namespaces/{installation.namespace.name}/pods"
        while True:
            answer = await request(
                "POST", path, query={"dryRun": "All"}, body=installation.pod(), content_type="application/json"
            )
            if answer.status == 201:
                self.admissions += 1
            else:
                self.failures.append(f"admission: {answer.document.get('message')}")
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not {what} within {TIMEOUT_SECONDS:g} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def two_replicas(
    cluster: Cluster, installation: Installation
) -> AsyncIterator[tuple[Request, ClusterApi, list[Replica]]]:
    """Both ready, behind one API server."""
    async with AsyncExitStack() as parts:
        request = await parts.enter_async_context(api_requests(cluster))
        api = ClusterApi(request, installation.objects)
        replicas = [await parts.enter_async_context(replica(api, installation, number)) for number in (0, 1)]
        await until(lambda: all(one.rotation.verdict.ready for one in replicas), "both ready")
        yield request, api, replicas


async def test_leaf_and_authority_rotate_twice_and_no_handshake_fails(
    test_cluster: Cluster, installation: Installation
) -> None:
    async with two_replicas(test_cluster, installation) as (request, api, replicas):
        await asyncio.sleep(SETTLE_SECONDS)  # the API server has read its new configuration by then
        clients = Clients()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(clients.shake_hands(api, installation)),
                group.create_task(clients.create_pods(request, installation)),
            ]

            def steps() -> list[Step]:
                return [step for one in replicas for step in one.noted.steps if step in set(ROTATED)]

            await until(lambda: len(steps()) >= len(ROTATED), "rotated twice")
            for task in tasks:
                task.cancel()

    assert clients.failures == []
    assert sorted(steps()[: len(ROTATED)]) == sorted(ROTATED)
    assert [one.noted.failures for one in replicas] == [[], []]
    assert len(clients.certificates) >= 4, "each authority signs one at least, and each is renewed"
    assert clients.handshakes > 200
    assert clients.admissions > 100


async def test_a_bundle_that_somebody_changes_is_repaired_and_stays_ours(
    test_cluster: Cluster, installation: Installation, kubernetes: KubernetesClient
) -> None:
    kind, name = "MutatingWebhookConfiguration", installation.objects.webhook_configuration
    async with two_replicas(test_cluster, installation) as (request, api, replicas):
        before = await api.read_trust()
        assert before is not None
        path = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}"
        operation = {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "Cg=="}
        changed = await request(
            "PATCH",
            path,
            query={"fieldManager": "somebody"},
            body=[operation],  # type: ignore[arg-type]  # a JSON patch is a list
            content_type="application/json-patch+json",
        )
        assert changed.status == 200, changed.document
        await until(lambda: any(Repair.CA_BUNDLE in one.noted.repairs for one in replicas), "repaired")
        after = await api.read_trust()

    assert after is not None
    assert set(after.bundles) == set(before.bundles)
    assert all(bundle.startswith(b"-----BEGIN CERTIFICATE-----") for bundle in after.bundles.values())
    document = kubernetes.get(kind, name, api_version="admissionregistration.k8s.io/v1")
    managers = {
        one["manager"]
        for one in document["metadata"]["managedFields"]
        if "caBundle" in json.dumps(one["fieldsV1"]) and one["operation"] == "Apply"
    }
    assert managers == {FIELD_MANAGER}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_the_contract_of_the_server_in_memory_holds(
    rule: Rule, test_cluster: Cluster, installation: Installation
) -> None:
    async with api_requests(test_cluster) as request:
        await rule(ClusterApi(request, installation.objects))
