"""One span for each admission, on demand; its attributes come from small sets, and never hold a value of a pod."""

import time
from collections.abc import Mapping

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from floe_webhook.admission import Problem, Review
from floe_webhook.injection import Injection

SPAN = "admission"
OUTCOME, REASONS, DRY_RUN, NAMESPACE = "floe.outcome", "floe.reasons", "floe.dry_run", "k8s.namespace.name"
PROBLEM = "floe.problem"

_NANOSECONDS = 1_000_000_000
_CONTEXT = TraceContextTextMapPropagator()


class Traces:
    """Makes the spans; an API server that traces is their parent (W3C trace context)."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def decided(self, headers: Mapping[str, str], review: Review, injection: Injection, *, seconds: float) -> None:
        """A span of an admission that ends now and took so long."""
        decision = injection.plan.decision
        ended = time.time_ns()
        span = self._tracer.start_span(
            SPAN,
            _CONTEXT.extract(headers),
            kind=SpanKind.SERVER,
            attributes={
                OUTCOME: str(decision.outcome),
                REASONS: [str(reason) for reason in decision.reasons],
                DRY_RUN: review.dry_run,
                NAMESPACE: review.namespace,
            },
            start_time=ended - int(seconds * _NANOSECONDS),
        )
        span.end(ended)

    def undecided(self, headers: Mapping[str, str], problem: Problem) -> None:
        """A span of a request that was not decided upon."""
        span = self._tracer.start_span(
            SPAN, _CONTEXT.extract(headers), kind=SpanKind.SERVER, attributes={PROBLEM: str(problem)}
        )
        span.set_status(StatusCode.ERROR, problem.sentence)
        span.end()
