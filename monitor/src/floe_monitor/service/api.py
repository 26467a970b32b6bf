"""The registry's HTTP API, `/api/v1/contracts`: registers, lists, shows and unregisters contracts, and runs a check.

Every request but the one for the OpenAPI document needs a bearer token. Each refusal is a `Failure`: what is wrong,
where, what to do.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import FloeError, ValidationError
from floe_core.manifest.document import Document
from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.contracts.model import ContractId
from floe_monitor.contracts.reading import examine_document
from floe_monitor.service import api_documents as documents
from floe_monitor.service.api_refusals import ContentTypeError, answer, refusal_of, unauthorised
from floe_monitor.service.bearer import BearerTokens
from floe_monitor.service.registry import NotRegisteredError, Registry
from floe_monitor.service.trial import lines_of
from floe_monitor.store import registry_views as views
from floe_monitor.store.records import CheckRun

_log = structlog.get_logger(__name__)
PREFIX: Final = "/api/v1"
CONTRACTS: Final = f"{PREFIX}/contracts"
OF_NAME: Final = CONTRACTS + "/{product}/{contract}"
OF_VERSION: Final = OF_NAME + ":{version}"
CONTENT_TYPES: Final = (
    "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json", "text/plain",
)  # fmt: skip
PAGE: Final = 100
LARGEST_PAGE: Final = 500
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class ContractApi:
    """The API's handlers.

    Attributes:
        run_now: Runs one check of a contract, by its identity; see `Monitor.run_now`.
        openapi: The document that describes all this.
    """

    engine: AsyncEngine
    registry: Registry
    tokens: BearerTokens
    run_now: Callable[[str, ViolationType], Awaitable[CheckRun]]
    openapi: dict[str, Any]

    def add_to(self, app: web.Application) -> None:
        """Adds the routes."""
        # What stands between slashes and colons, as in an identity.
        name, version = "/{product:[^/:]+}/{contract:[^/:]+}", ":{version:[^/:]+}"
        router = app.router
        router.add_get(f"{PREFIX}/openapi.json", self._openapi)
        router.add_get(CONTRACTS, self._guarded(self._list))
        router.add_post(CONTRACTS, self._guarded(self._register))
        router.add_get(CONTRACTS + name, self._guarded(self._versions))
        router.add_get(CONTRACTS + name + version, self._guarded(self._show))
        router.add_delete(CONTRACTS + name + version, self._guarded(self._unregister))
        router.add_get(CONTRACTS + name + version + "/history", self._guarded(self._history))
        router.add_post(CONTRACTS + name + version + "/checks/{check:[^/:]+}/run", self._guarded(self._run))

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(self.openapi)

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            try:
                if not self.tokens.accept(request.headers.get("Authorization", "")):
                    return unauthorised()
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - the outermost edge of a request; aiohttp would answer with a page
                return refusal_of(error, request.path)

        return guarded

    async def _list(self, request: web.Request) -> web.Response:
        limit = _number(request.query.get("limit", str(PAGE)))
        after = _parsed(request.query["after"]) if "after" in request.query else None
        active = _ACTIVE.get(request.query.get("active", "true"), "?")
        if limit is None or active == "?":
            raise ValidationError(
                "`limit` or `active` cannot be understood.",
                remedy=f"`limit` is 1 to {LARGEST_PAGE}; `active` is true, false or all.",
            )
        key = (after.name, after.version) if after else None
        found = await views.listed(self.engine, limit=limit + 1, after=key, active=active)
        page = [documents.ContractSummary.of(known) for known in found[:limit]]
        more = page[-1].id if len(found) > limit else None
        return answer(documents.ContractList(contracts=page, next=more))

    async def _register(self, request: web.Request) -> web.Response:
        if request.content_type not in CONTENT_TYPES:
            raise ContentTypeError(f"A contract is not {request.content_type}.", remedy="Send application/yaml.")
        try:
            text = (await request.read()).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValidationError("The contract is not UTF-8.", remedy="Save it as UTF-8.") from None
        registered = await self.registry.register(text, file=request.query.get("file") or "contract")
        identity = str(registered.contract.id)
        _log.info("contract.registered", contract=identity, created=registered.is_new)
        told = documents.Registration(id=identity, created=registered.is_new, remarks=list(registered.contract.remarks))
        return answer(told, 201 if registered.is_new else 200, {"Location": f"{CONTRACTS}/{identity}"})

    async def _versions(self, request: web.Request) -> web.Response:
        contract = _identity(request)
        found = await views.versions(self.engine, contract.name)
        if not found:
            raise NotRegisteredError(f"No contract {contract.name} is known.", remedy="Check its name.")
        return answer(documents.ContractList(contracts=[documents.ContractSummary.of(known) for known in found]))

    async def _show(self, request: web.Request) -> web.Response:
        contract = _identity(request)
        known = await self._known(contract)
        promises = [
            documents.Promise(
                check=row["check_type"],
                element=row["element"],
                status=row["status"],
                measure=row["current_value"],
                threshold=row["threshold"],
                last_checked_at=row["last_check_time"],
                consecutive_failures=row["consecutive_failures"],
            )
            for row in await views.standing(self.engine, contract)
        ]
        document = known.document or {}
        return answer(
            documents.ContractDetail(
                **documents.ContractSummary.of(known).model_dump(),
                document=document,
                remarks=self._remarks(contract, document),
                promises=promises,
            )
        )

    def _remarks(self, contract: ContractId, document: dict[str, Any]) -> list[str]:
        try:
            examined = examine_document(Document(str(contract), document, {}), environment=self.registry.environment)
        except FloeError as error:
            return [f"It cannot be watched: {error}"]
        return [*examined.contract.remarks, *map(str, examined.refused)]

    async def _unregister(self, request: web.Request) -> web.Response:
        contract = _identity(request)
        await self.registry.unregister(contract)
        _log.info("contract.unregistered", contract=str(contract))
        return web.Response(status=204)

    async def _history(self, request: web.Request) -> web.Response:
        contract = _identity(request)
        await self._known(contract)
        found = await views.history(self.engine, contract)
        return answer(
            documents.ContractHistory(
                id=str(contract),
                events=[documents.RegistryEvent(kind=row["kind"], at=row["happened_at"]) for row in found.events],
                episodes=[
                    documents.EpisodeSummary(
                        id=str(row["id"]),
                        check=row["check_type"],
                        **{name: row[name] for name in _OF_EPISODES},
                    )
                    for row in found.episodes
                ],
                runs=[
                    documents.RunSummary(
                        id=str(row["id"]), check=row["check_type"], **{name: row[name] for name in _OF_RUNS}
                    )
                    for row in found.runs
                ],
            )
        )

    async def _run(self, request: web.Request) -> web.Response:
        contract = _identity(request)
        try:
            check = ViolationType(request.match_info["check"])
        except ValueError:
            raise NotRegisteredError(
                f"There is no check {request.match_info['check']}.",
                remedy=f"Checks: {', '.join(ViolationType)}.",
            ) from None
        await self._known(contract)
        run = await self.run_now(str(contract), check)
        return answer(
            documents.RunResult(
                id=str(run.id),
                contract=str(contract),
                check=check.value,
                status=run.verdict.status.value,
                planned_at=run.planned_at,
                checked_at=run.checked_at,
                duration_seconds=run.duration.total_seconds(),
                promises=[
                    documents.PromiseResult(element=line.element, status=line.status.value, message=line.text)
                    for line in lines_of(run)
                ],
            )
        )

    async def _known(self, contract: ContractId) -> views.KnownContract:
        known = await views.one(self.engine, contract)
        if known is None:
            raise NotRegisteredError(f"No contract {contract} is known.", remedy="Check its name and version.")
        return known


_ACTIVE: Final[dict[str, Any]] = {"true": True, "false": False, "all": None}
_OF_EPISODES: Final = ("element", "severity", "message", "opened_at", "escalated_at", "closed_at", "closed_reason")
_OF_RUNS: Final = ("status", "planned_at", "checked_at", "duration_seconds")


def _identity(request: web.Request) -> ContractId:
    parts = request.match_info
    name = f"{parts['product']}/{parts['contract']}"
    try:
        return _parsed(f"{name}:{parts.get('version', '-')}")
    except ValidationError as error:
        raise NotRegisteredError(f"No contract {name!r} is known.", remedy=error.remedy) from None


def _parsed(identity: str) -> ContractId:
    """An identity as it is shown: `domain.product/contract:version`."""
    name, colon, version = identity.rpartition(":")
    owner, slash, contract = name.partition("/")
    domain, dot, product = owner.partition(".")
    if not (colon and slash and dot and identity.isprintable()):
        raise ValidationError("This is no identity of a contract.", remedy="Write domain.product/contract:version.")
    return ContractId(domain, product, contract, version)


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_PAGE))
    return int(text) if is_number and 1 <= int(text) <= LARGEST_PAGE else None
