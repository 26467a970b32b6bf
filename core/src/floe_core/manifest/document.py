"""A YAML document as plain values, with the line and column of every key and entry.

Knows YAML and nothing of manifests, so that other documents of ours can be read with the same care.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from floe_core.errors import ConfigurationError, Location, ValidationError

KeyPath = tuple[str | int, ...]


class OwnKey(str):
    """A key of a person's own choice: anything may have been pasted there, so that no error shows it.

    It is equal to its text, by which it is found in a document.
    """

    __slots__ = ()


_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 64
_MAX_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping read from YAML and where each of its parts stands.

    Attributes:
        origins: New path to the path that a person wrote, for parts that a migration has moved.
    """

    file: str
    content: dict[str, Any]
    positions: dict[KeyPath, tuple[int, int]]
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> Location:
        """The place of a path, or of the nearest part around it that has one."""
        written = self._as_written(path)
        for length in range(len(written), -1, -1):
            if position := self.positions.get(written[:length]):
                return Location(self.file, *position, path=dotted(written) or None)
        return Location(self.file, path=dotted(written) or None)

    def _as_written(self, path: KeyPath) -> KeyPath:
        for length in range(len(path), 0, -1):
            if (origin := self.origins.get(path[:length])) is not None:
                # What a migration made of one scalar has no parts of its own in the text.
                has_parts = any(len(known) > len(origin) and known[: len(origin)] == origin for known in self.positions)
                return origin + path[length:] if has_parts else origin
        return path


def dotted(path: KeyPath) -> str:
    """A path as people write it: `plugins.alert_channels[0].type`; `*` stands for keys of their own."""
    text = ""
    for part in path:
        shown = "*" if isinstance(part, OwnKey) else part
        text += f"[{shown}]" if isinstance(part, int) else f".{shown}" if text else str(shown)
    return text


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        ConfigurationError: The file cannot be read, is not UTF-8 or is larger than 1 MiB.
    """
    where = Location(str(path))
    try:
        with path.open("rb") as stream:  # a device or a pipe may have no end
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The file cannot be read: {error.strerror}.", where=where, remedy="Check the path and its permissions."
        ) from None
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(
            "The file is larger than 1 MiB.", where=where, remedy="Check that it is the right one."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("The file is not UTF-8.", where=where, remedy="Save it as UTF-8.") from None


def parse_document(text: str, *, file: str, begin_with: str | None = None) -> Document:
    """The one mapping in a YAML text.

    Args:
        text: YAML.
        file: Names it in errors.
        begin_with: The line that such a document begins with, for whoever wrote something else.

    Raises:
        ValidationError: The text is not YAML, holds no mapping or more than one document, or names a key twice.
    """
    try:
        documents = list(YAML(typ="rt").load_all(text))
    except MarkedYAMLError as error:
        raise _malformed(error, file) from None
    except ReaderError as error:
        raise _unreadable(error, text, file) from None
    except (YAMLError, ValueError, LookupError, AttributeError) as error:
        # Its message may quote the value, which could be a credential. Of `0x` and `!!bool maybe` comes a LookupError,
        # of `!!set x` an AttributeError.
        problem = f"a number, date or tagged value cannot be read ({type(error).__name__})"
        raise ValidationError(f"This is not YAML: {problem}.", where=Location(file)) from None
    except RecursionError:
        raise _too_deep(Location(file)) from None
    if len(documents) != 1 or not isinstance(documents[0], CommentedMap):
        raise ValidationError(
            f"One mapping of keys to values is expected here, not {_named(documents)}.",
            where=Location(file, 1, 1),
            remedy=f"Begin with `{begin_with}`." if begin_with else "Write `key: value` lines.",
        )
    positions = _all_positions(documents[0], file)
    return Document(file, _plain(documents[0]), positions)


def _named(documents: Sequence[Any]) -> str:
    """What a text holds in place of one mapping."""
    if len(documents) > 1:
        return f"{len(documents)} documents"
    if not documents or documents[0] is None:
        return "nothing"
    return "a list" if isinstance(documents[0], CommentedSeq) else "a single value"


def _malformed(error: MarkedYAMLError, file: str) -> ValidationError:
    mark = error.problem_mark or error.context_mark
    where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
    problem = _QUOTED.sub(
        lambda quoted: quoted[1] or "", str(error.problem or "malformed").split(" with value ")[0]
    ).splitlines()[0]
    return ValidationError(f"This is not valid YAML: {problem}.", where=where)


# What a message quotes could be a credential, but for a token's name (`'<block end>'`) and for a single character.
_QUOTED = re.compile(r"""( *(['"])(?:<[a-z ]+>|.)\2)| *['"].*""", re.DOTALL)


def _unreadable(error: ReaderError, text: str, file: str) -> ValidationError:
    """A character that no YAML text may hold, such as NUL; `position` counts characters."""
    before = text[: error.position]
    where = Location(file, before.count("\n") + 1, error.position - before.rfind("\n"))
    return ValidationError(
        f"This is not YAML: the character U+{ord(text[error.position]):04X} may not stand in it.",
        where=where,
        remedy='Check that it is the right file; write a special character as "\\x…".',
    )


def _too_deep(where: Location) -> ValidationError:
    return ValidationError("The document is nested too deeply.", where=where, remedy="Check that it is the right one.")


def _all_positions(content: CommentedMap, file: str) -> dict[KeyPath, tuple[int, int]]:
    """The place of each part; ends a document that aliases make many times larger than its text."""
    positions: dict[KeyPath, tuple[int, int]] = {(): (1, 1)}
    for count, (path, place) in enumerate(_positions(content, (), file)):
        if count >= _MAX_PARTS:
            raise ValidationError(
                f"The document has more than {_MAX_PARTS} parts.",
                where=Location(file),
                remedy="Check that it is the right one, and what its aliases (`*name`) repeat.",
            )
        if place is not None:
            positions[path] = place
    return positions


def _positions(node: Any, path: KeyPath, file: str) -> Iterator[tuple[KeyPath, tuple[int, int] | None]]:
    """Each part with its place; None for what has no place of its own: a merged key (`<<`), a tagged list's entry."""
    if len(path) > _MAX_DEPTH:  # also ends a document that contains itself through an alias
        raise _too_deep(Location(file))
    parts: Iterable[tuple[Any, str | int, Any]]
    if isinstance(node, CommentedMap):
        parts = ((key, str(key), entry) for key, entry in node.items())
    elif isinstance(node, CommentedSeq):
        parts = ((index, index, entry) for index, entry in enumerate(node))
    else:
        return
    known = node.lc.data or {}
    for key, step, entry in parts:
        mark = known.get(key)
        yield (*path, step), (mark[0] + 1, mark[1] + 1) if mark else None
        yield from _positions(entry, (*path, step), file)


def _plain(node: Any) -> Any:
    """The value without the round-trip loader's own types."""
    if isinstance(node, CommentedMap):
        return {str(key): _plain(entry) for key, entry in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(entry) for entry in node]
    if node is None or isinstance(node, (bool, ScalarBoolean)):
        return None if node is None else bool(node)
    for plain_type in (int, float, str):
        if isinstance(node, plain_type):
            return plain_type(node)
    # Dates stay texts, as a person wrote them; a value with a tag of its own is judged as its text.
    return node.isoformat() if isinstance(node, (date, datetime)) else str(getattr(node, "value", node))
