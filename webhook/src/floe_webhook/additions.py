"""What is written into pods, as a document and as its JSON text.

Most of it is the same for very many pods, so its text is made when it is made and not again for each patch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson


class Addition(dict[str, Any]):
    """A document of ours, which nobody changes, and its text."""

    __slots__ = ("text",)

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.text = json_text(document)


class AdditionsToList:
    """Additions that become the first entries of a list, as operations of a JSON patch."""

    __slots__ = ("_around_paths", "_whole")

    def __init__(self, entries: Sequence[Addition]) -> None:
        # JSON has no such character in it, so whatever the entries hold, it stands for the list's path alone.
        self._whole = add(_PATH, f"[{','.join([entry.text for entry in entries])}]")
        each = ",".join([add(f"{_PATH}/{position}", entry.text) for position, entry in enumerate(entries)])
        self._around_paths = each.split(_PATH)

    def whole(self, path: str) -> str:
        """One operation that makes the list at a path."""
        return self._whole.replace(_PATH, path)

    def each(self, path: str) -> str:
        """Operations, with commas between, that put them in front of what the list at a path has."""
        return path.join(self._around_paths)


_PATH = "\0"


def add(path: str, value: str) -> str:
    """The operation that adds a value, given as JSON; nothing in the path may need escaping."""
    return f'{{"op":"add","path":"{path}","value":{value}}}'


def json_text(value: object) -> str:
    """A value as compact JSON."""
    return orjson.dumps(value).decode()
