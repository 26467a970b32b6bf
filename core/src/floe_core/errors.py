"""The errors of floe: a small tree in which each error says what is wrong, where, and what to do.

    FloeError                    exit code 1
    ├── ConfigurationError       1   a file or a setting is wrong
    │   ├── ValidationError      1   a document does not have its promised shape
    │   └── CompilationError     1   artifacts cannot be made from valid input
    └── ExecutionError           2   something failed while running
        ├── DbtError             2
        ├── ConnectionError      2
        └── PluginExecutionError 2   a plugin's own exception, translated

Whatever is not a FloeError ends a command with 99. No error carries a secret: all texts and details are redacted on the
way in. A plugin's exception never travels further than `plugin_boundary`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self

from opentelemetry import trace
from pydantic_core import ValidationError as ModelError

from floe_core.redaction import redact_mapping, redact_text

EXIT_CONFIGURATION = 1
EXIT_EXECUTION = 2
EXIT_UNEXPECTED = 99

_TOLD_MAX_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a person's input something is: a file (or "-"), a 1-based line and column, a path of keys."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        """As editors understand it: `file:line:column (path)`."""
        position = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{position} ({self.path})" if position and self.path else position or self.path or ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One of several things that are wrong with a document."""

    what: str
    where: Location
    remedy: str | None = None

    def __str__(self) -> str:
        """One line: place, what is wrong, what to do; without credentials."""
        place = f"{self.where}: " if str(self.where) else ""
        return redact_text(f"{place}{self.what}{f' {self.remedy}' if self.remedy else ''}")

    def as_dict(self) -> dict[str, object]:
        """The problem for machines; without credentials."""
        return {
            "what": redact_text(self.what),
            "file": self.where.file,
            "line": self.where.line,
            "column": self.where.column,
            "path": self.where.path,
            "remedy": redact_text(self.remedy) if self.remedy else None,
        }


class FloeError(Exception):
    """An error that a person can act on.

    Args:
        what: What is wrong, a sentence.
        where: The place in the person's input or system.
        remedy: What to do about it, a sentence.
        details: Machine-readable facts (JSON types), redacted.
    """

    code: ClassVar[str] = "floe"
    exit_code: ClassVar[int] = EXIT_CONFIGURATION

    def __init__(
        self,
        what: str,
        *,
        where: Location | str | None = None,
        remedy: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.what = redact_text(what)
        self.where = where if isinstance(where, Location) or where is None else Location(path=redact_text(where))
        self.remedy = redact_text(remedy) if remedy else None
        self.details = redact_mapping(details or {})
        self.trace_id = current_trace_id()
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: place, what is wrong, what to do."""
        place = f"{self.where}: " if self.where and str(self.where) else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"

    def as_dict(self) -> dict[str, object]:
        """The error for machines: `code`, `what`, `where`, `remedy`, `details`, `trace_id`."""
        return {
            "code": self.code,
            "what": self.what,
            "where": str(self.where) if self.where else None,
            "remedy": self.remedy,
            "details": self.details,
            "trace_id": self.trace_id,
        }


class ConfigurationError(FloeError):
    """A configuration file or setting is wrong."""

    code = "configuration"


class ValidationError(ConfigurationError):
    """A document does not have its promised shape.

    Args:
        problems: Everything that is wrong with it, in the order of the document, where more than a sentence is known.
    """

    code = "validation"

    def __init__(
        self,
        what: str,
        *,
        where: Location | str | None = None,
        remedy: str | None = None,
        details: Mapping[str, object] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        self.problems = tuple(problems)
        listed = {"problems": [problem.as_dict() for problem in self.problems]} if problems else {}
        super().__init__(what, where=where, remedy=remedy, details={**(details or {}), **listed})

    @classmethod
    def of(cls, subject: str, problems: Sequence[Problem]) -> Self:
        """The error about a document with these problems (at least one)."""
        if len(problems) == 1:
            only = problems[0]
            return cls(only.what, where=only.where, remedy=only.remedy, problems=problems)
        return cls(
            f"{subject} has {len(problems)} problems.", where=Location(problems[0].where.file), problems=problems
        )

    def __str__(self) -> str:
        """As every error; several problems follow, one a line."""
        if len(self.problems) < 2:  # noqa: PLR2004 - one problem is the error itself
            return super().__str__()
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


class CompilationError(ConfigurationError):
    """Artifacts cannot be made from valid input."""

    code = "compilation"


class ExecutionError(FloeError):
    """Something failed while running."""

    code = "execution"
    exit_code = EXIT_EXECUTION


class DbtError(ExecutionError):
    """A dbt command failed."""

    code = "dbt"


class ConnectionError(ExecutionError):  # noqa: A001 - the name that requirements file 003 §5.1 gives
    """A system that floe depends on cannot be reached or refuses us."""

    code = "connection"


class PluginExecutionError(ExecutionError):
    """A plugin failed; its own exception is translated into this one.

    Args:
        plugin: The plugin's name.
        action: What it was doing, e.g. `get_helm_values`.
    """

    code = "plugin_execution"

    def __init__(
        self,
        what: str,
        *,
        plugin: str,
        action: str,
        remedy: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.plugin = plugin
        self.action = action
        super().__init__(
            what,
            where=f"plugin {plugin}, {action}",
            remedy=remedy,
            details={"plugin": plugin, "action": action, **(details or {})},
        )


@contextmanager
def plugin_boundary(plugin: str, action: str, *, remedy: str | None = None) -> Iterator[None]:
    """Translates whatever a plugin raises inside into a `PluginExecutionError` without the plugin's traceback.

    A `FloeError` passes as it is: the plugin has said already what is wrong.
    """
    try:
        yield
    except FloeError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge between our code and a stranger's
        kind = type(error).__name__
        raise PluginExecutionError(
            f"The plugin failed with {kind}: {told(error)}",
            plugin=plugin,
            action=action,
            remedy=remedy or "Check the plugin's configuration in the manifest; its README lists what it needs.",
            details={"exception": kind},
        ) from None


def told(error: BaseException) -> str:
    """What an exception of others says of itself, bounded, without credentials and without the values it was given."""
    try:
        if isinstance(error, ModelError):  # its text repeats what was validated
            found = error.errors(include_url=False, include_context=False, include_input=False)
            text = "; ".join(f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}" for entry in found)
        else:
            text = str(error)
    except Exception:  # noqa: BLE001 - a stranger's __str__ can fail, too
        return "it does not say why"
    return redact_text(text[:_TOLD_MAX_CHARACTERS])


def current_trace_id() -> str | None:
    """The trace id (32 hex digits) of the span that runs now, or None outside of one."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None
