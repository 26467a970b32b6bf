"""What a sidecar is told of its pod, so that it can name the pod in the pod's events.

Pure. Nothing of the user's is rewritten: where a variable of the user's own kept OPENLINEAGE_CONTEXT
or OPENLINEAGE_NAMESPACE out of one container, the sidecar gives no parent, or replaces no namespace, in the whole pod.
A credential's value cannot travel: variables are told only if they stand in the pod as plain text.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from floe_core.credentials import literal_for_kubernetes
from floe_core.manifest.enrichment import Enrichment
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook import pod as pods
from floe_webhook.attributes import NAMESPACE, Identity, encode, reference
from floe_webhook.lineage_names import LineageNames
from floe_webhook.plan import ContainerPlan
from floe_webhook.pod import Document
from floe_webhook.quantities import quantity
from floe_webhook.targets import SidecarDelivery
from floe_webhook.variables import Variable, from_field, plain

_SOURCE = "injection.enrichment"
_DEFAULTS = Enrichment()
_FIELDS = {
    SidecarVariable.POD_NAMESPACE: "metadata.namespace",
    SidecarVariable.POD_NAME: "metadata.name",
    SidecarVariable.POD_UID: "metadata.uid",
    SidecarVariable.NODE_NAME: "spec.nodeName",
}
_FROM_FIELDS = tuple(from_field(name, path, source="the downward API") for name, path in _FIELDS.items())
_MOST_BYTES = 4096
"""Of containers and of variables: a pod may have hundreds."""


class PodNames(NamedTuple):
    """What a sidecar is told of its pod beside what the kubelet fills in: the same for all pods of a workload.

    Attributes:
        job_namespace: Of the pod's own run, as Kubernetes' text.
        job_name: The same.
        owner: `Kind/name`; empty for nobody's.
        containers: Names and images, percent-encoded.
        runs_for_ever: Whether its containers are started again whenever they end.
        gives_parent: Whether nobody in it has a parent of the user's own.
        names_jobs: Whether nobody in it has a job namespace of the user's own.
        traceparent: The application's TRACEPARENT; empty without one.
        variables: Those that the manifest asks for, percent-encoded.
    """

    job_namespace: str
    job_name: str
    owner: str
    containers: str
    runs_for_ever: bool
    gives_parent: bool
    names_jobs: bool
    traceparent: str
    variables: str


def enrichment_delivery(enrichment: Enrichment) -> SidecarDelivery:
    """What all sidecars are told alike, as far as it is not what they do anyway."""
    switches = {
        SidecarVariable.ADD_PARENT: (enrichment.parent, _DEFAULTS.parent),
        SidecarVariable.ADD_POD: (enrichment.pod, _DEFAULTS.pod),
        SidecarVariable.ADD_TRACE_CONTEXT: (enrichment.trace_context, _DEFAULTS.trace_context),
    }
    told = {name: str(value).lower() for name, (value, default) in switches.items() if value != default}
    told[SidecarVariable.RUN_TAGS] = _pairs(tuple(enrichment.run_tags.items()))
    told[SidecarVariable.JOB_TAGS] = _pairs(tuple(enrichment.job_tags.items()))
    if enrichment.max_bytes != _DEFAULTS.max_bytes:
        told[SidecarVariable.ENRICHMENT_MAX_BYTES] = str(int(quantity(enrichment.max_bytes) or 0))
    return SidecarDelivery(tuple(plain(name, text, source=_SOURCE) for name, text in told.items() if text), {})


def pod_names(
    pod: Document,
    identity: Identity,
    names: LineageNames | None,
    planned: Sequence[ContainerPlan],
    enrichment: Enrichment,
) -> PodNames | None:
    """What a pod's sidecar is told of it; None if nothing names its lineage."""
    if names is None:
        return None
    namespace = str(names.namespace.entry["value"])
    if namespace == reference(NAMESPACE):
        namespace = reference(SidecarVariable.POD_NAMESPACE)
    written = [container.environment.names for container in planned]
    wanted = enrichment.environment_variables
    texts = _plain_variables(planned, _wanted(wanted))
    images = tuple([(name, pods.text(container, "image")) for _, name, container in pods.containers(pod, "containers")])
    return PodNames(
        job_namespace=namespace,
        job_name=literal_for_kubernetes(identity.job_name or ""),
        owner=literal_for_kubernetes(f"{identity.owner.kind}/{identity.owner.name}") if identity.owner else "",
        containers=_pairs(images),
        # What the API server fills in, and what a file leaves out (core/v1 PodSpec).
        runs_for_ever=pods.mapping(pod, "spec").get("restartPolicy", "Always") == "Always",
        gives_parent=all("OPENLINEAGE_CONTEXT" in one for one in written),
        names_jobs=all("OPENLINEAGE_NAMESPACE" in one for one in written),
        traceparent=literal_for_kubernetes(texts.get(_TRACEPARENT, "")[:_MOST_BYTES]),
        variables=_pairs(tuple([(name, texts[name]) for name in wanted if name in texts])),
    )


def pod_variables(names: PodNames, enrichment: Enrichment, *, begins_run: bool) -> Iterator[Variable]:
    """The variables of a sidecar that say so."""
    yield from _FROM_FIELDS
    replaced = ",".join(encode(name) for name in enrichment.replaced_namespaces) if names.names_jobs else ""
    told = {
        SidecarVariable.POD_OWNER: names.owner,
        SidecarVariable.POD_CONTAINERS: names.containers,
        SidecarVariable.JOB_NAMESPACE: names.job_namespace,
        SidecarVariable.JOB_NAME: names.job_name,
        SidecarVariable.PROCESSING_TYPE: "SERVICE" if names.runs_for_ever else "",
        SidecarVariable.POD_RUN: "true" if begins_run else "",
        SidecarVariable.ADD_PARENT: "" if names.gives_parent or not enrichment.parent else "false",
        SidecarVariable.REPLACED_NAMESPACES: replaced,
        SidecarVariable.TRACEPARENT: names.traceparent,
        SidecarVariable.ENVIRONMENT_VARIABLES: names.variables,
    }
    for name, text in told.items():
        if text:
            yield plain(name, text, source=_SOURCE)


_TRACEPARENT = "TRACEPARENT"


@lru_cache(maxsize=16)
def _wanted(variables: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*variables, _TRACEPARENT))


@lru_cache(maxsize=512)
def _pairs(texts: tuple[tuple[str, str], ...]) -> str:
    """As many as there is room for, as OTEL_RESOURCE_ATTRIBUTES are written."""
    room, found = _MOST_BYTES, []
    for name, text in texts:
        pair = f"{encode(name)}={encode(text)}"
        room -= len(pair) + 1
        if room >= 0:
            found.append(pair)
    return ",".join(found)


def _plain_variables(planned: Sequence[ContainerPlan], wanted: frozenset[str]) -> dict[str, str]:
    """Texts of variables of the first application container that is configured; a reference to another is no text."""
    container = next((one.document for one in planned if one.kind == "containers"), None)
    if container is None:
        return {}
    found = ((name, entry.get("value")) for _, name, entry in pods.environment_of(container) if name in wanted)
    return {name: value for name, value in found if isinstance(value, str) and "$(" not in value}
