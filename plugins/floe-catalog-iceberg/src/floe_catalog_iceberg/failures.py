"""What pyiceberg raises, told as floe's errors: reasons of ours, no text of the catalog's, which may echo a token."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import requests
from pyiceberg import exceptions as iceberg

from floe_core.errors import ConnectionError, ExecutionError, FloeError, ValidationError  # noqa: A004 - our tree's name

NAMESPACES = "namespaces"
"""The subject of a call for the namespaces at the top: where they are missing, all is."""
# RFC 6749, section 5.2: a wrong client or scope is told by 400 or 401.
_NO_TOKEN = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
_AUTHORIZATION_EXPIRED = 419  # Iceberg's REST specification: AuthenticationTimeoutException
_MISSING = (
    iceberg.NoSuchTableError,
    iceberg.NoSuchNamespaceError,
    iceberg.NoSuchIdentifierError,
    iceberg.NoSuchViewError,
)
_REFUSED = (
    iceberg.TableAlreadyExistsError,
    iceberg.NamespaceAlreadyExistsError,
    iceberg.NamespaceNotEmptyError,
    iceberg.CommitFailedException,
)


class CredentialRefusedError(ConnectionError):
    """The catalog does not take our token or secret: it may have expired or been revoked."""


class ConnectionLostError(ConnectionError):
    """The connection broke: the catalog is down, or was restarted since the last call."""


class TokenRefusedError(Exception):
    """The OAuth2 server does not give a token.

    Attributes:
        status: Its HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


KINDS: tuple[type[Exception], ...] = (
    TokenRefusedError,
    *_MISSING,
    *_REFUSED,
    iceberg.RESTError,
    iceberg.ValidationError,
    OSError,  # requests' exceptions among them
    ImportError,
    NotImplementedError,
    # What pyiceberg raises over answers that are JSON but not Iceberg's; pydantic's error is a ValueError.
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)
"""All that a call of pyiceberg's can raise."""


@dataclass(frozen=True, slots=True)
class Failures:
    """How a kind of catalog fails.

    Attributes:
        kinds: All that its client raises.
        tell: Makes one of ours of it; the second argument says which catalog, the third what was asked for.
    """

    kinds: tuple[type[Exception], ...]
    tell: Callable[[Exception, str, str], FloeError]


def tell(error: Exception, where: str, subject: str) -> FloeError:
    """The error that a person can act on; `details.reason` is one of a few words for machines."""
    if isinstance(error, TokenRefusedError):
        return _by_status(error.status, f"the token service of {where}", refusal=True)
    if isinstance(error, _MISSING):
        return _missing(error, where, subject)
    if isinstance(error, (*_REFUSED, NotImplementedError, ImportError)):
        return _not_done(error, where, subject)
    if (status := _status(error)) is not None:
        return _by_status(status, where)
    if isinstance(error, OSError):
        return unreachable(error, where)
    return _not_understood(where, type(error).__name__)


def unreachable(error: BaseException, where: str) -> FloeError:
    """The reason why there was no answer, found in the chain of causes."""
    causes = _causes(error)
    if any(isinstance(cause, requests.Timeout | TimeoutError) for cause in causes):
        return ConnectionError(f"{at_start(where)} did not answer in time.", details={"reason": "timeout"})
    if any(isinstance(cause, requests.JSONDecodeError) for cause in causes):
        return _not_understood(where, "no JSON")
    sentence = "cannot be reached"
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            sentence = "has a name that is not known (DNS)"
        elif isinstance(cause, ssl.SSLError):
            sentence = "has no certificate that is trusted"
        elif isinstance(cause, ConnectionRefusedError):
            sentence = "refuses connections"
    return ConnectionLostError(
        f"{at_start(where)} {sentence}.",
        remedy="Check that it runs, and its address.",
        details={"reason": "unreachable"},
    )


def _not_done(error: Exception, where: str, subject: str) -> FloeError:
    if isinstance(error, NotImplementedError):
        return ExecutionError(
            f"{at_start(where)} does not offer what {subject} needs.", details={"reason": "not_offered"}
        )
    if isinstance(error, ImportError):
        return ExecutionError(
            f"A library that {where} needs is not installed: {error.name or 'see its README'}.",
            remedy="Install floe-catalog-iceberg with the extra that its README names.",
        )
    return ExecutionError(f"{at_start(where)} refuses {subject}: {type(error).__name__}.")


def _missing(error: Exception, where: str, subject: str) -> FloeError:
    response = getattr(error.__cause__, "response", None)
    # Any 404 is "no such table" to pyiceberg, that of a proxy or of a wrong address too; Iceberg's own has a body.
    if isinstance(response, requests.Response) and not _is_iceberg_error(response):
        return _by_status(response.status_code, where)
    if subject == NAMESPACES:
        return ConnectionError(
            f"{at_start(where)} has no such warehouse.",
            remedy="Check `warehouse` in the configuration.",
            details={"reason": "unknown_warehouse"},
        )
    return ValidationError(f"There is no {subject} in {where}.", remedy="Check its name and namespace.")


def _is_iceberg_error(response: requests.Response) -> bool:
    try:
        answer = response.json()
    except ValueError:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def _status(error: Exception) -> int | None:
    for source in (error, error.__cause__):
        response = getattr(source, "response", None)
        if isinstance(response, requests.Response):
            return response.status_code
    return None


def _by_status(status: int, where: str, *, refusal: bool = False) -> FloeError:
    if status in {HTTPStatus.UNAUTHORIZED, _AUTHORIZATION_EXPIRED} or (refusal and status in _NO_TOKEN):
        return CredentialRefusedError(
            f"{at_start(where)} refuses the credential (HTTP {status}).",
            remedy="Check the credential, its scope, and whether it was revoked.",
            details={"reason": "credential_refused"},
        )
    if status == HTTPStatus.FORBIDDEN:
        return ConnectionError(
            f"{at_start(where)} does not permit this (HTTP {status}).",
            remedy="Grant the principal the right to read.",
            details={"reason": "forbidden"},
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ConnectionError(
            f"{at_start(where)} limits our calls (HTTP {status}).", details={"reason": "rate_limited"}
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ConnectionError(f"{at_start(where)} fails (HTTP {status}).", details={"reason": "server_error"})
    return ConnectionError(
        f"{at_start(where)} answers HTTP {status}.",
        remedy="Check its address.",
        details={"reason": "unexpected_status"},
    )


def _not_understood(where: str, kind: str) -> FloeError:
    return ConnectionError(
        f"{at_start(where)} answers what is not Iceberg's ({kind}).",
        remedy="Check its address.",
        details={"reason": "not_understood"},
    )


def at_start(where: str) -> str:
    """The catalog's name at the beginning of a sentence."""
    return where[:1].upper() + where[1:]


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and all that led to it; urllib3 keeps some of it in `reason` and in arguments."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in found:
            continue
        found.append(cause)
        arguments = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        waiting.extend(argument for argument in arguments if isinstance(argument, BaseException))
    return found
