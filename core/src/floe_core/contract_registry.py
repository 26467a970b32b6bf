"""Registering data contracts with the monitor (FR-004): a client of its API, and the hook that follows a deployment.

An orchestrator plugin calls `register_after_deploy` when a product's artifacts are in place. It never fails a
deployment: what could not be registered is told, and the next deployment tries again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import structlog

from floe_core.artifacts import CompiledArtifacts
from floe_core.errors import (
    ConfigurationError,
    ConnectionError,  # noqa: A004 - the errors' own name
    ExecutionError,
    FloeError,
    Location,
    Problem,
    ValidationError,
)
from floe_core.retry import retry

_log = structlog.get_logger(__name__)
_CONTRACTS: Final = "/api/v1/contracts"
_TIMEOUT_SECONDS: Final = 30.0
_PAGE: Final = 500
_ATTEMPTS: Final = 3


class ContractDiffersError(ConfigurationError):
    """This version of a contract is registered already and says something else."""

    code = "contract_differs"


class _NotNowError(ConnectionError):
    """The monitor asks to be asked again.

    Attributes:
        retry_after_seconds: When; see `floe_core.retry`.
    """

    def __init__(self, what: str, retry_after_seconds: float | None, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy or "It is tried again at the next deployment; see the monitor's /readyz.")
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class RegisteredContract:
    """A contract that the monitor watches.

    Attributes:
        id: `domain.product/contract:version`.
        is_new: False if it was registered already, with the same content.
        remarks: What it declares and the monitor cannot check, as sentences.
    """

    id: str
    is_new: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegisteredContracts:
    """What became of a product's contracts.

    Attributes:
        failures: By the contract's id, or its place in the artifacts: why it is not registered.
    """

    registered: tuple[RegisteredContract, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


class ContractRegistry:
    """The monitor's registry. All methods block.

    Args:
        url: Where the monitor is, e.g. `http://floe-monitor.floe:8080`.
        token: Bearer token.
        client: For tests; by default one that verifies certificates and follows no redirect.

    Every method raises `ConfigurationError` (the monitor refuses: wrong token, unknown or wrong contract) or
    `floe_core.errors.ConnectionError` (it cannot be reached, or cannot answer now).
    """

    def __init__(self, url: str, token: str, *, client: httpx.Client | None = None) -> None:
        self._client = client or httpx.Client(timeout=_TIMEOUT_SECONDS)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token.strip()}"}

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_failure: object) -> None:
        """Lets go of connections."""
        self._client.close()

    def register(self, contract: str, *, file: str = "contract") -> RegisteredContract:
        """Registers a contract (YAML or JSON); once more with the same content changes nothing.

        Raises:
            ContractDiffersError: This version is registered with other content.
            ValidationError: The contract is wrong; `problems` has each reason with its place.
        """
        answer = self._ask(
            "POST", "", content=contract.encode(), params={"file": file}, headers={"Content-Type": "application/yaml"}
        )
        return RegisteredContract(answer["id"], answer["created"], tuple(answer["remarks"]))

    def listed(self, *, active: bool | None = True) -> Iterator[dict[str, Any]]:
        """Known contracts by name and version, as the API tells them; `active` None for all that ever were."""
        wanted = "all" if active is None else str(active).lower()
        params: dict[str, str | int] = {"limit": _PAGE, "active": wanted}
        while True:
            page = self._ask("GET", "", params=params)
            yield from page["contracts"]
            if page["next"] is None:
                return
            params["after"] = page["next"]

    def show(self, contract: str) -> dict[str, Any]:
        """A contract by its identity: its document, and how its promises stand."""
        return self._ask("GET", _path(contract))

    def history(self, contract: str) -> dict[str, Any]:
        """What happened to a contract: registry, episodes, runs."""
        return self._ask("GET", f"{_path(contract)}/history")

    def unregister(self, contract: str) -> None:
        """Ends the watching of a contract; its history stays."""
        self._ask("DELETE", _path(contract))

    def run_check(self, contract: str, check: str) -> dict[str, Any]:
        """Runs a check now and waits for its result."""
        return self._ask("POST", f"{_path(contract)}/checks/{quote(check, safe='')}/run")

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        asked = retry(_ATTEMPTS, exceptions=(_NotNowError,))(self._ask_once)
        return asked(method, path, **request)

    def _ask_once(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> dict[str, Any]:
        url = f"{self._url}{_CONTRACTS}{path}"
        try:
            answer = self._client.request(method, url, headers={**self._headers, **(headers or {})}, **request)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise ConfigurationError(
                "The monitor's address or the token cannot be used.", remedy="Write http://host:port; check the token."
            ) from None
        except httpx.TransportError as error:
            raise _NotNowError(f"The monitor cannot be reached: {type(error).__name__}.", None) from None
        return _told(answer)


def register_after_deploy(artifacts: CompiledArtifacts, registry: ContractRegistry) -> RegisteredContracts:
    """Registers the contracts of a product that was deployed; one that is refused stops nothing else.

    Orchestrator plugins call this after their deployment, e.g. `register_after_deploy(artifacts, registry)`.
    """
    registered: list[RegisteredContract] = []
    failures: list[tuple[str, str]] = []
    for index, contract in enumerate(artifacts.data_contracts):
        place = f"data_contracts[{index}]"
        try:
            registered.append(registry.register(json.dumps(contract, default=str), file=place))
        except FloeError as error:
            name = str(contract.get("id") or place)
            _log.warning("contract.not_registered", contract=name, reason=str(error))
            failures.append((name, str(error)))
    return RegisteredContracts(tuple(registered), tuple(failures))


def _path(contract: str) -> str:
    return f"/{quote(contract, safe='/:')}"


def _told(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code == httpx.codes.NO_CONTENT:
        return {}
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ExecutionError(
            f"No monitor of contracts answers there (HTTP {answer.status_code}).",
            remedy="Check the address; the API is on where the monitor has a token.",
        )
    if answer.is_success:
        return content
    raise _error(answer, content)


def _error(answer: httpx.Response, content: Mapping[str, Any]) -> FloeError:
    what = str(content.get("what") or f"The monitor refuses (HTTP {answer.status_code}).")
    remedy = str(content["remedy"]) if content.get("remedy") else None
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        after = answer.headers.get("Retry-After", "")
        return _NotNowError(what, float(after) if after.isdigit() else None, remedy)
    if content.get("code") == ContractDiffersError.code:
        return ContractDiffersError(what, remedy=remedy, details={"differences": content.get("differences")})
    if problems := [_problem(found) for found in content.get("problems") or () if isinstance(found, dict)]:
        return ValidationError.of("The contract", problems)
    return ConfigurationError(what, remedy=remedy)


def _problem(found: Mapping[str, Any]) -> Problem:
    where = Location(found.get("file"), found.get("line"), found.get("column"), found.get("path"))
    return Problem(str(found.get("what")), where, found.get("remedy"))
