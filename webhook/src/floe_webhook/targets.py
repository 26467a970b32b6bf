"""Where telemetry and lineage go, as variables: to the sidecar, to the collector or gateway, or to the backend itself.

Pure: a plugin's answer and the manifest's entries in, variables out (design: where telemetry and lineage go).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from floe_core.credentials import SecretKey, literal_for_kubernetes, names_in, reference, to_kubernetes
from floe_core.manifest.models import Collector, Gateway
from floe_core.plugin_interfaces.lineage import DEFAULT_ENDPOINT, OpenLineageTransport
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook.variables import Variable, from_secret, plain

SecretOf = Callable[[str], SecretKey]
"""The Secret and key that hold a credential; raises ConfigurationError if the manifest maps it to none."""

CREDENTIALS_DIRECTORY = "/var/run/floe/credentials"

_TELEMETRY = "injection.telemetry"
_LINEAGE = "plugins.lineage_backend"
_GATEWAY = "injection.gateway"
_GATEWAY_TOKEN = "FLOE_GATEWAY_TOKEN"  # noqa: S105 - a variable's name
_SIGNALS = ("traces", "metrics", "logs")
_KEY_IN_HEADERS = "${api_key}"


@dataclass(frozen=True, slots=True)
class TelemetryTarget:
    """An OTLP endpoint: credentials first, then what refers to them."""

    variables: tuple[Variable, ...]
    protocol: str


@dataclass(frozen=True, slots=True)
class LineageTarget:
    """An OpenLineage endpoint: credentials, the client's variables, and the same for Airflow's provider."""

    credentials: tuple[Variable, ...]
    client: tuple[Variable, ...]
    airflow: Variable


@dataclass(frozen=True, slots=True)
class SidecarDelivery:
    """Where a sidecar delivers to: its variables, and the credentials that are mounted into it.

    Attributes:
        files: The credentials by their file's name in `CREDENTIALS_DIRECTORY`.
    """

    variables: tuple[Variable, ...]
    files: Mapping[str, SecretKey]

    @property
    def relays_telemetry(self) -> bool:
        """Whether telemetry goes through the sidecar, too."""
        return any(variable.name == SidecarVariable.TELEMETRY_URL for variable in self.variables)

    def and_also(self, other: "SidecarDelivery") -> "SidecarDelivery":
        """Both."""
        return SidecarDelivery((*self.variables, *other.variables), {**self.files, **other.files})


def collector_target(collector: Collector) -> TelemetryTarget:
    """The collector's Service; no credential."""
    return _otlp(str(collector.endpoint), collector.protocol, source="injection.collector")


def local_telemetry(port: int) -> TelemetryTarget:
    """The sidecar. 127.0.0.1 rather than localhost, which may be ::1 first."""
    return _otlp(f"http://127.0.0.1:{port}", "http/protobuf", source=_TELEMETRY)


def direct_target(exporter: OTLPExporterConfig, secret_of: SecretOf, notices: list[str]) -> TelemetryTarget | None:
    """The backend itself; None, with a notice, where variables cannot say what the backend needs."""
    if exporter.basic_auth is not None:
        notices.append(
            "injection.telemetry is direct, but the telemetry backend takes Basic credentials, which Kubernetes cannot "
            "encode into a header; pods export to the collector at injection.collector.endpoint."
        )
        return None
    source = "plugins.telemetry_backend"
    names = names_in(exporter.headers)
    endpoint = exporter.endpoint
    if "://" not in endpoint:
        endpoint = f"{'http' if exporter.insecure else 'https'}://{endpoint}"
    base = _otlp(endpoint, exporter.protocol, source=source)
    variables = [*_secrets(names, secret_of), *base.variables]
    if exporter.headers:
        pairs = ",".join(f"{name}={_header(value)}" for name, value in sorted(exporter.headers.items()))
        variables.append(plain("OTEL_EXPORTER_OTLP_HEADERS", pairs, source=source, needs=names))
    for signal, url in sorted(exporter.signal_endpoints.items()):
        variables.append(
            plain(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", literal_for_kubernetes(url), source=source)
        )
    return TelemetryTarget((*variables, *signals_and_temporality(exporter, source=source)), exporter.protocol)


def signals_and_temporality(exporter: OTLPExporterConfig, *, source: str) -> tuple[Variable, ...]:
    """What a backend does not take is not exported, and metrics come as it wants them."""
    refused = [signal for signal in _SIGNALS if signal not in exporter.signals]
    variables = [plain(f"OTEL_{signal.upper()}_EXPORTER", "none", source=source) for signal in refused]
    if exporter.metrics_temporality == "delta":
        variables.append(plain("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", source=source))
    return tuple(variables)


def headers_with_key(headers: Mapping[str, str], names: Sequence[str]) -> str:
    """Headers as a sidecar is told them: `${api_key}` in the place of the one credential that they may name."""
    placed = {
        name: value.replace(reference(names[0]), _KEY_IN_HEADERS) if names else value
        for name, value in sorted(headers.items())
    }
    return literal_for_kubernetes(_json(placed))


def local_lineage(port: int) -> LineageTarget:
    """The sidecar: an origin without a path and without a credential."""
    return _lineage(f"http://127.0.0.1:{port}", DEFAULT_ENDPOINT, source="injection.sidecar")


def lineage_target(
    transport: OpenLineageTransport, gateway: Gateway, secret_of: SecretOf, notices: list[str]
) -> LineageTarget | None:
    """Where a pod without a sidecar sends: the gateway with its namespace's token, or else the backend itself."""
    if gateway.url is not None:
        return _gateway_target(gateway, gateway.url)
    if transport.type != "http" or not transport.url:
        notices.append(
            f"The lineage backend's transport is {transport.type}, which pods cannot be told; only http is configured."
        )
        return None
    origin, endpoint = split_url(transport)
    names = names_in([transport.auth, transport.headers])
    config = transport.client_config() | {"url": origin, "endpoint": endpoint}
    lineage = _lineage(origin, endpoint, source=_LINEAGE)
    client = list(lineage.client)
    key = _api_key(transport)
    if key is not None:
        client.append(plain("OPENLINEAGE_API_KEY", to_kubernetes(key), source=_LINEAGE, needs=names_in(key)))
    if transport.headers or (transport.auth and key is None):
        # A type without a URL beside it makes the client raise (lineage.md §0.5), so the group is written as a whole.
        client += [
            plain(f"OPENLINEAGE__TRANSPORT__{name}", to_kubernetes(text), source=_LINEAGE, needs=names_in(text))
            for name, text in _nested(config)
        ]
    airflow = plain(
        "AIRFLOW__OPENLINEAGE__TRANSPORT", to_kubernetes(_json(config)), source=_LINEAGE, needs=names_in(config)
    )
    return LineageTarget(_secrets(names, secret_of), tuple(client), airflow)


def sidecar_delivery(
    transport: OpenLineageTransport, gateway: Gateway, secret_of: SecretOf, notices: list[str]
) -> SidecarDelivery | None:
    """What a sidecar is told about backend and gateway; None, with a notice, where it cannot deliver."""
    names = names_in([transport.auth, transport.headers])
    key = _api_key(transport)
    if transport.type != "http" or not transport.url or names_in(transport.url):
        notices.append(f"A sidecar delivers over http only; the lineage backend's transport is {transport.type}.")
        return None
    if len(names) > 1 or (transport.auth and key is None) or (key is not None and names_in(transport.headers)):
        notices.append(
            "A sidecar sends one credential, as a bearer token or in a header; the lineage backend's transport asks "
            "for more, so pods get no sidecar."
        )
        return None
    origin, endpoint = split_url(transport)
    variables = [
        plain(SidecarVariable.LINEAGE_URL, literal_for_kubernetes(origin), source=_LINEAGE),
        plain(SidecarVariable.LINEAGE_ENDPOINT, literal_for_kubernetes(endpoint), source=_LINEAGE),
    ]
    if transport.batch_endpoint:
        batch = literal_for_kubernetes(_path_of(transport, transport.batch_endpoint))
        variables.append(plain(SidecarVariable.LINEAGE_BATCH_ENDPOINT, batch, source=_LINEAGE))
    if transport.headers:
        text = headers_with_key(transport.headers, names)
        variables.append(plain(SidecarVariable.LINEAGE_HEADERS, text, source=_LINEAGE))
    files: dict[str, SecretKey] = {}
    if names:
        files["lineage-api-key"] = secret_of(names[0])
        file = f"{CREDENTIALS_DIRECTORY}/lineage-api-key"
        variables.append(plain(SidecarVariable.LINEAGE_API_KEY_FILE, file, source=f"credentials.{names[0]}"))
    if gateway.url is not None:
        files["gateway-token"] = SecretKey(gateway.secret, gateway.key)
        url, file = literal_for_kubernetes(origin_of(gateway.url)), f"{CREDENTIALS_DIRECTORY}/gateway-token"
        variables.append(plain(SidecarVariable.GATEWAY_URL, url, source=_GATEWAY))
        variables.append(plain(SidecarVariable.GATEWAY_TOKEN_FILE, file, source=_GATEWAY))
    return SidecarDelivery(tuple(variables), files)


def split_url(transport: OpenLineageTransport) -> tuple[str, str]:
    """Origin and path of the events, joined as openlineage-python joins them and split again.

    `OPENLINEAGE_URL` has to be an origin: a path in it would be replaced or doubled, depending on a trailing slash.
    """
    return origin_of(urljoin(transport.url or "", transport.endpoint)), _path_of(transport, transport.endpoint)


def _path_of(transport: OpenLineageTransport, endpoint: str) -> str:
    whole = urlsplit(urljoin(transport.url or "", endpoint))
    path = whole.path.lstrip("/")
    return f"{path}?{whole.query}" if whole.query else path


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _gateway_target(gateway: Gateway, url: str) -> LineageTarget:
    origin, token = origin_of(url), f"$({_GATEWAY_TOKEN})"
    target = _lineage(origin, DEFAULT_ENDPOINT, source=_GATEWAY)
    key = plain("OPENLINEAGE_API_KEY", token, source=_GATEWAY, needs=(_GATEWAY_TOKEN,))
    transport = {"type": "http", "url": literal_for_kubernetes(origin), "endpoint": DEFAULT_ENDPOINT}
    text = _json({**transport, "auth": {"type": "api_key", "apiKey": token}})
    airflow = plain(target.airflow.name, text, source=_GATEWAY, needs=(_GATEWAY_TOKEN,))
    secret = from_secret(_GATEWAY_TOKEN, SecretKey(gateway.secret, gateway.key), source=_GATEWAY)
    return LineageTarget((secret,), (*target.client, key), airflow)


def _otlp(endpoint: str, protocol: str, *, source: str) -> TelemetryTarget:
    variables = (
        plain("OTEL_EXPORTER_OTLP_ENDPOINT", literal_for_kubernetes(endpoint), source=source),
        plain("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, source=source),
    )
    return TelemetryTarget(variables, protocol)


def _lineage(origin: str, endpoint: str, *, source: str) -> LineageTarget:
    client = [plain("OPENLINEAGE_URL", literal_for_kubernetes(origin), source=source)]
    if endpoint != DEFAULT_ENDPOINT:
        client.append(plain("OPENLINEAGE_ENDPOINT", literal_for_kubernetes(endpoint), source=source))
    airflow = literal_for_kubernetes(_json({"type": "http", "url": origin, "endpoint": endpoint}))
    return LineageTarget((), tuple(client), plain("AIRFLOW__OPENLINEAGE__TRANSPORT", airflow, source=source))


def _secrets(names: Sequence[str], secret_of: SecretOf) -> tuple[Variable, ...]:
    return tuple(from_secret(name, secret_of(name), source=f"credentials.{name}") for name in names)


def _api_key(transport: OpenLineageTransport) -> str | None:
    if transport.auth.get("type") != "api_key":
        return None
    return transport.auth.get("apiKey") or transport.auth.get("api_key")


def _nested(config: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(key.upper(), text if isinstance(text := value, str) else _json(value)) for key, value in config.items()]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _header(value: str) -> str:
    """Percent-encoded as the specification asks; a credential's own value cannot be, so it has to be free of commas."""
    result = quote(value, safe="-._~/:@")
    for name in names_in(value):
        result = result.replace(quote(reference(name), safe="-._~/:@"), f"$({name})")
    return result
