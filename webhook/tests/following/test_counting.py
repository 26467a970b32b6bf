"""What Prometheus reads of Events, missed pods and ended pods: from the start, with bounded labels, documented."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from floe_webhook.cluster.ended_pods import Unsent
from floe_webhook.cluster.events import Unwritten
from floe_webhook.cluster.eviction import Eviction
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.endings import End, SidecarReport
from floe_webhook.following_metrics import FollowingMetrics
from floe_webhook.missed import Verdict

pytestmark = pytest.mark.requirement("HOUSE-12")

DOCS = Path(__file__).parents[3] / "docs"


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_every_label_has_its_zero_from_the_start() -> None:
    registry = CollectorRegistry()
    FollowingMetrics(registry)

    for name, label, values in (
        ("floe_webhook_events_lost_total", "reason", Unwritten),
        ("floe_webhook_missed_pods", "reason", Verdict),
        ("floe_webhook_evictions_total", "result", Eviction),
        ("floe_webhook_ended_pods_total", "end", End),
        ("floe_webhook_pod_runs_total", "outcome", Outcome),
        ("floe_webhook_ended_sidecars_total", "report", Unsent),
    ):
        assert [sample(registry, name, **{label: str(value)}) for value in values] == [0.0] * len(values)


def test_what_is_observed_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = FollowingMetrics(registry)

    metrics.event_written()
    metrics.event_lost(Unwritten.RATE_LIMITED, 3)
    metrics.looked({Verdict.MISSED: 2})
    metrics.evicted(Eviction.EVICTED)
    metrics.ended(End.ABORT)
    metrics.sent(Outcome.SENT)
    metrics.retried()
    metrics.waiting(4)
    metrics.reported(Unsent.UNSENT, SidecarReport(12, 5, 4, 3, 2, unsent_telemetry=7))
    metrics.reported(Unsent.NO_REPORT, None)

    assert sample(registry, "floe_webhook_events_total") == 1
    assert sample(registry, "floe_webhook_events_lost_total", reason="rate_limited") == 3
    assert sample(registry, "floe_webhook_missed_pods", reason="missed") == 2
    assert sample(registry, "floe_webhook_missed_pod_rounds_total") == 1
    assert sample(registry, "floe_webhook_evictions_total", result="evicted") == 1
    assert sample(registry, "floe_webhook_ended_pods_total", end="ABORT") == 1
    assert sample(registry, "floe_webhook_pod_runs_total", outcome="sent") == 1
    assert sample(registry, "floe_webhook_pod_run_retries_total") == 1
    assert sample(registry, "floe_webhook_pod_runs_waiting") == 4
    assert sample(registry, "floe_webhook_sidecar_events_total", fate="unsent") == 3
    assert sample(registry, "floe_webhook_sidecar_unsent_telemetry_requests_total") == 7
    assert sample(registry, "floe_webhook_ended_sidecars_total", report="no_report") == 1


def test_a_replica_that_does_not_lead_shows_no_missed_pods() -> None:
    registry = CollectorRegistry()
    metrics = FollowingMetrics(registry)
    metrics.looked({Verdict.MISSED: 2})
    metrics.counted({})

    assert sample(registry, "floe_webhook_missed_pods", reason="missed") == 0


def test_every_metric_and_every_value_of_its_label_is_documented() -> None:
    registry = CollectorRegistry()
    FollowingMetrics(registry)
    pages = "".join((DOCS / name).read_text() for name in ("events.md", "missed-pods.md", "pod-runs.md"))

    told = generate_latest(registry).decode()
    names = set(re.findall(r"^(floe_\w+?)(?:_created)?(?:\{| )", told, re.MULTILINE))
    names = {name for name in names if not re.search(rf"^# TYPE {name}_created gauge", told, re.MULTILINE)}
    values = set(re.findall(r'="(\w+)"', told))

    assert {name for name in names if f"`{name}" not in pages} == set()
    assert {value for value in values if f"`{value}`" not in pages} == set()
