"""The registry of contracts: what the API registers, and what every replica knows of it (FR-004).

    API ──▶ contract_registrations ──▶ every replica, at its next look ──▶ roster
    directory ────────────────────────────────────────────────────────▶ roster

Both sources together are watched. Where both have one version of a contract, the directory's holds: it is what the
platform team deploys with the monitor, and it is read anew whenever it changes, while a registered version never does.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ConfigurationError, FloeError, Location, Problem, ValidationError
from floe_core.manifest.document import Document
from floe_monitor.contracts.comparison import Change, compare_contracts
from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.contracts.reading import examine_document, parse_contract
from floe_monitor.store.registrations import Registration, put, registrations, remove, revision_of_all, revisions
from floe_monitor.store.results import storable

_AT_ONCE = 500
_TOLD_AT_MOST = 5


class ContractDiffersError(ConfigurationError):
    """A version of a contract is known already, with other content.

    Attributes:
        changes: What registering it would have changed.
    """

    code = "contract_differs"

    def __init__(self, contract: ContractId, changes: Sequence[Change], remedy: str) -> None:
        self.changes = tuple(changes)
        told = "; ".join(f"{change.path}: {change.what}" for change in self.changes[:_TOLD_AT_MOST])
        more = len(self.changes) - _TOLD_AT_MOST
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{contract} is known already and says something else. {told}{rest}".strip(), remedy=remedy)


class NotRegisteredError(ConfigurationError):
    """There is no such contract in the registry."""

    code = "not_registered"


class HeldByDirectoryError(ConfigurationError):
    """A contract is a file of the monitor's directory, so the API cannot take it away."""

    code = "held_by_directory"


@dataclass(frozen=True, slots=True)
class Registered:
    """A contract after it was registered.

    Attributes:
        is_new: Whether it was not registered before.
    """

    contract: Contract
    is_new: bool


@dataclass(slots=True)
class Registry:
    """What the API registers.

    Attributes:
        environment: As in `read_contract`.
        directory: The contracts of this replica's directory.
        channels: Names of the platform's alert channels.
        problems: What a person should mend, as of the last time that all contracts were put together.
    """

    engine: AsyncEngine
    environment: str | None = None
    directory: tuple[Contract, ...] = ()
    channels: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _contracts: dict[tuple[str, str], tuple[int, Contract | None, str]] = field(default_factory=dict)
    _seen: int | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def register(self, text: str, *, file: str) -> Registered:
        """Registers a contract (YAML or JSON) for good.

        Raises:
            ValidationError: It is none, or one of its promises is wrong: what is registered for good is right.
            ContractDiffersError: This version is known already and says something else.
            SQLAlchemyError, OSError: The store is away.
        """
        contract = await asyncio.to_thread(parse_contract, text, file=file, environment=self.environment)
        if problems := self._unknown_channels(contract):
            raise ValidationError.of("The contract", [Problem(what, Location(file, 1, 1)) for what in problems])
        if held := self._of_directory(contract.id):
            self._refuse_other(
                contract,
                held.document,
                "The monitor's directory holds it. Change the file there, or give this one another version.",
            )
            return Registered(held, is_new=False)
        kept = await put(self.engine, contract.id, contract.document, text, self.clock())
        self._refuse_other(
            contract, kept.document, "A registered version never changes. Give the new one another `version`."
        )
        self._changed.set()
        return Registered(contract, kept.is_new)

    def _refuse_other(self, contract: Contract, known: dict[str, Any], remedy: str) -> None:
        if storable(known) == storable(contract.document):
            return
        try:
            before = examine_document(Document(str(contract.id), known, {}), environment=self.environment).contract
            changes = compare_contracts(before, contract).changes
        except FloeError:
            changes = ()  # what an earlier version took and this one cannot read
        raise ContractDiffersError(contract.id, changes, remedy)

    async def unregister(self, contract: ContractId) -> None:
        """Ends the watching of a registered contract; its history stays.

        Raises:
            NotRegisteredError: It is not registered.
            HeldByDirectoryError: It is a file of the monitor's directory.
            SQLAlchemyError, OSError: The store is away.
        """
        is_of_directory = self._of_directory(contract) is not None
        if await remove(self.engine, contract, self.clock(), stays_watched=is_of_directory):
            self._changed.set()
            return
        if is_of_directory:
            raise HeldByDirectoryError(f"{contract} is a file of the monitor's directory.", remedy="Remove it there.")
        raise NotRegisteredError(f"No contract {contract} is registered.", remedy="Check its name and version.")

    async def pause(self, longest: timedelta) -> None:
        """Waits between two looks; what was registered here, and not with another replica, is looked at once."""
        try:
            async with asyncio.timeout(longest.total_seconds()):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def look(self) -> bool:
        """Reads what has changed in the registry since the last look; false if nothing has.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        seen = await revision_of_all(self.engine)
        if seen == self._seen:
            return False
        current = await revisions(self.engine)
        changed = [key for key, revision in current.items() if self._contracts.get(key, (0,))[0] != revision]
        found = {key: known for key, known in self._contracts.items() if key in current}
        for begin in range(0, len(changed), _AT_ONCE):
            rows = await registrations(self.engine, changed[begin : begin + _AT_ONCE])
            found |= await asyncio.to_thread(self._read, rows)
        self._contracts, self._seen = found, seen
        return True

    def together(self) -> tuple[Contract, ...]:
        """The contracts of the directory and those that are registered; notes what a person should mend."""
        of_directory = {contract.id for contract in self.directory}
        problems = [problem for _, _, problem in self._contracts.values() if problem]
        registered: list[Contract] = []
        for _, contract, _ in self._contracts.values():
            if contract is None:
                continue
            if contract.id in of_directory:
                problems.append(f"{contract.id} is registered and also a file of the directory; the file holds.")
            else:
                registered.append(contract)
        found = (*self.directory, *registered)
        self.problems = (*problems, *(problem for contract in found for problem in self._unknown_channels(contract)))
        return found

    def _read(self, rows: Sequence[Registration]) -> dict[tuple[str, str], tuple[int, Contract | None, str]]:
        """Contracts by name and version; what a newer rule refuses costs itself only."""
        found: dict[tuple[str, str], tuple[int, Contract | None, str]] = {}
        for row in rows:
            name = f"{row.name}:{row.version}"
            contract, problem = None, ""
            try:
                examined = examine_document(Document(name, row.document, {}), environment=self.environment)
                contract = examined.contract
                problem = " ".join(map(str, examined.refused))
            except FloeError as error:
                problem = f"The registered contract {name} cannot be watched: {error}"
            found[row.name, row.version] = (row.revision, contract, problem)
        return found

    def _of_directory(self, contract: ContractId) -> Contract | None:
        return next((held for held in self.directory if held.id == contract), None)

    def _unknown_channels(self, contract: Contract) -> list[str]:
        named = {rule.channel_name for rule in contract.overrides.routing_rules}
        known = ", ".join(sorted(self.channels)) or "none"
        return [
            f"{contract.id} routes alerts to the channel {name}, which the platform lacks; known: {known}."
            for name in sorted(named - self.channels)
        ]
