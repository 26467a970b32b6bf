"""The variables that one container gets, in an order in which every `$(NAME)` resolves; a user's own always win.

Ours stand in front of the user's, so that the user's may refer to them and theirs keep resolving as before. The one
value of the user's that grows is OTEL_RESOURCE_ATTRIBUTES: `<user's>,<ours>`, and only where that changes nothing else.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache

from floe_webhook import pod as pods
from floe_webhook.additions import AdditionsToList
from floe_webhook.attributes import (
    HELPERS,
    Identity,
    attributes_of,
    parse_user_attributes,
    reference,
    written,
)
from floe_webhook.lineage_names import LineageNames
from floe_webhook.pod import Document
from floe_webhook.reasons import Reason
from floe_webhook.surroundings import KnownKeys
from floe_webhook.targets import LineageTarget, TelemetryTarget
from floe_webhook.variables import Variable, from_field, plain

RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE_NAME = "OTEL_SERVICE_NAME"

_OURS = ("OTEL_", "OPENLINEAGE_", "AIRFLOW_", "FLOE_")
_OURS_IN_LINES = tuple(f"\n{prefix}" for prefix in _OURS)
_EXPORTER = re.compile(r"OTEL_EXPORTER_OTLP_(?:(?:TRACES|METRICS|LOGS)_)?(?:ENDPOINT|PROTOCOL|HEADERS)")
_TRANSPORT = re.compile(r"OPENLINEAGE_(?:URL|ENDPOINT|API_KEY)|OPENLINEAGE__TRANSPORT(?:__.*)?")
_CONFIG_FILES = frozenset({"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"})
_PARENTS = frozenset({"OPENLINEAGE_CONTEXT", "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"})
_AIRFLOW = re.compile(r"AIRFLOW__.*|AIRFLOW_HOME")
_AIRFLOW_TRANSPORTS = frozenset(
    f"AIRFLOW__OPENLINEAGE__{key}" for key in ("TRANSPORT", "CONFIG_PATH", "CONFIG_CONN_ID", "DISABLED")
)
_SPEAKS_OF_TELEMETRY = re.compile(r"otel|opentelemetry|telemetry|tracing|observability", re.IGNORECASE)
_SPEAKS_OF_LINEAGE = re.compile(r"lineage|marquez|atlan|openmetadata", re.IGNORECASE)

_METADATA = "the pod's metadata"
_HELPERS = {name: from_field(name, path, source="the downward API") for name, path in HELPERS.items()}


# A client decides how long names are that come in; what is kept must not grow by that.
_LONGEST_KEPT = 512


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """What all containers of a pod are told alike; each is its own key for what is made of it.

    Attributes:
        telemetry: The OTLP endpoint; None if pods are told nothing about telemetry.
        lineage: The OpenLineage endpoint; None if pods are told nothing about lineage.
        names: What lineage is filed under; None with `lineage`.
        runs_airflow: Whether the pod's labels say that it is a worker of Airflow.
        known_keys: Keys of the sources of `envFrom`, as far as they are known.
    """

    identity: Identity
    telemetry: TelemetryTarget | None
    lineage: LineageTarget | None
    names: LineageNames | None
    runs_airflow: bool
    known_keys: KnownKeys


@dataclass(frozen=True, slots=True)
class Merge:
    """A text that the user's own variable grows by.

    Attributes:
        position: Of the entry in the container's `env`.
        value: The whole new text.
        kept: Characters of it that are the user's; None if the entry had no value at all.
    """

    position: int
    value: str
    kept: int | None


@dataclass(frozen=True, slots=True)
class ContainerEnvironment:
    """What is written into one container's `env`.

    Attributes:
        names: Of the variables.
        additions: Their entries, as text for a patch.
    """

    variables: tuple[Variable, ...]
    merge: Merge | None
    reasons: tuple[Reason, ...]
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    additions: AdditionsToList = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple([variable.name for variable in self.variables]))
        object.__setattr__(self, "additions", AdditionsToList([variable.entry for variable in self.variables]))


@dataclass(frozen=True, slots=True)
class _User:
    """What a container has: all names, those that look like ours, and whether others may come from elsewhere."""

    container: Document
    names: AbstractSet[str]
    ours: AbstractSet[str]
    telemetry_elsewhere: bool
    lineage_elsewhere: bool


@dataclass(slots=True)
class _Draft:
    """What is chosen so far, and what had to be said."""

    user: _User
    chosen: list[Variable] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def take(self, group: Iterable[Variable]) -> None:
        """A group whose credential has a name that the user gave to something else is of no use, and stays out."""
        group = tuple(group)
        if any(need in self.user.names for variable in group for need in variable.needs):
            self.reasons.append(Reason.OUR_NAME_TAKEN)
            return
        chosen = {variable.name for variable in self.chosen}
        self.chosen.extend(variable for variable in group if variable.name not in chosen)


def environments(containers: Iterable[Document], shared: Shared) -> list[ContainerEnvironment]:
    """The variables of each container.

    Most containers have nothing of ours yet; those get what an empty one of that name and image gets, which is known
    from the last pod of the workload. That is the same as `environment_for` of each, in a fraction of the time.
    """
    others = _other_names(shared)
    found = []
    for container in containers:
        name, image = pods.text(container, "name"), pods.text(container, "image")
        if _speaks_of_ours(container, others) or len(name) + len(image) > _LONGEST_KEPT:
            found.append(environment_for(container, shared))
        else:
            found.append(_usual(name, image, shared))
    return found


def _speaks_of_ours(container: Document, others: AbstractSet[str]) -> bool:
    """Whether anything in a container could touch ours; also where its `env` is none that can be read at a glance."""
    if container.get("envFrom"):
        return True
    try:
        names = [entry["name"] for entry in pods.entries(container, "env")]
        # Searches in C over all names: these lines run for every container of every pod.
        lines = "\n" + "\n".join(names)
    except (KeyError, TypeError):
        return True
    for prefix in _OURS_IN_LINES:
        if prefix in lines:
            return True
    return not others.isdisjoint(names)


@lru_cache(maxsize=512)
def _other_names(shared: Shared) -> frozenset[str]:
    """Names that we may write and that do not begin as ours do: a credential's name is the manifest's choice."""
    telemetry = shared.telemetry.variables if shared.telemetry else ()
    lineage = (*shared.lineage.credentials, *shared.lineage.client, shared.lineage.airflow) if shared.lineage else ()
    names = {name for variable in (*telemetry, *lineage) for name in (variable.name, *variable.needs)}
    return frozenset(name for name in names if not name.startswith(_OURS))


@lru_cache(maxsize=1024)
def _usual(name: str, image: str, shared: Shared) -> ContainerEnvironment:
    return environment_for({"name": name, "image": image}, shared)


def environment_for(container: Document, shared: Shared) -> ContainerEnvironment:
    """The variables of one container, and what could not be written and why."""
    draft = _begin(container, shared.known_keys)
    merge = _telemetry(draft, shared)
    _lineage(draft, shared)
    variables = _in_order(draft, _references(merge.value[merge.kept or 0 :]) if merge else ())
    return ContainerEnvironment(variables, merge, tuple(dict.fromkeys(draft.reasons)))


def _begin(container: Document, known_keys: KnownKeys) -> _Draft:
    names = pods.variable_names(container)
    reasons: list[Reason] = []
    telemetry = lineage = False
    for source in pods.entries(container, "envFrom"):
        prefix = pods.text(source, "prefix")
        for kind in ("configMapRef", "secretRef"):
            name = pods.text(source, kind, "name")
            keys = known_keys.get((kind, name))
            if keys is not None:
                names |= {prefix + key for key in keys}
            elif name and _could_be_ours(prefix):
                telemetry |= bool(_SPEAKS_OF_TELEMETRY.search(name))
                lineage |= bool(_SPEAKS_OF_LINEAGE.search(name))
                reasons.append(Reason.ENV_FROM_UNSEEN)
    if telemetry or lineage:
        reasons.append(Reason.ENV_FROM_SPEAKS_OF_IT)
    ours = {name for name in names if name.startswith(_OURS)}
    return _Draft(_User(container, names, ours, telemetry, lineage), reasons=reasons)


def _could_be_ours(prefix: str) -> bool:
    """Whether keys behind a prefix can make one of our names at all."""
    return not prefix or any(prefix.startswith(ours) or ours.startswith(prefix) for ours in _OURS)


def _telemetry(draft: _Draft, shared: Shared) -> Merge | None:
    user, target = draft.user, shared.telemetry
    if target is None or user.telemetry_elsewhere:
        return None
    if user.ours & _CONFIG_FILES:
        draft.reasons.append(Reason.OTEL_CONFIG_FILE)
        return None
    if _exporter_is_users(user, target.protocol):
        draft.reasons.append(Reason.EXPORTER_IS_USERS)
    else:
        draft.take(target.variables)
    return _resource(draft, shared.identity)


def _exporter_is_users(user: _User, protocol: str) -> bool:
    """One exporter has one endpoint, protocol and headers; half ours and half theirs fits neither."""
    found = [name for name in user.ours if _EXPORTER.fullmatch(name)]
    if found == ["OTEL_EXPORTER_OTLP_PROTOCOL"]:
        entries = [entry for _, name, entry in pods.environment_of(user.container) if name == found[0]]
        return not entries or entries[-1].get("value") != protocol
    return bool(found)


def _resource(draft: _Draft, identity: Identity) -> Merge | None:
    user = draft.user
    attributes = attributes_of(user.container, identity)
    if taken := user.ours & HELPERS.keys():
        marks = [reference(helper) for helper in taken]
        attributes = {key: text for key, text in attributes.items() if not any(mark in text for mark in marks)}
        draft.reasons.append(Reason.OUR_NAME_TAKEN)
    merge = None
    named = SERVICE_NAME in user.ours
    if RESOURCE_ATTRIBUTES not in user.ours:
        draft.chosen.append(_attributes_variable(attributes))
    else:
        keys, merge = _merge(draft, attributes)
        # OTEL_SERVICE_NAME would beat the service.name that the user has, or may have, among the attributes (DEF-6).
        named = named or keys is None or "service.name" in keys
    if not named:
        name = identity.service_name
        draft.chosen.append(plain(SERVICE_NAME, name, source=_METADATA, needs=_references(name)))
    return merge


def _attributes_variable(attributes: Mapping[str, str]) -> Variable:
    text = written(attributes)
    return plain(RESOURCE_ATTRIBUTES, text, source=_METADATA, needs=_references(text))


def _merge(draft: _Draft, attributes: Mapping[str, str]) -> tuple[AbstractSet[str] | None, Merge | None]:
    """The keys that the user's own attributes have, None if unknown, and what they grow by."""
    container = draft.user.container
    found = [(at, entry) for at, name, entry in pods.environment_of(container) if name == RESOURCE_ATTRIBUTES]
    position, entry = found[-1] if found else (0, {"valueFrom": None})
    value = entry.get("value", "")
    keys = None if "valueFrom" in entry or not isinstance(value, str) else _keys(value)
    if keys is None:
        draft.reasons.append(Reason.RESOURCE_ATTRIBUTES_UNREADABLE)
        return None, None
    if _is_referenced(container, RESOURCE_ATTRIBUTES):
        draft.reasons.append(Reason.RESOURCE_ATTRIBUTES_REFERENCED)
        return keys, None
    added = written({key: text for key, text in attributes.items() if key not in keys})
    if not added:
        return keys, None
    separator = "," if value.strip() else ""
    return keys, Merge(position, f"{value}{separator}{added}", len(value) if "value" in entry else None)


def _keys(value: str) -> AbstractSet[str] | None:
    return parse_user_attributes(value) if value.strip() else frozenset()


def _is_referenced(container: Document, name: str) -> bool:
    mark = reference(name)
    texts: list[object] = [entry.get("value") for _, _, entry in pods.environment_of(container)]
    texts += [*pods.entries(container, "command"), *pods.entries(container, "args")]
    return any(isinstance(text, str) and mark in text for text in texts)


def _lineage(draft: _Draft, shared: Shared) -> None:
    user, target, names = draft.user, shared.lineage, shared.names
    if target is None or names is None or user.lineage_elsewhere:
        return
    if objection := _transport_objection(user):
        draft.reasons.append(objection)
    else:
        draft.take((*target.credentials, *target.client))
    draft.chosen.append(names.namespace)
    if user.ours & _PARENTS:
        draft.reasons.append(Reason.PARENT_IS_USERS)
    elif names.context is not None:
        draft.chosen.append(names.context)
    if shared.runs_airflow or any(_AIRFLOW.fullmatch(name) for name in user.ours):
        _airflow(draft, target, names)


def _airflow(draft: _Draft, target: LineageTarget, names: LineageNames) -> None:
    """Airflow's provider reads its own section first; its conn id and file beat a transport (lineage.md appendix A)."""
    if draft.user.ours & _AIRFLOW_TRANSPORTS:
        draft.reasons.append(Reason.AIRFLOW_LINEAGE_IS_USERS)
    else:
        draft.take((*target.credentials, target.airflow))
    draft.chosen.append(names.airflow_namespace)


def _transport_objection(user: _User) -> Reason | None:
    if "OPENLINEAGE_CONFIG" in user.ours:
        return Reason.OPENLINEAGE_CONFIG
    if any(_TRANSPORT.fullmatch(name) for name in user.ours):
        return Reason.LINEAGE_IS_USERS
    if "OPENLINEAGE_DISABLED" in user.ours:
        for _, name, entry in pods.environment_of(user.container):
            # openlineage-python understands this one word only; `1` does not disable (lineage.md §1.1).
            if name == "OPENLINEAGE_DISABLED" and str(entry.get("value", "")).strip().lower() == "true":
                return Reason.LINEAGE_DISABLED
    return None


def _in_order(draft: _Draft, merged_needs: Iterable[str]) -> tuple[Variable, ...]:
    """Without what the user has, without what lost its footing, and with the helpers in front that the rest needs."""
    kept = []
    needed = set(merged_needs)
    names = draft.user.names
    for variable in draft.chosen:
        if variable.name in names:
            continue
        if not names.isdisjoint(variable.needs):
            draft.reasons.append(Reason.OUR_NAME_TAKEN)
            continue
        kept.append(variable)
        needed.update(variable.needs)
    helpers = [helper for name, helper in _HELPERS.items() if name in needed]
    return (*helpers, *kept)


def _references(text: str) -> tuple[str, ...]:
    return tuple(helper for helper in HELPERS if f"$({helper})" in text)
