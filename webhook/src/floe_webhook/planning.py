"""What a decision means for one pod: the additions, nothing else, each with the place where it belongs."""

from collections.abc import Iterator
from functools import lru_cache

import orjson

from floe_core.credentials import SecretKey
from floe_webhook import pod as pods
from floe_webhook.additions import Addition
from floe_webhook.annotations import Options
from floe_webhook.asked import read
from floe_webhook.attributes import identity_of
from floe_webhook.decision import Decision, Facts, Outcome, asked_by, decide
from floe_webhook.environment import Shared, environments
from floe_webhook.lineage_names import LineageNames, lineage_names
from floe_webhook.namespace_limits import refusal
from floe_webhook.owners import Owner, workload_of
from floe_webhook.plan import INJECTED_BY, ContainerPlan, Plan
from floe_webhook.pod import Document
from floe_webhook.ports import Ports, free_ports
from floe_webhook.profile import Profile, SidecarProfile
from floe_webhook.reasons import Reason
from floe_webhook.record import record_text
from floe_webhook.selection import select
from floe_webhook.sidecar_container import named, sidecar_container, volumes
from floe_webhook.sidecar_enrichment import pod_names
from floe_webhook.surroundings import KnownKeys, KnownSecrets
from floe_webhook.targets import LineageTarget, TelemetryTarget, local_lineage


def build(facts: Facts, profile: Profile) -> Plan:
    """Decides about a pod and plans what follows."""
    decision, asked = decide(facts, profile.rules), asked_by(facts, profile.rules)
    if decision.outcome is Outcome.NONE:
        return Plan(facts.pod, decision, asked)
    pod = facts.pod
    ports = free_ports(facts.containers, profile.rules.ports)
    decision, container = _with_sidecar(facts, profile, decision, ports, asked.options)
    reasons = list(decision.reasons)
    sidecar = profile.sidecar if container is not None else None
    pull_secrets: tuple[Addition, ...] = ()
    if sidecar is not None:
        pull_secrets, told = _beside_sidecar(facts, sidecar, ports)
        reasons += told
    shared, names = _shared(facts, profile, ports if sidecar else None)
    reasons += names.reasons if names else ()
    chosen, told = select(facts.containers, facts.annotations, asked.options, profile.containers)
    reasons += told
    if not chosen:
        return Plan(pod, Decision(Outcome.NONE, (*reasons, Reason.NO_CONTAINER_SELECTED)), asked)
    found = environments([container.document for container in chosen], shared)
    planned = tuple([ContainerPlan(*place, environment) for place, environment in zip(chosen, found, strict=True)])
    reasons += [reason for one in planned for reason in one.environment.reasons]
    if facts.surroundings.secrets:
        reasons += _missing(_credentials(planned, sidecar), facts.surroundings.secrets)
    if sidecar is not None and container is not None:
        container = named(container, sidecar, pod_names(facts, shared, planned, sidecar.enrichment))
    final = Decision(decision.outcome, tuple(dict.fromkeys(reasons)))
    plan = Plan(pod, final, asked, planned, container, volumes(sidecar) if sidecar else (), pull_secrets)
    record = record_text(plan, profile.identity)
    if _annotation_bytes(facts.annotations) + len(record) > _MOST_ANNOTATION_BYTES:
        return Plan(pod, Decision(Outcome.NONE, (*final.reasons, Reason.ANNOTATIONS_FULL)), asked)
    annotations = {pods.INJECTED_BY_ANNOTATION: INJECTED_BY, pods.INJECTION_ANNOTATION: record}
    return plan._replace(labels={pods.INJECTED_LABEL: "true"}, annotations=annotations)


# apimachinery's TotalAnnotationSizeLimitB, less the names of ours; beyond it the API server refuses a pod.
_MOST_ANNOTATION_BYTES = 256 * 1024 - 512


def _annotation_bytes(annotations: Document) -> int:
    texts = [part for pair in annotations.items() for part in pair if isinstance(part, str)]
    return sum([len(text) if text.isascii() else len(text.encode(errors="surrogatepass")) for text in texts])


def _with_sidecar(
    facts: Facts, profile: Profile, decision: Decision, ports: Ports | None, options: Options
) -> tuple[Decision, Addition | None]:
    """The sidecar, if it is wanted and the namespace would not refuse the pod for it."""
    if decision.outcome is not Outcome.FULL or profile.sidecar is None or ports is None:
        return decision, None
    container = sidecar_container(facts.pod, profile.sidecar, ports, options)
    limits = facts.surroundings.limits
    refused = refusal(facts.spec, container, limits) if limits is not None else None
    if refused is None:
        return decision, container
    return Decision(Outcome.ENVIRONMENT_ONLY, (*decision.reasons, refused)), None


def _beside_sidecar(
    facts: Facts, sidecar: SidecarProfile, ports: Ports | None
) -> tuple[tuple[Addition, ...], list[Reason]]:
    """What a pod needs besides for the sidecar's image, and what has to be said because of the sidecar."""
    told: list[Reason] = []
    if ports != sidecar.ports:
        told.append(Reason.PORT_MOVED)
    if facts.spec.get("shareProcessNamespace") is True:
        # `/proc/PID/root` of a container is open to another one of the same user: the credential's file too.
        told.append(Reason.PROCESSES_SHARED)
    if not sidecar.image_pull_secrets:
        return (), told
    if not facts.is_admitted:
        told.append(Reason.PULL_SECRETS_LEFT_OUT)
        return (), told
    there = {pods.text(one, "name") for one in pods.entries(facts.spec, "imagePullSecrets")}
    return tuple(Addition({"name": name}) for name in sidecar.image_pull_secrets if name not in there), told


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
    options = read(pods.annotations(pod), profile.rules.allowance, namespace).options
    identity = identity_of(
        pod,
        namespace=namespace,
        owner=workload_of(pod, owner),
        environment=options.environment or profile.environment,
        use_labels=profile.use_labels,
    )
    names = None
    if profile.namespace_template is not None:
        names = lineage_names(options, identity, profile.namespace_template, profile.namespace_parts)
    shared = Shared(
        identity=identity,
        telemetry=_telemetry(profile, ports) if ports else profile.telemetry_without_sidecar,
        lineage=_relayed(profile, ports) if ports else profile.lineage_without_sidecar,
        names=names,
        runs_airflow=str(pods.labels(pod).get("kubernetes_executor")) == "True",
        known_keys=known_keys,
    )
    return shared, names


def _telemetry(profile: Profile, ports: Ports) -> TelemetryTarget | None:
    moved = ports.application != profile.rules.ports.application
    relayed = profile.relayed_telemetry
    return relayed.target(ports.application) if moved and relayed else profile.telemetry_with_sidecar


def _relayed(profile: Profile, ports: Ports) -> LineageTarget | None:
    moved = ports.application != profile.rules.ports.application
    return local_lineage(ports.application) if moved else profile.lineage_with_sidecar
