"""The names of the sidecar's environment variables, and what is said about a value that cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

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
    LINEAGE_CLIENT_CERTIFICATE_FILE = "FLOE_SIDECAR_LINEAGE_CLIENT_CERTIFICATE_FILE"
    LINEAGE_CLIENT_KEY_FILE = "FLOE_SIDECAR_LINEAGE_CLIENT_KEY_FILE"
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
    TERMINATION_MESSAGE_FILE = "FLOE_SIDECAR_TERMINATION_MESSAGE_FILE"
    GATEWAY_URL = "FLOE_SIDECAR_GATEWAY_URL"
    GATEWAY_TOKEN_FILE = "FLOE_SIDECAR_GATEWAY_TOKEN_FILE"  # noqa: S105 - a name
    GATEWAY_CA_FILE = "FLOE_SIDECAR_GATEWAY_CA_FILE"
    GATEWAY_BATCH_BYTES = "FLOE_SIDECAR_GATEWAY_BATCH_BYTES"
    GATEWAY_TIMEOUT_SECONDS = "FLOE_SIDECAR_GATEWAY_TIMEOUT_SECONDS"
    GATEWAY_AFTER_SECONDS = "FLOE_SIDECAR_GATEWAY_AFTER_SECONDS"
    TELEMETRY_URL = "FLOE_SIDECAR_TELEMETRY_URL"
    TELEMETRY_API_KEY_FILE = "FLOE_SIDECAR_TELEMETRY_API_KEY_FILE"
    TELEMETRY_HEADERS = "FLOE_SIDECAR_TELEMETRY_HEADERS"
    TELEMETRY_CA_FILE = "FLOE_SIDECAR_TELEMETRY_CA_FILE"
    TELEMETRY_CLIENT_CERTIFICATE_FILE = "FLOE_SIDECAR_TELEMETRY_CLIENT_CERTIFICATE_FILE"
    TELEMETRY_CLIENT_KEY_FILE = "FLOE_SIDECAR_TELEMETRY_CLIENT_KEY_FILE"
    TELEMETRY_TIMEOUT_SECONDS = "FLOE_SIDECAR_TELEMETRY_TIMEOUT_SECONDS"
    TELEMETRY_MAX_BYTES = "FLOE_SIDECAR_TELEMETRY_MAX_BYTES"
    HTTP_PROXY = "FLOE_SIDECAR_HTTP_PROXY"
    HTTPS_PROXY = "FLOE_SIDECAR_HTTPS_PROXY"
    NO_PROXY = "FLOE_SIDECAR_NO_PROXY"
    PROXY_USER_FILE = "FLOE_SIDECAR_PROXY_USER_FILE"
    ROLE = "FLOE_SIDECAR_ROLE"
    HOST = "FLOE_SIDECAR_HOST"
    GATEWAY_KEY_FILE = "FLOE_SIDECAR_GATEWAY_KEY_FILE"
    NAMESPACE_MAX_BYTES = "FLOE_SIDECAR_NAMESPACE_MAX_BYTES"


SECRET_VARIABLES = frozenset(
    {
        Variable.LINEAGE_API_KEY,
        Variable.LINEAGE_HEADERS,
        Variable.TELEMETRY_HEADERS,
        Variable.HTTP_PROXY,
        Variable.HTTPS_PROXY,
    }
)
"""Variables whose value is never shown, not even when it is wrong."""

OTHER_NAMES: Mapping[Variable, tuple[str, ...]] = {
    Variable.HTTP_PROXY: ("http_proxy", "HTTP_PROXY"),
    Variable.HTTPS_PROXY: ("https_proxy", "HTTPS_PROXY"),
    Variable.NO_PROXY: ("no_proxy", "NO_PROXY"),
}
"""What all programs read, where our own variable is not set; a cluster's policies write these into every container."""


def text_of(variable: Variable, environment: Mapping[str, str]) -> str:
    """What the variable holds, by its own name or another that means the same; empty if nothing."""
    names = (variable, *OTHER_NAMES.get(variable, ()))
    return next((text for name in names if (text := environment.get(name, "").strip())), "")


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
