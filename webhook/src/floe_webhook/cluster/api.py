"""The Kubernetes API over one aiohttp session: a request in, the answer as it is out.

Nothing is modelled: documents stay as the API server gives them, and what is asked for is a path. Lists come page by
page, so that no answer grows with the cluster.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from floe_certs.api import RefusedError, UnreachableError
from floe_certs.kubernetes import Answer
from floe_core.errors import ConfigurationError

Document = Mapping[str, Any]

JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header of a list that comes without specs and states."""

METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The same for one object."""

PAGE_OBJECTS = 250
TIMEOUT_SECONDS = 10.0
WATCH_SECONDS = 240
"""How long one watch lasts; the API server ends it then, and the next one goes on where it ended."""

EXECUTE_SECONDS = 300.0
"""How long a command in a container may take."""

_LONGEST_MESSAGE = 16 * 1024 * 1024
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_SECONDS = 60.0  # the kubelet replaces a bound token long before it ends (KEP-1205)
_OK = range(200, 300)
_NOT_FOUND, _GONE = 404, 410
_TRY_AGAIN = frozenset({408, 429})
_SERVER_ERRORS = 500


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, what verifies it, and with whose rights it is asked.

    Attributes:
        token: Gives the bearer token of the moment; None for a client certificate in `tls`.
        server_name: What the server's certificate has to be for, where that is not the host of `server`.
        proxy: URL of the proxy in between.
    """

    server: str
    tls: ssl.SSLContext | bool
    token: Callable[[], str | None] = field(default=lambda: None, repr=False)
    server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)


class TokenFile:
    """A token in a file that others replace, read again now and then."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._read_at = -_TOKEN_SECONDS
        self._token = ""

    def __call__(self) -> str | None:
        """The token; the last one that could be read if the file cannot be read now."""
        now = self._monotonic()
        if now - self._read_at >= _TOKEN_SECONDS or not self._token:
            try:
                self._token = self._path.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                return self._token or None
            self._read_at = now
        return self._token or None


def in_cluster(environment: Mapping[str, str], folder: Path = _SERVICE_ACCOUNT) -> Access:
    """The access that Kubernetes gives to each pod with a service account.

    Raises:
        ConfigurationError: This is no such pod.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    authority = folder / "ca.crt"
    if not host or not authority.exists():
        raise ConfigurationError(
            "This process does not run in a pod with a service account.",
            where="KUBERNETES_SERVICE_HOST" if not host else str(authority),
            remedy="Set automountServiceAccountToken: true on the pod, or start without what needs the Kubernetes API.",
        )
    shown = f"[{host}]" if ":" in host else host
    return Access(f"https://{shown}:{port}", ssl.create_default_context(cafile=authority), TokenFile(folder / "token"))


class KubernetesApi:
    """Requests to one API server; fits `floe_certs.kubernetes.Request`."""

    def __init__(
        self, session: aiohttp.ClientSession, access: Access, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._session = session
        self._access = access
        self._timeout = timeout_seconds

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """The answer, whatever its status.

        Raises:
            UnreachableError: There is no answer: no connection, or not in time.
        """
        headers = self._headers(accept)
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = orjson.dumps(body)
        try:
            async with (
                asyncio.timeout(timeout_seconds or self._timeout),
                self._session.request(
                    method,
                    self._access.server + path,
                    params=query,
                    data=data,
                    headers=headers,
                    ssl=self._access.tls,
                    server_hostname=self._access.server_name,
                    proxy=self._access.proxy,
                    allow_redirects=False,
                ) as response,
            ):
                content = await response.read()
        except TimeoutError:
            raise UnreachableError(f"{method} {path}: no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{method} {path}: {type(error).__name__}") from None
        return Answer(response.status, _document(content))

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Document]:
        """What happens to the objects of a list, as watch events; ends when the API server ends it.

        Raises:
            UnreachableError: As for a request, or the connection breaks.
            RefusedError: The API server refuses; or the watch cannot begin at its `resourceVersion` any more (410).
        """
        asked = dict(query) | {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        # A server that dies without a word is noticed by the silence: bookmarks come once a minute.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=WATCH_SECONDS + self._timeout)
        try:
            async with self._session.get(
                self._access.server + path,
                params=asked,
                headers=self._headers(JSON),
                ssl=self._access.tls,
                server_hostname=self._access.server_name,
                proxy=self._access.proxy,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                if response.status not in _OK:
                    _accepted("GET", path, Answer(response.status, _document(await response.read())))
                async for line in _lines(response.content):
                    yield _document(line)
        except TimeoutError:
            raise UnreachableError(f"watch {path}: no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"watch {path}: {type(error).__name__}") from None

    async def execute(self, path: str, *, query: Sequence[tuple[str, str]]) -> AsyncIterator[tuple[int, bytes]]:
        """Runs a command in a container: what it writes, by the stream's number (1, 2); 3 is the status at its end.

        Args:
            path: Of the pod's `exec`.
            query: `command` once for each word, `container`, `stdout`, `stderr`.

        Raises:
            UnreachableError: As for a request, or the connection breaks.
            RefusedError: The API server refuses, or there is no such pod.
        """
        try:
            async with (
                asyncio.timeout(EXECUTE_SECONDS),
                self._session.ws_connect(
                    self._access.server + path,
                    params=list(query),
                    # KEP-4006: version 5 can half-close what is sent, which is nothing here.
                    protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"),
                    headers=self._headers("*/*"),
                    ssl=self._access.tls,
                    server_hostname=self._access.server_name,
                    proxy=self._access.proxy,
                    max_msg_size=_LONGEST_MESSAGE,
                ) as socket,
            ):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY and message.data:
                        yield message.data[0], message.data[1:]
        except aiohttp.WSServerHandshakeError as error:
            _accepted("GET", path, Answer(error.status, {}))
            raise UnreachableError(f"GET {path}: {error.status}, no WebSocket") from None
        except TimeoutError:
            raise UnreachableError(f"exec {path}: it takes too long") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"exec {path}: {type(error).__name__}") from None

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        if token := self._access.token():
            headers["Authorization"] = f"Bearer {token}"
        return headers

    async def read(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        timeout_seconds: float | None = None,
    ) -> Document | None:
        """One object, or a list that has no need of pages; None if there is none.

        Raises:
            UnreachableError: As for a request, or the API server says that it cannot now.
            RefusedError: The API server refuses, e.g. for want of rights.
        """
        answer = await self("GET", path, query=query, accept=accept, timeout_seconds=timeout_seconds)
        if answer.status == _NOT_FOUND:
            return None
        return _accepted("GET", path, answer)

    async def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncIterator[Sequence[Document]]:
        """A list, page by page; it ends early if the API server has forgotten the list meanwhile.

        Raises:
            UnreachableError: As for a request, or the API server says that it cannot now.
            RefusedError: The API server refuses.
        """
        asked = dict(query or {}) | {"limit": str(PAGE_OBJECTS)}
        while True:
            answer = await self("GET", path, query=asked, accept=accept)
            if answer.status == _GONE:
                return
            document = _accepted("GET", path, answer)
            items = document.get("items")
            yield items if isinstance(items, list) else []
            metadata = document.get("metadata")
            following = metadata.get("continue") if isinstance(metadata, dict) else None
            if not following:
                return
            asked["continue"] = str(following)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Its lines, of whatever length: an object may have more than a megabyte."""
    begun = bytearray()
    async for piece in content.iter_any():
        begun += piece
        if b"\n" in piece:
            *whole, rest = begun.split(b"\n")
            begun = bytearray(rest)
            for line in whole:
                yield bytes(line)


def _document(content: bytes) -> Document:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _accepted(method: str, path: str, answer: Answer) -> Document:
    """The answer's document. Its message is not told on: it may quote what an object holds."""
    if answer.status in _OK:
        return answer.document
    told = f"{method} {path}: {answer.status} {answer.document.get('reason', '')}".rstrip()
    if answer.status in _TRY_AGAIN or answer.status >= _SERVER_ERRORS:
        raise UnreachableError(told)
    raise RefusedError(told)
