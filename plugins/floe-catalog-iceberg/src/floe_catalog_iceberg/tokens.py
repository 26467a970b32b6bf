"""Bearer tokens: one that is given, or OAuth2 client credentials (RFC 6749, section 4.4).

One source serves all clients of a catalog, so that a token is fetched once and not once per thread. pyiceberg's own
managers fetch without a timeout, and only its deprecated one lets go of a token that was refused.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import requests
from pydantic import BaseModel, Field, ValidationError
from pyiceberg.catalog.rest.auth import AuthManager

from floe_catalog_iceberg.failures import TokenRefusedError

_MARGIN_SECONDS = 30.0


class Tokens(Protocol):
    """Where a client gets its bearer token."""

    def token(self) -> str:
        """A token that is not known to be expired."""

    def forget(self) -> bool:
        """The last token was refused; whether there will be another."""


class BearerAuth(AuthManager):
    """The tokens as pyiceberg's `auth.impl`."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_header(self) -> str:
        """The `Authorization` header's value."""
        return f"Bearer {self._tokens.token()}"


class GivenToken:
    """A token that somebody else renews."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        """The token."""
        return self._token

    def forget(self) -> bool:
        """There is no other."""
        return False


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How a token is asked for.

    Attributes:
        url: The token endpoint.
        form: Grant, client and scope, as they are sent.
        verify: A file with certificate authorities, or True for the system's.
        headers: Sent with it, e.g. the realm of a catalog that has several.
        timeout_seconds: Longest wait for a connection, and for each part of the answer.
    """

    url: str
    form: dict[str, str] = field(repr=False)
    verify: str | bool
    timeout_seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)


class _TokenAnswer(BaseModel):
    access_token: str = Field(min_length=1)
    expires_in: float | None = None


class ClientCredentials:
    """Fetches a token when there is none, and anew shortly before it expires."""

    def __init__(self, request: TokenRequest, clock: Callable[[], float] = time.monotonic) -> None:
        self._request = request
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = float("inf")

    def token(self) -> str:
        """The token.

        Raises:
            TokenRefusedError: The server does not give one.
            requests.RequestException: It cannot be reached.
        """
        with self._lock:
            token = self._token
            if token is None or self._clock() >= self._renew_at:
                token = self._token = self._fetch()
            return token

    def forget(self) -> bool:
        """The next call fetches. Does not wait for a fetch that runs: that brings a new token anyway."""
        held, self._token = self._token, None
        return held is not None

    def _fetch(self) -> str:
        request = self._request
        with requests.post(
            request.url,
            data=request.form,
            headers={"Accept": "application/json", **request.headers},
            verify=request.verify,
            timeout=request.timeout_seconds,
            # A secret is sent where the manifest says and nowhere else.
            allow_redirects=False,
        ) as response:
            if response.status_code != HTTPStatus.OK:
                raise TokenRefusedError(response.status_code)
            try:
                answer = _TokenAnswer.model_validate_json(response.content)
            except ValidationError:
                # pydantic repeats its input.
                raise ValueError("no token in the answer") from None
        lifetime = answer.expires_in
        self._renew_at = (
            float("inf") if lifetime is None else self._clock() + max(lifetime - _MARGIN_SECONDS, lifetime / 2)
        )
        return answer.access_token
