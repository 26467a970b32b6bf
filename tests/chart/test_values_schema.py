"""values.schema.json is strict: each of its rules refuses something, and says so at the value that breaks it."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest

from tools.chart import CHART, defaults

pytestmark = pytest.mark.requirement("CC-2.4")

Schema = dict[str, Any]
Path = tuple[str | int, ...]

SCHEMA: Schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)

MANIFEST: Path = ("manifest",)
"""Its rules are the models', and tested with them."""

WORDS = {"description", "title", "$schema", "$defs", "$ref"}
STRUCTURE = {"properties", "items"}
OTHER_TYPE: dict[str, Any] = {"string": 7, "boolean": "yes", "integer": "7", "number": "7", "object": "x", "array": "x"}
NEVER_MATCHING = ["No name at all!", "no/such thing", "", "-"]


def test_the_charts_own_values_are_allowed() -> None:
    assert list(VALIDATOR.iter_errors(defaults())) == []


def _nodes(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Every schema with the place of what it judges: a list's items stand at 0, a mapping's under `EXAMPLE`."""
    resolved = schema
    if "$ref" in schema:
        resolved = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")] | schema
    yield path, resolved
    if path == MANIFEST:
        return
    for name, inner in resolved.get("properties", {}).items():
        yield from _nodes(inner, (*path, name))
    if "items" in resolved:
        yield from _nodes(resolved["items"], (*path, 0))
    if isinstance(free := resolved.get("additionalProperties"), dict):
        yield from _nodes(free, (*path, "EXAMPLE.yaml"))


NODES = list(_nodes(SCHEMA))

BREAK: dict[str, Callable[[Any, Schema], Any]] = {
    "type": lambda rule, _: OTHER_TYPE[rule],
    "enum": lambda _, __: "none of them",
    "pattern": lambda rule, _: next(text for text in NEVER_MATCHING if re.search(rule, text) is None),
    "minimum": lambda rule, _: rule - 1,
    "maximum": lambda rule, _: rule + 1,
    "minLength": lambda rule, _: "x" * (rule - 1),
    "maxLength": lambda rule, _: "x" * (rule + 1),
    "uniqueItems": lambda _, __: ["twice", "twice"],
    "not": lambda rule, _: rule["const"],
    "propertyNames": lambda _, __: {"no such name!": {}},
    "additionalProperties": lambda _, __: {"unknown": 1},
}
"""A value that breaks a rule, for each keyword that the schema uses."""


def _broken_rules() -> Iterator[Any]:
    for path, schema in NODES:
        for keyword, rule in schema.items():
            is_a_rule = keyword in BREAK and rule is not True and not isinstance(rule, dict)
            if is_a_rule or keyword in {"uniqueItems", "not", "propertyNames"}:
                yield pytest.param(
                    path, keyword, BREAK[keyword](rule, schema), id=f"{'.'.join(map(str, path))} {keyword}"
                )


@pytest.mark.parametrize(("path", "keyword", "bad"), list(_broken_rules()))
def test_every_rule_refuses_what_breaks_it(path: Path, keyword: str, bad: object) -> None:
    values = _with(copy.deepcopy(defaults()), path, bad)

    told = {(tuple(error.instance_path), keyword in error.schema_path) for error in VALIDATOR.iter_errors(values)}

    assert (path, True) in told


def _with(values: Any, path: Path, bad: object) -> Any:
    """Values with another one in one place; what is missing on the way there is made."""
    if not path:
        return values | bad if isinstance(values, dict) and isinstance(bad, dict) else bad
    first, *rest = path
    if isinstance(first, int):
        return [_with({}, tuple(rest), bad)]
    return values | {first: _with(values.get(first, {}), tuple(rest), bad)}


def test_every_keyword_of_the_schema_is_one_that_is_tested() -> None:
    used = {keyword for _, schema in NODES for keyword in schema if schema is not SCHEMA["$defs"].get("manifest")}
    of_the_manifest = set(SCHEMA["$defs"]["manifest"]) | {"$id"}

    assert used - set(BREAK) - WORDS - STRUCTURE <= of_the_manifest


def test_every_object_says_whether_it_takes_other_keys() -> None:
    undecided = [
        path for path, schema in NODES if schema.get("type") == "object" and "additionalProperties" not in schema
    ]

    assert undecided == []


def test_every_value_has_a_meaning_and_a_default() -> None:
    undescribed = [path for path, schema in NODES if path and _is_named(path) and not schema.get("description")]
    given = set(_paths(defaults()))
    # What a container may use is Kubernetes' own matter: an amount that is not given is not limited.
    without_default = [
        path for path, _ in NODES if path and _is_named(path) and path not in given and "resources" not in path
    ]

    assert undescribed == []
    assert without_default == [("global",)]


def _is_named(path: Path) -> bool:
    return 0 not in path and "EXAMPLE.yaml" not in path


def _paths(values: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(values, dict):
        for name, inner in values.items():
            yield from _paths(inner, (*path, name))
