"""Texts of variables as values: each parser takes what its variable expects and says so of everything else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from floe_sidecar.settings.variables import SettingsError, Variable

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
_BYTE_UNITS = {"": 1, "Ki": KIBIBYTE, "Mi": MEBIBYTE, "Gi": 1024 * MEBIBYTE}
_HIGHEST_PORT = 65535
_MOST_WORDS = 64


class Role(StrEnum):
    """What the program is."""

    SIDECAR = "sidecar"
    """The relay of one pod; takes from the pod itself and trusts it."""

    GATEWAY = "gateway"
    """The relay of many pods; takes over the network and asks for a token."""


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


def _proxy(variable: Variable, text: str) -> str:
    """The user may stand in it, as in everybody's `HTTPS_PROXY`; TLS to the proxy itself is not spoken."""
    expected = "a proxy's http:// address with its port, such as http://proxy.example:3128"
    address = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", address):
        raise SettingsError(variable, text, expected)
    return address


def _entries(variable: Variable, text: str) -> str:
    if not text.isprintable():
        raise SettingsError(variable, text, "names, addresses and ranges with commas between them")
    return text


def _words(variable: Variable, text: str) -> tuple[str, ...]:
    words = tuple(word for part in text.split(",") if (word := part.strip()))
    # A word of signs alone would be found in every event.
    if len(words) > _MOST_WORDS or not all(
        re.fullmatch(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.-]{3,64}", word) for word in words
    ):
        expected = f"at most {_MOST_WORDS} words of 3 to 64 letters, digits, `_`, `.` and `-`, with commas between them"
        raise SettingsError(variable, text, expected)
    return words


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


def _role(variable: Variable, text: str) -> Role:
    try:
        return Role(text.lower())
    except ValueError:
        raise SettingsError(variable, text, " or ".join(Role)) from None


def _text(_variable: Variable, text: str) -> str:
    """Anything: names that people give, which must not keep a sidecar from starting. What is no Unicode becomes `?`."""
    return text.encode(errors="replace").decode()


def _names(variable: Variable, text: str) -> tuple[str, ...]:
    return tuple(_decoded(variable, text, entry) for entry in text.split(",") if entry.strip())


def _pairs(variable: Variable, text: str) -> Mapping[str, str]:
    """Written as OTEL_RESOURCE_ATTRIBUTES are, so that no value is taken for Kubernetes' `$(NAME)`."""
    found: dict[str, str] = {}
    for entry in text.split(","):
        name, equals, value = entry.partition("=")
        if not name.strip() or not equals:
            raise SettingsError(variable, text, "name=value,name=value, percent-encoded")
        found[_decoded(variable, text, name)] = _decoded(variable, text, value)
    return found


def _decoded(variable: Variable, text: str, part: str) -> str:
    try:
        return _text(variable, unquote(part.strip(), errors="strict"))
    except UnicodeDecodeError:
        raise SettingsError(variable, text, "percent-encoded UTF-8") from None


def _processing_type(variable: Variable, text: str) -> str:
    if text.upper() not in {"BATCH", "SERVICE"}:
        raise SettingsError(variable, text, "BATCH or SERVICE")
    return text.upper()


PARSERS: Mapping[Variable, Callable[[Variable, str], object]] = {
    Variable.PORT: _whole(0, _HIGHEST_PORT, "a TCP port"),
    Variable.HEALTH_PORT: _whole(0, _HIGHEST_PORT, "a TCP port"),
    Variable.HEALTH_HOST: _address,
    Variable.SPOOL_DIRECTORY: _path,
    Variable.SPOOL_MAX_BYTES: _bytes(64 * KIBIBYTE),
    Variable.SPOOL_PER_POD: _switch,
    Variable.LINEAGE_URL: _origin,
    Variable.LINEAGE_ENDPOINT: _endpoint,
    Variable.LINEAGE_BATCH_ENDPOINT: _endpoint,
    Variable.LINEAGE_API_KEY: _secret,
    Variable.LINEAGE_API_KEY_FILE: _path,
    Variable.LINEAGE_HEADERS: _headers,
    Variable.LINEAGE_CA_FILE: _path,
    Variable.LINEAGE_CLIENT_CERTIFICATE_FILE: _path,
    Variable.LINEAGE_CLIENT_KEY_FILE: _path,
    Variable.LINEAGE_TIMEOUT_SECONDS: _seconds(0.05, 600),
    Variable.LINEAGE_CONCURRENCY: _whole(1, 256, "requests at the same time"),
    Variable.RETRY_BASE_SECONDS: _seconds(0.001, 3600),
    Variable.RETRY_CAP_SECONDS: _seconds(0.001, 3600),
    Variable.RETRY_AFTER_CAP_SECONDS: _seconds(0, 86400),
    Variable.POISON_ATTEMPTS: _whole(1, 1_000_000, "attempts"),
    Variable.DUPLICATE_WINDOW_SECONDS: _seconds(0, 86400),
    Variable.BODY_MAX_BYTES: _bytes(KIBIBYTE),
    Variable.HEADER_MAX_BYTES: _bytes(KIBIBYTE),
    Variable.INFLIGHT_MAX_BYTES: _bytes(KIBIBYTE),
    Variable.BATCH_MAX_EVENTS: _whole(1, 1_000_000, "events"),
    Variable.CONNECTIONS_MAX: _whole(1, 65_535, "connections"),
    Variable.REQUEST_TIMEOUT_SECONDS: _seconds(0.05, 3600),
    Variable.IDLE_TIMEOUT_SECONDS: _seconds(0.05, 86400),
    Variable.SHUTDOWN_SECONDS: _seconds(0, 3600),
    Variable.ABORT_OPEN_RUNS: _switch,
    Variable.REDACTION: _switch,
    Variable.REDACTION_NAMES: _words,
    Variable.REDACTION_PREFIXES: _words,
    Variable.LOG_LEVEL: _level,
    Variable.TERMINATION_MESSAGE_FILE: _path,
    Variable.GATEWAY_URL: _origin,
    Variable.GATEWAY_TOKEN_FILE: _path,
    Variable.GATEWAY_CA_FILE: _path,
    Variable.GATEWAY_BATCH_BYTES: _bytes(KIBIBYTE),
    Variable.GATEWAY_TIMEOUT_SECONDS: _seconds(0.05, 600),
    Variable.GATEWAY_AFTER_SECONDS: _seconds(0, 3600),
    Variable.TELEMETRY_URL: _origin,
    Variable.TELEMETRY_API_KEY_FILE: _path,
    Variable.TELEMETRY_HEADERS: _headers,
    Variable.TELEMETRY_CA_FILE: _path,
    Variable.TELEMETRY_CLIENT_CERTIFICATE_FILE: _path,
    Variable.TELEMETRY_CLIENT_KEY_FILE: _path,
    Variable.TELEMETRY_TIMEOUT_SECONDS: _seconds(0.05, 600),
    Variable.TELEMETRY_MAX_BYTES: _bytes(64 * KIBIBYTE),
    Variable.METRICS_URL: _origin,
    Variable.METRICS_INTERVAL_SECONDS: _seconds(0.05, 86400),
    Variable.HTTP_PROXY: _proxy,
    Variable.HTTPS_PROXY: _proxy,
    Variable.NO_PROXY: _entries,
    Variable.PROXY_USER_FILE: _path,
    Variable.ROLE: _role,
    Variable.HOST: _address,
    Variable.GATEWAY_KEY_FILE: _path,
    Variable.NAMESPACE_MAX_BYTES: _bytes(64 * KIBIBYTE),
    Variable.POD_NAMESPACE: _text,
    Variable.POD_NAME: _text,
    Variable.POD_UID: _text,
    Variable.NODE_NAME: _text,
    Variable.POD_OWNER: _text,
    Variable.POD_CONTAINERS: _pairs,
    Variable.JOB_NAMESPACE: _text,
    Variable.JOB_NAME: _text,
    Variable.PROCESSING_TYPE: _processing_type,
    Variable.POD_RUN: _switch,
    Variable.ADD_PARENT: _switch,
    Variable.ADD_POD: _switch,
    Variable.ADD_TRACE_CONTEXT: _switch,
    Variable.TRACEPARENT: _text,
    Variable.REPLACED_NAMESPACES: _names,
    Variable.RUN_TAGS: _pairs,
    Variable.JOB_TAGS: _pairs,
    Variable.ENVIRONMENT_VARIABLES: _pairs,
    Variable.ENRICHMENT_MAX_BYTES: _bytes(0),
}
