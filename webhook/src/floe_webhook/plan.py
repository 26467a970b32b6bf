"""What a decision means for one pod: the additions, nothing else, each with the place where it belongs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from floe_core.credentials import SecretKey
from floe_webhook import __version__
from floe_webhook import pod as pods
from floe_webhook.additions import Addition, json_text
from floe_webhook.attributes import identity_of
from floe_webhook.decision import Decision, Facts, Outcome, decide
from floe_webhook.environment import ContainerEnvironment, Shared, environments
from floe_webhook.lineage_names import LineageNames, lineage_names
from floe_webhook.namespace_limits import refusal
from floe_webhook.owners import Owner, workload_of
from floe_webhook.pod import Document
from floe_webhook.ports import Ports, free_ports
from floe_webhook.profile import Profile, SidecarProfile
from floe_webhook.reasons import Reason
from floe_webhook.selection import select
from floe_webhook.sidecar_container import sidecar_container, volumes
from floe_webhook.surroundings import KnownKeys, KnownSecrets
from floe_webhook.targets import LineageTarget, local_lineage

INJECTED_BY = f"floe-webhook/{__version__}"


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """One container's additions.

    Attributes:
        kind: `containers` or `initContainers`.
        position: Its place among its kind.
    """

    kind: str
    position: int
    name: str
    document: Document
    environment: ContainerEnvironment


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be added to a pod; empty lists and None where nothing is.

    Attributes:
        decision: Why, with everything that had to be said on the way.
        sidecar: The container that becomes the first init container.
    """

    pod: Document
    decision: Decision
    containers: tuple[ContainerPlan, ...] = ()
    sidecar: Addition | None = None
    volumes: tuple[Addition, ...] = ()
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


def build(facts: Facts, profile: Profile) -> Plan:
    """Decides about a pod and plans what follows."""
    decision = decide(facts, profile.rules)
    if decision.outcome is Outcome.NONE:
        return Plan(facts.pod, decision)
    pod = facts.pod
    ports = free_ports(facts.containers, profile.rules.ports)
    decision, container = _with_sidecar(facts, profile, decision, ports)
    reasons = list(decision.reasons)
    sidecar = profile.sidecar if container is not None else None
    if sidecar is not None and ports != sidecar.ports:
        reasons.append(Reason.PORT_MOVED)
    shared, names = _shared(facts, profile, ports if sidecar else None)
    reasons += names.reasons if names else ()
    chosen, told = select(facts.containers, facts.annotations, profile.containers)
    reasons += told
    if not chosen:
        return Plan(pod, Decision(Outcome.NONE, (*reasons, Reason.NO_CONTAINER_SELECTED)))
    found = environments([container.document for container in chosen], shared)
    planned = tuple(ContainerPlan(*selected, environment) for selected, environment in zip(chosen, found, strict=True))
    reasons += [reason for one in planned for reason in one.environment.reasons]
    if facts.surroundings.secrets:
        reasons += _missing(_credentials(planned, sidecar), facts.surroundings.secrets)
    final = Decision(decision.outcome, tuple(dict.fromkeys(reasons)))
    return Plan(
        pod,
        final,
        planned,
        container,
        volumes(sidecar) if sidecar else (),
        {pods.INJECTED_LABEL: "true"},
        {
            pods.INJECTED_BY_ANNOTATION: INJECTED_BY,
            pods.INJECTION_ANNOTATION: _record(pod, final, planned, profile, with_sidecar=container is not None),
        },
    )


def _with_sidecar(
    facts: Facts, profile: Profile, decision: Decision, ports: Ports | None
) -> tuple[Decision, Addition | None]:
    """The sidecar, if it is wanted and the namespace would not refuse the pod for it."""
    if decision.outcome is not Outcome.FULL or profile.sidecar is None or ports is None:
        return decision, None
    container = sidecar_container(facts.pod, profile.sidecar, ports)
    limits = facts.surroundings.limits
    refused = refusal(facts.spec, container, limits) if limits is not None else None
    if refused is None:
        return decision, container
    return Decision(Outcome.ENVIRONMENT_ONLY, (*decision.reasons, refused)), None


def _credentials(planned: tuple[ContainerPlan, ...], sidecar: SidecarProfile | None) -> Iterator[SecretKey]:
    """What the pod would read of its namespace's Secrets because of us."""
    if sidecar is not None:
        yield from sidecar.delivery.files.values()
    for container in planned:
        for variable in container.environment.variables:
            if variable.secret is not None:
                yield variable.secret


def _missing(credentials: Iterator[SecretKey], secrets: KnownSecrets) -> Iterator[Reason]:
    for credential in credentials:
        keys = secrets.get(credential.secret, _NOT_KNOWN)
        if keys is None:
            yield Reason.SECRET_MISSING
        elif keys is not _NOT_KNOWN and credential.key not in keys:
            yield Reason.SECRET_KEY_MISSING


_NOT_KNOWN: frozenset[str] = frozenset({""})


def _shared(facts: Facts, profile: Profile, ports: Ports | None) -> tuple[Shared, LineageNames | None]:
    """What all containers are told alike; known from the last pod of the workload where it follows from the metadata.

    `ports` are the sidecar's; None without one.
    """
    owner, known_keys = facts.surroundings.owner, facts.surroundings.known_keys
    if not known_keys:
        try:
            text = orjson.dumps(facts.pod.get("metadata"), option=_JSON_ALONE)
        except TypeError:
            text = b""  # a file's metadata, which may be more than JSON
        if 0 < len(text) <= _LONGEST_METADATA:
            return _shared_of_workload(text, facts.namespace, profile, ports, owner)
    return _shared_of(facts.pod, facts.namespace, profile, ports, owner=owner, known_keys=known_keys)


_JSON_ALONE = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS

# A client decides how long metadata are that come in; what is kept must not grow by that.
_LONGEST_METADATA = 4096


@lru_cache(maxsize=512)
def _shared_of_workload(
    metadata: bytes, namespace: str, profile: Profile, ports: Ports | None, owner: Owner | None
) -> tuple[Shared, LineageNames | None]:
    """The same for all pods of a workload: what their names do not share, only the kubelet fills in."""
    return _shared_of({"metadata": orjson.loads(metadata)}, namespace, profile, ports, owner=owner, known_keys={})


def _shared_of(
    pod: Document,
    namespace: str,
    profile: Profile,
    ports: Ports | None,
    *,
    owner: Owner | None,
    known_keys: KnownKeys,
) -> tuple[Shared, LineageNames | None]:
    identity = identity_of(
        pod,
        namespace=namespace,
        owner=workload_of(pod, owner),
        environment=profile.environment,
        use_labels=profile.use_labels,
    )
    names = None
    if profile.namespace_template is not None:
        names = lineage_names(pod, identity, profile.namespace_template, profile.namespace_parts)
    shared = Shared(
        identity=identity,
        telemetry=profile.telemetry_with_sidecar if ports else profile.telemetry_without_sidecar,
        lineage=_relayed(profile, ports) if ports else profile.lineage_without_sidecar,
        names=names,
        runs_airflow=str(pods.labels(pod).get("kubernetes_executor")) == "True",
        known_keys=known_keys,
    )
    return shared, names


def _relayed(profile: Profile, ports: Ports) -> LineageTarget | None:
    moved = ports.application != profile.rules.ports.application
    return local_lineage(ports.application) if moved else profile.lineage_with_sidecar


def _record(
    pod: Document, decision: Decision, planned: tuple[ContainerPlan, ...], profile: Profile, *, with_sidecar: bool
) -> str:
    """The annotation that says what was added, compact: containers with the same variables share an entry.

    `lists` names what did not exist before (`created`) or held null, so that taking everything out restores the pod.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    merged: dict[str, int | None] = {}
    for container in planned:
        if variables := container.environment.names:
            groups.setdefault((_state(container.document, "env"), variables), []).append(container.name)
        if container.environment.merge is not None:
            merged[container.name] = container.environment.merge.kept
    record = {
        "version": __version__,
        "profile": profile.identity,
        "outcome": decision.outcome,
        "reasons": decision.reasons,
        "environment": [
            {"containers": names, "variables": variables, "list": state} for (state, variables), names in groups.items()
        ],
        "merged": merged,
        "lists": dict(_lists(pod, with_sidecar=with_sidecar)),
    }
    return json_text({key: value for key, value in record.items() if value})


def _lists(pod: Document, *, with_sidecar: bool) -> Iterator[tuple[str, str]]:
    metadata, spec = pods.mapping(pod, "metadata"), pods.mapping(pod, "spec")
    places = [(pod, "metadata"), (metadata, "labels"), (metadata, "annotations")]
    if with_sidecar:
        places += [(spec, "initContainers"), (spec, "volumes")]
    for document, key in places:
        if (state := _state(document, key)) != "kept":
            yield key, state


def _state(document: Document, key: str) -> str:
    if document.get(key) is not None:
        return "kept"
    return "null" if key in document else "created"
