"""The HTTPS server: reads a request, asks the core, writes the answer; whatever goes wrong, the pod is admitted.

| path               | answers                                                                          |
|--------------------|----------------------------------------------------------------------------------|
| `/mutate`          | AdmissionReviews; only opted-in pods travel here, so a silent pod's namespace did |
| `/mutate/pod`      | the same, where only the pod's own label counts                                  |
| `/healthz`         | 200 while the process lives                                                      |
| `/readyz`          | 200 if admissions are answered by a valid manifest, with details; 503 while draining |
| `/metrics`         | Prometheus                                                                       |

An AdmissionReview does not carry the namespace's labels. The webhook configuration selects by them, with two entries of
which exactly one fires; that a pod without a label of its own has come is its namespace's word.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
import structlog
from aiohttp import web

from floe_webhook.admission import Problem, ReviewError, decode, encode, encode_problem, review, uid_in
from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile, ServingCertificate

MAX_BODY_BYTES = 6 * 1024 * 1024
"""An object may have 3 MiB at the API server, and a review may carry two."""

READ_SECONDS = 10.0
"""A client that needs longer for its body is cut off; the API server waits no longer than that either."""

_BAD_REQUEST, _TOO_LARGE, _NOT_FOUND, _NOT_ALLOWED, _UNAVAILABLE = 400, 413, 404, 405, 503
_HTTP_STATUS = {Problem.TOO_LARGE: _TOO_LARGE}

_log = structlog.get_logger(__name__)

Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]


@dataclass(slots=True)
class Webhook:
    """One webhook's state: what is in force, and whether it is about to end."""

    profile: CurrentProfile
    certificate: ServingCertificate
    metrics: Metrics
    max_body_bytes: int = MAX_BODY_BYTES
    draining: bool = False

    def server(self) -> web.Server:
        """The server, not bound to an address yet."""
        routes: Mapping[tuple[str, str], Answer] = {
            ("POST", "/mutate"): self.mutate,
            ("POST", "/mutate/pod"): self.mutate_by_pod_label,
            ("GET", "/healthz"): self.healthz,
            ("GET", "/readyz"): self.readyz,
            ("GET", "/metrics"): self.exposition,
        }
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

        return web.Server(answer, access_log=None)

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
        details = {
            "ready": not self.draining,
            "draining": self.draining,
            "profile": current.profile.identity,
            "manifest_error": current.error,
            "notices": current.profile.notices,
            "certificate_expires_at": self.certificate.expires_at.isoformat(),
            "certificate_error": self.certificate.error,
        }
        return _json(orjson.dumps(details), status=_UNAVAILABLE if self.draining else 200)

    async def exposition(self, _: web.BaseRequest) -> web.Response:
        """The metrics."""
        return web.Response(body=self.metrics.text(), content_type="text/plain", charset="utf-8")

    async def _answer(self, request: web.BaseRequest, *, namespace_label: str | None) -> web.Response:
        uid: str | None = None
        try:
            body = await self._body(request)
            started = time.perf_counter()
            admitted = decode(body)
            uid = admitted.uid
            injection = review(admitted, self.profile.profile, namespace_label=namespace_label)
            answer = encode(uid, injection)
        except ReviewError as error:
            return self._undecided(error.problem, error.uid)
        except Exception as error:  # noqa: BLE001 - the edge: whatever fails in here, the pod is admitted
            _log.error("admission failed", error=type(error).__name__, uid=uid, at=_places(error))
            return self._undecided(Problem.INTERNAL_ERROR, uid)
        if admitted.dry_run:
            self.metrics.dry_runs.inc()
        self.metrics.decided(injection, time.perf_counter() - started, len(answer))
        return _json(answer)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The whole body.

        Raises:
            ReviewError: It is too large, too slow, or not said to be JSON.
        """
        # Most reviews come with their head in one piece; a timer and a wait would cost more than reading them.
        body = request.content.read_nowait() if request.content.is_eof() else await self._rest(request)
        if len(body) > self.max_body_bytes:
            raise ReviewError(Problem.TOO_LARGE, uid_in(body))
        if request.content_type != "application/json":
            raise ReviewError(Problem.WRONG_CONTENT_TYPE, uid_in(body))
        return body

    async def _rest(self, request: web.BaseRequest) -> bytes:
        """A body that comes in pieces, up to the first one that makes it too large."""
        found = bytearray()
        try:
            async with asyncio.timeout(READ_SECONDS):
                while len(found) <= self.max_body_bytes and (chunk := await request.content.readany()):
                    found += chunk
        except (TimeoutError, ConnectionError):
            raise ReviewError(Problem.MALFORMED, uid_in(bytes(found))) from None
        return bytes(found)

    def _undecided(self, problem: Problem, uid: str | None) -> web.Response:
        self.metrics.undecided(problem, allowed=uid is not None)
        if uid is not None:
            response = _json(encode_problem(uid, problem))
        else:
            told = {"problem": problem, "reason": problem.sentence}
            response = _json(orjson.dumps(told), status=_HTTP_STATUS.get(problem, _BAD_REQUEST))
        if problem is Problem.TOO_LARGE:
            # The rest of the body is not read, so nothing else can follow on this connection.
            response.force_close()
        return response


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _places(error: BaseException) -> list[str]:
    """Where it was raised; an exception's own text may hold a pod's values, and those are not ours to log."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
