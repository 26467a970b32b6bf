"""The part of a kubelet that turns a container of a pod into a process's environment.

It follows the kubelet's rules: entries in order, a later one of the same name wins, `$(NAME)` resolves against entries
that stand earlier, `$$` escapes, `fieldRef` reads the pod, a missing optional `secretKeyRef` leaves the variable out.
"""

import re
from collections.abc import Mapping
from typing import Any

from floe_core.errors import ExecutionError

_EXPANSION = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")

Pod = Mapping[str, Any]


def container(pod: Pod, name: str) -> Mapping[str, Any]:
    """The container or init container of that name."""
    spec = pod["spec"]
    for entry in [*spec.get("initContainers", []), *spec["containers"]]:
        if entry["name"] == name:
            return dict(entry)
    raise ExecutionError(f"The pod has no container {name}.", remedy="Look at the injected pod above.")


def environment(
    pod: Pod,
    container_name: str,
    *,
    node: Mapping[str, str],
    mounts: Mapping[str, str],
    secrets: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    """The environment that the container's process gets.

    Args:
        pod: The pod as the API server would have stored it.
        container_name: Name of the container.
        node: What only a node knows: `status.hostIP`, `status.podIP`, `spec.nodeName`.
        secrets: The Secrets of the pod's namespace: name to keys and values.
        mounts: Folder on this machine for each volume of the pod; mount paths in values are replaced by it.
    """
    spec = container(pod, container_name)
    result: dict[str, str] = {}
    for entry in spec.get("env", []):
        value = _value(entry, pod, node, secrets)
        if value is not None:
            result[entry["name"]] = _expand(value, result)
    for mount in spec.get("volumeMounts", []):
        if folder := mounts.get(mount["name"]):
            result = {name: value.replace(mount["mountPath"], folder) for name, value in result.items()}
    return result


def _value(
    entry: Mapping[str, Any], pod: Pod, node: Mapping[str, str], secrets: Mapping[str, Mapping[str, str]]
) -> str | None:
    if "valueFrom" not in entry:
        return str(entry.get("value", ""))
    source = entry["valueFrom"]
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"], node)
    reference = source.get("secretKeyRef", {})
    value = secrets.get(reference.get("name", ""), {}).get(reference.get("key", ""))
    if value is not None or reference.get("optional"):
        return value
    raise ExecutionError(
        f"This machine cannot give {entry['name']} a value.",
        remedy="Only fields and the demo's Secrets are known here.",
    )


def _field(pod: Pod, path: str, node: Mapping[str, str]) -> str:
    if path in node:
        return node[path]
    value: Any = pod
    for key in path.split("."):
        value = value[key]
    return str(value)


def _expand(value: str, earlier: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return earlier.get(match[2], match[0])

    return _EXPANSION.sub(replacement, value)
