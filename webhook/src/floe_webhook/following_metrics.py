"""What is counted of Events, of missed pods and of ended pods; every label has a bounded set of values."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from floe_webhook.cluster.ended_pods import Unsent
from floe_webhook.cluster.events import Unwritten
from floe_webhook.cluster.eviction import Eviction
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.endings import End, SidecarReport
from floe_webhook.missed import Verdict


class FollowingMetrics:
    """The observer of everything that follows pods after their admission."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events_written = Counter(
            "floe_webhook_events", "Kubernetes Events made or counted further", registry=registry
        )
        self.events_lost = Counter(
            "floe_webhook_events_lost", "Announcements that became no Event, by reason", ["reason"], registry=registry
        )
        self.missed_pods = Gauge(
            "floe_webhook_missed_pods",
            "Running pods that are not injected although they opted in, by reason; 0 on a replica that does not lead",
            ["reason"],
            registry=registry,
        )
        self.missed_rounds = Counter("floe_webhook_missed_pod_rounds", "Looks at all opted-in pods", registry=registry)
        self.evictions = Counter(
            "floe_webhook_evictions", "Evictions of missed pods that were asked for, by result", ["result"],
            registry=registry,
        )  # fmt: skip
        self.ended_pods = Counter(
            "floe_webhook_ended_pods", "Injected pods that ended, by the end of their run", ["end"], registry=registry
        )
        self.pod_runs = Counter(
            "floe_webhook_pod_runs", "Ended pods by what became of their run's events", ["outcome"], registry=registry
        )
        self.runs_waiting = Gauge(
            "floe_webhook_pod_runs_waiting", "Ended pods whose events wait to be sent", registry=registry
        )
        self.retries = Counter(
            "floe_webhook_pod_run_retries", "Failed attempts to send an event of a pod's run", registry=registry
        )
        self.sidecar_events = Counter(
            "floe_webhook_sidecar_events",
            "Lineage events of ended pods as their sidecars reported them, by what became of them",
            ["fate"],
            registry=registry,
        )
        self.sidecars = Counter(
            "floe_webhook_ended_sidecars",
            "Sidecars of ended pods, by their report: all sent, something unsent, no events at all, no report",
            ["report"],
            registry=registry,
        )
        self.unsent_telemetry = Counter(
            "floe_webhook_sidecar_unsent_telemetry_requests",
            "Export requests of ended pods that no telemetry backend took before the end, as their sidecars reported",
            registry=registry,
        )
        # Each child exists from the start: an alert on a reason needs its zero.
        for family, values in (
            (self.events_lost, Unwritten),
            (self.missed_pods, Verdict),
            (self.evictions, Eviction),
            (self.ended_pods, End),
            (self.pod_runs, Outcome),
            (self.sidecar_events, ("delivered", "handed_over", "unsent", "dead_letter")),
            (self.sidecars, Unsent),
        ):
            for value in values:
                family.labels(value)

    def event_written(self) -> None:
        """See `EventsObserver`."""
        self.events_written.inc()

    def event_lost(self, reason: Unwritten, announcements: int) -> None:
        """See `EventsObserver`."""
        self.events_lost.labels(reason).inc(announcements)

    def looked(self, found: Mapping[Verdict, int]) -> None:
        """See `MissedPodsObserver`."""
        self.missed_rounds.inc()
        self.counted(found)

    def counted(self, found: Mapping[Verdict, int]) -> None:
        """See `MissedPodsObserver`."""
        for verdict in Verdict:
            self.missed_pods.labels(verdict).set(found.get(verdict, 0))

    def evicted(self, result: Eviction) -> None:
        """See `MissedPodsObserver`."""
        self.evictions.labels(result).inc()

    def ended(self, end: End) -> None:
        """See `EndedPodsObserver`."""
        self.ended_pods.labels(end).inc()

    def sent(self, outcome: Outcome) -> None:
        """See `EndedPodsObserver`."""
        self.pod_runs.labels(outcome).inc()

    def waiting(self, pods: int) -> None:
        """See `EndedPodsObserver`."""
        self.runs_waiting.set(pods)

    def retried(self) -> None:
        """See `EndedPodsObserver`."""
        self.retries.inc()

    def reported(self, unsent: Unsent, report: SidecarReport | None) -> None:
        """See `EndedPodsObserver`."""
        self.sidecars.labels(unsent).inc()
        if report is not None:
            self.sidecar_events.labels("delivered").inc(report.delivered)
            self.sidecar_events.labels("handed_over").inc(report.handed_over)
            self.sidecar_events.labels("unsent").inc(report.unsent)
            self.sidecar_events.labels("dead_letter").inc(report.dead_letters)
            self.unsent_telemetry.inc(report.unsent_telemetry)
