"""docs/manifest.md: every key of the platform manifest, its type, default and meaning, made from the models."""

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from floe_core.manifest.models import Manifest
from floe_core.manifest.problems import model_in

_HEAD = """# The platform manifest

Every key, made from the models by `make docs`. `floe manifest schema` prints the JSON Schema for editors and pipelines;
`floe manifest check FILE` judges a file, with line and column of everything that is wrong. An unknown key is an error.

`examples/manifest.yaml` is a complete manifest.

## Old shapes

They are understood with a warning that shows the text to write instead.

| old | write instead |
|---|---|
| `telemetry_backend:`, `lineage_backend:` at the top level | the same under `plugins:` |
| `observability.tracing.endpoint` | `injection.collector.endpoint` and `protocol` |
| `observability.lineage.endpoint` | `plugins.lineage_backend`, type `marquez` |
| `observability.logging` | `logging` |

## Keys
"""


def manifest_page() -> str:
    """The page in Markdown, a table for each section."""
    return "\n".join([_HEAD, *_section("", Manifest, seen=set())]).rstrip() + "\n"


def _section(path: str, model: type[BaseModel], *, seen: set[str]) -> Iterator[str]:
    yield f"### {f'`{path}`' if path else 'Top level'}"
    yield ""
    yield _sentence(model)
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield f"| `{key}` | {_cell(type_text(field))} | {_cell(_default(field))} | {_cell(_meaning(field))} |"
        if (of := model_in(field.annotation)) is not None:
            inner.append((f"{path}.{key}" if path else key, of))
    yield ""
    for place, of in inner:
        # A model that several keys share (a plugin's choice) is described once.
        if of.__name__ not in seen:
            seen.add(of.__name__)
            yield from _section(place, of, seen=seen)


def type_text(field: FieldInfo) -> str:
    """A field's type as people say it: `text`, `number`, `one of a, b`, `list of …`."""
    return _text_of(field.annotation)


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _text_of(annotation: Any) -> str:
    if annotation is Any:
        return "anything"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return _text_of_class(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{part}`" for part in parts) if len(parts) > 1 else f"`{parts[0]}`"
    if origin in {Union, UnionType}:
        return " or ".join(_text_of(part) for part in parts if part is not NoneType)
    collections = {tuple: "list of ", dict: "mapping of name to "}
    return collections.get(origin, "") + _text_of(parts[1 if origin is dict else 0])  # else Annotated


def _text_of_class(annotation: type) -> str:
    if issubclass(annotation, Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in annotation)
    return "section" if issubclass(annotation, BaseModel) else _WORDS.get(annotation, annotation.__name__)


def _meaning(field: FieldInfo) -> str:
    """A key's own description, else what the section under it says of itself."""
    section = model_in(field.annotation)
    return field.description or (_sentence(section) if section else "")


def _sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if field.default_factory is not None or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{entry}`" for entry in value)
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
