"""Values of the opentelemetry-collector chart for one backend: the home of what all telemetry plugins share.

A plugin gives its exporter configuration and its `collector:` settings; the Collector's parts are put together here:

    otlp receiver -> memory_limiter -> [cumulativetodelta] -> batch -> exporter with its queue

`config` is whole by itself and leaves addresses to the chart's defaults, over which Helm lays it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from floe_core.credentials import SecretKey, names_in
from floe_core.errors import ConfigurationError
from floe_core.plugin_interfaces.metadata import Frozen
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig

_MEBIBYTE: Final = 2**20
REQUEST_MAX_BYTES: Final = 3 * _MEBIBYTE
"""Below the 4 MiB that a gRPC server takes by default: what is larger is refused and lost (collector#14687)."""

_MEMORY_LIMIT_MEBIBYTES: Final = 512
_MEMORY_QUEUE_BYTES: Final = 64 * _MEBIBYTE  # three of them leave the memory limiter its room
_RUNS_AS: Final = 10001  # the user of the Collector's own images, which must be able to write the volume
_VOLUME: Final = "queue"
_DELTA: Final = "cumulativetodelta"
_STORAGE: Final = "file_storage"


def _base_url(value: str) -> str:
    for signal in ("traces", "metrics", "logs"):
        if value.rstrip("/").endswith(f"/v1/{signal}"):
            raise ValueError(f"must end before /v1/{signal}, which the Collector appends")
    return value.rstrip("/")


BaseUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$"), AfterValidator(_base_url)]
"""A base URL to which the Collector appends `/v1/<signal>`; without user info, query and closing slash."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""


class DurableQueue(Frozen):
    """A queue on a volume: what the backend has not taken yet outlives the Collector's pod."""

    volume_mebibytes: int = Field(default=8192, ge=64, description="Size of the volume claim, in MiB")
    storage_class: str | None = Field(default=None, description="By default the cluster's own")
    directory: str = Field(default="/var/lib/otelcol/queue", pattern="^/", description="Where the volume is mounted")


class CollectorSettings(Frozen):
    """`collector:` of a telemetry backend: what is chosen about the Collector rather than the backend."""

    image: str = Field(
        default="otel/opentelemetry-collector-k8s", min_length=1, description="Image repository without a tag"
    )
    legacy_exporter_names: bool = Field(
        default=False, description="Exporters are called otlp and otlphttp: for a Collector before 0.144"
    )
    # Off, because it claims a volume: a cluster without a default storage class would leave the pod pending.
    durable_queue: DurableQueue | None = Field(
        default=None, description="Keep what is not sent yet on a volume; without it, in memory. {} takes the defaults"
    )


def collector_values(
    backend: str,
    exporter: OTLPExporterConfig,
    settings: CollectorSettings,
    *,
    secret: str | None = None,
    credentials: Mapping[str, SecretKey] | None = None,
    request_max_bytes: int = REQUEST_MAX_BYTES,
) -> dict[str, Any]:
    """Values for the chart.

    Args:
        backend: Name of the components, e.g. `jaeger` in `otlp_grpc/jaeger`.
        exporter: What the backend asks for.
        settings: What is chosen about the Collector.
        secret: The Secret in the Collector's namespace that holds each credential under the name of its variable;
            None for a backend without credentials.
        credentials: Where credentials are that the platform keeps elsewhere: `artifacts.credentials`.
        request_max_bytes: The most that the backend takes in one request, before compression.

    Raises:
        ConfigurationError: The exporter names a credential that no Secret holds.
    """
    queue = settings.durable_queue
    return {
        "mode": "deployment" if queue is None else "statefulset",
        "image": {"repository": settings.image},
        # Without a limit the chart's memory limiter would count the node's memory.
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": f"{_MEMORY_LIMIT_MEBIBYTES}Mi"},
        },
        **_environment(backend, exporter, secret, credentials or {}),
        **(_volume(queue) if queue is not None else {}),
        "config": _config(backend, exporter, settings, request_max_bytes),
    }


def _environment(
    backend: str, exporter: OTLPExporterConfig, secret: str | None, credentials: Mapping[str, SecretKey]
) -> dict[str, Any]:
    # Not optional: a Collector that starts without its credential would drop all it is given, unnoticed.
    variables = []
    for name in names_in(exporter.model_dump()):
        if (key := credentials.get(name) or (SecretKey(secret, name) if secret else None)) is None:
            raise ConfigurationError(
                f"The exporter {backend!r} names the credential {name}, and no Secret holds it.",
                remedy="Give collector_values the argument `secret`, or map the credential in the manifest.",
            )
        variables.append({"name": name, "valueFrom": {"secretKeyRef": {"name": key.secret, "key": key.key}}})
    return {"extraEnvs": variables} if variables else {}


def _volume(queue: DurableQueue) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{queue.volume_mebibytes}Mi"}},
    }
    if queue.storage_class is not None:
        claim["storageClassName"] = queue.storage_class
    return {
        "statefulset": {"volumeClaimTemplates": [{"metadata": {"name": _VOLUME}, "spec": claim}]},
        "extraVolumeMounts": [{"name": _VOLUME, "mountPath": queue.directory}],
        "podSecurityContext": {"fsGroup": _RUNS_AS},
    }


def _config(
    backend: str, exporter: OTLPExporterConfig, settings: CollectorSettings, request_max_bytes: int
) -> dict[str, Any]:
    name = f"{_exporter_type(exporter, settings)}/{backend}"
    queue = settings.durable_queue
    extensions = _extensions(backend, exporter, queue)
    block = {**_connection(backend, exporter), **_delivery(exporter, queue, request_max_bytes)}
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {}, "http": {}}}},
        "processors": _processors(exporter, queue),
        "exporters": {name: block},
        "extensions": extensions,
        "service": {
            "extensions": list(extensions),
            "pipelines": {
                signal: {
                    "receivers": ["otlp"],
                    "processors": [
                        "memory_limiter",
                        *([_DELTA] if signal == "metrics" and _needs_deltas(exporter) else []),
                        *(["batch"] if queue is None else []),
                    ],
                    "exporters": [name],
                }
                for signal in exporter.signals
            },
        },
    }


def _exporter_type(exporter: OTLPExporterConfig, settings: CollectorSettings) -> str:
    if exporter.protocol == "grpc":
        return "otlp" if settings.legacy_exporter_names else "otlp_grpc"
    return "otlphttp" if settings.legacy_exporter_names else "otlp_http"


def _connection(backend: str, exporter: OTLPExporterConfig) -> dict[str, Any]:
    block: dict[str, Any] = {f"{signal}_endpoint": url for signal, url in exporter.signal_endpoints.items()}
    if set(exporter.signals) - set(exporter.signal_endpoints):
        block["endpoint"] = exporter.endpoint
    block["compression"] = exporter.compression
    if exporter.headers:
        block["headers"] = dict(exporter.headers)
    if exporter.protocol == "grpc":
        block["tls"] = {"insecure": exporter.insecure}
    if exporter.basic_auth is not None:
        block["auth"] = {"authenticator": f"basicauth/{backend}"}
    return block


def _delivery(exporter: OTLPExporterConfig, queue: DurableQueue | None, request_max_bytes: int) -> dict[str, Any]:
    """Retries without an end: by default the Collector drops after five minutes what its queue still has room for."""
    batch: dict[str, Any] = {"sizer": "bytes", "flush_timeout": "200ms", "min_size": 0, "max_size": request_max_bytes}
    sending_queue: dict[str, Any] = {"sizer": "bytes", "queue_size": _MEMORY_QUEUE_BYTES, "batch": batch}
    if queue is not None:
        # Each signal has a queue of its own; a quarter of the volume stays free for what its database adds.
        sending_queue["queue_size"] = queue.volume_mebibytes * _MEBIBYTE * 3 // 4 // len(exporter.signals)
        sending_queue["storage"] = _STORAGE
        # collector#12711: what waits in the batch processor is lost with the process; batches are made of the queue.
        batch["min_size"] = request_max_bytes
    return {"retry_on_failure": {"max_elapsed_time": "0s"}, "sending_queue": sending_queue}


def _extensions(backend: str, exporter: OTLPExporterConfig, queue: DurableQueue | None) -> dict[str, Any]:
    extensions: dict[str, Any] = {"health_check": {}}
    if exporter.basic_auth is not None:
        extensions[f"basicauth/{backend}"] = {"client_auth": exporter.basic_auth.model_dump()}
    if queue is not None:
        # contrib#50102: without fsync a crash of the node loses the whole backlog.
        extensions[_STORAGE] = {
            "directory": queue.directory,
            "create_directory": True,
            "fsync": True,
            "compaction": {"on_start": True, "on_rebound": True, "directory": queue.directory},
        }
    return extensions


def _processors(exporter: OTLPExporterConfig, queue: DurableQueue | None) -> dict[str, Any]:
    processors: dict[str, Any] = {
        "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 25}
    }
    if queue is None:
        processors["batch"] = {}
    if _needs_deltas(exporter):
        processors[_DELTA] = {}
    return processors


def _needs_deltas(exporter: OTLPExporterConfig) -> bool:
    return exporter.metrics_temporality == "delta" and "metrics" in exporter.signals
