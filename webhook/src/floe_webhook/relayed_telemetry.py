"""Telemetry through the sidecar (`injection.telemetry: relay`): what the sidecar is told, and what the containers are.

The backend itself, if a sidecar can send what it asks for: OTLP over HTTP with one credential at most. Else the
collector, with a notice; and if that takes gRPC only, pods export to it themselves. Pure, as `floe_webhook.targets`.
"""

from dataclasses import dataclass

from floe_core.credentials import SecretKey, literal_for_kubernetes, names_in
from floe_core.manifest.models import Collector
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook.targets import (
    CREDENTIALS_DIRECTORY,
    SecretOf,
    SidecarDelivery,
    TelemetryTarget,
    headers_with_key,
    local_telemetry,
    signals_and_temporality,
)
from floe_webhook.variables import Variable, plain

_BACKEND = "plugins.telemetry_backend"
_COLLECTOR = "injection.collector"
_KEY_FILE = "telemetry-api-key"


@dataclass(frozen=True, slots=True)
class RelayedTelemetry:
    """A road through the sidecar.

    Attributes:
        delivery: What the sidecar is told.
        wishes: What the backend wants of the containers' exporters.
    """

    delivery: SidecarDelivery
    wishes: tuple[Variable, ...]

    def target(self, port: int) -> TelemetryTarget:
        """What the containers are told of a sidecar on that port."""
        local = local_telemetry(port)
        return TelemetryTarget((*local.variables, *self.wishes), local.protocol)


def relayed_telemetry(
    exporter: OTLPExporterConfig, collector: Collector, secret_of: SecretOf, notices: list[str]
) -> RelayedTelemetry | None:
    """The road to the backend or to the collector; None, with a notice, where a sidecar can take neither."""
    hindrance = _hindrance(exporter)
    if hindrance is None:
        return _to_backend(exporter, secret_of)
    begin = f"injection.telemetry is relay, but {hindrance};"
    if collector.protocol == "grpc":
        notices.append(f"{begin} pods export to the collector at injection.collector.endpoint.")
        return None
    notices.append(f"{begin} sidecars relay to the collector at injection.collector.endpoint.")
    url = plain(SidecarVariable.TELEMETRY_URL, literal_for_kubernetes(str(collector.endpoint)), source=_COLLECTOR)
    return RelayedTelemetry(SidecarDelivery((url,), {}), ())


def _hindrance(exporter: OTLPExporterConfig) -> str | None:
    if exporter.protocol != "http/protobuf":
        return "a sidecar exports over HTTP, and the telemetry backend takes gRPC"
    if exporter.basic_auth is not None:
        return "the telemetry backend takes Basic credentials, which a sidecar cannot encode"
    if exporter.signal_endpoints:
        return "the telemetry backend has an address for each signal, and a sidecar knows one"
    if len(names_in(exporter.headers)) > 1:
        return "the telemetry backend asks for more than the one credential that a sidecar sends"
    return None


def _to_backend(exporter: OTLPExporterConfig, secret_of: SecretOf) -> RelayedTelemetry:
    endpoint = exporter.endpoint
    if "://" not in endpoint:
        endpoint = f"{'http' if exporter.insecure else 'https'}://{endpoint}"
    variables = [plain(SidecarVariable.TELEMETRY_URL, literal_for_kubernetes(endpoint), source=_BACKEND)]
    names = names_in(exporter.headers)
    if exporter.headers:
        text = headers_with_key(exporter.headers, names)
        variables.append(plain(SidecarVariable.TELEMETRY_HEADERS, text, source=_BACKEND))
    files: dict[str, SecretKey] = {}
    if names:
        files[_KEY_FILE] = secret_of(names[0])
        file = f"{CREDENTIALS_DIRECTORY}/{_KEY_FILE}"
        variables.append(plain(SidecarVariable.TELEMETRY_API_KEY_FILE, file, source=f"credentials.{names[0]}"))
    return RelayedTelemetry(
        SidecarDelivery(tuple(variables), files), signals_and_temporality(exporter, source=_BACKEND)
    )
