"""A YAML document as plain values, with the line and column of every key and entry.

Knows YAML and nothing of manifests, so that other documents of ours can be read with the same care.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from floe_core.errors import ConfigurationError, Location, ValidationError

KeyPath = tuple[str | int, ...]

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 64


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
    """A path as people write it: `plugins.alert_channels[0].type`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        ConfigurationError: The file cannot be read, is not UTF-8 or is larger than 1 MiB.
    """
    where = Location(str(path))
    try:
        content = path.read_bytes()
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
    except (YAMLError, ValueError) as error:
        raise ValidationError(f"This is not YAML: {error}.", where=Location(file)) from None
    if len(documents) != 1 or not isinstance(documents[0], CommentedMap):
        found = "nothing" if not documents or documents[0] is None else f"{len(documents)} document(s)"
        raise ValidationError(
            f"One mapping of keys to values is expected here, there is {found}.",
            where=Location(file, 1, 1),
            remedy=f"Begin with `{begin_with}`." if begin_with else "Write `key: value` lines.",
        )
    positions: dict[KeyPath, tuple[int, int]] = {(): (1, 1), **dict(_positions(documents[0], (), file))}
    return Document(file, _plain(documents[0]), positions)


def _malformed(error: MarkedYAMLError, file: str) -> ValidationError:
    mark = error.problem_mark or error.context_mark
    where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
    # A duplicate key's message also shows both values; either could be a credential.
    problem = str(error.problem or "malformed").splitlines()[0].split(" with value ")[0]
    return ValidationError(f"This is not valid YAML: {problem}.", where=where)


def _positions(node: Any, path: KeyPath, file: str) -> Iterator[tuple[KeyPath, tuple[int, int]]]:
    if len(path) > _MAX_DEPTH:  # also ends a document that contains itself through an alias
        raise ValidationError("The document is nested too deeply.", where=Location(file, path=str(path[0])))
    if isinstance(node, CommentedMap):
        for key, entry in node.items():
            step = (*path, str(key))
            if key in (node.lc.data or {}):  # a merged key (`<<`) has no position of its own
                line, column = node.lc.key(key)
                yield step, (line + 1, column + 1)
            yield from _positions(entry, step, file)
    elif isinstance(node, CommentedSeq):
        for index, entry in enumerate(node):
            line, column = node.lc.item(index)
            yield (*path, index), (line + 1, column + 1)
            yield from _positions(entry, (*path, index), file)


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
