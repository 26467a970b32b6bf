"""Parts of a relay, made from its settings: where events come in, and where they go."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from floe_sidecar import batches
from floe_sidecar.certificates import CertificateFiles, Certificates
from floe_sidecar.client import ANSWER_BYTES
from floe_sidecar.credentials import ApiKey, SecretFile, user_problem
from floe_sidecar.delivery import Delivery, Limits
from floe_sidecar.destinations import Backend, Console, Destination, Target
from floe_sidecar.handover import Handover
from floe_sidecar.http import Bounds, Handler, Respond, Server
from floe_sidecar.messages import Request
from floe_sidecar.metrics import Metrics
from floe_sidecar.proxies import ProxyRules
from floe_sidecar.receiver import Enrich, Receiver, fault
from floe_sidecar.records import Opening
from floe_sidecar.redaction import Redactor
from floe_sidecar.retries import Backoff
from floe_sidecar.roads import Road
from floe_sidecar.settings import Role, Settings
from floe_sidecar.spool import TELEMETRY_FILE_NAME, Spool
from floe_sidecar.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from floe_sidecar.metrics_export import MetricsExport
    from floe_sidecar.telemetry import TelemetryRelay


class StartError(Exception):
    """The sidecar cannot start; the message says what to do."""


def application(
    settings: Settings,
    writer: Writer,
    metrics: Metrics,
    telemetry: TelemetryRelay | None,
    *,
    redact: Callable[[bytes], bytes],
    follow_runs: bool,
    enrich: Enrich | None,
    saw: Callable[[bytes], None] | None,
) -> Server:
    """Where lineage and telemetry come in: from the pod itself, or in a gateway from everybody with a token."""
    clock = asyncio.get_running_loop().time
    receiver = Receiver(
        writer,
        metrics,
        redact=redact,
        enrich=enrich,
        saw=saw,
        follow_runs=follow_runs,
        batch_max_events=settings.batch_max_events,
        clock=clock,
    )
    if telemetry is not None:
        return server(settings, metrics, _by_path(receiver, telemetry))
    if settings.role is not Role.GATEWAY:
        return server(settings, metrics, receiver.receive)
    from floe_sidecar.gateway import Gateway  # noqa: PLC0415 - no sidecar needs it
    from floe_sidecar.parcels import ENVELOPE_BYTES  # noqa: PLC0415 - as above

    assert settings.gateway_key_file is not None  # noqa: S101 - settings of this role have one
    gateway = Gateway(
        receiver,
        metrics,
        key_file=settings.gateway_key_file,
        batch_max_events=settings.batch_max_events,
        clock=clock,
        wall_clock=time.time,
    )
    return server(settings, metrics, gateway.receive, admits=gateway.admits, envelope_bytes=ENVELOPE_BYTES)


def redactor(settings: Settings) -> Callable[[bytes], bytes]:
    """What cuts credentials out of a text before it is stored; `bytes` gives the very same object back."""
    if not settings.redaction:
        return bytes
    return Redactor(settings.redaction_names, settings.redaction_prefixes)


def _by_path(receiver: Receiver, telemetry: TelemetryRelay) -> Handler:
    from floe_sidecar.otlp import signal_of  # noqa: PLC0415 - few sidecars relay telemetry

    def receive(request: Request, respond: Respond) -> None:
        signal = signal_of(request.path.rstrip("/"))
        if signal is None:
            receiver.receive(request, respond)
        else:
            telemetry.receiver.receive(request, respond, signal)

    return receive


def server(
    settings: Settings,
    metrics: Metrics,
    handler: Handler,
    *,
    admits: Callable[[str], bool] | None = None,
    envelope_bytes: int = 0,
) -> Server:
    """A port with the bounds that the settings give; a body may have an envelope beside."""
    bounds = Bounds(
        body_max_bytes=settings.body_max_bytes + envelope_bytes,
        header_max_bytes=settings.header_max_bytes,
        inflight_max_bytes=settings.inflight_max_bytes,
        connections_max=settings.connections_max,
        request_timeout_seconds=settings.request_timeout_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
    )
    refused = metrics.refused
    return Server(handler, bounds, refused=lambda why: refused.add(value=why), fault=fault, admits=admits)


def destination(settings: Settings) -> Destination:
    """Where events go."""
    if not settings.lineage_url:
        return Console()
    clock = asyncio.get_running_loop().time
    files = CertificateFiles(
        settings.lineage_ca_file, settings.lineage_client_certificate_file, settings.lineage_client_key_file
    )
    key = ApiKey(settings.lineage_api_key_file, settings.lineage_api_key, clock=clock)

    def target(endpoint: str, answer_bytes: int) -> Target:
        url = urljoin(settings.lineage_url, endpoint)
        return Target(
            url,
            headers=settings.lineage_headers,
            key=key,
            road=_road(settings, url, files, "the lineage backend"),
            timeout_seconds=settings.lineage_timeout_seconds,
            answer_bytes=answer_bytes,
        )

    single = target(settings.lineage_endpoint, ANSWER_BYTES)
    if not settings.lineage_batch_endpoint:
        return Backend(single)
    return Backend(single, target(settings.lineage_batch_endpoint, batches.ANSWER_BYTES))


def telemetry(settings: Settings, directory: Path, metrics: Metrics) -> TelemetryRelay | None:
    """The road of telemetry, if it is relayed."""
    if not settings.telemetry_url:
        return None
    from floe_sidecar.telemetry import TelemetryBackend, TelemetryRelay  # noqa: PLC0415 - as above

    clock = asyncio.get_running_loop().time
    files = CertificateFiles(
        settings.telemetry_ca_file, settings.telemetry_client_certificate_file, settings.telemetry_client_key_file
    )
    target = Target(
        settings.telemetry_url,
        headers=settings.telemetry_headers,
        key=ApiKey(settings.telemetry_api_key_file, "", clock=clock, what="the telemetry backend's key file"),
        road=_road(settings, settings.telemetry_url, files, "the telemetry backend"),
        timeout_seconds=settings.telemetry_timeout_seconds,
    )
    counted = metrics.telemetry

    def count_dropped(_seconds: float, dropped: int) -> None:
        if dropped:
            counted.dropped.add(dropped, value="dead_letters_full")

    writer = Writer(
        Spool(directory, max_bytes=settings.telemetry_max_bytes, file_name=TELEMETRY_FILE_NAME),
        max_bytes=settings.telemetry_max_bytes,
        duplicate_window_seconds=settings.duplicate_window_seconds,
        on_commit=count_dropped,
        on_opening=lambda opening: count_opening(metrics, opening),
    )
    backend = TelemetryBackend(target, counted)
    delivery = Delivery(writer, backend, limits(settings), counted, clock=clock)
    return TelemetryRelay(writer, delivery, counted, name=backend.name)


def count_opening(metrics: Metrics, opening: Opening) -> None:
    """Counts what was found when a file was opened."""
    if opening.set_aside is not None:
        metrics.corruptions.add()
        metrics.recovered.add(opening.recovered)


def handover(settings: Settings, writer: Writer, metrics: Metrics) -> Handover | None:
    """The road to the gateway, if there is one."""
    if not settings.gateway_url:
        return None
    road = _road(settings, settings.gateway_url, CertificateFiles(settings.gateway_ca_file), "the gateway")
    return Handover(settings, road, writer, metrics, clock=asyncio.get_running_loop().time)


def metrics_export(settings: Settings, metrics: Metrics) -> MetricsExport | None:
    """Where the metrics are sent, if they are."""
    if not settings.metrics_url:
        return None
    from floe_sidecar.metrics_export import MetricsExport  # noqa: PLC0415 - not every sidecar sends them

    target = Target(
        settings.metrics_url,
        headers={},
        key=ApiKey(None, "", clock=asyncio.get_running_loop().time),
        road=_road(settings, settings.metrics_url, CertificateFiles(None), "the collector of metrics"),
        timeout_seconds=settings.telemetry_timeout_seconds,
    )
    return MetricsExport(
        target,
        metrics.all,
        settings.pod,
        metrics.exports_failed,
        interval_seconds=settings.metrics_interval_seconds,
        wall_clock=time.time,
    )


def _road(settings: Settings, url: str, files: CertificateFiles, whose: str) -> Road:
    """The way to a URL; what its files lack is told, and waited for: the application's events are taken meanwhile."""
    clock = asyncio.get_running_loop().time
    rules = ProxyRules(settings.http_proxy, settings.https_proxy, settings.no_proxy)
    certificates = None
    if url.startswith("https:"):
        certificates = Certificates(files, what=f"TLS for {whose}", clock=clock)
        certificates.look()
    user = None
    if settings.proxy_user_file is not None:
        user = SecretFile(settings.proxy_user_file, what="the proxy's user file", problem=user_problem, clock=clock)
    return Road(url, certificates=certificates, proxy=rules.proxy_for(url), proxy_user=user)


def limits(settings: Settings) -> Limits:
    """How hard the backend is tried."""
    return Limits(
        concurrency=settings.lineage_concurrency,
        backoff=Backoff(settings.retry_base_seconds, settings.retry_cap_seconds),
        retry_after_cap_seconds=settings.retry_after_cap_seconds,
        poison_attempts=settings.poison_attempts,
    )
