"""Whether a namespace's ResourceQuotas and LimitRanges let a pod have the sidecar; as the API server will decide it.

Both are looked at after our patch, and what they refuse is the whole pod. Pure: documents in, a reason or none out.
What the sidecar does not change (number of pods, extended resources, other kinds of object) is not looked at: if that
is exceeded, the pod is refused without us too.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from floe_webhook import pod as pods
from floe_webhook.pod import Document
from floe_webhook.pod_resources import (
    LIMITS,
    REQUESTS,
    Amounts,
    amounts,
    has_resources_of_its_own,
    is_best_effort,
    of_container,
    of_pod,
)
from floe_webhook.reasons import Reason

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_EVERY_CONTAINER_NEEDS = frozenset({"cpu", "memory"})
_CONTAINER, _POD = "Container", "Pod"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods a quota counts: a condition of `scopes` or `scopeSelector`."""

    name: str
    operator: str = "Exists"
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota: by its own names (`requests.cpu`, `memory`, …) what is left of it."""

    left: Amounts
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """One entry of a LimitRange.

    Attributes:
        kind: `Container` or `Pod`.
        lowest, highest: Of requests and limits.
        ratio: The most that a limit may be of its request.
        limits, requests: What a container gets that has none.
    """

    kind: str
    lowest: Amounts
    highest: Amounts
    ratio: Amounts
    limits: Amounts
    requests: Amounts


@dataclass(frozen=True, slots=True)
class NamespaceLimits:
    """What bounds the pods of a namespace."""

    quotas: tuple[Quota, ...] = ()
    bounds: tuple[Bounds, ...] = ()


def limits_of(quotas: Iterable[Document], limit_ranges: Iterable[Document]) -> NamespaceLimits:
    """What ResourceQuotas and LimitRanges say that could concern a sidecar."""
    found = [_quota(quota) for quota in quotas]
    entries = [
        entry for limit_range in limit_ranges for entry in pods.entries(pods.mapping(limit_range, "spec"), "limits")
    ]
    return NamespaceLimits(
        tuple(quota for quota in found if quota.left),
        tuple(_bounds(entry) for entry in entries if pods.text(entry, "type") in (_CONTAINER, _POD)),
    )


def refusal(spec: Document, sidecar: Document, limits: NamespaceLimits) -> Reason | None:
    """Why the namespace would refuse the pod if it had the sidecar; None if it would not.

    Args:
        spec: The pod's, without the sidecar.
        sidecar: The container.
        limits: The namespace's.
    """
    if not limits.quotas and not limits.bounds:
        return None
    completed = _completed(sidecar, limits.bounds)
    whole = {**spec, "initContainers": [completed, *pods.entries(spec, "initContainers")]}
    if any(_out_of(bounds, completed, whole) for bounds in limits.bounds):
        return Reason.LIMIT_RANGE
    if any(_exceeded(quota, whole) for quota in limits.quotas if _counts(quota, whole)):
        return Reason.QUOTA_EXCEEDED
    return None


def _quota(document: Document) -> Quota:
    # Admission goes by the status; a quota that has none yet refuses every pod, with us or without.
    hard, used = pods.mapping(document, "status", "hard"), pods.mapping(document, "status", "used")
    already = amounts(used)
    names = {name for resource in _COMPUTE for name in (resource, f"requests.{resource}", f"limits.{resource}")}
    left = {name: value - already.get(name, Fraction()) for name, value in amounts(hard).items() if name in names}
    spec = pods.mapping(document, "spec")
    scopes = [Scope(name) for name in pods.entries(spec, "scopes") if isinstance(name, str)]
    for selector in pods.entries(pods.mapping(spec, "scopeSelector"), "matchExpressions"):
        values = frozenset(value for value in pods.entries(selector, "values") if isinstance(value, str))
        scopes.append(Scope(pods.text(selector, "scopeName"), pods.text(selector, "operator"), values))
    return Quota(left, tuple(scopes))


def _bounds(entry: Document) -> Bounds:
    keys = ("min", "max", "maxLimitRequestRatio", "default", "defaultRequest")
    return Bounds(pods.text(entry, "type"), *(amounts(pods.mapping(entry, key)) for key in keys))


def _completed(sidecar: Document, bounds: Iterable[Bounds]) -> dict[str, Any]:
    """The sidecar with what a LimitRange adds where it says nothing itself."""
    requests, limits = (dict(pods.mapping(sidecar, "resources", kind)) for kind in (REQUESTS, LIMITS))
    for one in bounds:
        for name, value in one.limits.items():
            limits.setdefault(name, value)
        for name, value in one.requests.items():
            requests.setdefault(name, value)
    readable = {
        REQUESTS: {name: _text(value) for name, value in requests.items()},
        LIMITS: {name: _text(value) for name, value in limits.items()},
    }
    return {**sidecar, "resources": readable}


def _text(value: object) -> object:
    """An amount as a quantity again: nano is the finest that there is."""
    return f"{int(value * 10**9)}n" if isinstance(value, Fraction) else value


def _out_of(bounds: Bounds, sidecar: Document, spec: Document) -> bool:
    if bounds.kind == _CONTAINER:
        requests, limits = (of_container(sidecar, kind) for kind in (REQUESTS, LIMITS))
    else:
        requests, limits = (of_pod(spec, kind, overhead=False) for kind in (REQUESTS, LIMITS))
    return (
        any(name not in requests or requests[name] < value for name, value in bounds.lowest.items())
        or any(name in limits and limits[name] < value for name, value in bounds.lowest.items())
        or any(name not in limits or limits[name] > value for name, value in bounds.highest.items())
        or any(requests.get(name, value) > value for name, value in bounds.highest.items())
        or any(_steeper(requests.get(name), limits.get(name), value) for name, value in bounds.ratio.items())
    )


def _steeper(request: Fraction | None, limit: Fraction | None, ratio: Fraction) -> bool:
    return not request or not limit or limit / request > ratio


def _exceeded(quota: Quota, spec: Document) -> bool:
    asked = of_pod(spec, REQUESTS, overhead=True)
    usage = asked | {f"requests.{name}": value for name, value in asked.items()}
    usage |= {f"limits.{name}": value for name, value in of_pod(spec, LIMITS, overhead=True).items()}
    if any(usage[name] > left for name, left in quota.left.items() if usage.get(name)):
        return True
    return not has_resources_of_its_own(spec) and any(_missing(name, spec) for name in quota.left)


def _missing(name: str, spec: Document) -> bool:
    """Whether a container says nothing of what a quota wants every container to name."""
    prefix, _, resource = name.rpartition(".")
    if resource not in _EVERY_CONTAINER_NEEDS:
        return False
    kind = prefix or REQUESTS
    containers = [*pods.entries(spec, "containers"), *pods.entries(spec, "initContainers")]
    return any(resource not in of_container(container, kind) for container in containers)


def _counts(quota: Quota, spec: Document) -> bool:
    return all(_MATCHES.get(scope.name, _always)(scope, spec) for scope in quota.scopes)


def _always(_: Scope, __: Document) -> bool:
    """A scope that we do not know: assumed to count the pod, so that the pod is not refused."""
    return True


def _terminating(_: Scope, spec: Document) -> bool:
    deadline = spec.get("activeDeadlineSeconds")
    return isinstance(deadline, int) and deadline >= 0


def _of_priority(scope: Scope, spec: Document) -> bool:
    name = pods.text(spec, "priorityClassName")
    match scope.operator:
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case "DoesNotExist":
            return not name
    return bool(name)


_MATCHES: Mapping[str, Callable[[Scope, Document], bool]] = {
    # With the sidecar, which has requests, a pod that had none is not best effort any more: other quotas count it.
    "BestEffort": lambda _, spec: is_best_effort(spec),
    "NotBestEffort": lambda _, spec: not is_best_effort(spec),
    "Terminating": _terminating,
    "NotTerminating": lambda scope, spec: not _terminating(scope, spec),
    "PriorityClass": _of_priority,
}
