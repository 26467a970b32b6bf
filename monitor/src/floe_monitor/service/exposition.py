"""The scrape: OpenTelemetry's metrics as Prometheus reads them, with exactly the labels that we promise.

The exporter adds the instrumentation scope to every series, and the SDK never ends one; both are taken out here.
"""

from collections.abc import Callable, Collection, Iterator

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from floe_monitor.service.metrics import METRICS

_SCOPE_LABELS = frozenset({"otel_scope_name", "otel_scope_version", "otel_scope_schema_url"})


class Exposition:
    """Renders one meter provider's metrics.

    Attributes:
        reader: Goes into the meter provider.
    """

    def __init__(self, active: Callable[[], Collection[str]]) -> None:
        self._registry = CollectorRegistry()
        self._active = active
        self.reader = PrometheusMetricReader(disable_target_info=True, registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The scrape's body and content type, in the format that the scraper accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type

    def collect(self) -> Iterator[Metric]:
        """All families; those without a series yet are named too, so that a dashboard finds them."""
        active = self._active()
        seen = set()
        for family in self._registry.collect():
            seen.add(family.name)
            shown = Metric(family.name, family.documentation, family.type)
            shown.samples = [_plain(sample) for sample in family.samples if _is_shown(sample, active)]
            yield shown
        for name, (kind, documentation) in METRICS.items():
            if name.removesuffix("_total") not in seen and name not in seen:
                yield Metric(name.removesuffix("_total"), documentation, kind)


def _plain(sample: Sample) -> Sample:
    labels = {name: value for name, value in sample.labels.items() if name not in _SCOPE_LABELS}
    return Sample(sample.name, labels, sample.value, sample.timestamp, sample.exemplar)


def _is_shown(sample: Sample, active: Collection[str]) -> bool:
    contract = sample.labels.get("contract")
    return contract is None or contract in active
