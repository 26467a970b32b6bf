"""What the webhook counts; every label has a bounded set of values."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from floe_webhook.admission import Problem
from floe_webhook.decision import Outcome
from floe_webhook.injection import Injection
from floe_webhook.reasons import Reason

ALLOWED = "allowed_undecided"
REFUSED = "refused"

# An admission takes some tenths of a millisecond; the API server waits for seconds at most.
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BYTES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000)


class Metrics:
    """The counters of one webhook, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "floe_webhook_requests", "AdmissionReviews answered, by outcome", ["outcome"], registry=self.registry
        )
        reasons = Counter(
            "floe_webhook_reasons", "Reasons given in decisions and refusals", ["reason"], registry=self.registry
        )
        # Each child exists from the start: an alert on a reason needs its zero, and looking one up costs time.
        self._requests = {outcome: requests.labels(outcome) for outcome in (*Outcome, ALLOWED, REFUSED)}
        self._reasons = {str(reason): reasons.labels(reason) for reason in (*Reason, *Problem)}
        self._duration = Histogram(
            "floe_webhook_admission_duration_seconds",
            "Time from a request's body to its answer",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._patch = Histogram(
            "floe_webhook_response_bytes", "Size of answers with a patch", registry=self.registry, buckets=_BYTES
        )
        self.dry_runs = Counter("floe_webhook_dry_runs", "AdmissionReviews of dry runs", registry=self.registry)
        self.manifest_valid = Gauge(
            "floe_webhook_manifest_valid",
            "1 if the manifest file is the one that is used, 0 if an older one is",
            registry=self.registry,
        )
        self.manifest_loads = Counter(
            "floe_webhook_manifest_loads", "Manifests read, by result", ["result"], registry=self.registry
        )
        self.certificate_expiry = Gauge(
            "floe_webhook_certificate_expiry_timestamp_seconds",
            "When the serving certificate ends",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def decided(self, injection: Injection, seconds: float, response_bytes: int) -> None:
        """Counts an answer that was decided upon."""
        decision = injection.plan.decision
        self._requests[decision.outcome].inc()
        for reason in decision.reasons:
            self._reasons[reason].inc()
        if injection.patch:
            self._patch.observe(response_bytes)
        self._duration.observe(seconds)

    def undecided(self, problem: Problem, *, allowed: bool) -> None:
        """Counts an answer to something that was not decided upon."""
        self._requests[ALLOWED if allowed else REFUSED].inc()
        self._reasons[problem].inc()

    def text(self) -> bytes:
        """The exposition that Prometheus reads."""
        return generate_latest(self.registry)
