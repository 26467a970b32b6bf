"""How a kubelet makes a container's environment of its `envFrom` and `env`, as kubelet_pods.go documents it."""

import re
from collections.abc import Mapping
from typing import Any

_EXPANSION = re.compile(r"\$(\$|\(([^)]*)\))")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` of known names, `$$` as `$`; everything else stays."""
    return _EXPANSION.sub(lambda match: "$" if match[1] == "$" else known.get(match[2], match[0]), text)


def environment(
    container: Mapping[str, Any], *, config_maps: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str]:
    """What the process sees; a field stands as `<path>`, a Secret's key as `<secret/key>`."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        name = source.get("configMapRef", {}).get("name")
        for key, value in (config_maps or {}).get(name, {}).items():
            found[source.get("prefix", "") + key] = value
    for entry in container.get("env") or []:
        source = entry.get("valueFrom")
        if source is None:
            found[entry["name"]] = expand(entry.get("value", ""), found)
        elif "fieldRef" in source:
            found[entry["name"]] = f"<{source['fieldRef']['fieldPath']}>"
        elif "secretKeyRef" in source:
            found[entry["name"]] = f"<{source['secretKeyRef']['name']}/{source['secretKeyRef']['key']}>"
        else:
            found[entry["name"]] = "<elsewhere>"
    return found
