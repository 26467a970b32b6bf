"""What is written into pods, as a document and as its JSON text.

Most of it is the same for very many pods, so its text is made when it is made and not again for each patch.
"""

from collections.abc import Mapping
from typing import Any

import orjson


class Addition(dict[str, Any]):
    """A document of ours, which nobody changes, and its text."""

    __slots__ = ("text",)

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.text = json_text(document)


def json_text(value: object) -> str:
    """A value as compact JSON."""
    return orjson.dumps(value).decode()
