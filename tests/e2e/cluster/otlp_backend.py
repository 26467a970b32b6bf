"""An OTLP backend that keeps what it is sent: path, headers, compression and the decoded requests.

It stands in for backends that cannot run here (Datadog, Grafana Cloud) and, where every header counts, for Jaeger. It
behaves as the OTLP specification asks of a server: gRPC, and HTTP with protobuf under any path, both with gzip.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from tests.e2e.cluster.certificates import KeyPairFiles
from tests.e2e.cluster.grpc_intake import Call, GrpcIntake
from tests.e2e.cluster.processes import LOOPBACK

Signal = Literal["traces", "metrics", "logs"]
Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest

_REQUESTS: dict[Signal, Callable[[], Request]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_GRPC_PATHS: dict[str, Signal] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}
_MAX_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Export:
    """One request of an exporter."""

    signal: Signal
    protocol: Literal["grpc", "http/protobuf"]
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    compression: str
    """`gzip` or `none`."""
    request: Request


@dataclass(slots=True)
class OtlpBackend:
    """A listening backend and what it has received, in order."""

    http_url: str
    """Base URL, without a trailing slash."""
    grpc_address: str
    """host:port."""
    exports: list[Export] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why requests were refused: paths that name no signal, bodies that are no OTLP."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def received(self, *signals: Signal, timeout_seconds: float = 20.0) -> dict[Signal, Export]:
        """The first export of each signal, as soon as all have arrived.

        Raises:
            TimeoutError: They did not arrive in time; says which did, and what was refused.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while not set(signals) <= {export.signal for export in self.exports}:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            got = sorted({export.signal for export in self.exports})
            raise TimeoutError(f"waited for {signals}, received {got}, refused {self.refused}") from None
        return {export.signal: export for export in reversed(self.exports)}

    def record_grpc(self, call: Call) -> None:
        """Keeps a gRPC call.

        Raises:
            ValueError: It is no OTLP export.
        """
        self._record(_GRPC_PATHS.get(call.path), "grpc", call)

    async def record_http(self, request: web.Request) -> web.Response:
        """Keeps a POST of protobuf and answers as OTLP/HTTP asks."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        compression = headers.get("content-encoding", "none")
        body = await request.read()  # aiohttp has decompressed it
        try:
            self._record(_signal_of(request.path), "http/protobuf", Call(request.path, headers, compression, body))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(content_type="application/x-protobuf")

    def _record(self, signal: Signal | None, protocol: Literal["grpc", "http/protobuf"], call: Call) -> None:
        if signal is None:
            self.refused.append(call.path)
            raise ValueError(f"{call.path} is not a path for traces, metrics or logs")
        request = _REQUESTS[signal]()
        try:
            request.ParseFromString(call.message)
        except DecodeError as error:
            self.refused.append(call.path)
            raise ValueError(f"{call.path}: the body is no OTLP request of {signal}") from error
        self.exports.append(Export(signal, protocol, call.path, call.headers, call.compression, request))
        self._changed.set()


@asynccontextmanager
async def otlp_backend(
    serving: KeyPairFiles | None = None, *, grpc_port: int = 0, http_port: int = 0
) -> AsyncIterator[OtlpBackend]:
    """A backend on the loopback address, gRPC and HTTP, with TLS if a certificate is given.

    Args:
        serving: Its certificate.
        grpc_port: 0 takes a free one.
        http_port: 0 takes a free one.
    """
    loop = asyncio.get_running_loop()
    backend = OtlpBackend(http_url="", grpc_address="")
    grpc_server = await loop.create_server(
        lambda: GrpcIntake(backend.record_grpc), LOOPBACK, grpc_port, ssl=_tls(serving, "h2")
    )
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_post("/{path:.*}", backend.record_http)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, http_port, ssl_context=_tls(serving, "http/1.1"))
        await site.start()
        backend.grpc_address = f"{LOOPBACK}:{grpc_server.sockets[0].getsockname()[1]}"
        backend.http_url = f"{'https' if serving else 'http'}://{LOOPBACK}:{runner.addresses[0][1]}"
        yield backend
    finally:
        await runner.cleanup()
        grpc_server.close()


def _tls(serving: KeyPairFiles | None, protocol: str) -> ssl.SSLContext | None:
    if serving is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(serving.certificate, serving.key)
    context.set_alpn_protocols([protocol])  # each port speaks one; a client that offers both must not get the other
    return context


def temporalities(export: Export) -> set[str]:
    """`delta` and `cumulative`, as far as the sums and histograms of an export use them."""
    request = export.request
    assert isinstance(request, ExportMetricsServiceRequest)
    metrics = [
        metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]
    return {temporality for metric in metrics if (temporality := _temporality(metric))}


def _temporality(metric: Metric) -> str | None:
    match metric.WhichOneof("data"):
        case "sum":
            number = metric.sum.aggregation_temporality
        case "histogram":
            number = metric.histogram.aggregation_temporality
        case "exponential_histogram":
            number = metric.exponential_histogram.aggregation_temporality
        case _:
            return None  # a gauge or a summary has none
    return AggregationTemporality.Name(number).removeprefix("AGGREGATION_TEMPORALITY_").lower()


def _signal_of(path: str) -> Signal | None:
    """The signal of a path: backends choose what stands before `/v1/<signal>`."""
    for signal in _REQUESTS:
        if path.endswith(f"/v1/{signal}"):
            return signal
    return None
