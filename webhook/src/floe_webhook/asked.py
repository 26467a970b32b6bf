"""What a pod asks for by annotations, and what of it it may have: read purely, refused without harm.

A value that cannot be used never breaks a pod: it counts as not given, and a reason names it. What the platform does
not allow (`injection.overrides` of the manifest) is refused in the same way, with a reason of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import lru_cache
from typing import Any

from floe_core.manifest.models import Overrides
from floe_webhook import pod as pods
from floe_webhook.annotations import ANNOTATIONS, LINEAGE_NAMESPACE, PREFIX, Options
from floe_webhook.pod import Document
from floe_webhook.quantities import quantity
from floe_webhook.reasons import Reason

_PREFIXES = (PREFIX, pods.ATTRIBUTE_ANNOTATION_PREFIX)
_OF_OURS = frozenset({pods.INJECTED_BY_ANNOTATION, pods.INJECTION_ANNOTATION})
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
        return tuple(dict.fromkeys([reason for _, reason in self.refused])) if self.refused else ()


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
    found = [
        (name, text)
        for key, text in annotations.items()
        # A file's keys need not be texts.
        if (name := str(key)).startswith(_PREFIXES) and name not in _OF_OURS
    ]
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
