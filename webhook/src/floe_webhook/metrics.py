"""What the webhook counts; every label has a bounded set of values."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

from floe_certs.events import FAILURES, Repair
from floe_certs.planning import Step
from floe_webhook.admission import Problem
from floe_webhook.connections import CAUSES
from floe_webhook.decision import Outcome
from floe_webhook.following_metrics import FollowingMetrics
from floe_webhook.histograms import EventLoopHistogram
from floe_webhook.injection import Injection
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.reasons import Reason

ALLOWED = "allowed_undecided"
REFUSED = "refused"

# An admission takes some tenths of a millisecond; the API server waits for seconds at most.
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_MISSING = frozenset({Reason.SECRET_MISSING, Reason.SECRET_KEY_MISSING})
_BYTES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000)


class CertificateMetrics:
    """What is counted of certificates; of an authority only if it is known here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expiry = Gauge(
            "floe_webhook_certificate_expiry_timestamp_seconds", "When the serving certificate ends", registry=registry
        )
        self.authority_expiry = Gauge(
            "floe_webhook_authority_expiry_timestamp_seconds",
            "When the authority of the serving certificate ends; 0 if it is not known",
            registry=registry,
        )
        self.steps = Counter(
            "floe_webhook_certificate_steps", "Steps of rotation that this replica took", ["step"], registry=registry
        )
        self.repairs = Counter(
            "floe_webhook_certificate_repairs", "What others changed and was put back", ["object"], registry=registry
        )
        self.failures = Counter(
            "floe_webhook_certificate_failures", "What went wrong with certificates", ["reason"], registry=registry
        )
        for family, values in ((self.steps, Step), (self.repairs, Repair), (self.failures, FAILURES)):
            for value in values:
                family.labels(value)


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
        self._duration = EventLoopHistogram(
            "floe_webhook_admission_duration_seconds",
            "Time from a request's body to its answer",
            _SECONDS,
            self.registry,
        )
        self._patch = EventLoopHistogram(
            "floe_webhook_response_bytes", "Size of answers with a patch", _BYTES, self.registry
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
        self.profile_info = Gauge(
            "floe_webhook_profile_info", "1 for the profile in force", ["profile"], registry=self.registry
        )
        self.missing_secrets = Counter(
            "floe_webhook_missing_secrets",
            "Secrets or keys that were found missing where a pod was told to read them",
            registry=self.registry,
        )
        self.connections_cut = Counter(
            "floe_webhook_connections_cut", "Connections that were cut, by cause", ["cause"], registry=self.registry
        )
        for cause in CAUSES:
            self.connections_cut.labels(cause)
        self.leader = Gauge("floe_webhook_leader", "1 while this replica leads", registry=self.registry)
        self.task_failures = Counter(
            "floe_webhook_task_failures", "Failures of tasks that go on all the time", ["task"], registry=self.registry
        )
        self.certificates = CertificateMetrics(self.registry)
        self.following = FollowingMetrics(self.registry)
        self.lookups = LookupMetrics(self.registry)
        ProcessCollector(registry=self.registry)

    def leads(self, leads: Callable[[], bool]) -> None:
        """Whom to ask whether this replica leads, each time that somebody looks."""
        self.leader.set_function(lambda: float(leads()))

    def manifest_in_force(self, profile: str) -> None:
        """The manifest's file is the one that is used."""
        self.manifest_valid.set(1)
        self.manifest_loads.labels("in_force").inc()
        # One child at a time: a label with every profile that ever was would grow.
        self.profile_info.clear()
        self.profile_info.labels(profile).set(1)

    def decided(self, injection: Injection, seconds: float, response_bytes: int) -> None:
        """Counts an answer that was decided upon."""
        decision = injection.plan.decision
        self._requests[decision.outcome].inc()
        for reason in decision.reasons:
            self._reasons[reason].inc()
            if reason in _MISSING:
                self.missing_secrets.inc()
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
