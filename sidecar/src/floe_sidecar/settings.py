"""What a sidecar can be told: every environment variable, its meaning, its unit and its default.

The webhook writes these variables into pods and imports this module for their names, so nothing heavier than the
standard library may be imported here, and no other module of the sidecar. Settings are fixed for a process's life; only
the API key's file is read again (`floe_sidecar.credentials`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORT = 4327
"""Where the application posts lineage; unassigned by IANA and used by none of the exporters and agents we know."""

DEFAULT_HEALTH_PORT = 4328
"""Where `/healthz`, `/readyz`, `/metrics` and `/status` answer."""

_KIBIBYTE = 1024
_MEBIBYTE = 1024 * _KIBIBYTE
_BYTE_UNITS = {"": 1, "Ki": _KIBIBYTE, "Mi": _MEBIBYTE, "Gi": 1024 * _MEBIBYTE}
_HIGHEST_PORT = 65535
_SHOWN_CHARACTERS = 80


class Variable(StrEnum):
    """The names of the variables; each belongs to the field of `Settings` that has the rest of its name."""

    PORT = "FLOE_SIDECAR_PORT"
    HEALTH_PORT = "FLOE_SIDECAR_HEALTH_PORT"
    HEALTH_HOST = "FLOE_SIDECAR_HEALTH_HOST"
    SPOOL_DIRECTORY = "FLOE_SIDECAR_SPOOL_DIRECTORY"
    SPOOL_MAX_BYTES = "FLOE_SIDECAR_SPOOL_MAX_BYTES"
    LINEAGE_URL = "FLOE_SIDECAR_LINEAGE_URL"
    LINEAGE_ENDPOINT = "FLOE_SIDECAR_LINEAGE_ENDPOINT"
    LINEAGE_API_KEY = "FLOE_SIDECAR_LINEAGE_API_KEY"
    LINEAGE_API_KEY_FILE = "FLOE_SIDECAR_LINEAGE_API_KEY_FILE"
    LINEAGE_HEADERS = "FLOE_SIDECAR_LINEAGE_HEADERS"
    LINEAGE_CA_FILE = "FLOE_SIDECAR_LINEAGE_CA_FILE"
    LINEAGE_TIMEOUT_SECONDS = "FLOE_SIDECAR_LINEAGE_TIMEOUT_SECONDS"
    LINEAGE_CONCURRENCY = "FLOE_SIDECAR_LINEAGE_CONCURRENCY"
    RETRY_BASE_SECONDS = "FLOE_SIDECAR_RETRY_BASE_SECONDS"
    RETRY_CAP_SECONDS = "FLOE_SIDECAR_RETRY_CAP_SECONDS"
    RETRY_AFTER_CAP_SECONDS = "FLOE_SIDECAR_RETRY_AFTER_CAP_SECONDS"
    POISON_ATTEMPTS = "FLOE_SIDECAR_POISON_ATTEMPTS"
    DUPLICATE_WINDOW_SECONDS = "FLOE_SIDECAR_DUPLICATE_WINDOW_SECONDS"
    BODY_MAX_BYTES = "FLOE_SIDECAR_BODY_MAX_BYTES"
    HEADER_MAX_BYTES = "FLOE_SIDECAR_HEADER_MAX_BYTES"
    INFLIGHT_MAX_BYTES = "FLOE_SIDECAR_INFLIGHT_MAX_BYTES"
    BATCH_MAX_EVENTS = "FLOE_SIDECAR_BATCH_MAX_EVENTS"
    CONNECTIONS_MAX = "FLOE_SIDECAR_CONNECTIONS_MAX"
    REQUEST_TIMEOUT_SECONDS = "FLOE_SIDECAR_REQUEST_TIMEOUT_SECONDS"
    IDLE_TIMEOUT_SECONDS = "FLOE_SIDECAR_IDLE_TIMEOUT_SECONDS"
    SHUTDOWN_SECONDS = "FLOE_SIDECAR_SHUTDOWN_SECONDS"
    ABORT_OPEN_RUNS = "FLOE_SIDECAR_ABORT_OPEN_RUNS"
    REDACTION = "FLOE_SIDECAR_REDACTION"
    LOG_LEVEL = "FLOE_SIDECAR_LOG_LEVEL"


SECRET_VARIABLES = frozenset({Variable.LINEAGE_API_KEY, Variable.LINEAGE_HEADERS})
"""Variables whose value is never shown, not even when it is wrong."""


class SettingsError(Exception):
    """A variable holds a value that the sidecar cannot work with.

    Attributes:
        variable: The variable's name.
        expected: What would have been right, as a sentence part.
    """

    def __init__(self, variable: Variable, value: str, expected: str) -> None:
        shown = "a value that is not shown" if variable in SECRET_VARIABLES else repr(value[:_SHOWN_CHARACTERS])
        super().__init__(f"{variable} holds {shown}, but expected is {expected}")
        self.variable = variable
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a sidecar can be told; a variable that is unset or empty leaves the default."""

    port: int = DEFAULT_PORT
    """TCP port on 127.0.0.1 for the application; 0 takes a free one and says which. Default 4327."""

    health_port: int = DEFAULT_HEALTH_PORT
    """TCP port of health, metrics and status; 0 takes a free one and says which. Default 4328."""

    health_host: str = "127.0.0.1"
    """IP address to bind the health port to; in a pod `0.0.0.0` or the pod's address. Default 127.0.0.1."""

    spool_directory: Path | None = None
    """Folder of the spool, created if missing. Default: a new folder under the temporary one, named in the log."""

    spool_max_bytes: int = 256 * _MEBIBYTE
    """Bytes that the spool's file may take (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 503. Default 256 MiB.

    Its write-ahead log takes up to an eighth more, at most 32 MiB, and one group of events.
    """

    lineage_url: str = ""
    """Origin of the backend, with a base path if it has one. Default: none, events go to standard output as lines."""

    lineage_endpoint: str = "api/v1/lineage"
    """Path of the backend, joined to the URL as OpenLineage's client joins them: a leading `/` replaces the base path.

    Default api/v1/lineage.
    """

    lineage_api_key: str = field(default="", repr=False)
    """Secret, sent as `Authorization: Bearer`. Default: none."""

    lineage_api_key_file: Path | None = None
    """File that holds the secret; wins over the variable, read again on change and on 401 or 403. Default: none."""

    lineage_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further request headers, a JSON object of strings. Default {}.

    `${api_key}` in a value stands for the secret, which then is not sent as `Authorization`.
    """

    lineage_ca_file: Path | None = None
    """PEM file of the authorities that may sign the backend's certificate. Default: the system's."""

    lineage_timeout_seconds: float = 10.0
    """Seconds for each of connecting, writing and waiting for the answer. Default 10."""

    lineage_concurrency: int = 8
    """Requests to the backend at the same time, each of another run. Default 8."""

    retry_base_seconds: float = 0.5
    """Upper bound in seconds of the first random delay; it doubles with each failure. Default 0.5."""

    retry_cap_seconds: float = 30.0
    """Upper bound in seconds of every random delay. Default 30."""

    retry_after_cap_seconds: float = 300.0
    """Seconds beyond which a backend's `Retry-After` is not believed. Default 300."""

    poison_attempts: int = 8
    """Answers 5xx to one event, while other runs' events pass, before it becomes a dead letter. Default 8."""

    duplicate_window_seconds: float = 600.0
    """Seconds during which a repeated event (run, type, time and body) is acked and not sent again. Default 600."""

    body_max_bytes: int = 4 * _MEBIBYTE
    """Bytes of a request's body, after inflation (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 413. Default 4 MiB."""

    header_max_bytes: int = 32 * _KIBIBYTE
    """Bytes of a request's line and headers (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 431. Default 32 KiB."""

    inflight_max_bytes: int = 8 * _MEBIBYTE
    """Bytes of bodies in memory, not durable yet (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 503. Default 8 MiB."""

    batch_max_events: int = 5000
    """Events in one request to `/api/v1/lineage/batch`; beyond it 413. Default 5000."""

    connections_max: int = 256
    """Connections of the application at the same time; one more is answered 503 and closed. Default 256."""

    request_timeout_seconds: float = 30.0
    """Seconds from a request's first byte to its last; a slower client gets 408. Default 30."""

    idle_timeout_seconds: float = 120.0
    """Seconds that a kept-alive connection may be silent. Default 120."""

    shutdown_seconds: float = 20.0
    """Seconds from SIGTERM to the exit, for delivering what waits; keep it below the pod's grace period. Default 20."""

    abort_open_runs: bool = True
    """Whether runs that began here and have no end are closed by ABORT on SIGTERM (`true` or `false`). Default true.

    Only where SIGTERM means that the pod's other containers are gone, as for a native sidecar (KEP-753).
    """

    redaction: bool = True
    """Whether credentials are cut out of events before they are stored (`true` or `false`). Default true."""

    log_level: str = "INFO"
    """Least severity that is logged: DEBUG, INFO, WARNING or ERROR. Default INFO."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Reads the declared variables.

        Raises:
            SettingsError: A value is not what its variable expects; the message never holds a secret.
        """
        given: dict[str, object] = {}
        for setting in fields(cls):
            variable = Variable[setting.name.upper()]
            text = environment.get(variable, "").strip()
            if text:
                given[setting.name] = _PARSERS[variable](variable, text)
        return cls(**given)  # type: ignore[arg-type]  # each parser returns its field's type; a test compares them


def _whole(lowest: int, highest: int, meaning: str) -> Callable[[Variable, str], int]:
    def parse(variable: Variable, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
            raise SettingsError(variable, text, f"{meaning}, a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _seconds(lowest: float, highest: float) -> Callable[[Variable, str], float]:
    def parse(variable: Variable, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise SettingsError(variable, text, f"seconds, a number from {lowest:g} to {highest:g}")
        return value

    return parse


def _bytes(lowest: int) -> Callable[[Variable, str], int]:
    def parse(variable: Variable, text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,15})(|Ki|Mi|Gi)", text)
        value = int(match[1]) * _BYTE_UNITS[match[2]] if match else -1
        if value < lowest:
            raise SettingsError(variable, text, f"a number of bytes, at least {lowest}, such as 1048576 or 256Mi")
        return value

    return parse


def _origin(variable: Variable, text: str) -> str:
    """The URL may hold no credentials: it is logged, and proxies log it too."""
    expected = "an http:// or https:// URL with a host and without user, query or fragment, such as http://marquez:5000"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise SettingsError(variable, "(not a URL)", expected) from None
    if parts.username is not None or parts.password is not None:
        raise SettingsError(variable, "(a URL with credentials)", expected)
    if not usable or parts.query or parts.fragment or not text.isascii() or any(c.isspace() for c in text):
        raise SettingsError(variable, text, expected)
    return text


def _endpoint(variable: Variable, text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text) or "://" in text or "#" in text or text.startswith("//"):
        raise SettingsError(variable, text, "a path such as api/v1/lineage, percent-encoded")
    return text


def _headers(variable: Variable, text: str) -> Mapping[str, str]:
    import json  # noqa: PLC0415 - few pods need it

    expected = 'a JSON object of header names and string values, such as {"X-Tenant": "a"}'
    try:
        headers = json.loads(text)
    except ValueError:
        raise SettingsError(variable, text, expected) from None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise SettingsError(variable, text, expected)
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t -~]*", value):
            raise SettingsError(variable, text, expected + "; a name or a value holds a character that HTTP forbids")
    return headers


def _address(variable: Variable, text: str) -> str:
    import ipaddress  # noqa: PLC0415 - the default needs no parsing

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise SettingsError(variable, text, "an IP address such as 0.0.0.0 or ::") from None


def _secret(variable: Variable, text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise SettingsError(variable, text, "a key of printable ASCII characters without spaces")
    return text


def _path(variable: Variable, text: str) -> Path:
    if "\0" in text:
        raise SettingsError(variable, text, "a path without NUL")
    return Path(text)


def _switch(variable: Variable, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise SettingsError(variable, text, "true or false")
    return text.lower() == "true"


def _level(variable: Variable, text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(variable, text, "DEBUG, INFO, WARNING or ERROR")
    return text.upper()


_PARSERS: Mapping[Variable, Callable[[Variable, str], object]] = {
    Variable.PORT: _whole(0, _HIGHEST_PORT, "a TCP port"),
    Variable.HEALTH_PORT: _whole(0, _HIGHEST_PORT, "a TCP port"),
    Variable.HEALTH_HOST: _address,
    Variable.SPOOL_DIRECTORY: _path,
    Variable.SPOOL_MAX_BYTES: _bytes(64 * _KIBIBYTE),
    Variable.LINEAGE_URL: _origin,
    Variable.LINEAGE_ENDPOINT: _endpoint,
    Variable.LINEAGE_API_KEY: _secret,
    Variable.LINEAGE_API_KEY_FILE: _path,
    Variable.LINEAGE_HEADERS: _headers,
    Variable.LINEAGE_CA_FILE: _path,
    Variable.LINEAGE_TIMEOUT_SECONDS: _seconds(0.05, 600),
    Variable.LINEAGE_CONCURRENCY: _whole(1, 256, "requests at the same time"),
    Variable.RETRY_BASE_SECONDS: _seconds(0.001, 3600),
    Variable.RETRY_CAP_SECONDS: _seconds(0.001, 3600),
    Variable.RETRY_AFTER_CAP_SECONDS: _seconds(0, 86400),
    Variable.POISON_ATTEMPTS: _whole(1, 1_000_000, "attempts"),
    Variable.DUPLICATE_WINDOW_SECONDS: _seconds(0, 86400),
    Variable.BODY_MAX_BYTES: _bytes(_KIBIBYTE),
    Variable.HEADER_MAX_BYTES: _bytes(_KIBIBYTE),
    Variable.INFLIGHT_MAX_BYTES: _bytes(_KIBIBYTE),
    Variable.BATCH_MAX_EVENTS: _whole(1, 1_000_000, "events"),
    Variable.CONNECTIONS_MAX: _whole(1, 65_535, "connections"),
    Variable.REQUEST_TIMEOUT_SECONDS: _seconds(0.05, 3600),
    Variable.IDLE_TIMEOUT_SECONDS: _seconds(0.05, 86400),
    Variable.SHUTDOWN_SECONDS: _seconds(0, 3600),
    Variable.ABORT_OPEN_RUNS: _switch,
    Variable.REDACTION: _switch,
    Variable.LOG_LEVEL: _level,
}
