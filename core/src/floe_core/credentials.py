"""Credential references `${env:NAME}`: finding them, resolving them for a service, mapping them to Secrets for a pod.

A plugin names what it needs as `${env:NAME}` and never sees a value. A service resolves the reference from its own
environment; a pod gets a `secretKeyRef`, by the manifest's `credentials:` (design: credentials).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from floe_core.errors import ConfigurationError
from floe_core.redaction import remember_secret

# The collector's own syntax (confmap provider `env`), so that Helm values keep it as it is.
_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of a Kubernetes Secret."""

    secret: str
    key: str


def reference(name: str) -> str:
    """The text that stands for credential NAME in a configuration: `${env:NAME}`."""
    return f"${{env:{name}}}"


def names_in(value: object) -> tuple[str, ...]:
    """Names of all credentials referred to in nested mappings, sequences and strings; sorted, each once."""
    return tuple(sorted(set(_walk(value))))


def _walk(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _walk(entry)
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for entry in value:
            yield from _walk(entry)


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """The text with every reference replaced from the environment.

    Raises:
        ConfigurationError: A name is missing or empty; says which.
    """

    def value_of(match: re.Match[str]) -> str:
        value = environment.get(match[1], "")
        if not value:
            raise ConfigurationError(
                f"The credential {match[1]} is not set.",
                remedy=f"Set the environment variable {match[1]} for this process.",
                details={"variable": match[1]},
            )
        remember_secret(value)
        return value

    return _REFERENCE.sub(value_of, text)


def resolve_all(value: Any, environment: Mapping[str, str]) -> Any:
    """The same nested document with every reference in its strings resolved; see `resolve`."""
    if isinstance(value, str):
        return resolve(value, environment)
    if isinstance(value, Mapping):
        return {key: resolve_all(entry, environment) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve_all(entry, environment) for entry in value]
    return value


def to_kubernetes(text: str) -> str:
    """The text with each reference in Kubernetes' own form `$(NAME)`; every other dollar sign stays what it is.

    Kubernetes expands `$(NAME)` of variables that stand earlier in the same list, and makes one dollar sign of two.
    """
    # Split by a pattern with a group, every second part is a name.
    parts = _REFERENCE.split(text)
    parts[::2] = [literal_for_kubernetes(part) for part in parts[::2]]
    parts[1::2] = [f"$({name})" for name in parts[1::2]]
    return "".join(parts)


def literal_for_kubernetes(text: str) -> str:
    """Text that Kubernetes leaves as it is, whatever stands in it."""
    return text.replace("$", "$$")
