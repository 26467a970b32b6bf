"""Histograms that every admission is counted in.

prometheus_client's own takes a lock for the sum and one for the bucket, which it seeks step by step: some times as long
as here, where one thread alone counts, and whoever reads asks on that thread.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import INF, floatToGoString


class EventLoopHistogram(Collector):
    """A histogram without labels, for the thread of the event loop alone."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        """Nothing is counted yet.

        Args:
            name: Of the metric.
            documentation: What it counts, as a sentence.
            bounds: Upper bounds of the buckets, in order, each inclusive; one without a bound is added.
            registry: Exposes it.
        """
        self._name = name
        self._documentation = documentation
        self._bounds = (*bounds, INF)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterable[Metric]:
        """What Prometheus reads: each bucket with all below it."""
        labels = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]  # it has no types
        buckets = list(zip(labels, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)
