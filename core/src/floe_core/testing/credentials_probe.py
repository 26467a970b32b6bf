"""Recognisable values for the credentials that a plugin names, to see where they end up."""

import json
from typing import Any

from pydantic import BaseModel

from floe_core.testing.hardcoded import hardcoded_credentials

CANARY = "canary9f27c1d4"


def canaries(names: tuple[str, ...]) -> dict[str, str]:
    """A value for each credential that is recognised wherever it appears."""
    return {name: f"{CANARY}-{name.lower()}" for name in names}


def as_plain(value: object) -> Any:
    """A model or mapping as JSON values.

    Raises:
        TypeError: Something in it cannot be written as JSON or YAML.
    """
    content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.loads(json.dumps(content))


def assert_no_credentials(value: object, what: str) -> None:
    """Fails if a value holds a credential rather than a reference to one."""
    plain = as_plain(value)
    found = hardcoded_credentials(plain)
    assert not found, f"{what}: {'; '.join(found)}"
    assert CANARY not in json.dumps(plain), f"{what} holds a value of the environment; name it as ${{env:NAME}}"
