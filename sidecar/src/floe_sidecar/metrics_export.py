"""The counters and histograms as OTLP/HTTP in JSON (OTLP 1.11), for pods that end before anybody scrapes them.

Sent every minute and, after the last run is counted, once more at the end; cumulative, so that what is lost in between
is made up for. A collector that takes nothing costs an end a second at most, and is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import msgspec

from floe_sidecar.destinations import Target
from floe_sidecar.metrics import Clock, Counter, Histogram
from floe_sidecar.settings.pod import PodSettings

PATH = "v1/metrics"
LAST_SECONDS = 1.0
"""How long an end waits for the collector."""

_CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE
_NANOSECONDS = 1_000_000_000
_OK = range(200, 300)
_SERVICE = "floe-sidecar"


class MetricsExport:
    """Sends the metrics of one sidecar."""

    def __init__(
        self,
        target: Target,
        metrics: Callable[[], Iterable[Counter | Histogram]],
        pod: PodSettings,
        failed: Counter,
        *,
        interval_seconds: float,
        wall_clock: Clock,
    ) -> None:
        self._target = target
        self._metrics = metrics
        self._resource = resource_of(pod)
        self._failed = failed
        self._interval_seconds = interval_seconds
        self._wall_clock = wall_clock
        self._began_at = wall_clock()
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sends from now on."""
        self._sending = asyncio.create_task(self._send_again_and_again(), name="metrics export")

    async def end(self) -> None:
        """Sends for the last time."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._send()
        except TimeoutError:
            self._failed.add()
        self._target.close()

    async def _send_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self._send()

    async def _send(self) -> None:
        body = request_of(self._metrics(), self._resource, began_at=self._began_at, now=self._wall_clock())
        answer = await self._target.post(PATH, body, "application/json")
        if answer.status not in _OK:
            self._failed.add()


def resource_of(pod: PodSettings) -> Mapping[str, str]:
    """Whose metrics they are: the pod's, by the semantic conventions for Kubernetes."""
    found = {
        "service.name": pod.job_name or _SERVICE,
        "service.instance.id": pod.pod_uid,
        "k8s.namespace.name": pod.pod_namespace,
        "k8s.pod.name": pod.pod_name,
        "k8s.pod.uid": pod.pod_uid,
        "k8s.node.name": pod.node_name,
    }
    return {key: value for key, value in found.items() if value}


def request_of(
    metrics: Iterable[Counter | Histogram], resource: Mapping[str, str], *, began_at: float, now: float
) -> bytes:
    """An ExportMetricsServiceRequest; times in seconds since the epoch."""
    times = {"startTimeUnixNano": _nanoseconds(began_at), "timeUnixNano": _nanoseconds(now)}
    found: dict[str, dict[str, object]] = {}
    for metric in metrics:
        if isinstance(metric, Counter):
            points = [
                {**times, "asInt": str(value), **_attributes({metric.label: label} if metric.label else {})}
                for label, value in metric.values.items()
            ]
            data = {"dataPoints": points, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}
            found[metric.name] = {"name": metric.name, "description": metric.meaning, "unit": "1", "sum": data}
        else:
            known = found.setdefault(
                metric.name,
                {
                    "name": metric.name,
                    "description": metric.meaning,
                    "unit": "s",
                    "histogram": {"dataPoints": [], "aggregationTemporality": _CUMULATIVE},
                },
            )
            histogram = known["histogram"]
            assert isinstance(histogram, dict)  # noqa: S101 - made above; no other metric has its name
            histogram["dataPoints"].append({**times, **_point(metric)})
    of_resource = {"attributes": [_attribute(key, value) for key, value in resource.items()]}
    scope = {"scope": {"name": "floe_sidecar"}, "metrics": list(found.values())}
    return msgspec.json.encode({"resourceMetrics": [{"resource": of_resource, "scopeMetrics": [scope]}]})


def _point(histogram: Histogram) -> dict[str, object]:
    # In OTLP's JSON a 64-bit number is a string.
    return {
        "count": str(sum(histogram.counts)),
        "sum": histogram.seconds,
        "bucketCounts": [str(count) for count in histogram.counts],
        "explicitBounds": list(histogram.bounds),
        **_attributes(dict([histogram.label]) if histogram.label else {}),
    }


def _attributes(labels: Mapping[str, str]) -> dict[str, object]:
    return {"attributes": [_attribute(key, value) for key, value in labels.items()]} if labels else {}


def _attribute(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


def _nanoseconds(seconds: float) -> str:
    return str(int(seconds * _NANOSECONDS))
