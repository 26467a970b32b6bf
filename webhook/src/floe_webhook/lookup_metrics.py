"""What is counted of asking the cluster; every label has a bounded set of values."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from floe_webhook.lookups import Assumed, Lookup, Result


class LookupMetrics:
    """Counters of lookups, and gauges of what is known."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lookups = Counter(
            "floe_webhook_lookups",
            "What the API server was asked for because of an admission, by result",
            ["lookup", "result"],
            registry=registry,
        )
        # Each child exists from the start: an alert on a result needs its zero.
        self._lookups = {(lookup, result): lookups.labels(lookup, result) for lookup in Lookup for result in Result}
        self.native_sidecars = Gauge(
            "floe_webhook_native_sidecars_kept",
            "1 if API server and kubelets keep native sidecars as far as is known, 0 if pods get environment only",
            registry=registry,
        )
        self.version_unknown = Gauge(
            "floe_webhook_kubernetes_version_unknown",
            "1 for what was asked in vain and is assumed to keep native sidecars",
            ["of"],
            registry=registry,
        )
        self.sidecar_starts = Gauge(
            "floe_webhook_sidecar_starts",
            "1 while the sidecar's image starts as far as is known, 0 while pods get environment only",
            registry=registry,
        )
        self.troubled_namespaces = Gauge(
            "floe_webhook_sidecar_troubled_namespaces",
            "Namespaces in which the sidecar's image does not start although it has been seen to",
            registry=registry,
        )
        self.native_sidecars.set(1)
        self.sidecar_starts.set(1)
        for of in Assumed:
            self.version_unknown.labels(of)

    def asked(self, lookup: Lookup, result: Result) -> None:
        """Counts what came of asking."""
        self._lookups[lookup, result].inc()
