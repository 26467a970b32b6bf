"""What a sidecar is told of proxies, of TLS with files of Secrets, and of words to cut out of events.

Pure: the manifest's sections in, variables and mounted files out, as `floe_webhook.targets`.
"""

from collections.abc import Iterator, Mapping

from floe_core.credentials import SecretKey, literal_for_kubernetes
from floe_core.manifest.models import Injection, TelemetryRoute
from floe_core.manifest.relaying import BackendTls, Proxy, Redaction
from floe_core.manifest.sections import CredentialSource
from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook.targets import CREDENTIALS_DIRECTORY, SidecarDelivery
from floe_webhook.variables import Variable, plain

_LINEAGE_FILES = {
    "lineage-ca.crt": SidecarVariable.LINEAGE_CA_FILE,
    "lineage-tls.crt": SidecarVariable.LINEAGE_CLIENT_CERTIFICATE_FILE,
    "lineage-tls.key": SidecarVariable.LINEAGE_CLIENT_KEY_FILE,
}
_TELEMETRY_FILES = {
    "telemetry-ca.crt": SidecarVariable.TELEMETRY_CA_FILE,
    "telemetry-tls.crt": SidecarVariable.TELEMETRY_CLIENT_CERTIFICATE_FILE,
    "telemetry-tls.key": SidecarVariable.TELEMETRY_CLIENT_KEY_FILE,
}
_PROXY_USER_FILE = "proxy-user"
_GATEWAY_CA_FILE = "gateway-ca.crt"


def sidecar_reaching(injection: Injection) -> SidecarDelivery:
    """Variables and files beside those of the backends themselves."""
    sidecar = injection.sidecar
    parts = [
        _proxy(sidecar.proxy),
        _tls(sidecar.lineage_tls, _LINEAGE_FILES, source="injection.sidecar.lineage_tls"),
        _tls(sidecar.telemetry_tls, _TELEMETRY_FILES, source="injection.sidecar.telemetry_tls"),
        _file(
            sidecar.gateway_ca, _GATEWAY_CA_FILE, SidecarVariable.GATEWAY_CA_FILE, source="injection.sidecar.gateway_ca"
        ),
        SidecarDelivery(tuple(_redaction(injection.redaction)), {}),
    ]
    whole = SidecarDelivery((), {})
    for part in parts:
        whole = whole.and_also(part)
    return whole


def metrics_reaching(injection: Injection) -> SidecarDelivery:
    """Where its metrics go: to the collector that the pod's own telemetry goes to, if that takes http."""
    goes_there = injection.telemetry is TelemetryRoute.COLLECTOR and injection.collector.protocol == "http/protobuf"
    if not (injection.sidecar.export_metrics and goes_there):
        return SidecarDelivery((), {})
    endpoint = literal_for_kubernetes(str(injection.collector.endpoint))
    return SidecarDelivery((plain(SidecarVariable.METRICS_URL, endpoint, source="injection.collector"),), {})


def _proxy(proxy: Proxy) -> SidecarDelivery:
    source = "injection.sidecar.proxy"
    given = {
        SidecarVariable.HTTP_PROXY: str(proxy.http or ""),
        SidecarVariable.HTTPS_PROXY: str(proxy.https or ""),
    }
    variables = [
        plain(name, literal_for_kubernetes(address), source=source) for name, address in given.items() if address
    ]
    if not variables:
        return SidecarDelivery((), {})
    if proxy.no_proxy:
        variables.append(plain(SidecarVariable.NO_PROXY, ",".join(proxy.no_proxy), source=source))
    user = _file(proxy.user, _PROXY_USER_FILE, SidecarVariable.PROXY_USER_FILE, source=f"{source}.user")
    return SidecarDelivery(tuple(variables), {}).and_also(user)


def _tls(tls: BackendTls | None, files: Mapping[str, SidecarVariable], *, source: str) -> SidecarDelivery:
    whole = SidecarDelivery((), {})
    if tls is None:
        return whole
    for (file, variable), key in zip(files.items(), (tls.ca, tls.certificate, tls.key), strict=True):
        if key is not None:
            of = CredentialSource(secret=tls.secret, key=key)
            whole = whole.and_also(_file(of, file, variable, source=source))
    return whole


def _file(of: CredentialSource | None, file: str, variable: SidecarVariable, *, source: str) -> SidecarDelivery:
    if of is None:
        return SidecarDelivery((), {})
    path = plain(variable, f"{CREDENTIALS_DIRECTORY}/{file}", source=source)
    return SidecarDelivery((path,), {file: SecretKey(of.secret, of.key)})


def _redaction(redaction: Redaction) -> Iterator[Variable]:
    for variable, words in (
        (SidecarVariable.REDACTION_NAMES, redaction.names),
        (SidecarVariable.REDACTION_PREFIXES, redaction.prefixes),
    ):
        if words:
            yield plain(variable, ",".join(words), source="injection.redaction")
