"""What a pod's lineage is filed under: the job namespace by the manifest's strategy, and the parent run.

The parent run goes into OPENLINEAGE_CONTEXT, because a namespace may hold `/` and OPENLINEAGE_PARENT_ID may not
(lineage.md §1.1); its run id is the pod's UID, which only the kubelet knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from floe_core.credentials import literal_for_kubernetes
from floe_core.errors import ConfigurationError
from floe_core.namespaces import NamespaceParts, job_namespace
from floe_webhook import pod as pods
from floe_webhook.attributes import NAMESPACE, POD_UID, Identity, reference
from floe_webhook.pod import Document
from floe_webhook.reasons import Reason
from floe_webhook.variables import Variable, plain

PART_ANNOTATIONS = ("product", "domain", "environment")
"""Parts of the namespace that a pod may set as `floe.dev/<part>`; tenant and organization are the platform's alone."""

_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class LineageNames:
    """The variables that name, and what had to be said about them."""

    namespace: Variable
    airflow_namespace: Variable
    context: Variable | None
    reasons: tuple[Reason, ...]


def lineage_names(pod: Document, identity: Identity, template: str, parts: NamespaceParts) -> LineageNames:
    """OPENLINEAGE_NAMESPACE, Airflow's own form of it, and OPENLINEAGE_CONTEXT for a pod.

    Args:
        pod: The raw pod or pod template.
        identity: Its names.
        template: Format of the namespace.
        parts: What the manifest knows of it; the product is the pod's annotation or its workload's name.
    """
    given, reasons = _annotated_parts(pod)
    names, complete = _names(
        template, replace(parts, **given) if given else parts, identity.job_name, identity.namespace
    )
    if not complete:
        reasons.append(Reason.NAMESPACE_INCOMPLETE)
    return replace(names, reasons=tuple(reasons)) if reasons else names


def _names(template: str, parts: NamespaceParts, job: str | None, namespace: str) -> tuple[LineageNames, bool]:
    """The names without anything to say about them, and whether the template could be filled."""
    complete = True
    try:
        text = literal_for_kubernetes(job_namespace(template, parts if parts.product else replace(parts, product=job)))
    except ConfigurationError:
        text, complete = namespace, False
    needs = (NAMESPACE,) if text == reference(NAMESPACE) else ()
    source = "namespaces"
    names = LineageNames(
        namespace=plain("OPENLINEAGE_NAMESPACE", text, source=source, needs=needs),
        airflow_namespace=plain("AIRFLOW__OPENLINEAGE__NAMESPACE", text, source=source, needs=needs),
        context=_context(text, job, needs),
        reasons=(),
    )
    return names, complete


def _annotated_parts(pod: Document) -> tuple[Mapping[str, str], list[Reason]]:
    given: dict[str, str] = {}
    reasons: list[Reason] = []
    found = pods.annotations(pod)
    for part in PART_ANNOTATIONS:
        value = found.get(f"{pods.DOMAIN}/{part}")
        if value is None:
            continue
        if isinstance(value, str) and _PART.fullmatch(value):
            given[part] = value
        else:
            reasons.append(Reason.ANNOTATION_INVALID)
    return given, reasons


def _context(namespace: str, job: str | None, needs: tuple[str, ...]) -> Variable | None:
    if job is None:
        return None
    parent = {
        "run": {"runId": reference(POD_UID)},
        "job": {"namespace": namespace, "name": literal_for_kubernetes(job)},
    }
    text = orjson.dumps({"parent": parent}).decode()
    return plain("OPENLINEAGE_CONTEXT", text, source="the pod as parent run", needs=(*needs, POD_UID))
