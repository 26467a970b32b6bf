"""How plugins find out whether a backend can be reached: one bounded probe, a verdict with a reason, no credential.

The bound covers all of it, DNS and slowly dripping answers included: the probe runs in a daemon thread of its own,
which is left behind when its time is up. Reasons are sentences for people and hold no text of the backend's: it may
echo a key.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import structlog

from floe_core.errors import ConfigurationError
from floe_core.redaction import redact_text

TIMEOUT_SECONDS = 10.0
"""The longest that `validate_connection` may take (REQ-054)."""

_ANSWER_MAX_BYTES = 64 * 1024
_listener: ContextVar[list[str] | None] = ContextVar("floe_connection_reasons", default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a backend can be reached and, if not, why."""

    reachable: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """An authenticated call that a vendor documents."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = b""
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)


Judge = Callable[[int], str | None]
"""What an HTTP status means: None for accepted, else the reason."""


def judge_status(status: int) -> str | None:
    """The usual meaning: 2xx is accepted, 401 and 403 are a wrong credential, anything else is a wrong address."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"the backend refuses the credential (HTTP {status})"
    return f"the backend answers HTTP {status}; check the address"


def probe_tcp(host: str, port: int, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Verdict:
    """Whether a TCP connection can be opened."""

    def connect() -> str | None:
        socket.create_connection((host, port), timeout=timeout_seconds).close()
        return None

    return _bounded(connect, f"{host}:{port}", timeout_seconds)


def probe_http(
    probe: HttpProbe,
    *,
    judge: Judge = judge_status,
    timeout_seconds: float = TIMEOUT_SECONDS,
    verify: ssl.SSLContext | bool = True,
) -> Verdict:
    """Whether a call is answered as it should be; redirects are not followed, proxy variables are honoured."""
    try:
        host = httpx.URL(probe.url).host
    except httpx.InvalidURL:
        return Verdict(reachable=False, reason=f"{probe.url!r} is not an address")

    def call() -> str | None:
        with (
            httpx.Client(verify=verify, timeout=timeout_seconds) as client,
            client.stream(
                probe.method,
                probe.url,
                headers=dict(probe.headers),
                content=probe.content or None,
                auth=probe.basic_auth,
            ) as answer,
        ):
            received = 0
            for chunk in answer.iter_raw():
                received += len(chunk)
                if received > _ANSWER_MAX_BYTES:
                    break
            return judge(answer.status_code)

    return _bounded(call, host, timeout_seconds)


@contextmanager
def reasons_told() -> Iterator[list[str]]:
    """Collects the reasons that `tell` finds inside, for whoever shows them in place of the log."""
    reasons: list[str] = []
    token = _listener.set(reasons)
    try:
        yield reasons
    finally:
        _listener.reset(token)


def tell(plugin: str, probe: Callable[[], Verdict]) -> bool:
    """Runs a probe and gives whether the backend can be reached; a failure's reason is logged (see `reasons_told`).

    A credential that is not set and an address that cannot be read are reasons, too.
    """
    try:
        verdict = probe()
    except ConfigurationError as error:
        verdict = Verdict(reachable=False, reason=str(error))
    except ValueError:
        # What urlsplit and int say repeats the address, which may hold a password.
        verdict = Verdict(reachable=False, reason="the address is malformed")
    if not verdict.reachable:
        reason = redact_text(verdict.reason)
        if (reasons := _listener.get()) is not None:
            reasons.append(reason)
        else:
            structlog.get_logger(__name__).warning("backend_not_reachable", plugin=plugin, reason=reason)
    return verdict.reachable


def _bounded(probe: Callable[[], str | None], where: str, timeout_seconds: float) -> Verdict:
    answers: queue.SimpleQueue[Verdict] = queue.SimpleQueue()

    def work() -> None:
        try:
            reason = probe()
        except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = _reason(error, where)
        answers.put(Verdict(reachable=reason is None, reason=reason or ""))

    threading.Thread(target=work, name="connection-probe", daemon=True).start()
    try:
        return answers.get(timeout=timeout_seconds)
    except queue.Empty:
        return Verdict(reachable=False, reason=f"{where} did not answer within {timeout_seconds:g} s")


def _reason(error: BaseException, where: str) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"the name {where} is not known (DNS)"
        if isinstance(cause, ssl.SSLError):
            return f"no trusted TLS connection to {where} ({cause.reason or type(cause).__name__})"
        if isinstance(cause, ConnectionRefusedError):
            return f"{where} refuses connections"
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return f"{where} did not answer in time"
        # A Secret made of `echo key | base64` ends in a line break; httpx refuses to send it.
        if isinstance(cause, httpx.LocalProtocolError | UnicodeEncodeError):
            return "the credential holds what no header may hold, such as a line break at its end"
    return f"no connection to {where} ({type(error).__name__})"


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain[::-1]
