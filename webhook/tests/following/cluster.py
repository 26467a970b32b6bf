"""An API server on the loopback address, as far as following needs one: objects, selectors, pages and watches.

Objects live under their paths. A write gets the next `resourceVersion`; a watch gives what was written after the
version that it asks for, and 410 for one that is too old.
"""

import asyncio
import contextlib
import copy
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from floe_webhook.cluster.api import Access, KubernetesApi

Object = dict[str, Any]

_COLLECTION = re.compile(r"(/api/v1|/apis/[^/]+/v1)(/namespaces/[^/]+)?/(pods|events|configmaps|namespaces)")


@dataclass(slots=True)
class Cluster:
    """What the stand-in has and does.

    Attributes:
        objects: By path; of pods of all namespaces too.
        forbidden: Ends of paths that are refused with 403.
        broken: Whether it answers 503 to everything.
        eviction_status: What it answers to evictions.
        forgotten: Up to which version watches are too old.
        page: How many objects a page has at most.
        asked: Method and path of each request.
        evicted: Names of pods whose eviction was asked for.
    """

    objects: dict[str, Object] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    broken: bool = False
    eviction_status: int = 201
    forgotten: int = 0
    page: int = 2
    asked: list[tuple[str, str]] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    _version: int = 100
    _written: list[tuple[int, str, Object]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, path: str, document: Mapping[str, Any]) -> Object:
        """What somebody else writes."""
        self._version += 1
        stored = copy.deepcopy(dict(document))
        stored["metadata"] = {**stored.get("metadata", {}), "resourceVersion": str(self._version)}
        self._written.append((self._version, "MODIFIED" if path in self.objects else "ADDED", stored))
        self.objects[path] = stored
        self._changed.set()
        self._changed = asyncio.Event()
        return stored

    def put_pod(self, pod: Mapping[str, Any]) -> Object:
        """A pod under its own path."""
        metadata = pod["metadata"]
        return self.put(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", pod)

    def put_namespace(self, name: str, **fields: Any) -> Object:
        """A namespace."""
        return self.put(f"/api/v1/namespaces/{name}", {"metadata": {"name": name, **fields}})

    @property
    def events(self) -> list[Object]:
        """The Events that were written."""
        return [found for path, found in self.objects.items() if "/events/" in path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if self.broken or any(request.path.endswith(end) for end in self.forbidden):
            return _status(503 if self.broken else 403)
        if request.method == "GET":
            return await self._read(request)
        body = await request.json()
        if request.path.endswith("/eviction"):
            self.evicted.append(body["metadata"]["name"])
            return _status(self.eviction_status)
        return self._create(request.path, body) if request.method == "POST" else self._merge(request.path, body)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        if _COLLECTION.fullmatch(request.path):
            return await self._watch(request) if "watch" in request.query else self._list(request)
        found = self.objects.get(request.path)
        return _status(404) if found is None else web.json_response(found)

    def _create(self, collection: str, body: Object) -> web.Response:
        path = f"{collection}/{body['metadata']['name']}"
        return _status(409) if path in self.objects else web.json_response(self.put(path, body), status=201)

    def _merge(self, path: str, body: Object) -> web.Response:
        if path not in self.objects:
            return _status(404)
        merged = copy.deepcopy(self.objects[path])
        for key, value in body.items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
        return web.json_response(self.put(path, merged))

    def _list(self, request: web.Request) -> web.Response:
        found = list(self._selected(request))
        start = int(request.query.get("continue") or 0)
        size = min(self.page, int(request.query.get("limit", self.page)))
        following = str(start + size) if start + size < len(found) else ""
        metadata = {"resourceVersion": str(self._version), "continue": following}
        return web.json_response({"metadata": metadata, "items": found[start : start + size]})

    def _selected(self, request: web.Request) -> Iterator[Object]:
        # A collection of all namespaces is the end of the paths in each of them.
        kind = request.path.rpartition("/")[2]
        for path, found in self.objects.items():
            collection = path.rpartition("/")[0]
            is_of_any = request.path == f"/api/v1/{kind}" and collection.endswith(f"/{kind}")
            if (collection == request.path or is_of_any) and _fits(found, request):
                yield found

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.forgotten:
            return _status(410)
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not self.broken:
                changed = self._changed
                for version, kind, found in self._written:
                    if version > since and _fits(found, request):
                        await response.write(json.dumps({"type": kind, "object": found}).encode() + b"\n")
                since = self._version
                bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}}
                await response.write(json.dumps(bookmark).encode() + b"\n")
                await changed.wait()
        return response

    def wake(self) -> None:
        """Lets watches see that the server is broken."""
        self._changed.set()
        self._changed = asyncio.Event()


def _fits(found: Object, request: web.Request) -> bool:
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, request.query.get("labelSelector", "").split(",")):
        name, _, value = term.lstrip("!").partition("=")
        if (name in labels) is term.startswith("!") or (value and labels.get(name) != value):
            return False
    phase = found.get("status", {}).get("phase", "Running")
    for term in filter(None, request.query.get("fieldSelector", "").split(",")):
        value = term.rpartition("=")[2]
        if (phase == value) is ("!=" in term):
            return False
    return True


def _status(code: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": code}, status=code)


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[Cluster, KubernetesApi]]:
    """The stand-in, listening, and a client of it."""
    server = Cluster()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with (
        TestServer(application, shutdown_timeout=0.1) as listening,
        aiohttp.ClientSession() as session,
    ):
        yield server, KubernetesApi(session, Access(str(listening.make_url("")).rstrip("/"), tls=False))
