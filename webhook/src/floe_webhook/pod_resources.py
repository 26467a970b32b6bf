"""What a whole pod asks for and may use, as quota and limit range count it (KEP-753, KEP-2837, KEP-688).

    sum of (containers + native sidecars)
    or, if larger, the hungriest init container together with the native sidecars before it
    + the runtime class's overhead

Resources that the pod has as a whole replace the sum of its containers'.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from floe_webhook import pod as pods
from floe_webhook.pod import Document
from floe_webhook.quantities import quantity

Amounts = Mapping[str, Fraction]
"""By resource, e.g. `cpu`, `memory`, `ephemeral-storage`."""

REQUESTS, LIMITS = "requests", "limits"

_OF_WHOLE_PODS = frozenset({"cpu", "memory"})


def amounts(document: object) -> dict[str, Fraction]:
    """The quantities of a mapping; what is none is left out."""
    found = ((name, quantity(value)) for name, value in pods.mapping(document).items())
    return {name: value for name, value in found if value is not None}


def of_container(container: object, kind: str) -> dict[str, Fraction]:
    """A container's requests or limits; a request that is missing is the limit, as the API server fills it in."""
    found = amounts(pods.mapping(container, "resources", kind))
    if kind == REQUESTS:
        found = amounts(pods.mapping(container, "resources", LIMITS)) | found
    return found


def of_pod(spec: Document, kind: str, *, overhead: bool) -> dict[str, Fraction]:
    """A pod's effective requests or limits.

    Args:
        spec: The pod's.
        kind: `REQUESTS` or `LIMITS`.
        overhead: Whether the runtime class's counts: it does for quotas and does not for limit ranges.
    """
    together = _sum([of_container(container, kind) for container in pods.entries(spec, "containers")])
    sidecars: dict[str, Fraction] = {}
    highest: dict[str, Fraction] = {}
    for container in pods.entries(spec, "initContainers"):
        own = of_container(container, kind)
        if is_native_sidecar(container):
            together, sidecars = _sum([together, own]), _sum([sidecars, own])
            own = sidecars
        else:
            own = _sum([sidecars, own])
        highest = _highest(highest, own)
    found = _highest(together, highest) | _of_whole_pod(spec, kind)
    if overhead:
        for name, value in amounts(pods.mapping(spec, "overhead")).items():
            if kind == REQUESTS or found.get(name):
                found[name] = found.get(name, Fraction()) + value
    return found


def is_native_sidecar(container: object) -> bool:
    """Whether an init container runs beside the others (KEP-753)."""
    return pods.text(container, "restartPolicy") == "Always"


def has_resources_of_its_own(spec: Document) -> bool:
    """Whether the pod as a whole has requests or limits (KEP-2837)."""
    return "resources" in spec and bool(_of_whole_pod(spec, REQUESTS) or _of_whole_pod(spec, LIMITS))


def is_best_effort(spec: Document) -> bool:
    """Whether nothing in the pod has a request or limit for CPU or memory, which is what quotas' scopes go by."""
    whole = [_of_whole_pod(spec, kind) for kind in (REQUESTS, LIMITS)]
    containers = [*pods.entries(spec, "containers"), *pods.entries(spec, "initContainers")]
    parts = [of_container(container, kind) for container in containers for kind in (REQUESTS, LIMITS)]
    return not any(found.get(name) for found in (*whole, *parts) for name in _OF_WHOLE_PODS)


def _of_whole_pod(spec: Document, kind: str) -> dict[str, Fraction]:
    found = amounts(pods.mapping(spec, "resources", kind))
    return {name: value for name, value in found.items() if name in _OF_WHOLE_PODS or name.startswith("hugepages-")}


def _sum(each: Iterable[Amounts]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for one in each:
        for name, value in one.items():
            found[name] = found.get(name, Fraction()) + value
    return found


def _highest(first: Amounts, second: Amounts) -> dict[str, Fraction]:
    return {name: max(first.get(name, Fraction()), second.get(name, Fraction())) for name in {**first, **second}}
