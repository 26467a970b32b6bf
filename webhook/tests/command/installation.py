"""A healthy installation as the API server would show it, on a stand-in on the loopback address.

Documents lie under their paths. Lists, selectors, access reviews and dry runs are answered as far as commands ask.
"""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from floe_certs.authority import Certificate, create_authority, issue_serving_certificate
from floe_webhook import __version__
from tests.e2e.webhook_configuration import mutating_webhook_configuration

Document = dict[str, Any]

RELEASE = "floe-injector"
NAMESPACE = "floe-system"
NAME = f"{RELEASE}-webhook.{NAMESPACE}.svc"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{RELEASE}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}-webhook"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{RELEASE}-webhook-certificate"
CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RELEASE}-manifest"
CREDENTIAL = "/api/v1/namespaces/sales/secrets/lineage"

MANIFEST = """\
apiVersion: floe.dev/v1
kind: Manifest
metadata: {name: acme}
plugins:
  telemetry_backend: {type: jaeger, config: {endpoint: "jaeger.observability.svc:4317"}}
  lineage_backend: {type: marquez, config: {url: "http://marquez.lineage.svc:5000", api_key: "${env:LINEAGE_KEY}"}}
credentials: {LINEAGE_KEY: {secret: lineage, key: token}}
"""


def named(name: str, namespace: str | None = None, **metadata: Any) -> Document:
    """`metadata` of an object."""
    home = {} if namespace is None else {"namespace": namespace}
    return {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z", **home, **metadata}


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """A Secret's `data`."""
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


@dataclass(slots=True)
class Installation:
    """The cluster's objects by path, and how its API server answers.

    Attributes:
        denied: What nobody may do, as (verb, resource) of an access review.
        forbidden: Paths whose reading is refused, by their beginning.
        injects: Whether the webhook takes part in dry runs.
        unreachable: Backends that the pod of a probe does not reach.
        created: What was created for real, and deleted again.
    """

    objects: dict[str, Document] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    forbidden: tuple[str, ...] = ()
    injects: bool = True
    unreachable: tuple[str, ...] = ()
    created: list[str] = field(default_factory=list)
    url: str = ""

    def put_namespace(self, name: str, word: str | None = None) -> None:
        """A namespace with its label."""
        labels = {"kubernetes.io/metadata.name": name} | ({"floe.dev/inject": word} if word else {})
        self.objects[f"/api/v1/namespaces/{name}"] = {"metadata": named(name, labels=labels)}

    def put_pod(self, name: str, namespace: str = "sales", phase: str = "Running", **parts: Any) -> None:
        """A pod of another day than its namespace's."""
        metadata = named(name, namespace, uid=f"uid-{name}", **parts.pop("metadata", {}))
        metadata["creationTimestamp"] = "2026-02-01T00:00:00Z"
        spec = {"containers": [{"name": "app", "image": "app:1"}]} | parts
        self.objects[f"/api/v1/namespaces/{namespace}/pods/{name}"] = {
            "metadata": metadata,
            "spec": spec,
            "status": {"phase": phase},
        }

    def put_service(self, name: str, namespace: str, port: int, *, ready: bool = True) -> None:
        """A Service with one pod behind it, on another port."""
        if f"/api/v1/namespaces/{namespace}" not in self.objects:
            self.put_namespace(namespace)
        labels = {"app": name}
        pod = f"{name}-0"
        self.put_pod(
            pod,
            namespace,
            metadata={"labels": labels},
            containers=[{"name": "server", "ports": [{"name": "web", "containerPort": port + 1}]}],
        )
        self.objects[f"/api/v1/namespaces/{namespace}/services/{name}"] = {
            "metadata": named(name, namespace, labels={"k8s-app": name}),
            "spec": {"selector": labels, "ports": [{"port": port, "targetPort": "web"}]},
        }
        endpoint = {"addresses": ["10.0.0.9"], "conditions": {"ready": ready}, "targetRef": {"name": pod}}
        self.objects[f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}-1"] = {
            "metadata": named(f"{name}-1", namespace, labels={"kubernetes.io/service-name": name}),
            "endpoints": [endpoint],
            "ports": [{"name": "", "port": port + 1}],
        }

    def put_certificates(self, *, now: datetime, lifetime: timedelta = timedelta(days=365)) -> Certificate:
        """New certificates in the Secret and in the webhook configuration; gives the authority."""
        authority = create_authority("test authority", now=now)
        serving = issue_serving_certificate(authority, dns_names=[NAME], now=now, lifetime=lifetime)
        data = {
            "tls.crt": serving.certificate_pem,
            "tls.key": serving.key_pem,
            "ca.crt": authority.certificate_pem,
            "ca.key": authority.key_pem,
        }
        self.objects[SECRET] = {"metadata": named("certificate", NAMESPACE), "data": encoded(data)}
        bundle = base64.b64encode(authority.certificate_pem).decode()
        service = {"namespace": NAMESPACE, "name": f"{RELEASE}-webhook"}
        self.objects[CONFIGURATION] = mutating_webhook_configuration(
            RELEASE,
            lambda path: {"service": {**service, "path": path}, "caBundle": bundle},
            ["kube-system", "kube-node-lease", NAMESPACE],
        )
        self.objects[CONFIGURATION]["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
        return authority


def healthy(now: datetime) -> Installation:
    """An installation in which every check is ok."""
    found = Installation()
    found.objects["/version"] = {"gitVersion": "v1.36.3"}
    found.objects["/apis/admissionregistration.k8s.io/v1"] = {"resources": [{"name": "mutatingwebhookconfigurations"}]}
    found.objects["/apis"] = {"groups": [{"name": "apps"}, {"name": "cert-manager.io"}]}
    found.objects["/api/v1/nodes/one"] = {
        "metadata": named("one"),
        "status": {"nodeInfo": {"kubeletVersion": "v1.35.0"}},
    }
    found.put_namespace("sales", "enabled")
    found.put_namespace(NAMESPACE)
    found.put_certificates(now=now)
    found.objects[DEPLOYMENT] = {
        "metadata": named(f"{RELEASE}-webhook", NAMESPACE, labels={"app.kubernetes.io/version": __version__}),
        "spec": {"replicas": 2},
        "status": {"readyReplicas": 2},
    }
    found.objects[CONFIG_MAP] = {"metadata": named("manifest", NAMESPACE), "data": {"floe.yaml": MANIFEST}}
    found.objects[CREDENTIAL] = {"metadata": named("lineage", "sales"), "data": encoded({"token": b"hunter2"})}
    found.put_service("marquez", "lineage", 5000)
    found.put_service("otel-collector", "observability", 4318)
    found.put_service("kube-dns", "kube-system", 53)
    return found


async def answer(installation: Installation, request: web.Request) -> web.Response:
    """What the API server would answer."""
    path = request.path
    if request.method == "POST":
        return _created(installation, path, await request.json(), dry_run="dryRun" in request.query)
    if request.method == "DELETE":
        installation.created.remove(path)
        return web.json_response({})
    if any(path.startswith(beginning) for beginning in installation.forbidden):
        return web.json_response({"reason": "Forbidden", "message": f"{path} is forbidden"}, status=403)
    if path in installation.objects:
        return web.json_response(installation.objects[path])
    items = [found for place, found in sorted(installation.objects.items()) if _lies_in(place, path)]
    if not items and "/" in path.removeprefix("/apis/").strip("/") and not _is_collection(path):
        return web.json_response({"reason": "NotFound"}, status=404)
    chosen = [item for item in items if _is_asked_for(item, request.query)]
    return web.json_response({"metadata": {}, "items": chosen})


def _created(installation: Installation, path: str, body: Document, *, dry_run: bool) -> web.Response:
    if path.endswith("accessreviews"):
        attributes = body["spec"]["resourceAttributes"]
        allowed = (attributes["verb"], attributes["resource"]) not in installation.denied
        return web.json_response(body | {"status": {"allowed": allowed}}, status=201)
    metadata = body["metadata"] | {"name": body["metadata"]["generateName"] + "x"}
    if dry_run:
        injected = {"floe.dev/injected": "true"} if installation.injects else {}
        return web.json_response(
            body | {"metadata": metadata | {"labels": metadata.get("labels", {}) | injected}}, status=201
        )
    targets = body["spec"]["containers"][0]["command"][4:]
    told = {target: "Connection refused" if target in installation.unreachable else "" for target in targets}
    ended = {"terminated": {"message": json.dumps(told)}}
    pod = body | {"metadata": metadata, "status": {"phase": "Succeeded", "containerStatuses": [{"state": ended}]}}
    installation.created.append(f"{path}/{metadata['name']}")
    installation.objects[f"{path}/{metadata['name']}"] = pod
    return web.json_response(pod, status=201)


def _is_collection(path: str) -> bool:
    kinds = ("pods", "namespaces", "nodes", "resourcequotas", "limitranges", "networkpolicies", "endpointslices")
    return path.endswith((*kinds, "services"))


def _lies_in(place: str, collection: str) -> bool:
    if place.rpartition("/")[0] == collection:
        return True
    kind = collection.rpartition("/")[2]
    return collection == "/api/v1/pods" and place.split("/")[-2] == kind


def _is_asked_for(item: Document, query: Mapping[str, str]) -> bool:
    phase = query.get("fieldSelector", "").removeprefix("status.phase=")
    if phase and item.get("status", {}).get("phase") != phase:
        return False
    labels = item["metadata"].get("labels", {})
    return all(_holds(term, labels) for term in query.get("labelSelector", "").split(",") if term)


def _holds(term: str, labels: Mapping[str, str]) -> bool:
    if term.startswith("!"):
        return term[1:] not in labels
    key, equals, value = term.partition("=")
    return labels.get(key) == value if equals else key in labels


@contextmanager
def listening(installation: Installation) -> Iterator[Installation]:
    """Answers in a thread of its own, for commands that have a loop of their own."""
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        application = web.Application()

        async def respond(request: web.Request) -> web.Response:
            return await answer(installation, request)

        application.router.add_route("*", "/{path:.*}", respond)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        installation.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield installation
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def kubeconfig(folder: Path, url: str) -> Path:
    """A kubeconfig with a token."""
    file = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "sales"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
    }
    file.write_text(json.dumps(document))
    return file


def now() -> datetime:
    """The time of the commands, which ask the clock themselves."""
    return datetime.now(UTC)
