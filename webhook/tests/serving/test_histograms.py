"""What is counted in a histogram, compared with prometheus_client's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from floe_webhook.histograms import EventLoopHistogram

pytestmark = pytest.mark.requirement("HOUSE-12")

BOUNDS = (0.001, 0.5, 1.0, 5_000.0)


def _exposition(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(st.lists(st.sampled_from(BOUNDS) | st.floats(min_value=0, max_value=10_000, width=16)))
def test_prometheus_reads_what_it_would_read_of_its_own_histogram(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = EventLoopHistogram("floe_seconds", "How long", BOUNDS, ours)
    reference = Histogram("floe_seconds", "How long", registry=theirs, buckets=BOUNDS)
    for value in values:
        histogram.observe(value)
        reference.observe(value)
    assert _exposition(ours) == _exposition(theirs)
