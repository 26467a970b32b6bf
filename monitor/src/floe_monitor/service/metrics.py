"""What the monitor measures, through the OpenTelemetry API; `exposition` renders it for a scrape.

The five metrics of FR-033 have these exact names and labels; the others are about the monitor itself. Labels are
bounded: contracts by the registry, all others by fixed lists.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.store.records import CheckRun

VIOLATIONS: Final = "floe_contract_violations_total"
FRESHNESS: Final = "floe_contract_freshness_seconds"
AVAILABILITY: Final = "floe_contract_availability_ratio"
SCHEMA: Final = "floe_contract_schema_differences"
QUALITY: Final = "floe_contract_quality_score"
CHECK_DURATION: Final = "floe_contract_check_duration_seconds"
DRIFT: Final = "floe_monitor_check_drift_seconds"
DELIVERY_FAILURES: Final = "floe_alert_delivery_failures_total"

# name -> (Prometheus type, what it says); the docs' table and the scrape take it from here.
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    VIOLATIONS: ("counter", "Findings of checks, by contract, type and severity"),
    FRESHNESS: ("gauge", "Age of the newest row, of the oldest table of the contract"),
    AVAILABILITY: ("gauge", "Share of the observed last 24 hours in which the source answered"),
    SCHEMA: ("gauge", "Differences between the contract's schema and the catalog's"),
    QUALITY: ("gauge", "Weighted quality score, 0 to 100"),
    CHECK_DURATION: ("histogram", "Time that a check took, its probe included"),
    DELIVERY_FAILURES: ("counter", "Attempts that a channel did not take"),
    "floe_alert_delivery_seconds": ("histogram", "Time from a finding to its delivery"),
    DRIFT: ("histogram", "Start of a check minus its planned moment"),
    "floe_monitor_check_results_total": ("counter", "Runs of checks, by type and how they ended"),
    "floe_monitor_missed_checks_total": ("counter", "Planned checks that were not run, by reason"),
    "floe_monitor_coverage_ratio": ("gauge", "Share of the planned checks that were run, since the start"),
    "floe_monitor_contracts": ("gauge", "Contracts that this replica watches"),
    "floe_monitor_replicas": ("gauge", "Replicas that share the contracts, as of the last round of leases"),
    "floe_monitor_results_waiting": ("gauge", "Results that are not stored yet"),
    "floe_monitor_results_dropped_total": ("counter", "Results that were lost while the store was away, by reason"),
    "floe_monitor_duties_total": ("counter", "Duties that this replica did for all, by duty and outcome"),
    "floe_monitor_duty_seconds": ("histogram", "Time that a duty took"),
    "floe_monitor_lineage_dropped_total": ("counter", "OpenLineage events that were not sent, by reason"),
    "floe_monitor_clock_skew_seconds": ("gauge", "How far the source's clock is ahead of this machine's"),
    "floe_monitor_abandoned_calls": ("gauge", "Calls of a source that hang"),
}
# Seconds; the SDK's own bounds are meant for milliseconds.
_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]


class MonitorMetrics:
    """Counts for the schedule, the checks, the recorder and the dispatcher.

    Args:
        meter: Of the meter provider that is scraped.
        histograms_up_to: With more contracts than that durations are told of each check, not of each contract.

    Attributes:
        active: Identities of the contracts that are watched; a scrape shows no others.
    """

    def __init__(self, meter: Meter, *, histograms_up_to: int = 200) -> None:
        self._histograms_up_to = histograms_up_to
        self.active: set[str] = set()
        self._freshness: dict[str, float] = {}
        self._availability: dict[str, float] = {}
        self._differences: dict[str, float] = {}
        self._quality: dict[str, float] = {}
        self._clock_skew: float | None = None
        self._started = 0
        self._missed = 0
        self._violations = meter.create_counter(VIOLATIONS, description=METRICS[VIOLATIONS][1])
        self._failures = meter.create_counter(DELIVERY_FAILURES, description=METRICS[DELIVERY_FAILURES][1])
        self._results = _counter(meter, "floe_monitor_check_results_total")
        self._missed_total = _counter(meter, "floe_monitor_missed_checks_total")
        self._dropped = _counter(meter, "floe_monitor_results_dropped_total")
        self._lineage_dropped = _counter(meter, "floe_monitor_lineage_dropped_total")
        self._duties = _counter(meter, "floe_monitor_duties_total")
        self._duty_seconds = _histogram(meter, "floe_monitor_duty_seconds")
        self._duration = _histogram(meter, CHECK_DURATION)
        self._drift = _histogram(meter, DRIFT)
        self._delivery = _histogram(meter, "floe_alert_delivery_seconds")
        self._meter = meter
        self.observe(FRESHNESS, lambda: _per_contract(self._freshness), unit="s")
        self.observe(AVAILABILITY, lambda: _per_contract(self._availability))
        self.observe(SCHEMA, lambda: _per_contract(self._differences))
        self.observe(QUALITY, lambda: _per_contract(self._quality))
        self.observe("floe_monitor_clock_skew_seconds", self._skew, unit="s")
        self.observe("floe_monitor_coverage_ratio", lambda: [Observation(self.coverage)])
        self.observe("floe_monitor_contracts", lambda: [Observation(len(self.active))])

    def observe(self, name: str, values: Callable[[], Iterable[Observation]], *, unit: str = "1") -> None:
        """A gauge that is read when somebody asks."""

        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            return values()

        self._meter.create_observable_gauge(name, [callback], unit=unit, description=METRICS[name][1])

    @property
    def coverage(self) -> float:
        """Share of the planned checks that were run."""
        planned = self._started + self._missed
        return self._started / planned if planned else 1.0

    def forget(self, contract: str) -> None:
        """Ends a contract's series."""
        self.active.discard(contract)
        self._freshness.pop(contract, None)
        self._availability.pop(contract, None)
        self._differences.pop(contract, None)
        self._quality.pop(contract, None)

    def checked(self, run: CheckRun) -> None:
        """A check has ended."""
        contract = str(run.contract.id)
        check = run.check.value
        self._results.add(1, {"check_type": check, "status": run.verdict.status.value})
        labels = {"check_type": check}
        if len(self.active) <= self._histograms_up_to:
            labels["contract"] = contract
        self._duration.record(run.duration.total_seconds(), labels)
        for finding in run.verdict.findings:
            self._violations.add(1, {"contract": contract, "type": check, "severity": finding.severity.value})
        if isinstance(skew := run.verdict.details.get("clock_skew_seconds"), float):
            self._clock_skew = skew
        measured = [outcome.measure for outcome in run.verdict.outcomes if outcome.measure is not None]
        if measured and run.check is ViolationType.FRESHNESS:
            self._freshness[contract] = max(measured)
        elif measured and run.check is ViolationType.AVAILABILITY:
            self._availability[contract] = min(measured)
        elif measured and run.check is ViolationType.SCHEMA_DRIFT:
            self._differences[contract] = sum(measured)
        elif isinstance(score := run.verdict.details.get("quality_score"), float):
            self._quality[contract] = score

    def _skew(self) -> Iterable[Observation]:
        return [] if self._clock_skew is None else [Observation(self._clock_skew)]

    def started(self, key: str, drift: timedelta) -> None:
        """See `ScheduleObserver`."""
        self._started += 1
        self._drift.record(drift.total_seconds(), {"check_type": _check_of(key)})

    def missed(self, key: str, ticks: int, reason: str) -> None:
        """See `ScheduleObserver`."""
        self._missed += ticks
        self._missed_total.add(ticks, {"check_type": _check_of(key), "reason": reason})

    def crashed(self, key: str) -> None:
        """See `ScheduleObserver`."""
        self._results.add(1, {"check_type": _check_of(key), "status": "crashed"})

    def dropped(self, results: int, reason: str) -> None:
        """Results were lost."""
        self._dropped.add(results, {"reason": reason})

    def duty_ended(self, duty: str, outcome: str, took: timedelta) -> None:
        """See `DutyObserver`."""
        self._duties.add(1, {"duty": duty, "outcome": outcome})
        self._duty_seconds.record(took.total_seconds(), {"duty": duty})

    def lineage_dropped(self, events: int, reason: str) -> None:
        """OpenLineage events were not sent."""
        self._lineage_dropped.add(events, {"reason": reason})

    def sent(self, channel: str, waited: timedelta) -> None:
        """See `DeliveryObserver`."""
        self._delivery.record(waited.total_seconds(), {"channel": channel})

    def failed(self, channel: str) -> None:
        """See `DeliveryObserver`."""
        self._failures.add(1, {"channel": channel})


def _counter(meter: Meter, name: str) -> Counter:
    return meter.create_counter(name, description=METRICS[name][1])


def _histogram(meter: Meter, name: str) -> Histogram:
    return meter.create_histogram(
        name, unit="s", description=METRICS[name][1], explicit_bucket_boundaries_advisory=_BUCKETS
    )


def _per_contract(values: Mapping[str, float]) -> Iterable[Observation]:
    # A copy at once: a scrape is rendered in a thread of its own, while checks go on.
    return [Observation(value, {"contract": contract}) for contract, value in list(values.items())]


def _check_of(key: str) -> str:
    return key.rpartition(" ")[2]
