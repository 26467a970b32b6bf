"""The sidecar as Kubernetes starts it, and the volumes that it needs.

Defaults that the API server would add are written out, so that a second look at the stored pod finds it unchanged.
There is no startup and no readiness probe: a native sidecar's readiness counts into the pod's, and a relay must never
keep a pod from starting (injection.md §3, 5).
"""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from floe_core.credentials import SecretKey
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook import pod as pods
from floe_webhook.additions import Addition
from floe_webhook.pod import Document
from floe_webhook.ports import Ports
from floe_webhook.profile import SidecarProfile
from floe_webhook.quantities import quantity
from floe_webhook.targets import CREDENTIALS_DIRECTORY

SPOOL_DIRECTORY = "/var/run/floe/spool"
USER_ID = 65532
"""A user that owns nothing; set because a pod that runs as root would otherwise contradict `runAsNonRoot`."""

_SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
_GRACE_SECONDS = 30
_GRACE_MARGIN_SECONDS = 5
_DEFAULT_FILE_MODE = 0o644


def sidecar_container(pod: Document, sidecar: SidecarProfile, ports: Ports) -> Addition:
    """The native sidecar (KEP-753): an init container that keeps running beside the others and ends after them."""
    grace = pods.mapping(pod, "spec").get("terminationGracePeriodSeconds")
    seconds = grace if isinstance(grace, int) else _GRACE_SECONDS
    shutdown_seconds = min(sidecar.shutdown_seconds, max(1, seconds - _GRACE_MARGIN_SECONDS))
    return _container(sidecar, ports, shutdown_seconds, resource_needs(pod))


class ResourceNeeds(Enum):
    """What a pod's own resources mean for the sidecar's."""

    MODEST = "requests below limits"
    EQUAL = "requests equal to limits"
    NONE = "within the pod's own budget"


# Few pods differ in what their sidecar is like; what is made once is only read from then on.
@lru_cache(maxsize=256)
def _container(sidecar: SidecarProfile, ports: Ports, shutdown_seconds: float, needs: ResourceNeeds) -> Addition:
    mounts = [
        {"name": pods.SPOOL_VOLUME, "mountPath": SPOOL_DIRECTORY},
        # The API server mounts the service account's token into every container that has nothing at this path.
        {"name": pods.NO_TOKEN_VOLUME, "mountPath": _SERVICE_ACCOUNT_DIRECTORY, "readOnly": True},
    ]
    if sidecar.delivery.files:
        mounts.append({"name": pods.CREDENTIALS_VOLUME, "mountPath": CREDENTIALS_DIRECTORY, "readOnly": True})
    document = {
        "name": pods.SIDECAR_NAME,
        "image": sidecar.image,
        "imagePullPolicy": sidecar.image_pull_policy,
        "restartPolicy": "Always",
        "env": _environment(sidecar, ports, shutdown_seconds),
        "ports": [{"name": "floe-health", "containerPort": ports.health, "protocol": "TCP"}],
        "resources": _resources(sidecar, needs),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": USER_ID,
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }
    return Addition(document)


@lru_cache(maxsize=16)
def volumes(sidecar: SidecarProfile) -> tuple[Addition, ...]:
    """The spool, an empty folder in the token's place, and the credentials' Secrets, which may be missing."""
    found: list[dict[str, Any]] = [
        {"name": pods.SPOOL_VOLUME, "emptyDir": {"sizeLimit": sidecar.spool_size}},
        {"name": pods.NO_TOKEN_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}},
    ]
    if sidecar.delivery.files:
        found.append({"name": pods.CREDENTIALS_VOLUME, **_credentials(sidecar.delivery.files)})
    return tuple(Addition(volume) for volume in found)


def _credentials(files: Mapping[str, SecretKey]) -> dict[str, Any]:
    """The source of the volume: one Secret by itself, several projected into one folder."""
    sources = [
        (secret.secret, {"items": [{"key": secret.key, "path": name}], "optional": True})
        for name, secret in files.items()
    ]
    if len(sources) == 1:
        ((secret_name, source),) = sources
        return {"secret": {"secretName": secret_name, **source, "defaultMode": _DEFAULT_FILE_MODE}}
    projected = [{"secret": {"name": secret_name, **source}} for secret_name, source in sources]
    return {"projected": {"sources": projected, "defaultMode": _DEFAULT_FILE_MODE}}


def resource_needs(pod: Document) -> ResourceNeeds:
    """What leaves the pod's quality of service what it was.

    A Guaranteed pod needs requests equal to limits in every container. A pod with resources of its own (KEP-2837) is
    refused if its containers ask for more than it has, so there the sidecar lives within the pod's budget.
    """
    if pods.mapping(pod, "spec", "resources"):
        return ResourceNeeds.NONE
    return ResourceNeeds.EQUAL if is_guaranteed(pod) else ResourceNeeds.MODEST


def _resources(sidecar: SidecarProfile, needs: ResourceNeeds) -> dict[str, Any]:
    if needs is ResourceNeeds.NONE:
        return {}
    requests = sidecar.limits if needs is ResourceNeeds.EQUAL else sidecar.requests
    return {"limits": dict(sidecar.limits), "requests": dict(requests)}


def is_guaranteed(pod: Document) -> bool:
    """Whether every container has limits for CPU and memory, and requests equal to them or none."""
    found = list(pods.all_containers(pod))
    return bool(found) and all(_has_equal_requests(container) for container in found)


def _has_equal_requests(container: Document) -> bool:
    limits = pods.mapping(container, "resources", "limits")
    requests = pods.mapping(container, "resources", "requests")
    for resource in ("cpu", "memory"):
        limit = quantity(limits.get(resource))
        if not limit or quantity(requests.get(resource, limits[resource])) != limit:
            return False
    return True


def _environment(sidecar: SidecarProfile, ports: Ports, shutdown_seconds: float) -> list[Mapping[str, Any]]:
    # A volume that grows past its limit has the whole pod evicted; SQLite's log needs room beside the events.
    spool_bytes = int((quantity(sidecar.spool_size) or 0) * 3 / 4)
    values: dict[SidecarVariable, str] = {
        SidecarVariable.PORT: str(ports.application),
        SidecarVariable.HEALTH_PORT: str(ports.health),
        SidecarVariable.HEALTH_HOST: "0.0.0.0",  # noqa: S104 - in the pod's own network
        SidecarVariable.SPOOL_DIRECTORY: SPOOL_DIRECTORY,
        SidecarVariable.SPOOL_MAX_BYTES: str(spool_bytes),
        SidecarVariable.SHUTDOWN_SECONDS: f"{shutdown_seconds:g}",
        SidecarVariable.REDACTION: str(sidecar.redaction).lower(),
        SidecarVariable.LOG_LEVEL: sidecar.log_level,
    }
    own = [{"name": str(name), "value": value} for name, value in values.items()]
    return [*own, *(variable.entry for variable in sidecar.delivery.variables)]
