"""The HTTP server: reads a request, asks the core, writes the answer; whatever goes wrong, the pod is admitted.

| path          | answers                                                                           |
|---------------|-----------------------------------------------------------------------------------|
| `/mutate`     | AdmissionReviews; only opted-in pods travel here, so a silent pod's namespace did |
| `/mutate/pod` | the same, where only the pod's own label counts                                   |
| `/healthz`    | 200 while the process lives                                                       |
| `/readyz`     | 200 if the API server could call it, with details; 503 else, and while draining   |
| `/metrics`    | Prometheus                                                                        |

The health port answers the last three alone, without TLS.

An AdmissionReview does not carry the namespace's labels. The webhook configuration selects by them, with two entries of
which exactly one fires; that a pod without a label of its own has come is its namespace's word.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ParamSpec, Protocol

import orjson
import structlog
from aiohttp import web

from floe_webhook.admission import Problem, Review, ReviewError, decode, encode, encode_problem, review, uid_in
from floe_webhook.answers import JsonAnswer
from floe_webhook.certificates import ServedCertificate
from floe_webhook.connections import Answer
from floe_webhook.durations import parse_duration
from floe_webhook.failures import places
from floe_webhook.injection import Injection
from floe_webhook.metrics import Metrics
from floe_webhook.profile import Profile
from floe_webhook.reload import CurrentProfile
from floe_webhook.tracing import Traces

MAX_BODY_BYTES = 6 * 1024 * 1024
"""An object may have 3 MiB at the API server, and a review may carry two."""

MAX_WAITING = 256
"""Requests that may wait at once, for the rest of their body or for the cluster. Those that need not wait are answered
one after another."""

MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Of bodies that have not come as a whole."""

ANSWER_SECONDS = 4.0
"""Within the API server's five, if it says nothing else."""

TELLING = "telling"
"""What showing a decision to others is called among tasks that fail."""

_SHARE_OF_TIMEOUT = 0.8  # of the API server's timeout: the rest is for the way
_OVERLOADED_BYTES = 16 * 1024  # of a body beyond the bounds: its uid stands at its beginning

_BAD_REQUEST, _TOO_LARGE, _NOT_FOUND, _NOT_ALLOWED, _UNAVAILABLE = 400, 413, 404, 405, 503
_HTTP_STATUS = {Problem.TOO_LARGE: _TOO_LARGE, Problem.TOO_SLOW: _UNAVAILABLE, Problem.TOO_BUSY: _UNAVAILABLE}

_log = structlog.get_logger(__name__)

Shown = ParamSpec("Shown")

Witness = Callable[[Review, Injection], None]
"""Is shown each decision, dry runs included, after its answer is made; must neither block nor raise."""


class ClusterReview(Protocol):
    """What the cluster knows beyond a pod itself."""

    async def review(self, request: Review, profile: Profile, *, namespace_label: str | None) -> Injection:
        """As `admission.review`, with the cluster's word; within a time of its own, and with what is known by then."""
        ...


@dataclass(slots=True)
class Webhook:
    """One webhook's state: what is in force, and whether it is about to end.

    Attributes:
        surroundings: Asked for each admission; None if a pod's own document is all that is known.
        witness: Shown each decision.
        traces: Takes a span for each admission; None if nobody wants them.
        failed: Shown each admission that was let through undecided; must neither block nor raise.
        more_details: What `/readyz` says besides; numbers and codes, as everybody in the cluster may read them.
    """

    profile: CurrentProfile
    certificate: ServedCertificate
    metrics: Metrics
    surroundings: ClusterReview | None = None
    witness: Witness | None = None
    traces: Traces | None = None
    failed: Callable[[Review, Problem], None] = lambda _, __: None
    more_details: Callable[[], Mapping[str, Any]] = dict
    max_body_bytes: int = MAX_BODY_BYTES
    max_waiting: int = MAX_WAITING
    answer_seconds: float = ANSWER_SECONDS
    draining: bool = False
    _waiting: int = field(default=0, init=False)
    _waiting_bytes: int = field(default=0, init=False)

    def admissions(self) -> Answer:
        """Answers on the TLS port."""
        return self._routed(
            {("POST", "/mutate"): self.mutate, ("POST", "/mutate/pod"): self.mutate_by_pod_label} | self._health()
        )

    def health(self) -> Answer:
        """Answers on the health port."""
        return self._routed(self._health())

    def _health(self) -> dict[tuple[str, str], Answer]:
        return {
            ("GET", "/healthz"): self.healthz,
            ("GET", "/readyz"): self.readyz,
            ("GET", "/metrics"): self.exposition,
        }

    def _routed(self, routes: Mapping[tuple[str, str], Answer]) -> Answer:
        paths = {path for _, path in routes}

        async def answer(request: web.BaseRequest) -> web.Response:
            route = routes.get((request.method, request.path))
            if route is None:
                response = web.Response(status=_NOT_ALLOWED if request.path in paths else _NOT_FOUND)
            else:
                response = await route(request)
            if self.draining:
                # The API server opens its next connection to another replica.
                response.force_close()
            return response

        return answer

    async def mutate(self, request: web.BaseRequest) -> web.Response:
        """Answers an AdmissionReview of a pod that opted in, by itself or by its namespace."""
        return await self._answer(request, namespace_label="enabled")

    async def mutate_by_pod_label(self, request: web.BaseRequest) -> web.Response:
        """Answers an AdmissionReview of a pod that has to say for itself that it opted in."""
        return await self._answer(request, namespace_label=None)

    async def healthz(self, _: web.BaseRequest) -> web.Response:
        """The process lives."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.BaseRequest) -> web.Response:
        """What is in force, and what is wrong with what is not."""
        current = self.profile
        ready = self.certificate.ready and not self.draining
        details = {
            "ready": ready,
            "draining": self.draining,
            "profile": current.profile.identity,
            "manifest_error": current.error,
            "notices": current.profile.notices,
        }
        body = orjson.dumps({**details, **self.certificate.details(), **self.more_details()})
        return JsonAnswer(body, status=200 if ready else _UNAVAILABLE)

    async def exposition(self, _: web.BaseRequest) -> web.Response:
        """The metrics."""
        return web.Response(body=self.metrics.text(), content_type="text/plain", charset="utf-8")

    async def _answer(self, request: web.BaseRequest, *, namespace_label: str | None) -> web.Response:
        uid: str | None = None
        admitted: Review | None = None
        arrived = time.perf_counter()
        try:
            body = await self._body(request, arrived)
            started = time.perf_counter()
            admitted = decode(body)
            uid = admitted.uid
            profile = self.profile.profile
            if self.surroundings is None:
                injection = review(admitted, profile, namespace_label=namespace_label)
            else:
                injection = await self._looked_up(self.surroundings, request, admitted, namespace_label, arrived)
            answer = encode(uid, injection)
        except ReviewError as error:
            return self._undecided(request, error.problem, error.uid, admitted)
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails in here, the pod is admitted
            _log.error("admission failed", error=type(error).__name__, uid=uid, at=places(error))
            return self._undecided(request, Problem.INTERNAL_ERROR, uid, admitted)
        if admitted.dry_run:
            self.metrics.dry_runs.inc()
        self.metrics.decided(injection, time.perf_counter() - started, len(answer))
        self._tell(self._show_decided, request, admitted, injection, arrived)
        return JsonAnswer(answer)

    def _tell(self, show: Callable[Shown, None], *shown: Shown.args, **named: Shown.kwargs) -> None:
        try:
            show(*shown, **named)
        except Exception as error:  # noqa: BLE001 - the edge: who looks on takes no answer away
            self.metrics.task_failures.labels(TELLING).inc()
            _log.error("telling of an admission failed", error=type(error).__name__, at=places(error))

    def _show_decided(self, request: web.BaseRequest, admitted: Review, injection: Injection, arrived: float) -> None:
        if self.witness is not None:
            self.witness(admitted, injection)
        if self.traces is not None:
            self.traces.decided(request.headers, admitted, injection, seconds=time.perf_counter() - arrived)

    def _show_undecided(self, request: web.BaseRequest, problem: Problem, admitted: Review | None) -> None:
        if admitted is not None:
            self.failed(admitted, problem)
        if self.traces is not None:
            self.traces.undecided(request.headers, problem)

    async def _looked_up(
        self,
        surroundings: ClusterReview,
        request: web.BaseRequest,
        admitted: Review,
        namespace_label: str | None,
        arrived: float,
    ) -> Injection:
        """The decision with what the cluster knows.

        Raises:
            ReviewError: Too many wait already, or the answer would be too late.
        """
        if self._waiting >= self.max_waiting:
            raise ReviewError(Problem.TOO_BUSY, admitted.uid)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._left(request, arrived)):
                return await surroundings.review(admitted, self.profile.profile, namespace_label=namespace_label)
        except TimeoutError:
            raise ReviewError(Problem.TOO_SLOW, admitted.uid) from None
        finally:
            self._waiting -= 1

    async def _body(self, request: web.BaseRequest, arrived: float) -> bytes:
        """The whole body.

        Raises:
            ReviewError: It is too large, too slow, or not said to be JSON; or too many wait already.
        """
        # Most reviews come with their head in one piece; a timer and a wait would cost more than reading them.
        body = request.content.read_nowait() if request.content.is_eof() else await self._rest(request, arrived)
        if len(body) > self.max_body_bytes:
            raise ReviewError(Problem.TOO_LARGE, uid_in(body))
        if request.content_type != "application/json":
            raise ReviewError(Problem.WRONG_CONTENT_TYPE, uid_in(body))
        return body

    async def _rest(self, request: web.BaseRequest, arrived: float) -> bytes:
        """A body that comes in pieces, up to the first one that makes it too large."""
        found = bytearray()
        problem: Problem | None = None
        self._waiting += 1
        try:
            async with asyncio.timeout(self._left(request, arrived)):
                while len(found) <= self.max_body_bytes and (chunk := await request.content.readany()):
                    found += chunk
                    self._waiting_bytes += len(chunk)
                    if len(found) >= _OVERLOADED_BYTES and self._overloaded():
                        problem = Problem.TOO_BUSY
                        break
        except TimeoutError:
            problem = Problem.TOO_SLOW
        except ConnectionError:
            problem = Problem.MALFORMED
        finally:
            self._waiting -= 1
            self._waiting_bytes -= len(found)
        if problem is not None:
            raise ReviewError(problem, uid_in(bytes(found)))
        return bytes(found)

    def _overloaded(self) -> bool:
        return self._waiting > self.max_waiting or self._waiting_bytes > MAX_WAITING_BYTES

    def _left(self, request: web.BaseRequest, arrived: float) -> float:
        """Seconds until an answer would be too late."""
        allowed = _allowed_seconds(request.rel_url.query_string, self.answer_seconds)
        return allowed - (time.perf_counter() - arrived)

    def _undecided(
        self, request: web.BaseRequest, problem: Problem, uid: str | None, admitted: Review | None
    ) -> web.Response:
        self.metrics.undecided(problem, allowed=uid is not None)
        self._tell(self._show_undecided, request, problem, admitted)
        if uid is not None:
            response = JsonAnswer(encode_problem(uid, problem))
        else:
            told = {"problem": problem, "reason": problem.sentence}
            response = JsonAnswer(orjson.dumps(told), status=_HTTP_STATUS.get(problem, _BAD_REQUEST))
        if not request.content.is_eof():
            # The rest of the body is not read, so nothing else can follow on this connection.
            response.force_close()
        return response


@lru_cache(maxsize=16)
def _allowed_seconds(query: str, at_most: float) -> float:
    """The API server says with each request how long it waits: `?timeout=5s`."""
    timeout = dict(part.partition("=")[::2] for part in query.split("&")).get("timeout", "")
    try:
        return min(parse_duration(timeout).total_seconds() * _SHARE_OF_TIMEOUT, at_most)
    except ValueError:
        return at_most
