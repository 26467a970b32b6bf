"""What a sidecar can be told: every environment variable, its meaning, its unit and its default.

The webhook writes these variables into pods and imports this package for their names, so nothing heavier than the
standard library may be imported here, and no other module of the sidecar. Settings are fixed for a process's life; only
the files of keys and tokens are read again (`floe_sidecar.credentials`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from floe_sidecar.settings.agreement import PROTOCOL, PROTOCOL_VARIABLE
from floe_sidecar.settings.pod import PodSettings
from floe_sidecar.settings.values import KIBIBYTE, MEBIBYTE, PARSERS, Role
from floe_sidecar.settings.variables import SECRET_VARIABLES, SettingsError, Variable, text_of

__all__ = [
    "DEFAULT_HEALTH_PORT",
    "DEFAULT_PORT",
    "PROTOCOL",
    "PROTOCOL_VARIABLE",
    "SECRET_VARIABLES",
    "PodSettings",
    "Role",
    "Settings",
    "SettingsError",
    "Variable",
]

DEFAULT_PORT = 4327
"""Where the application posts lineage; unassigned by IANA and used by none of the exporters and agents we know."""

DEFAULT_HEALTH_PORT = 4328
"""Where `/healthz`, `/readyz`, `/metrics` and `/status` answer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a sidecar can be told; a variable that is unset or empty leaves the default."""

    port: int = DEFAULT_PORT
    """TCP port for the application; 0 takes a free one and says which. Default 4327."""

    health_port: int = DEFAULT_HEALTH_PORT
    """TCP port of health, metrics and status; 0 takes a free one and says which. Default 4328."""

    health_host: str = "127.0.0.1"
    """IP address to bind the health port to; in a pod `0.0.0.0` or the pod's address. Default 127.0.0.1."""

    spool_directory: Path | None = None
    """Folder of the spool, created if missing. Default: a new folder under the temporary one, named in the log."""

    spool_max_bytes: int = 256 * MEBIBYTE
    """Bytes that the spool's file may take (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 503. Default 256 MiB.

    Its write-ahead log takes up to an eighth more, at most 32 MiB, and one group of events.
    """

    spool_per_pod: bool = False
    """Whether the spool is a folder in that one, called by the pod's UID (`true` or `false`). Default false.

    For a volume that outlives pods: what dead pods left in theirs is taken over.
    """

    lineage_url: str = ""
    """Origin of the backend, with a base path if it has one. Default: none, events go to standard output as lines."""

    lineage_endpoint: str = "api/v1/lineage"
    """Path of the backend, joined to the URL as OpenLineage's client joins them: a leading `/` replaces the base path.

    Default api/v1/lineage.
    """

    lineage_batch_endpoint: str = ""
    """Path that takes arrays of events and answers for each (OpenLineage 2.0.2), joined as above. Default: none.

    What waits then goes in batches, one at a time; else each event by itself.
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
    """PEM file of the authorities that may sign the backend's certificate. Default: the system's.

    Read again on change.
    """

    lineage_client_certificate_file: Path | None = None
    """PEM file of the certificate that the backend knows us by, with its chain. Default: none.

    Read again on change.
    """

    lineage_client_key_file: Path | None = None
    """PEM file of its private key, without a password, read again on change. Default: in the certificate's file."""

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

    body_max_bytes: int = 4 * MEBIBYTE
    """Bytes of a request's body, after inflation (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 413. Default 4 MiB."""

    header_max_bytes: int = 32 * KIBIBYTE
    """Bytes of a request's line and headers (bytes; `Ki`, `Mi`, `Gi` allowed); beyond it 431. Default 32 KiB."""

    inflight_max_bytes: int = 8 * MEBIBYTE
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

    redaction_names: tuple[str, ...] = ()
    """Further names, or parts of names, whose values are secret, with commas between them. Default: none."""

    redaction_prefixes: tuple[str, ...] = ()
    """Beginnings of secrets, such as acme_pat_, with commas between them; cut up to the token's end. Default: none."""

    log_level: str = "INFO"
    """Least severity that is logged: DEBUG, INFO, WARNING or ERROR. Default INFO."""

    termination_message_file: Path = Path("/dev/termination-log")
    """File that takes a JSON object about what was left at the end, if it exists. Default /dev/termination-log."""

    gateway_url: str = ""
    """Origin of the gateway that takes over what is left at the pod's end. Default: none, it stays in the spool."""

    gateway_token_file: Path | None = None
    """File that holds the namespace's token for the gateway, read again on change. Default: none."""

    gateway_ca_file: Path | None = None
    """PEM file of the authorities that may sign the certificate of a gateway on https. Default: the system's."""

    gateway_batch_bytes: int = MEBIBYTE
    """Bytes handed over in one request, at least one event (bytes; `Ki`, `Mi`, `Gi` allowed). Default 1 MiB."""

    gateway_timeout_seconds: float = 5.0
    """Seconds for each of connecting to the gateway and waiting for its answer. Default 5."""

    gateway_after_seconds: float = 2.0
    """Seconds without a delivery after which an end no longer waits for the backend. Default 2.

    What is left then goes to the gateway; at once if the backend was away before. A gateway that ends keeps the rest.
    """

    telemetry_url: str = ""
    """Base URL that OTLP/HTTP exports are relayed to; `v1/traces` and the like follow. Default: none, 404."""

    telemetry_api_key_file: Path | None = None
    """File that holds the telemetry backend's secret, read again on change and on 401 or 403. Default: none.

    Sent as `Authorization: Bearer`, unless a header has a place for it.
    """

    telemetry_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers for it, as FLOE_SIDECAR_LINEAGE_HEADERS. Default {}."""

    telemetry_ca_file: Path | None = None
    """PEM file of the authorities that may sign the telemetry backend's certificate. Default: the system's.

    Read again on change.
    """

    telemetry_client_certificate_file: Path | None = None
    """PEM file of the certificate that the telemetry backend knows us by, with its chain. Default: none.

    Read again on change.
    """

    telemetry_client_key_file: Path | None = None
    """PEM file of its private key, without a password, read again on change. Default: in the certificate's file."""

    telemetry_timeout_seconds: float = 10.0
    """Seconds for each of connecting to it, writing and waiting for the answer. Default 10."""

    telemetry_max_bytes: int = 64 * MEBIBYTE
    """Bytes that the file of waiting telemetry may take (bytes; `Ki`, `Mi`, `Gi` allowed). Default 64 MiB.

    A file of its own beside the spool: lineage never has less room for telemetry's sake.
    """

    metrics_url: str = ""
    """Base URL of a collector that takes OTLP/HTTP in JSON; the metrics go to `v1/metrics` below it. Default: none.

    Every interval, and once more at the end: a pod of a few seconds is never scraped.
    """

    metrics_interval_seconds: float = 60.0
    """Seconds between two exports of the metrics. Default 60."""

    http_proxy: str = field(default="", repr=False)
    """Address of the proxy for http, such as http://proxy:3128. Default: HTTP_PROXY, else none."""

    https_proxy: str = field(default="", repr=False)
    """Address of the proxy for https, itself an http:// one. Default: HTTPS_PROXY, else none."""

    no_proxy: str = ""
    """What goes directly: names, addresses and ranges, with a port if one is meant. Default: NO_PROXY, else nothing."""

    proxy_user_file: Path | None = None
    """File that holds `user:password` for the proxy; wins over one in its address. Default: none.

    Read again on change.
    """

    role: Role = Role.SIDECAR
    """`sidecar`, or `gateway`: the relay of many pods, which asks for tokens. Default sidecar."""

    host: str = "127.0.0.1"
    """IP address to bind the port to; a gateway's is `0.0.0.0` or the pod's. Default 127.0.0.1."""

    gateway_key_file: Path | None = None
    """Gateway only: file with the keys of the tokens, one a line, the first for new ones. Default: none.

    Read again on change; see docs/gateway.md.
    """

    namespace_max_bytes: int = 64 * MEBIBYTE
    """Gateway only: bytes of one namespace that may wait (bytes; `Ki`, `Mi`, `Gi` allowed). Default 64 MiB.

    Beyond it this namespace gets 503, and no other.
    """

    pod: PodSettings = field(default_factory=PodSettings)
    """What is known of the pod and added to its events; variables of their own (`floe_sidecar.settings.pod`)."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Everywhere that is sent to; empty where nothing is."""
        return self.lineage_url, self.gateway_url, self.telemetry_url, self.metrics_url

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Reads the declared variables.

        Raises:
            SettingsError: A value is not what its variable expects; the message never holds a secret.
        """
        settings = cls(**_given(cls, environment), pod=PodSettings(**_given(PodSettings, environment)))
        settings._check_role()
        return settings

    def _check_role(self) -> None:
        if self.role is not Role.GATEWAY:
            return
        for variable, value in (
            (Variable.SPOOL_DIRECTORY, self.spool_directory),
            (Variable.GATEWAY_KEY_FILE, self.gateway_key_file),
        ):
            if value is None:
                raise SettingsError(variable, "", f"a path, because {Variable.ROLE} is gateway")
        for variable, text in ((Variable.GATEWAY_URL, self.gateway_url), (Variable.TELEMETRY_URL, self.telemetry_url)):
            if text:
                raise SettingsError(variable, text, f"nothing, because {Variable.ROLE} is gateway")


def _given(kind: type[Settings | PodSettings], environment: Mapping[str, str]) -> dict[str, Any]:
    """What the variables of these settings say; each parser returns its field's type, which a test compares."""
    variables = ((setting.name, Variable.__members__.get(setting.name.upper())) for setting in fields(kind))
    return {
        name: PARSERS[variable](variable, text)
        for name, variable in variables
        if variable is not None and (text := text_of(variable, environment))
    }
