"""The generated files of the chart: values.schema.json from a source and the manifest's models, README.md from all."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = Path(__file__).parents[1] / "charts" / "floe-injector"

Schema = dict[str, Any]

_SHOWN = 40
_HEAD = "| value | default | meaning |\n|---|---|---|"


def values_schema() -> str:
    """charts/floe-injector/values.schema.json: objects take only what is named, unless the source says otherwise."""
    from floe_core.manifest.schema import manifest_schema  # noqa: PLC0415 - the chart's tests need no models

    source: Schema = _yaml("values.schema.yaml")
    source["properties"] = dict(source["properties"]) | {
        "manifest": {"$ref": "#/$defs/manifest", "description": "The platform manifest; see docs/manifest.md"}
    }
    schema = _closed(source)
    # With an $id of its own it keeps its references.
    schema["$defs"]["manifest"] = manifest_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """charts/floe-injector/README.md."""
    chart, values = _yaml("Chart.yaml"), _yaml("values.yaml")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return _README.format(
        description=chart["description"], kubernetes=chart["kubeVersion"], values="\n".join(_tables(schema, values))
    )


def defaults() -> Schema:
    """What values.yaml says."""
    return _yaml("values.yaml")


def _yaml(name: str) -> Schema:
    document: Schema = YAML(typ="safe", pure=True).load(CHART / name)
    return document


def _closed(node: Any) -> Any:
    """A schema whose objects with `properties` take no others."""
    if isinstance(node, Mapping):
        closed = {key: _closed(value) for key, value in node.items()}
        if "properties" in node and node.get("type") == "object":
            closed.setdefault("additionalProperties", False)
        return closed
    return [_closed(item) for item in node] if isinstance(node, list) else node


def _tables(schema: Schema, values: Schema) -> Iterator[str]:
    sections = [name for name in values if _is_section(_resolved(schema["properties"][name], schema), name)]
    yield _HEAD
    for name in values:
        if name not in sections:
            yield from _rows(name, schema["properties"][name], values[name], schema)
    for name in sections:
        yield f"\n### `{name}`\n\n{schema['properties'][name]['description']}.\n\n{_HEAD}"
        yield from _rows(name, schema["properties"][name], values[name], schema)


def _rows(path: str, own: Schema, default: Any, root: Schema) -> Iterator[str]:
    resolved = _resolved(own, root)
    if not _is_section(resolved, path):
        yield f"| `{path}` | {_shown(default)} | {own['description']}{_choices(resolved)} |"
        return
    for name, inner in resolved["properties"].items():
        yield from _rows(f"{path}.{name}", inner, (default or {}).get(name), root)


def _resolved(own: Schema, root: Schema) -> Schema:
    """A schema with what it refers to; its own keys win."""
    if "$ref" not in own:
        return own
    referred: Schema = root["$defs"][own["$ref"].removeprefix("#/$defs/")]
    return referred | own


def _is_section(schema: Schema, path: str) -> bool:
    return "properties" in schema and path != "manifest"


def _choices(schema: Schema) -> str:
    return ": " + ", ".join(f"`{choice}`" for choice in schema["enum"]) if "enum" in schema else ""


def _shown(default: Any) -> str:
    text = json.dumps(default, ensure_ascii=False)
    if default in ("", [], {}, None):
        return ""
    return f"`{text}`" if len(text) <= _SHOWN else "see values.yaml"


_README = """\
# The chart floe-injector

{description}. Kubernetes {kubernetes}.

```console
$ helm install floe-injector charts/floe-injector --namespace floe-system --create-namespace
$ kubectl label namespace my-pipelines floe.dev/inject=enabled
```

[Installing](../../docs/install.md), [upgrading](../../docs/upgrade.md), [uninstalling](../../docs/uninstall.md),
[rights](../../docs/rbac.md).

## Values

Made from `values.yaml` and `values.schema.yaml` by `make docs`. Helm refuses a value that is not listed here.

{values}
"""
