"""Whether what pods send to is there: by what the API server knows, and with `--probe` by trying it from a pod."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, MissingError
from floe_webhook.checks.destinations import Backend, Service, backends_of, service_of
from floe_webhook.checks.results import Check, Finding, counted, failed, ok, skipped
from floe_webhook.pod import Document
from floe_webhook.profile import SidecarProfile

_CHECK = Check.BACKENDS
_CREATED = 201
_WAIT = timedelta(seconds=60)
_POLL_SECONDS = 0.5
_ENDED = ("Succeeded", "Failed")

# In the sidecar's image, which opted-in namespaces can pull; it has Python and no shell.
PROBE = """\
import json, socket, sys
told, *targets = sys.argv[1:]
found = {}
for target in targets:
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
        found[target] = ""
    except OSError as error:
        found[target] = (error.strerror or str(error) or type(error).__name__)[:200]
with open(told, "w") as file:
    json.dump(found, file)
"""
"""Tries to connect to each target and writes a reason for each, empty for success, into a file."""


def judge_service(backend: Backend, service: Service | None) -> Finding:
    """A backend by what the API server knows of it."""
    what = f"{backend.address} ({backend.source})"
    if service is None:
        return skipped(_CHECK, f"{what} is outside of the cluster.", "Ask with --probe, which tries it from a pod.")
    if not service.document:
        return failed(_CHECK, f"There is no Service for {what}.", "Correct the address in the manifest, or create it.")
    if not service.port:
        sentence = f"The Service of {what} has no port {backend.port}."
        return failed(_CHECK, sentence, "Correct the port in the manifest; 4317 is OTLP's for gRPC, 4318 for HTTP.")
    if not service.ready:
        sentence = f"No pod behind the Service of {what} is ready."
        return failed(_CHECK, sentence, "Look at its pods; what is sent meanwhile waits in the sidecars.")
    return ok(_CHECK, f"{what} has {counted(service.ready, 'ready pod')}, by the API server; nothing was sent.")


def judge_probe(namespace: str, backends: Sequence[Backend], told: Mapping[str, str]) -> list[Finding]:
    """Backends by what a pod says that tried to connect; an empty text is success."""
    found = []
    for backend in backends:
        what = f"{backend.address} ({backend.source}) from a pod in {namespace}"
        match told.get(backend.address):
            case "":
                found.append(ok(_CHECK, f"{what}: it takes connections."))
            case None:
                found.append(skipped(_CHECK, f"{what}: the pod did not come to it."))
            case str(reason):
                remedy = "Check the address, and NetworkPolicies and firewalls in between."
                found.append(failed(_CHECK, f"{what}: {reason}.", remedy))
    return found


async def backends(cluster: Cluster) -> list[Finding]:
    """Asks the API server."""
    named = backends_of((await cluster.platform()).profile)
    if not named:
        raise MissingError("The manifest names no backend.")
    return [judge_service(backend, await service_of(cluster, backend)) for backend in named]


async def probed_backends(cluster: Cluster) -> list[Finding]:
    """Runs a pod for some seconds in each namespace that opted in, which connects to each backend."""
    profile = (await cluster.platform()).profile
    if profile.sidecar is None:
        raise MissingError("The manifest has no sidecar, whose image the probe's pod would run.")
    named, found = backends_of(profile), []
    for namespace in await cluster.opted_in():
        try:
            told = await _tried(cluster, namespace.name, profile.sidecar, named)
        except RefusedError as error:
            found.append(skipped(_CHECK, f"No probe in {namespace.name}: {error}"))
        except TimeoutError:
            remedy = "Look why a pod does not start there: kubectl get events."
            found.append(skipped(_CHECK, f"The probe's pod in {namespace.name} did not end in time.", remedy))
        else:
            found += judge_probe(namespace.name, named, told)
    return found or [skipped(_CHECK, "No namespace has opted in, so there is none to try it from.")]


async def _tried(
    cluster: Cluster, namespace: str, sidecar: SidecarProfile, named: Sequence[Backend]
) -> Mapping[str, str]:
    path = f"/api/v1/namespaces/{namespace}/pods"
    answer = await cluster.api("POST", path, body=probe_pod(sidecar, [backend.address for backend in named]))
    if answer.status != _CREATED:
        raise RefusedError(pods.text(answer.document, "message") or f"POST {path}: {answer.status}")
    created = f"{path}/{pods.text(answer.document, 'metadata', 'name')}"
    try:
        async with asyncio.timeout(_WAIT.total_seconds()):
            return _message_of(await _ended(cluster, created))
    finally:
        await cluster.api("DELETE", created, query={"gracePeriodSeconds": "0"})


async def _ended(cluster: Cluster, path: str) -> Document:
    while True:
        pod = await cluster.api.read(path)
        if pod is None or pods.text(pod, "status", "phase") in _ENDED:
            return pod or {}
        await asyncio.sleep(_POLL_SECONDS)


def _message_of(pod: Document) -> Mapping[str, str]:
    for status in pods.entries(pods.mapping(pod, "status"), "containerStatuses"):
        try:
            told = json.loads(pods.text(status, "state", "terminated", "message"))
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}
    return {}


def probe_pod(sidecar: SidecarProfile, targets: Sequence[str]) -> Document:
    """The pod that tries to connect; it gets the sidecar's image as injected pods do."""
    resources = {"cpu": "10m", "memory": "48Mi"}
    container = {
        "name": "probe",
        "image": sidecar.image,
        "imagePullPolicy": sidecar.image_pull_policy,
        "command": ["/opt/floe/bin/python", "-c", PROBE, "/dev/termination-log", *targets],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "floe-check-", "labels": {pods.INJECT_LABEL: "disabled"}},
        "spec": {
            "activeDeadlineSeconds": int(_WAIT.total_seconds()),
            "automountServiceAccountToken": False,
            "containers": [container],
            "imagePullSecrets": [{"name": name} for name in sidecar.image_pull_secrets],
            "restartPolicy": "Never",
        },
    }
