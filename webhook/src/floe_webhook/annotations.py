"""What a pod may ask for: annotations under `floe.dev/`, each declared once, read purely, documented from here.

A value that cannot be used never breaks a pod: it counts as not given, and a reason names it. What the platform does
not allow (`injection.overrides` of the manifest) is refused in the same way, with a reason of its own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from typing import Any

from floe_core.manifest.models import Overrides
from floe_webhook import pod as pods
from floe_webhook.pod import Document
from floe_webhook.quantities import quantity
from floe_webhook.reasons import Reason

PREFIX = f"{pods.DOMAIN}/"
LONGEST_NAMESPACE = 255
LEVELS = ("debug", "info", "warning", "error")

_PREFIXES = (PREFIX, pods.ATTRIBUTE_ANNOTATION_PREFIX)
_OF_OURS = frozenset({pods.INJECTED_BY_ANNOTATION, pods.INJECTION_ANNOTATION})
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

_AMOUNTS = {
    f"{PREFIX}sidecar-{resource}-{bound}": resource for resource in ("cpu", "memory") for bound in ("request", "limit")
}


@dataclass(frozen=True, slots=True, eq=False)
class Allowance:
    """What the platform lets pods ask for; each is its own key for what was read by it.

    Attributes:
        names: Full names of the annotations that count.
        lineage_namespaces: Patterns of the lineage namespaces that pods may choose; `{namespace}` is their own.
        lowest, highest: Bounds of the sidecar's requests and limits, by resource.
    """

    names: frozenset[str]
    lineage_namespaces: tuple[str, ...]
    lowest: Mapping[str, Fraction]
    highest: Mapping[str, Fraction]


def allowance_of(overrides: Overrides) -> Allowance:
    """The manifest's word, ready to compare with."""
    bounds = [
        {name: quantity(text) or Fraction() for name, text in one.model_dump().items()}
        for one in (overrides.sidecar_min, overrides.sidecar_max)
    ]
    return Allowance(
        frozenset(f"{PREFIX}{short}" for short in overrides.allowed), overrides.lineage_namespaces, *bounds
    )


DEFAULT_ALLOWANCE = allowance_of(Overrides())
"""What a manifest that says nothing about it allows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pod's annotations come to.

    Attributes:
        options: What holds.
        used: Name and text of each annotation that counts, by name.
        refused: Name of each that does not, and why, by name.
    """

    options: Options = field(default_factory=Options)
    used: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, Reason], ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Each reason once."""
        return tuple(dict.fromkeys([reason for _, reason in self.refused]))


NOTHING_ASKED = Asked()

# A client decides how long annotations are that come in; what is kept must not grow by that.
_LONGEST_KEPT = 2048


def read(annotations: Document, allowance: Allowance, namespace: str) -> Asked:
    """What a pod asks for and may have.

    Args:
        annotations: All of the pod's.
        allowance: The platform's.
        namespace: The pod's Kubernetes namespace; empty if it is not known.
    """
    # A file's keys need not be texts.
    pairs = [(str(name), text) for name, text in annotations.items()]
    found = [(name, text) for name, text in pairs if name.startswith(_PREFIXES) and name not in _OF_OURS]
    if not found:
        return NOTHING_ASKED
    if all(isinstance(text, str) for _, text in found):
        key = tuple(sorted(found))
        if sum([len(name) + len(text) for name, text in key]) <= _LONGEST_KEPT:
            return _read_again(key, allowance, namespace)
    return _read(found, allowance, namespace)


@lru_cache(maxsize=512)
def _read_again(found: tuple[tuple[str, str], ...], allowance: Allowance, namespace: str) -> Asked:
    return _read(found, allowance, namespace)


def _read(found: Any, allowance: Allowance, namespace: str) -> Asked:
    values: dict[str, object] = {}
    used: dict[str, str] = {}
    refused: dict[str, Reason] = {}
    for name, text in found:
        try:
            value = _value(name, text, allowance, namespace)
        except _RefusedError as refusal:
            refused[name] = refusal.reason
            continue
        used[name] = text
        if name in ANNOTATIONS:
            values[ANNOTATIONS[name][0]] = value
    for resource in ("cpu", "memory"):
        _drop_contradiction(resource, values, used, refused)
    options = Options(**values)  # type: ignore[arg-type]  # each parser returns its field's type; a test compares them
    return Asked(options, tuple(sorted(used.items())), tuple(sorted(refused.items())))


class _RefusedError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def _value(name: str, text: object, allowance: Allowance, namespace: str) -> object:
    if not isinstance(text, str):
        raise _RefusedError(Reason.ANNOTATION_INVALID)
    if name.startswith(pods.ATTRIBUTE_ANNOTATION_PREFIX):
        # A resource attribute may be any text, but for none at all.
        if not text or name == pods.ATTRIBUTE_ANNOTATION_PREFIX:
            raise _RefusedError(Reason.ANNOTATION_INVALID)
        return text
    if name not in ANNOTATIONS:
        raise _RefusedError(Reason.ANNOTATION_UNKNOWN)
    try:
        value = ANNOTATIONS[name][1].kind.parse(text.strip())
    except ValueError:
        raise _RefusedError(Reason.ANNOTATION_INVALID) from None
    if not _is_allowed(name, value, allowance, namespace):
        raise _RefusedError(Reason.ANNOTATION_FORBIDDEN)
    return value


def _is_allowed(name: str, value: object, allowance: Allowance, namespace: str) -> bool:
    if name == LINEAGE_NAMESPACE:
        return any(_matches(str(value), pattern, namespace) for pattern in allowance.lineage_namespaces)
    if name not in allowance.names:
        return False
    if resource := _AMOUNTS.get(name):
        amount = quantity(value) or Fraction()
        return allowance.lowest[resource] <= amount <= allowance.highest[resource]
    return True


def _matches(value: str, pattern: str, namespace: str) -> bool:
    if not namespace and "{namespace}" in pattern:
        return False
    return fnmatchcase(value, pattern.replace("{namespace}", namespace))


def _drop_contradiction(
    resource: str, values: dict[str, object], used: dict[str, str], refused: dict[str, Reason]
) -> None:
    """The API server refuses a request above its limit."""
    request, limit = (quantity(values.get(f"sidecar_{resource}_{bound}")) for bound in ("request", "limit"))
    if request is None or limit is None or request <= limit:
        return
    for bound in ("request", "limit"):
        del values[f"sidecar_{resource}_{bound}"]
        name = f"{PREFIX}sidecar-{resource}-{bound}"
        del used[name]
        refused[name] = Reason.ANNOTATION_INVALID
