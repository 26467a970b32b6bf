"""Where pods send to, by the manifest in force; and what stands behind an address of the cluster itself."""

import asyncio
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, Namespace
from floe_webhook.checks.network_policies import Destination, Room, judge_rooms
from floe_webhook.checks.results import Finding
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.variables import Variable

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = "127.0.0.1"
_ADDRESSES = frozenset({"OTEL_EXPORTER_OTLP_ENDPOINT", "OPENLINEAGE_URL"})
_DNS_LABEL = "k8s-app=kube-dns"  # what CoreDNS kept of its predecessor


@dataclass(frozen=True, slots=True)
class Backend:
    """An address that pods are told.

    Attributes:
        source: The manifest's entry that it comes from.
    """

    source: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def ip_address(self) -> str | None:
        """The host, if it is an IP address already."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return None

    @property
    def service(self) -> tuple[str, str] | None:
        """Namespace and name, if the host may be a Service of the cluster: `NAME.NAMESPACE[.svc[.…]]`."""
        parts = self.host.split(".")
        if len(parts) == 2 or (len(parts) > 2 and parts[2] == "svc"):  # noqa: PLR2004 - name and namespace
            return parts[1], parts[0]
        return None


@dataclass(frozen=True, slots=True)
class Service:
    """What the API server knows of a backend in the cluster.

    Attributes:
        document: The Service; empty if there is none.
        ready: How many endpoints take connections.
        address: Of one of them.
        port: Of its pod; 0 if the Service does not have the backend's port.
        pod: The pod behind it; empty if that is not known.
        namespace_labels: Of the Service's namespace.
    """

    document: Document = field(repr=False)
    ready: int
    address: str | None
    port: int
    pod: Document = field(repr=False)
    namespace_labels: dict[str, str] = field(repr=False)


def backends_of(profile: Profile) -> list[Backend]:
    """The addresses that pods or their sidecars are told by a profile, each once."""
    found: dict[tuple[str, int], Backend] = {}
    for variable in _variables(profile):
        url = urlsplit(str(variable.entry.get("value", "")))
        if url.hostname and url.hostname != _LOOPBACK:
            port = url.port or _DEFAULT_PORTS.get(url.scheme, 443)
            found.setdefault((url.hostname, port), Backend(variable.source, url.hostname, port))
    return list(found.values())


async def service_of(cluster: Cluster, backend: Backend) -> Service | None:
    """The Service behind a backend; None if its host is not one of the cluster."""
    if backend.service is None:
        return None
    namespace, name = backend.service
    document = await cluster.api.read(f"/api/v1/namespaces/{namespace}/services/{name}")
    if document is None and not backend.host.endswith((".svc", ".cluster.local")):
        return None  # two names with a dot between may be any host
    return await _looked_into(cluster, namespace, name, document or {}, backend.port)


async def destinations(cluster: Cluster) -> list[Destination]:
    """What a pod has to reach: the backends, and DNS to find them."""
    backends = backends_of((await cluster.platform()).profile)
    found = [await _destination(cluster, backend) for backend in backends]
    return [*found, *await _dns(cluster)]


async def network_policies(cluster: Cluster) -> list[Finding]:
    """Reads the policies of the namespaces that opted in, and where their pods have to go."""
    rooms = await cluster.each(partial(_room, cluster))
    return judge_rooms(rooms, await destinations(cluster))


async def _room(cluster: Cluster, namespace: Namespace) -> Room:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace.name}/networkpolicies"
    policies = [one async for page in cluster.api.pages(path) for one in page]
    # Without a policy nothing is closed, whatever pods there are.
    running = [dict(pods.labels(one)) for one in await cluster.pods(namespace.name)] if policies else []
    return Room(namespace.name, namespace.labels, policies, running or [{}])


async def _destination(cluster: Cluster, backend: Backend) -> Destination:
    service = await service_of(cluster, backend)
    if service is None or not service.port:
        return Destination(backend.address, backend.port, address=backend.ip_address)
    return _of_service(backend.address, service, "TCP")


async def _dns(cluster: Cluster) -> list[Destination]:
    path = "/api/v1/namespaces/kube-system/services"
    async for page in cluster.api.pages(path, query={"labelSelector": _DNS_LABEL}):
        for document in page:
            name = pods.text(document, "metadata", "name")
            service = await _looked_into(cluster, "kube-system", name, document, 53)
            return [_of_service("DNS", service, "UDP")] if service.port else []
    return []


async def _looked_into(cluster: Cluster, namespace: str, name: str, document: Document, port: int) -> Service:
    query = {"labelSelector": f"kubernetes.io/service-name={name}"}
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = [one async for page in cluster.api.pages(path, query=query) for one in page] if document else []
    ready = [endpoint for one in slices for endpoint in pods.entries(one, "endpoints") if _is_ready(endpoint)]
    pod_name = pods.text(ready[0], "targetRef", "name") if ready else ""
    pod, home = await asyncio.gather(
        cluster.api.read(f"/api/v1/namespaces/{namespace}/pods/{pod_name}") if pod_name else _nothing(),
        cluster.api.read(f"/api/v1/namespaces/{namespace}"),
    )
    return Service(
        document,
        len(ready),
        next((str(address) for one in ready for address in pods.entries(one, "addresses")), None),
        _pods_port(document, slices, port),
        pod or {},
        dict(pods.labels(home or {})),
    )


def _of_service(title: str, service: Service, protocol: str) -> Destination:
    containers = pods.all_containers(service.pod)
    declared = [port for container in containers for port in pods.entries(container, "ports")]
    names = frozenset(pods.text(port, "name") for port in declared if port.get("containerPort") == service.port)
    selector = pods.mapping(service.document, "spec", "selector")
    return Destination(
        title=title,
        port=service.port,
        protocol=protocol,
        address=service.address,
        namespace_labels=service.namespace_labels,
        pod_labels=dict(pods.labels(service.pod) or selector),
        port_names=names,
    )


def _pods_port(document: Document, slices: Sequence[Document], port: int) -> int:
    """The pods' port behind a Service's port; 0 if the Service has no such port."""
    for declared in pods.entries(pods.mapping(document, "spec"), "ports"):
        if declared.get("port") == port:
            for one in slices:
                for known in pods.entries(one, "ports"):
                    if (known.get("name") or "") == (declared.get("name") or "") and known.get("port"):
                        return int(known["port"])
            target = declared.get("targetPort")
            return target if isinstance(target, int) else port
    return 0


def _is_ready(endpoint: Document) -> bool:
    # discovery/v1: an unknown state counts as ready
    return pods.mapping(endpoint, "conditions").get("ready") is not False


def _variables(profile: Profile) -> Iterator[Variable]:
    for telemetry in (profile.telemetry_with_sidecar, profile.telemetry_without_sidecar):
        yield from (one for one in (telemetry.variables if telemetry else ()) if one.name in _ADDRESSES)
    if profile.sidecar is not None:
        yield from (one for one in profile.sidecar.delivery.variables if one.name.endswith("_URL"))
    if profile.lineage_without_sidecar is not None:
        yield from (one for one in profile.lineage_without_sidecar.client if one.name in _ADDRESSES)


async def _nothing() -> None:
    return None
