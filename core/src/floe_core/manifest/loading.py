"""Reads the platform manifest: YAML text in, a frozen `Manifest` out, or every problem with its line and column."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pydantic
import structlog

from floe_core.errors import Problem, ValidationError
from floe_core.manifest.document import Document, KeyPath, parse_document, read_text
from floe_core.manifest.migration import Deprecation, migrate
from floe_core.manifest.models import API_VERSION, Manifest
from floe_core.manifest.problems import problems_in

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A manifest and what a person should change in its text although it works today."""

    manifest: Manifest
    deprecations: tuple[Deprecation, ...]
    document: Document

    def problem_at(self, path: KeyPath, what: str, remedy: str | None = None) -> Problem:
        """A problem with one part of the manifest, e.g. found by a plugin in its configuration."""
        return Problem(what, self.document.locate(path), remedy)


def load_manifest(path: Path) -> Manifest:
    """The manifest in a file; deprecated shapes are understood and logged as warnings with their new text.

    Raises:
        ConfigurationError: The file cannot be read.
        ValidationError: It is no valid manifest; `problems` has each reason with line and column.
    """
    loaded = read_manifest(path)
    for deprecation in loaded.deprecations:
        _log.warning(
            "manifest.deprecated",
            where=str(deprecation.where),
            reason=deprecation.what,
            write_instead=deprecation.new_text,
        )
    return loaded.manifest


def read_manifest(path: Path) -> LoadedManifest:
    """As `load_manifest`, with the deprecations returned in place of logged."""
    return parse_manifest(read_text(path), file=str(path))


def parse_manifest(text: str, *, file: str) -> LoadedManifest:
    """The manifest in a YAML text; `file` names the text in errors.

    Raises:
        ValidationError: It is no valid manifest; `problems` has each reason with line and column.
    """
    document, deprecations, problems = migrate(parse_document(text, file=file, begin_with=f"apiVersion: {API_VERSION}"))
    try:
        manifest = Manifest.model_validate(document.content)
    except pydantic.ValidationError as error:
        found = [*problems, *(problem.at(document) for problem in problems_in(error, Manifest))]
        raise ValidationError.of("The manifest", _in_order(found)) from None
    if problems:
        raise ValidationError.of("The manifest", _in_order(problems))
    return LoadedManifest(manifest, deprecations, document)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.where.line or 0, problem.where.column or 0))
