"""The sidecar as Kubernetes starts it, and the volumes that it needs.

Defaults that the API server would add are written out, so that a second look at the stored pod finds it unchanged.
There is no startup and no readiness probe: a native sidecar's readiness counts into the pod's, and a relay must never
keep a pod from starting (injection.md §3, 5).
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from floe_core.credentials import SecretKey
from floe_sidecar.settings import PROTOCOL, PROTOCOL_VARIABLE
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook import pod as pods
from floe_webhook.additions import Addition
from floe_webhook.annotations import Options
from floe_webhook.pod import Document
from floe_webhook.pod_resources import has_resources_of_its_own
from floe_webhook.ports import Ports
from floe_webhook.profile import SidecarProfile
from floe_webhook.quantities import quantity
from floe_webhook.sidecar_enrichment import PodNames, pod_variables
from floe_webhook.targets import CREDENTIALS_DIRECTORY

SPOOL_DIRECTORY = "/var/run/floe/spool"
USER_ID = 65532
"""The image's user, which owns nothing: what is written out where a pod that runs as root would contradict it."""

_SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
_TELEMETRY_SHARE = 4
"""One part in four of the spool's room is telemetry's, if it is relayed."""

_NOTHING_ASKED = Options()
_GRACE_SECONDS = 30
_GRACE_MARGIN_SECONDS = 5
_SHORTEST_FLUSH_SECONDS = 0.5
_DEFAULT_FILE_MODE = 0o644


def sidecar_container(
    pod: Document, sidecar: SidecarProfile, ports: Ports, options: Options = _NOTHING_ASKED
) -> Addition:
    """The native sidecar (KEP-753): an init container that keeps running beside the others and ends after them.

    Args:
        pod: The raw pod.
        sidecar: The platform's.
        ports: Free ones.
        options: What the pod asks for.
    """
    grace = pods.mapping(pod, "spec").get("terminationGracePeriodSeconds")
    return _container(
        as_asked(sidecar, options),
        ports,
        grace if isinstance(grace, int) else _GRACE_SECONDS,
        resource_needs(pod),
        _identity(pod, sidecar),
    )


class _Asked(NamedTuple):
    cpu_request: str | None
    cpu_limit: str | None
    memory_request: str | None
    memory_limit: str | None
    log_level: str | None


def as_asked(sidecar: SidecarProfile, options: Options) -> SidecarProfile:
    """The platform's sidecar with what a pod may change of it."""
    asked = _Asked(
        options.sidecar_cpu_request,
        options.sidecar_cpu_limit,
        options.sidecar_memory_request,
        options.sidecar_memory_limit,
        options.sidecar_log_level,
    )
    return _as_asked(sidecar, asked) if any(asked) else sidecar


@lru_cache(maxsize=256)
def _as_asked(sidecar: SidecarProfile, asked: _Asked) -> SidecarProfile:
    cpu = _bounds(asked.cpu_request, asked.cpu_limit, sidecar.requests["cpu"], sidecar.limits["cpu"])
    memory = _bounds(asked.memory_request, asked.memory_limit, sidecar.requests["memory"], sidecar.limits["memory"])
    requests, limits = ({"cpu": cpu[at], "memory": memory[at]} for at in (0, 1))
    level = asked.log_level.upper() if asked.log_level else sidecar.log_level
    return replace(sidecar, requests=requests, limits=limits, log_level=level)


def _bounds(request: str | None, limit: str | None, usual_request: str, usual_limit: str) -> tuple[str, str]:
    """Request and limit; what is not asked for follows, so that the request never lies above the limit."""
    if request is not None:
        return request, limit if limit is not None else max(request, usual_limit, key=_amount)
    if limit is not None:
        return min(usual_request, limit, key=_amount), limit
    return usual_request, usual_limit


def _amount(text: str) -> Fraction:
    return quantity(text) or Fraction()


class _Identity(NamedTuple):
    """As whom the sidecar runs; None leaves it to the image and the platform."""

    user: int | None
    group: int | None
    seccomp: bool


def _identity(pod: Document, sidecar: SidecarProfile) -> _Identity:
    """As whom the sidecar runs in this pod.

    OpenShift's admission has looked at a pod before we see it: its annotation names the rules by which it gave the
    containers a user out of the namespace's range (`openshift.io/sa.scc.uid-range`), and by which it will look at the
    sidecar. Where it gave users to containers, the sidecar takes the first one's; where it did not, any user will do.
    Its oldest rules (`restricted`) refuse every seccomp profile.
    """
    rules = pods.text(pod, "metadata", "annotations", _OPENSHIFT_RULES)
    if rules:
        users = (pods.mapping(one, "securityContext").get("runAsUser") for one in pods.all_containers(pod))
        given = next((user for user in users if isinstance(user, int) and user > 0), None)
        if given is not None:
            return _Identity(given, None, seccomp=rules != "restricted")
    if sidecar.user is None and pods.mapping(pod, "spec", "securityContext").get("runAsUser") == 0:
        # The kubelet starts no container that has to be non-root and inherits root from its pod.
        return _Identity(USER_ID, USER_ID, seccomp=True)
    return _Identity(sidecar.user, sidecar.user, seccomp=rules != "restricted")


_OPENSHIFT_RULES = "openshift.io/scc"


class ResourceNeeds(Enum):
    """What a pod's own resources mean for the sidecar's."""

    MODEST = "requests below limits"
    EQUAL = "requests equal to limits"
    NONE = "within the pod's own budget"


# Few pods differ in what their sidecar is like; what is made once is only read from then on.
@lru_cache(maxsize=256)
def _container(
    sidecar: SidecarProfile, ports: Ports, grace_seconds: int, needs: ResourceNeeds, identity: _Identity
) -> Addition:
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
        "env": _environment(sidecar, ports, flush_seconds(grace_seconds, sidecar.shutdown_seconds)),
        "ports": [{"name": "floe-health", "containerPort": ports.health, "protocol": "TCP"}],
        "resources": _resources(sidecar, needs),
        "securityContext": _security_context(identity),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }
    return Addition(document)


def named(container: Addition, sidecar: SidecarProfile, names: PodNames | None) -> Addition:
    """The sidecar's container, told of its pod."""
    if names is None:
        return container
    if names.length > _LONGEST_KEPT:
        return _named(container.text, sidecar, names)
    return _named_again(container.text, sidecar, names)


# A client decides how long images and variables are that come in; what is kept must not grow by that.
_LONGEST_KEPT = 2048


@lru_cache(maxsize=512)
def _named_again(container: str, sidecar: SidecarProfile, names: PodNames) -> Addition:
    return _named(container, sidecar, names)


def _named(container: str, sidecar: SidecarProfile, names: PodNames) -> Addition:
    document = orjson.loads(container)
    told = pod_variables(names, sidecar.enrichment, begins_run=sidecar.begins_runs)
    document["env"] += [variable.entry for variable in told]
    return Addition(document)


def flush_seconds(grace_seconds: int, at_most: float) -> float:
    """Within the pod's grace period, which is never made longer, with room to end in; of a short one, its half."""
    return min(at_most, max(_SHORTEST_FLUSH_SECONDS, grace_seconds / 2, grace_seconds - _GRACE_MARGIN_SECONDS))


def _security_context(identity: _Identity) -> dict[str, Any]:
    """What the Pod Security level "restricted" asks for."""
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": identity.group,
        "runAsNonRoot": True,
        "runAsUser": identity.user,
        "seccompProfile": {"type": "RuntimeDefault"} if identity.seccomp else None,
    }
    return {key: value for key, value in context.items() if value is not None}


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

    A Guaranteed pod needs requests equal to limits in every container. A pod with resources of its own (KEP-2837) has
    its class from them, and is refused if its containers ask for more than it has: there the sidecar lives within the
    pod's budget.
    """
    if has_resources_of_its_own(pods.mapping(pod, "spec")):
        return ResourceNeeds.NONE
    return ResourceNeeds.EQUAL if is_guaranteed(pod) else ResourceNeeds.MODEST


def _resources(sidecar: SidecarProfile, needs: ResourceNeeds) -> dict[str, Any]:
    if needs is ResourceNeeds.NONE:
        return {}
    requests = sidecar.limits if needs is ResourceNeeds.EQUAL else sidecar.requests
    return {"limits": dict(sidecar.limits), "requests": dict(requests)}


def is_guaranteed(pod: Document) -> bool:
    """Whether the pod, if it has resources of its own, or else every container has limits for CPU and memory.

    And requests equal to them, or none.
    """
    spec = pods.mapping(pod, "spec")
    if has_resources_of_its_own(spec):
        return _has_equal_requests(spec)
    containers = pods.all_containers(pod)
    return bool(containers) and all(map(_has_equal_requests, containers))


def _has_equal_requests(document: Document) -> bool:
    limits = pods.mapping(document, "resources", "limits")
    if not limits:
        return False
    requests = pods.mapping(document, "resources", "requests")
    for resource in ("cpu", "memory"):
        limit = quantity(limits.get(resource))
        if not limit or quantity(requests.get(resource, limits[resource])) != limit:
            return False
    return True


def _environment(sidecar: SidecarProfile, ports: Ports, shutdown_seconds: float) -> list[Mapping[str, Any]]:
    # A volume that grows past its limit has the whole pod evicted; SQLite's log needs room beside the events.
    spool_bytes = int((quantity(sidecar.spool_size) or 0) * 3 / 4)
    telemetry_bytes = spool_bytes // _TELEMETRY_SHARE if sidecar.delivery.relays_telemetry else 0
    values: dict[SidecarVariable, str] = {
        SidecarVariable.PORT: str(ports.application),
        SidecarVariable.HEALTH_PORT: str(ports.health),
        SidecarVariable.HEALTH_HOST: "0.0.0.0",  # noqa: S104 - in the pod's own network
        SidecarVariable.SPOOL_DIRECTORY: SPOOL_DIRECTORY,
        SidecarVariable.SPOOL_MAX_BYTES: str(spool_bytes - telemetry_bytes),
        SidecarVariable.SHUTDOWN_SECONDS: f"{shutdown_seconds:g}",
        SidecarVariable.REDACTION: str(sidecar.redaction).lower(),
        SidecarVariable.LOG_LEVEL: sidecar.log_level,
    }
    if telemetry_bytes:
        values[SidecarVariable.TELEMETRY_MAX_BYTES] = str(telemetry_bytes)
    own = [{"name": str(name), "value": value} for name, value in values.items()]
    # What both sides understand by the rest: images and webhooks of different versions meet in a cluster.
    own.insert(0, {"name": PROTOCOL_VARIABLE, "value": str(PROTOCOL)})
    return [*own, *(variable.entry for variable in sidecar.delivery.variables)]
