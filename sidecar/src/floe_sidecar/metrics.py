"""Counters, gauges and histograms in Prometheus' text format, by hand: a client library would cost 4 MiB in each pod.

Used from the event loop's thread only. Every label has a bounded set of values.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

_PREFIX = "floe_sidecar_"
LATENCY_BUCKETS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets in seconds."""


MOST_VALUES = 200
"""How many values of a label are told apart; the rest are `other`."""

OTHER = "other"


class Counter:
    """A number that only grows, optionally by the value of one label."""

    def __init__(self, name: str, meaning: str, label: str = "", *, prefix: str = _PREFIX) -> None:
        self.name, self.meaning, self.label = prefix + name, meaning, label
        self.values: dict[str, int] = {} if label else {"": 0}

    def add(self, amount: int = 1, value: str = "") -> None:
        """Counts `amount` more under the label's `value`, or under `other` if there are too many values already."""
        if value not in self.values and len(self.values) >= MOST_VALUES:
            value = OTHER
        self.values[value] = self.values.get(value, 0) + amount

    @property
    def total(self) -> int:
        """The sum over all label values."""
        return sum(self.values.values())

    def lines(self) -> list[str]:
        """The samples, without the heading."""
        if not self.label:
            return [f"{self.name} {self.values['']}"]
        return [f'{self.name}{{{self.label}="{value}"}} {n}' for value, n in sorted(self.values.items())]


class Histogram:
    """How long something took, in seconds, over `LATENCY_BUCKETS_SECONDS` or other bounds, for one value of a label."""

    def __init__(
        self,
        name: str,
        meaning: str,
        *,
        prefix: str = _PREFIX,
        label: tuple[str, str] | None = None,
        bounds: Sequence[float] = LATENCY_BUCKETS_SECONDS,
    ) -> None:
        self.name, self.meaning, self.label, self.bounds = prefix + name, meaning, label, bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Adds one duration."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def lines(self) -> list[str]:
        """The samples, without the heading."""
        name, lines, cumulated = self.name, [], 0
        own = f'{self.label[0]}="{self.label[1]}"' if self.label else ""
        inner, outer = (f"{own},", f"{{{own}}}") if own else ("", "")
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            cumulated += count
            lines.append(f'{name}_bucket{{{inner}le="{bound}"}} {cumulated}')
        return [*lines, f"{name}_sum{outer} {self.seconds:.6f}", f"{name}_count{outer} {cumulated}"]


Sizes = tuple[str, str, Mapping[str, int]]
"""A gauge by namespace: its name, its meaning and its values."""


class Outgoing(Protocol):
    """What a delivery counts."""

    delivered: Counter
    sent: Counter
    retried: Counter
    dead: Counter
    delivery_seconds: Histogram


class TelemetryMetrics:
    """What is counted of telemetry that is relayed: export requests, not the items in them."""

    def __init__(self) -> None:
        self.accepted = Counter("telemetry_accepted_total", "Export requests that were acknowledged.", "signal")
        self.refused = Counter("telemetry_refused_total", "Export requests that were not accepted.", "reason")
        self.delivered = Counter("telemetry_delivered_total", "Export requests that the backend took.")
        self.sent = Counter("telemetry_requests_sent_total", "Requests to the telemetry backend, repeated ones too.")
        self.retried = Counter("telemetry_retried_total", "Answers after which a request is sent again.", "reason")
        self.dead = Counter("telemetry_dead_total", "Export requests that became dead letters.", "reason")
        self.dropped = Counter("telemetry_dropped_total", "Export requests that are lost for good.", "reason")
        self.rejected_items = Counter(
            "telemetry_rejected_items_total", "Items that the backend rejected of requests that it took.", "signal"
        )
        self.delivery_seconds = Histogram("telemetry_delivery_seconds", "Requests to the telemetry backend.")


class Metrics:
    """Everything that a sidecar counts; the README lists the same names with their meaning, and a test compares."""

    def __init__(self) -> None:
        self.accepted = Counter("events_accepted_total", "Events that were acknowledged, durable, duplicates included.")
        self.duplicates = Counter("events_duplicate_total", "Accepted events that repeated an earlier one; sent once.")
        self.refused = Counter("events_refused_total", "Requests or events that were not accepted.", "reason")
        self.invalid = Counter("events_invalid_total", "Accepted events that break the specification.", "level")
        self.redacted = Counter("events_redacted_total", "Accepted events that held credentials.")
        self.enriched = Counter("events_enriched_total", "Accepted events that the pod's names were added to.")
        self.delivered = Counter("events_delivered_total", "Events that the backend acknowledged.")
        self.sent = Counter("requests_sent_total", "Requests to the backend, repeated ones included.")
        self.retried = Counter("events_retried_total", "Answers after which the event is sent again.", "reason")
        self.dead = Counter("events_dead_total", "Events that became dead letters.", "reason")
        self.dropped = Counter("events_dropped_total", "Events that are lost for good.", "reason")
        self.handed_over = Counter("events_handed_over_total", "Events that the gateway acknowledged at the end.")
        self.taken_over = Counter("events_taken_over_total", "Events that sidecars handed over to this gateway.")
        self.adopted = Counter("events_adopted_total", "Events that dead pods had left on this pod's volume.")
        self.namespace_refused = Counter(
            "namespace_refused_total", "Events of a namespace whose share of the gateway is full.", "namespace"
        )
        self.runs_closed = Counter("runs_closed_total", "Runs that were open at the pod's end and got an ABORT.")
        self.corruptions = Counter("spool_corruptions_total", "Damaged spool files that were set aside.")
        self.recovered = Counter("spool_recovered_events_total", "Events that were read out of damaged spool files.")
        self.ack_seconds = Histogram("ack_seconds", "From an event's last byte to its acknowledgement.")
        self.commit_seconds = Histogram("commit_seconds", "Group commits of the spool, with their fsync.")
        self.delivery_seconds = Histogram("delivery_seconds", "Requests to the backend, from start to answer.")
        self.exports_failed = Counter("metrics_exports_failed_total", "Exports of the metrics that nobody took.")
        self.telemetry = TelemetryMetrics()
        self.more: Sequence[Counter | Histogram] = ()
        """Those of others that are shown beside (`floe_sidecar.pipeline`)."""

    def all(self) -> list[Counter | Histogram]:
        """Every counter and histogram."""
        own = [metric for metric in vars(self).values() if isinstance(metric, Counter | Histogram)]
        return [*own, *vars(self.telemetry).values(), *self.more]

    def text(self, gauges: Sequence[tuple[str, str, float]], by_namespace: Sequence[Sizes] = ()) -> str:
        """All samples in the text format; gauges are (name, meaning, value), read at the moment of asking."""
        lines: list[str] = []
        for metric in self.all():
            kind = "counter" if isinstance(metric, Counter) else "histogram"
            heading = _heading(metric.name, metric.meaning, kind)
            # One heading for all label values of a histogram, which stand together.
            lines += ([] if heading[0] in lines else heading) + metric.lines()
        for name, meaning, value in gauges:
            lines += [*_heading(_PREFIX + name, meaning, "gauge"), f"{_PREFIX}{name} {value:g}"]
        for name, meaning, values in by_namespace:
            lines += _heading(_PREFIX + name, meaning, "gauge")
            lines += [
                f'{_PREFIX}{name}{{namespace="{key}"}} {value}' for key, value in sorted(_largest(values).items())
            ]
        return "\n".join(lines) + "\n"


def _largest(values: Mapping[str, int]) -> dict[str, int]:
    """The largest values under their names, the rest as one."""
    ordered = sorted(values.items(), key=lambda item: item[1], reverse=True)
    largest = dict(ordered[:MOST_VALUES])
    if rest := sum(value for _, value in ordered[MOST_VALUES:]):
        largest[OTHER] = rest
    return largest


def _heading(name: str, meaning: str, kind: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


Clock = Callable[[], float]
"""Seconds; which clock, the parameter's name says."""
