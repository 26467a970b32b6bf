"""pydantic's errors in people's words: what is wrong, at which key, and what was probably meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from floe_core.errors import Problem
from floe_core.manifest.document import Document, KeyPath, OwnKey, dotted
from floe_core.manifest.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """A problem with a key; its place in a text comes later, where there is a text."""

    path: KeyPath
    what: str
    remedy: str | None = None

    def at(self, document: Document) -> Problem:
        """The problem with its line and column."""
        return Problem(self.what, document.locate(self.path), self.remedy)


def problems_in(
    error: pydantic.ValidationError, model: type[BaseModel], *, under: KeyPath = ()
) -> tuple[KeyProblem, ...]:
    """Everything that a model found wrong; `under` is the path of what was validated.

    A value that was given is never shown: it may be a credential. Nor is a key of a person's own choice.
    """
    return tuple(_problem(entry, model, under) for entry in error.errors(include_url=False))


def _problem(entry: ErrorDetails, model: type[BaseModel], under: KeyPath) -> KeyProblem:
    inner = tuple(part for part in entry["loc"] if part != "[key]")
    path = under + known_path(model, inner)
    name = dotted(path)
    match entry["type"]:
        case "extra_forbidden":
            return unknown_key((*path[:-1], str(inner[-1])), _keys_at(model, inner[:-1]))
        case "missing":
            return KeyProblem(path, f"`{name}` is missing.")
        case "literal_error" | "enum":
            allowed = str(entry.get("ctx", {}).get("expected", "")).replace("'", "")
            remedy = _near_word(entry["input"], allowed) or f"Use {allowed}."
            return KeyProblem(path, f"`{name}` is not one of {allowed}.", remedy)
        case _:
            message = entry["msg"].removeprefix("Value error, ").rstrip(".")
            return KeyProblem(path, f"`{name}`: {message}." if name else f"{message}.")


def unknown_key(path: KeyPath, known: Sequence[str]) -> KeyProblem:
    """The problem with a key that is not known here; it is repeated only if it is nearly one that is."""
    key = str(path[-1])
    if near := did_you_mean(key, known):
        return KeyProblem(path, f"There is no key `{key}` here.", near)
    return KeyProblem((*path[:-1], OwnKey(key)), "There is no such key here.", f"Known here: {', '.join(known)}.")


def _near_word(given: object, allowed: str) -> str | None:
    return did_you_mean(given, allowed.replace(" or ", ", ").split(", ")) if isinstance(given, str) else None


def known_path(model: type[BaseModel], path: KeyPath) -> KeyPath:
    """A path in which the keys that the model does not name are a person's own."""
    found: list[str | int] = []
    for at, part in enumerate(path):
        is_named = isinstance(part, int) or part in _keys_at(model, path[:at])
        found.append(part if is_named else OwnKey(part))
    return tuple(found)


def _keys_at(model: type[BaseModel], path: Iterable[str | int]) -> tuple[str, ...]:
    """The keys that may follow a path; none in a mapping with keys of a person's own."""
    annotation: Any = model
    for part in path:
        within = model_in(annotation)
        if isinstance(part, int) or within is None:
            continue
        if _holds_own_keys(annotation):
            annotation = within
        else:
            named = {field.alias or name: field.annotation for name, field in within.model_fields.items()}
            annotation = named.get(part, annotation)
    holding = None if _holds_own_keys(annotation) else model_in(annotation)
    return tuple(field.alias or name for name, field in holding.model_fields.items()) if holding is not None else ()


def _holds_own_keys(annotation: Any) -> bool:
    """Whether it is a mapping, alone or in an Optional or Annotated, and so on."""
    return get_origin(annotation) is dict or any(_holds_own_keys(part) for part in get_args(annotation))


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, alone or in a tuple, dict, Optional or Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := model_in(part)) is not None), None)
