"""What a sidecar is told of its pod, so that it can name the pod in the pod's events.

Pure. Nothing of the user's is rewritten: where a variable of the user's own kept OPENLINEAGE_CONTEXT
or OPENLINEAGE_NAMESPACE out of one container, the sidecar gives no parent, or replaces no namespace, in the whole pod.
A credential's value cannot travel: variables are told only if they stand in the pod as plain text.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from floe_core.credentials import literal_for_kubernetes
from floe_core.manifest.enrichment import Enrichment
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook import pod as pods
from floe_webhook.attributes import NAMESPACE, encode, reference
from floe_webhook.decision import Facts
from floe_webhook.environment import Shared
from floe_webhook.owners import Owner
from floe_webhook.plan import ContainerPlan
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
        job_name: The same run's, as it is.
        owner: None for nobody's.
        images: Names of the containers and their images.
        runs_for_ever: Whether its containers are started again whenever they end.
        gives_parent: Whether nobody in it has a parent of the user's own.
        names_jobs: Whether nobody in it has a job namespace of the user's own.
        variables: Of the application: TRACEPARENT and those that the manifest asks for.
    """

    job_namespace: str
    job_name: str
    owner: Owner | None
    images: tuple[tuple[str, str], ...]
    runs_for_ever: bool
    gives_parent: bool
    names_jobs: bool
    variables: tuple[tuple[str, str], ...]

    @property
    def length(self) -> int:
        """Characters that the pod's own document gives it."""
        texts = [len(name) + len(text) for name, text in (*self.images, *self.variables)]
        return len(self.job_namespace) + len(self.job_name) + sum(texts)


def enrichment_delivery(enrichment: Enrichment) -> SidecarDelivery:
    """What all sidecars are told alike, as far as it is not what they do anyway."""
    switches = {
        SidecarVariable.ADD_PARENT: (enrichment.parent, _DEFAULTS.parent),
        SidecarVariable.ADD_POD: (enrichment.pod, _DEFAULTS.pod),
        SidecarVariable.ADD_TRACE_CONTEXT: (enrichment.trace_context, _DEFAULTS.trace_context),
    }
    told = {name: str(value).lower() for name, (value, default) in switches.items() if value != default}
    told[SidecarVariable.RUN_TAGS] = _pairs(enrichment.run_tags.items())
    told[SidecarVariable.JOB_TAGS] = _pairs(enrichment.job_tags.items())
    if enrichment.max_bytes != _DEFAULTS.max_bytes:
        told[SidecarVariable.ENRICHMENT_MAX_BYTES] = str(int(quantity(enrichment.max_bytes) or 0))
    return SidecarDelivery(tuple(plain(name, text, source=_SOURCE) for name, text in told.items() if text), {})


def pod_names(
    facts: Facts, shared: Shared, planned: Sequence[ContainerPlan], enrichment: Enrichment
) -> PodNames | None:
    """What a pod's sidecar is told of it; None if nothing names its lineage."""
    if shared.names is None:
        return None
    first, *others = [container.environment.names for container in planned]
    everywhere = set(first).intersection(*others)
    texts = _plain_variables(planned, _wanted(enrichment.environment_variables))
    return PodNames(
        shared.names.namespace.entry["value"],
        shared.identity.job_name or "",
        shared.identity.owner,
        tuple([(one.name, pods.text(one.document, "image")) for one in facts.containers if one.kind == "containers"]),
        # What the API server fills in, and what a file leaves out (core/v1 PodSpec).
        runs_for_ever=facts.spec.get("restartPolicy", "Always") == "Always",
        gives_parent="OPENLINEAGE_CONTEXT" in everywhere,
        names_jobs="OPENLINEAGE_NAMESPACE" in everywhere,
        variables=tuple(texts.items()),
    )


def pod_variables(names: PodNames, enrichment: Enrichment, *, begins_run: bool) -> Iterator[Variable]:
    """The variables of a sidecar that say so."""
    yield from _FROM_FIELDS
    replaced = ",".join(encode(name) for name in enrichment.replaced_namespaces) if names.names_jobs else ""
    owner, texts = names.owner, dict(names.variables)
    here = names.job_namespace == reference(NAMESPACE)
    told = {
        SidecarVariable.POD_OWNER: literal_for_kubernetes(f"{owner.kind}/{owner.name}") if owner else "",
        SidecarVariable.POD_CONTAINERS: _pairs(names.images),
        SidecarVariable.JOB_NAMESPACE: reference(SidecarVariable.POD_NAMESPACE) if here else names.job_namespace,
        SidecarVariable.JOB_NAME: literal_for_kubernetes(names.job_name),
        SidecarVariable.PROCESSING_TYPE: "SERVICE" if names.runs_for_ever else "",
        SidecarVariable.POD_RUN: "true" if begins_run else "",
        SidecarVariable.ADD_PARENT: "" if names.gives_parent or not enrichment.parent else "false",
        SidecarVariable.REPLACED_NAMESPACES: replaced,
        SidecarVariable.TRACEPARENT: literal_for_kubernetes(texts.get(_TRACEPARENT, "")[:_MOST_BYTES]),
        SidecarVariable.ENVIRONMENT_VARIABLES: _pairs(
            [(name, texts[name]) for name in enrichment.environment_variables if name in texts]
        ),
    }
    for name, text in told.items():
        if text:
            yield plain(name, text, source=_SOURCE)


_TRACEPARENT = "TRACEPARENT"


@lru_cache(maxsize=16)
def _wanted(variables: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*variables, _TRACEPARENT))


def _pairs(texts: Iterable[tuple[str, str]]) -> str:
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
    if wanted.isdisjoint(pods.variable_names(container)):
        return {}
    found = ((name, entry.get("value")) for _, name, entry in pods.environment_of(container) if name in wanted)
    return {name: value for name, value in found if isinstance(value, str) and "$(" not in value}
