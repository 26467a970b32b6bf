"""A plan as RFC 6902 operations on the raw document, and the way back.

Only `add` operations, one for each addition, in time linear in what is added: no generic comparison of documents, which
is slow and drops fields that it does not know (injection.md §3, 7 and 26).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from floe_webhook import pod as pods
from floe_webhook.plan import ContainerPlan, Plan

Operation = dict[str, Any]


def operations(plan: Plan, path: Sequence[str] = ()) -> list[Operation]:
    """The operations that carry out a plan.

    Args:
        plan: What is added to the pod.
        path: Keys that lead from the document to the pod or pod template.
    """
    prefix = "".join(f"/{escape(key)}" for key in path)
    found: list[Operation] = []
    for container in plan.containers:
        found += _environment(container, f"{prefix}/spec/{container.kind}/{container.position}")
    # Positions above are those of the pod as it came, so the sidecar takes the first place after them.
    if plan.sidecar is not None:
        spec = pods.mapping(plan.pod, "spec")
        found += _insert(spec, "initContainers", [plan.sidecar], f"{prefix}/spec", position="0")
        found += _insert(spec, "volumes", plan.volumes, f"{prefix}/spec", position="-")
    if plan.labels is not None or plan.annotations is not None:
        metadata = pods.mapping(plan.pod, "metadata")
        if not isinstance(plan.pod.get("metadata"), Mapping):
            found.append(_add(f"{prefix}/metadata", {}))
        found += _merge(metadata, "labels", plan.labels or {}, f"{prefix}/metadata")
        found += _merge(metadata, "annotations", plan.annotations or {}, f"{prefix}/metadata")
    return found


def escape(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _environment(container: ContainerPlan, path: str) -> Iterator[Operation]:
    environment = container.environment
    if environment.merge is not None:
        yield _add(f"{path}/env/{environment.merge.position}/value", environment.merge.value)
    entries = [variable.entry for variable in environment.variables]
    if not entries:
        return
    if container.document.get("env") is None:
        yield _add(f"{path}/env", entries)
        return
    for position, entry in enumerate(entries):
        yield _add(f"{path}/env/{position}", entry)


def _insert(
    document: Mapping[str, Any], key: str, entries: Sequence[Mapping[str, Any]], path: str, *, position: str
) -> list[Operation]:
    if document.get(key) is None:
        return [_add(f"{path}/{key}", list(entries))]
    return [_add(f"{path}/{key}/{position}", entry) for entry in entries]


def _merge(document: Mapping[str, Any], key: str, added: Mapping[str, str], path: str) -> list[Operation]:
    if document.get(key) is None:
        return [_add(f"{path}/{key}", dict(added))]
    return [_add(f"{path}/{key}/{escape(name)}", value) for name, value in added.items()]


def _add(path: str, value: object) -> Operation:
    return {"op": "add", "path": path, "value": value}
