"""What a pod's lineage is filed under: the job namespace by the manifest's strategy, and the parent run.

The parent run goes into OPENLINEAGE_CONTEXT, because a namespace may hold `/` and OPENLINEAGE_PARENT_ID may not
(lineage.md §1.1); its run id is the pod's UID, which only the kubelet knows.
"""

from dataclasses import dataclass, replace

import orjson

from floe_core.credentials import literal_for_kubernetes
from floe_core.errors import ConfigurationError
from floe_core.namespaces import NamespaceParts, fields_of, job_namespace
from floe_webhook.annotations import LINEAGE_NAMESPACE, PREFIX, Options
from floe_webhook.attributes import NAMESPACE, POD_UID, Identity, reference
from floe_webhook.reasons import Reason
from floe_webhook.variables import Variable, plain

PARTS = ("product", "domain", "environment", "tenant", "organization")
"""Parts of the namespace that a pod may set as `floe.dev/<part>`, as far as the platform lets it."""


@dataclass(frozen=True, slots=True)
class LineageNames:
    """The variables that name, and what had to be said about them."""

    namespace: Variable
    airflow_namespace: Variable
    context: Variable | None
    reasons: tuple[Reason, ...]


def lineage_names(options: Options, identity: Identity, template: str, parts: NamespaceParts) -> LineageNames:
    """OPENLINEAGE_NAMESPACE, Airflow's own form of it, and OPENLINEAGE_CONTEXT for a pod.

    Args:
        options: What the pod asks for.
        identity: Its names.
        template: Format of the namespace.
        parts: What the manifest knows of it; the product is the pod's annotation or its workload's name.
    """
    job, source = identity.job_name, "namespaces"
    reasons: tuple[Reason, ...] = ()
    given = {part: value for part in PARTS if (value := getattr(options, part)) is not None}
    whole = replace(parts, **given) if given else parts
    if used := [part for part in fields_of(template) if part in given]:
        source = f"{source} and the annotation {', '.join(PREFIX + part for part in used)}"
    if options.lineage_namespace is not None:
        text, source = literal_for_kubernetes(options.lineage_namespace), f"the annotation {LINEAGE_NAMESPACE}"
    else:
        try:
            filled = job_namespace(template, whole if whole.product else replace(whole, product=job))
            text = literal_for_kubernetes(filled)
        except ConfigurationError:
            text, reasons = identity.namespace, (Reason.NAMESPACE_INCOMPLETE,)
    needs = (NAMESPACE,) if text == reference(NAMESPACE) else ()
    return LineageNames(
        namespace=plain("OPENLINEAGE_NAMESPACE", text, source=source, needs=needs),
        airflow_namespace=plain("AIRFLOW__OPENLINEAGE__NAMESPACE", text, source=source, needs=needs),
        context=_context(text, job, needs),
        reasons=reasons,
    )


def _context(namespace: str, job: str | None, needs: tuple[str, ...]) -> Variable | None:
    if job is None:
        return None
    parent = {
        "run": {"runId": reference(POD_UID)},
        "job": {"namespace": namespace, "name": literal_for_kubernetes(job)},
    }
    text = orjson.dumps({"parent": parent}).decode()
    return plain("OPENLINEAGE_CONTEXT", text, source="the pod as parent run", needs=(*needs, POD_UID))
