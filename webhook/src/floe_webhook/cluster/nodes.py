"""Whether the cluster keeps native sidecars (KEP-753, on from 1.29): API server and oldest kubelet, followed.

    /version ─┐
    dry run  ─┼─▶ every few minutes ──▶ `kept`
    nodes    ─┘

Nodes come as the table that `kubectl get nodes` prints: a name, a version and little else for each, instead of the
images, addresses and conditions of them all. What could not be found out counts as kept, and `/readyz` says so.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.cluster.api import PAGE_OBJECTS, KubernetesApi
from floe_webhook.cluster.native_sidecars import supported
from floe_webhook.failures import reason_of
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Assumed
from floe_webhook.pod import Document, entries, mapping, text

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"

SECONDS = 120.0
"""Between two looks: a node that joins with an old kubelet is seen within it."""

AGAIN_SECONDS = 10.0
"""Until the next look after one without an answer; a refusal is an answer."""

_NATIVE_SIDECARS = (1, 29)
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})")  # a node says its own; int() refuses thousands of digits

_log = structlog.get_logger(__name__)

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Versions:
    """What is known; None for what is not.

    Attributes:
        keeps_the_field: Whether the API server kept a native sidecar in a dry run.
    """

    api_server: Version | None = None
    oldest_kubelet: Version | None = None
    keeps_the_field: bool | None = None

    @property
    def native_sidecars(self) -> bool:
        """Whether pods with native sidecars start, as far as is known."""
        known = [version for version in (self.api_server, self.oldest_kubelet) if version is not None]
        return self.keeps_the_field is not False and all(version >= _NATIVE_SIDECARS for version in known)

    @property
    def unknown(self) -> tuple[Assumed, ...]:
        """What is not known."""
        found = {
            Assumed.API_SERVER: self.api_server,
            Assumed.OLDEST_KUBELET: self.oldest_kubelet,
            Assumed.KEEPS_NATIVE_SIDECARS: self.keeps_the_field,
        }
        return tuple(of for of, value in found.items() if value is None)


def version_of(told: str) -> Version | None:
    """Major and minor of `v1.29.3-eks-1234`, `1.29+`, `1.29`; None if it is no version."""
    match = _VERSION.match(told)
    return (int(match[1]), int(match[2])) if match else None


class KubernetesVersions:
    """Looks at the versions every few minutes.

    Attributes:
        versions: What is known.
        looked: Set once the first look is over, whatever it found.
    """

    def __init__(
        self,
        api: KubernetesApi,
        metrics: LookupMetrics,
        *,
        release_namespace: str | None,
        oldest_kubelet: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is known yet.

        Args:
            api: Is asked.
            metrics: Take what is known.
            release_namespace: Where the dry run is done; None does none.
            oldest_kubelet: A version that holds instead of the nodes' own.
            sleep: How to wait.
        """
        self._api = api
        self._release_namespace = release_namespace
        self._told = version_of(oldest_kubelet) if oldest_kubelet else None
        self._sleep = sleep
        self._metrics = metrics
        self.looked = asyncio.Event()
        self._answered = False
        self._take(Versions(oldest_kubelet=self._told))

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.look()
            await self._sleep(SECONDS if self._answered else AGAIN_SECONDS)

    async def look(self) -> Versions:
        """Looks once; what is not answered keeps its last answer."""
        last = self.versions
        self._answered = True
        try:
            self._take(
                Versions(
                    await self._asked(self._api_server, last.api_server),
                    self._told or await self._asked(self._oldest_kubelet, last.oldest_kubelet),
                    await self._asked(self._keeps_the_field, last.keeps_the_field),
                )
            )
        finally:
            self.looked.set()  # whatever it found: admissions wait for it
        if self.versions != last:
            _log.info("kubernetes versions", **self.details())
        return self.versions

    def details(self) -> Mapping[str, object]:
        """For `/readyz`."""
        return {
            "native_sidecars": self.versions.native_sidecars,
            "api_server": _shown(self.versions.api_server),
            "oldest_kubelet": _shown(self.versions.oldest_kubelet),
            "assumed": self.versions.unknown,
        }

    def _take(self, versions: Versions) -> None:
        self.versions = versions
        self._metrics.native_sidecars.set(versions.native_sidecars)
        for of in Assumed:
            self._metrics.version_unknown.labels(of).set(of in versions.unknown)

    async def _asked(self, ask: Callable[[], Awaitable[Any]], last: Any) -> Any:
        try:
            found = await ask()
        except (RefusedError, UnreachableError) as error:
            self._answered = self._answered and isinstance(error, RefusedError)
            _log.warning("kubernetes version not known", reason=reason_of(error))
            return last
        return last if found is None else found

    async def _api_server(self) -> Version | None:
        document = await self._api.read("/version")
        return version_of(f"{text(document, 'major')}.{text(document, 'minor')}")

    async def _keeps_the_field(self) -> bool | None:
        return await supported(self._api, self._release_namespace) if self._release_namespace else None

    async def _oldest_kubelet(self) -> Version | None:
        oldest: Version | None = None
        query = {"limit": str(PAGE_OBJECTS), "includeObject": "None"}
        while True:
            page = await self._api.read("/api/v1/nodes", query=query, accept=TABLE)
            for told in _kubelets(page or {}):
                if (version := version_of(told)) is not None:
                    oldest = version if oldest is None else min(oldest, version)
            following = text(page, "metadata", "continue")
            if not following:
                return oldest
            query["continue"] = following


def _kubelets(table: Document) -> list[str]:
    columns = [text(column, "name") for column in entries(table, "columnDefinitions")]
    if "Version" not in columns:
        return []
    at = columns.index("Version")
    rows = [entries(mapping(row), "cells") for row in entries(table, "rows")]
    return [str(cells[at]) for cells in rows if len(cells) > at]


def _shown(version: Version | None) -> str | None:
    return f"{version[0]}.{version[1]}" if version else None
