"""The annotations that a pod may carry under `floe.dev/`: each declared once, with its type, meaning and default.

`floe_webhook.asked` reads them; docs/annotations.md is made from here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from floe_webhook import pod as pods

PREFIX = f"{pods.DOMAIN}/"
LONGEST_NAMESPACE = 255
LEVELS = ("debug", "info", "warning", "error")

_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]*[A-Za-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|Ki|Mi|Gi)?")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of values.

    Attributes:
        values: What a value looks like, for people.
        parse: The value in a text; raises ValueError if it is none.
    """

    values: str
    parse: Callable[[str], object]


def _names(text: str) -> frozenset[str]:
    found = frozenset(name.strip() for name in text.split(",")) - {""}
    if not found or not all(_CONTAINER.fullmatch(name) for name in found):
        raise ValueError
    return found


def _switch(text: str) -> bool:
    if text not in pods.YES | pods.NO:
        raise ValueError
    return text in pods.YES


def _matching(pattern: re.Pattern[str], longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) > longest or not pattern.fullmatch(text):
            raise ValueError
        return text

    return parse


def _level(text: str) -> str:
    if text.lower() not in LEVELS:
        raise ValueError
    return text.lower()


_NAMES = Kind("names of containers, with commas between", _names)
_SWITCH = Kind("`true`, `false` (also `enabled`, `disabled`)", _switch)
_AMOUNT = Kind("a Kubernetes quantity such as `100m` or `96Mi`", _matching(_QUANTITY, 20))
_LEVEL = Kind(", ".join(f"`{level}`" for level in LEVELS), _level)
_WORD = Kind("up to 128 letters, digits, `.`, `_`, `-`", _matching(_PART, 128))
_PATH = Kind(
    f"up to {LONGEST_NAMESPACE} letters, digits, `.`, `_`, `:`, `/`, `-`", _matching(_NAMESPACE, LONGEST_NAMESPACE)
)


def _declared(kind: Kind, meaning: str, *, default: str) -> Any:
    return field(default=None, metadata={"kind": kind, "meaning": meaning, "default": default})


@dataclass(frozen=True, slots=True)
class Options:
    """What a pod asks for; None where it asks for nothing. The field `a_b` is the annotation `floe.dev/a-b`."""

    containers: frozenset[str] | None = _declared(
        _NAMES, "Only these containers and init containers are configured.", default="`injection.containers`"
    )
    exclude_containers: frozenset[str] | None = _declared(
        _NAMES, "These containers are not configured, whatever else says so.", default="none"
    )
    init_containers: bool | None = _declared(
        _SWITCH, "Whether init containers are configured too.", default="`injection.containers.init_containers`"
    )
    environment_only: bool | None = _declared(_SWITCH, "The environment only, no sidecar.", default="`false`")
    sidecar_cpu_request: str | None = _declared(
        _AMOUNT, "CPU that the sidecar requests.", default="`injection.sidecar.resources`"
    )
    sidecar_cpu_limit: str | None = _declared(
        _AMOUNT, "The most CPU that the sidecar may use.", default="`injection.sidecar.resources`"
    )
    sidecar_memory_request: str | None = _declared(
        _AMOUNT, "Memory that the sidecar requests.", default="`injection.sidecar.resources`"
    )
    sidecar_memory_limit: str | None = _declared(
        _AMOUNT, "The most memory that the sidecar may use.", default="`injection.sidecar.resources`"
    )
    sidecar_log_level: str | None = _declared(
        _LEVEL, "Least severity that the sidecar logs.", default="`injection.sidecar.log_level`"
    )
    product: str | None = _declared(_WORD, "`{product}` of the lineage namespace.", default="the workload's name")
    domain: str | None = _declared(_WORD, "`{domain}` of the lineage namespace.", default="`namespaces.domain`")
    environment: str | None = _declared(
        _WORD,
        "`{environment}` of the lineage namespace, and `deployment.environment.name`.",
        default="`namespaces.environment`",
    )
    tenant: str | None = _declared(_WORD, "`{tenant}` of the lineage namespace.", default="`namespaces.tenant`")
    organization: str | None = _declared(
        _WORD, "`{organization}` of the lineage namespace.", default="`namespaces.organization`"
    )
    lineage_namespace: str | None = _declared(
        _PATH, "The whole lineage namespace, in place of the strategy's.", default="by `namespaces.strategy`"
    )


@dataclass(frozen=True, slots=True)
class Annotation:
    """One declared annotation."""

    name: str
    kind: Kind
    meaning: str
    default: str

    @property
    def short(self) -> str:
        """Its name without `floe.dev/`, as the manifest's `injection.overrides.allowed` has it."""
        return self.name.removeprefix(PREFIX)


ANNOTATIONS: Mapping[str, tuple[str, Annotation]] = {
    (name := f"{PREFIX}{one.name.replace('_', '-')}"): (one.name, Annotation(name, **one.metadata))
    for one in fields(Options)
}
"""Every annotation by its full name, with the field of `Options` that it fills."""

LINEAGE_NAMESPACE = f"{PREFIX}lineage-namespace"
