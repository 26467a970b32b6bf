"""Takes out what was put in: the operations that restore a pod, from the record that its annotation keeps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from floe_webhook import pod as pods
from floe_webhook.patch import Operation, escape
from floe_webhook.pod import Document

OUR_KEYS: Mapping[str, tuple[str, ...]] = {
    "labels": (pods.INJECTED_LABEL,),
    "annotations": (pods.INJECTED_BY_ANNOTATION, pods.INJECTION_ANNOTATION),
}
"""What we write into `metadata`."""


def removal(pod: Document, record: Mapping[str, Any], path: Sequence[str] = ()) -> list[Operation]:
    """The operations that take out what `record` names; whatever others added stays."""
    prefix = "".join(f"/{escape(key)}" for key in path)
    lists = pods.mapping(record, "lists")
    found: list[Operation] = []
    for kind in ("initContainers", "containers"):
        for position, name, container in pods.containers(pod, kind):
            if name != pods.SIDECAR_NAME:
                found += _environment(container, name, record, f"{prefix}/spec/{kind}/{position}")
    spec, metadata = pods.mapping(pod, "spec"), pods.mapping(pod, "metadata")
    if record.get("outcome") == "full":
        # Without a sidecar such names are the user's.
        found += _entries(spec, "initContainers", {pods.SIDECAR_NAME}, f"{prefix}/spec", lists.get("initContainers"))
        found += _entries(spec, "volumes", pods.VOLUME_NAMES, f"{prefix}/spec", lists.get("volumes"))
    if added := frozenset(name for name in pods.entries(record, "pullSecrets") if isinstance(name, str)):
        found += _entries(spec, "imagePullSecrets", added, f"{prefix}/spec", lists.get("imagePullSecrets"))
    if lists.get("metadata") and _is_ours_alone(metadata):
        return [*found, _gone(f"{prefix}/metadata", lists["metadata"])]
    found += _keys(metadata, "labels", OUR_KEYS["labels"], f"{prefix}/metadata", lists.get("labels"))
    found += _keys(metadata, "annotations", OUR_KEYS["annotations"], f"{prefix}/metadata", lists.get("annotations"))
    return found


def _is_ours_alone(metadata: Document) -> bool:
    return all(pods.mapping(metadata, key).keys() <= set(OUR_KEYS.get(key, ())) for key in metadata)


def _environment(container: Document, name: str, record: Mapping[str, Any], path: str) -> Iterator[Operation]:
    ours, state = _written(name, record)
    entries = list(pods.environment_of(container))
    first: dict[str, int] = {}
    for position, variable, _ in entries:
        if variable in ours:
            first.setdefault(variable, position)
    merged = pods.mapping(record, "merged")
    if name in merged:
        yield from _unmerged(entries, merged[name], f"{path}/env")
    if state != "kept" and len(first) == len(pods.entries(container, "env")) > 0:
        yield _gone(f"{path}/env", state)
        return
    # From the end, so that the positions before stay what they are.
    for position in sorted(first.values(), reverse=True):
        yield {"op": "remove", "path": f"{path}/env/{position}"}


def _written(container: str, record: Mapping[str, Any]) -> tuple[set[str], str]:
    for group in pods.entries(record, "environment"):
        if container in pods.entries(group, "containers"):
            return set(pods.entries(group, "variables")), pods.text(group, "list")
    return set(), "kept"


def _unmerged(entries: Sequence[tuple[int, str, Document]], kept: int | None, path: str) -> Iterator[Operation]:
    for position, name, entry in reversed(entries):
        if name == "OTEL_RESOURCE_ATTRIBUTES" and isinstance(entry.get("value"), str):
            if kept is None:
                yield {"op": "remove", "path": f"{path}/{position}/value"}
            else:
                yield {"op": "add", "path": f"{path}/{position}/value", "value": entry["value"][:kept]}
            return


def _entries(
    document: Document, key: str, names: set[str] | frozenset[str], path: str, state: str | None
) -> Iterator[Operation]:
    entries = pods.entries(document, key)
    ours = [position for position, entry in enumerate(entries) if pods.text(entry, "name") in names]
    if state and len(ours) == len(entries):
        yield from [_gone(f"{path}/{key}", state)] if ours else []
        return
    for position in reversed(ours):
        yield {"op": "remove", "path": f"{path}/{key}/{position}"}


def _keys(document: Document, key: str, names: Sequence[str], path: str, state: str | None) -> Iterator[Operation]:
    present = pods.mapping(document, key)
    ours = [name for name in names if name in present]
    if state and len(ours) == len(present):
        yield from [_gone(f"{path}/{key}", state)] if ours else []
        return
    for name in ours:
        yield {"op": "remove", "path": f"{path}/{key}/{escape(name)}"}


def _gone(path: str, state: str) -> Operation:
    return {"op": "add", "path": path, "value": None} if state == "null" else {"op": "remove", "path": path}
