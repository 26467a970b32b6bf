"""pydantic's errors in people's words: what is wrong, at which key, and what was probably meant."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from floe_core.errors import Problem
from floe_core.manifest.document import Document, KeyPath, dotted
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

    A value that was given is never shown: it may be a credential.
    """
    return tuple(_problem(entry, model, under) for entry in error.errors(include_url=False))


def _problem(entry: ErrorDetails, model: type[BaseModel], under: KeyPath) -> KeyProblem:
    inner = tuple(part for part in entry["loc"] if part != "[key]")
    path = under + inner
    name = dotted(path)
    match entry["type"]:
        case "extra_forbidden":
            known = _keys_at(model, inner[:-1])
            remedy = did_you_mean(str(inner[-1]), known) or f"Known here: {', '.join(known)}."
            return KeyProblem(path, f"There is no key `{inner[-1]}` here.", remedy)
        case "missing":
            return KeyProblem(path, f"`{name}` is missing.")
        case "literal_error" | "enum":
            allowed = str(entry.get("ctx", {}).get("expected", "")).replace("'", "")
            remedy = _near_word(entry["input"], allowed) or f"Use {allowed}."
            return KeyProblem(path, f"`{name}` is not one of {allowed}.", remedy)
        case _:
            message = entry["msg"].removeprefix("Value error, ").rstrip(".")
            return KeyProblem(path, f"`{name}`: {message}." if name else f"{message}.")


def _near_word(given: object, allowed: str) -> str | None:
    return did_you_mean(given, allowed.replace(" or ", ", ").split(", ")) if isinstance(given, str) else None


def _keys_at(model: type[BaseModel], path: Iterable[str | int]) -> tuple[str, ...]:
    for part in path:
        annotations = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        model = model_in(annotations.get(str(part))) or model  # an index or a dict's key stays in the same model
    return tuple(field.alias or name for name, field in model.model_fields.items())


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, alone or in a tuple, dict, Optional or Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := model_in(part)) is not None), None)
