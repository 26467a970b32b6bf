"""A plan as RFC 6902 operations on the raw document.

Only `add` operations, one for each addition, in time linear in what is added: no generic comparison of documents, which
is slow and drops fields that it does not know (injection.md §3, 7 and 26). They are written as text at once, from the
text that each addition already has.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from floe_webhook import pod as pods
from floe_webhook.additions import Addition, add, json_text
from floe_webhook.plan import ContainerPlan, Plan

Operation = dict[str, Any]


def operations(plan: Plan, path: Sequence[str] = ()) -> list[Operation]:
    """The operations that carry out a plan; see `texts`."""
    found: list[Operation] = orjson.loads(f"[{','.join(texts(plan, path))}]")
    return found


def texts(plan: Plan, path: Sequence[str] = ()) -> list[str]:
    """The operations that carry out a plan, as JSON with commas between them.

    Paths are made of Kubernetes' and our own names, in which nothing has to be escaped.

    Args:
        plan: What is added to the pod.
        path: Keys that lead from the document to the pod or pod template.
    """
    prefix = "".join(f"/{escape(key)}" for key in path)
    found: list[str] = []
    for container in plan.containers:
        found += _environment(container, f"{prefix}/spec/{container.kind}/{container.position}")
    # Positions above are those of the pod as it came, so the sidecar takes the first place after them.
    if plan.sidecar is not None:
        spec = pods.mapping(plan.pod, "spec")
        found += _insert(spec, "initContainers", [plan.sidecar], f"{prefix}/spec", position="0")
        found += _insert(spec, "volumes", plan.volumes, f"{prefix}/spec", position="-")
        if plan.pull_secrets:
            found += _insert(spec, "imagePullSecrets", plan.pull_secrets, f"{prefix}/spec", position="-")
    if plan.labels is not None or plan.annotations is not None:
        metadata = pods.mapping(plan.pod, "metadata")
        if not isinstance(plan.pod.get("metadata"), dict):
            found.append(add(f"{prefix}/metadata", "{}"))
        found += _merge(metadata, "labels", plan.labels or {}, f"{prefix}/metadata")
        found += _merge(metadata, "annotations", plan.annotations or {}, f"{prefix}/metadata")
    return found


@lru_cache(maxsize=64)  # keys are Kubernetes' and ours: a handful
def escape(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _environment(container: ContainerPlan, path: str) -> Iterator[str]:
    environment = container.environment
    if environment.merge is not None:
        yield add(f"{path}/env/{environment.merge.position}/value", json_text(environment.merge.value))
    if not environment.variables:
        return
    if container.document.get("env") is None:
        yield environment.additions.whole(f"{path}/env")
    else:
        yield environment.additions.each(f"{path}/env")


def _insert(
    document: Mapping[str, Any], key: str, entries: Sequence[Addition], path: str, *, position: str
) -> list[str]:
    if document.get(key) is None:
        return [add(f"{path}/{key}", f"[{','.join([entry.text for entry in entries])}]")]
    return [add(f"{path}/{key}/{position}", entry.text) for entry in entries]


def _merge(document: Mapping[str, Any], key: str, added: Mapping[str, str], path: str) -> list[str]:
    if document.get(key) is None:
        return [add(f"{path}/{key}", json_text(added))]
    return [add(f"{path}/{key}/{escape(name)}", json_text(value)) for name, value in added.items()]
