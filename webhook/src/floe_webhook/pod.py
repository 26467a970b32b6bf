"""Reading pods: accessors on the raw document, which is never re-modelled, and where each workload keeps its pod.

A document may hold anything; an accessor answers with something empty where a field is missing or has another type.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

Document = Mapping[str, Any]

DOMAIN = "floe.dev"
INJECT_LABEL = f"{DOMAIN}/inject"
INJECTED_LABEL = f"{DOMAIN}/injected"
INJECTED_BY_ANNOTATION = f"{DOMAIN}/injected-by"
INJECTION_ANNOTATION = f"{DOMAIN}/injection"
DEFAULT_CONTAINER_ANNOTATION = "kubectl.kubernetes.io/default-container"
ATTRIBUTE_ANNOTATION_PREFIX = "resource.opentelemetry.io/"

YES = frozenset({"enabled", "true"})
NO = frozenset({"disabled", "false"})

SIDECAR_NAME = "floe-sidecar"
SPOOL_VOLUME = "floe-spool"
CREDENTIALS_VOLUME = "floe-credentials"
NO_TOKEN_VOLUME = "floe-no-token"  # noqa: S105 - a volume's name
VOLUME_NAMES = frozenset({SPOOL_VOLUME, CREDENTIALS_VOLUME, NO_TOKEN_VOLUME})

TEMPLATE_PATHS: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Kinds that hold a pod, and the keys that lead to it."""


# Documents are made of dicts and lists (orjson's, ruamel.yaml's subclasses of them). Asking for an abstract Mapping
# instead costs more than everything else that happens to a pod.


_NOTHING: Document = MappingProxyType({})


def mapping(document: object, *keys: str) -> Document:
    """The mapping at a path of keys; empty if it is not there."""
    for key in keys:
        if not isinstance(document, dict):
            return _NOTHING
        document = document.get(key)
    return document if isinstance(document, dict) else _NOTHING


def entries(document: object, key: str) -> Sequence[Any]:
    """The list under a key; empty if it is not there."""
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, list) else ()


def text(document: object, *keys: str) -> str:
    """The string at a path of keys; empty if it is not there."""
    for key in keys:
        if not isinstance(document, dict):
            return ""
        document = document.get(key)
    return document if isinstance(document, str) else ""


def labels(pod: Document) -> Document:
    """`metadata.labels`."""
    return mapping(pod, "metadata", "labels")


def annotations(pod: Document) -> Document:
    """`metadata.annotations`."""
    return mapping(pod, "metadata", "annotations")


class Placed(NamedTuple):
    """A container and where it stands; `kind` is `containers` or `initContainers`."""

    kind: str
    position: int
    name: str
    document: Document


def placed(spec: Document) -> tuple[Placed, ...]:
    """The init containers and the containers that have a name."""
    found: list[Placed] = []
    for kind in ("initContainers", "containers"):
        for position, container in enumerate(entries(spec, kind)):
            if name := text(container, "name"):
                found.append(Placed(kind, position, name, container))
    return tuple(found)


def containers(pod: Document, kind: str) -> Iterator[tuple[int, str, Document]]:
    """Position, name and document of each container; `kind` is `containers` or `initContainers`."""
    for position, container in enumerate(entries(mapping(pod, "spec"), kind)):
        name = text(container, "name")
        if name:
            yield position, name, container


def all_containers(pod: Document) -> list[Document]:
    """Documents of the init containers and of the containers."""
    spec = mapping(pod, "spec")
    found = (*entries(spec, "initContainers"), *entries(spec, "containers"))
    return [container for container in found if text(container, "name")]


def environment_of(container: Document) -> Iterator[tuple[int, str, Document]]:
    """Position, name and document of each entry of a container's `env`."""
    for position, entry in enumerate(entries(container, "env")):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            yield position, name, entry


def variable_names(container: Document) -> set[str]:
    """Names in a container's `env`."""
    try:
        # One pass without a call for each; what is no entry with a text for a name makes it take the longer way.
        found = {entry["name"] for entry in entries(container, "env")}
        "".join(found)
    except (KeyError, TypeError):
        return {name for _, name, _ in environment_of(container)}
    return found
