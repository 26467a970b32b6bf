"""Reads one ODCS contract: YAML text in, a `Contract` out, or every problem with its file, line and field.

The document is judged by the `open-data-contract-standard` model; what the monitor needs beyond it, by the rules here.
A wrong promise (a quality rule, a service level) costs itself only where the caller asks for that (`examine_contract`);
whoever writes or registers a contract is told of it as of any other problem.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pydantic
from open_data_contract_standard.model import (
    OpenDataContractStandard,
    Server,
    ServiceLevelAgreementProperty,
)

from floe_core.errors import Problem, ValidationError
from floe_core.manifest.document import Document, KeyPath, parse_document, read_text
from floe_core.manifest.problems import KeyProblem, problems_in
from floe_monitor.contracts.durations import parse_duration, parse_ratio
from floe_monitor.contracts.model import (
    AvailabilityPromise,
    Contract,
    ContractId,
    ContractTable,
    FreshnessPromise,
    QualityRule,
)
from floe_monitor.contracts.overrides import NOTHING, Overrides, read_overrides
from floe_monitor.contracts.overrides import PROPERTY as OVERRIDES
from floe_monitor.contracts.pruning import REFUSED, modelled, promise_at
from floe_monitor.contracts.quality import quality_rules, unchecked
from floe_monitor.contracts.schema import remarks_on, table_of

_API_VERSION = re.compile(r"v3\.[012]\.\d+")
# What the store keeps of a contract's identity.
_LONGEST_NAME, _LONGEST_VERSION = 255, 50
_REQUIRED = ("apiVersion", "kind", "id", "version", "status")
# ODCS 3.2 asks for no status.
_WITHOUT_STATUS = re.compile(r"v3\.2\.\d+")
# ODCS names `latency` and its short form; `freshness` is what tools and people write. Both bound the age of the data.
_FRESHNESS = frozenset({"freshness", "latency", "ly"})
_AVAILABILITY = frozenset({"availability", "av"})


@dataclass(frozen=True, slots=True)
class Examined:
    """A contract that can be watched, and why some of its promises are left out.

    Attributes:
        refused: What is wrong with them, in the order of the document.
    """

    contract: Contract
    refused: tuple[Problem, ...] = ()


def read_contract(path: Path, *, environment: str | None = None) -> Contract:
    """The contract in a file, if all of it is right.

    Args:
        path: A YAML file.
        environment: Chooses among the contract's servers, by their `environment`; without it the first one holds.

    Raises:
        ConfigurationError: The file cannot be read.
        ValidationError: Something in it is wrong; `problems` has each reason with its place.
    """
    return parse_contract(read_text(path), file=str(path), environment=environment)


def parse_contract(text: str, *, file: str, environment: str | None = None) -> Contract:
    """As `read_contract`, from a text; `file` names it in errors."""
    examined = examine_contract(text, file=file, environment=environment)
    if examined.refused:
        raise ValidationError.of("The contract", examined.refused)
    return examined.contract


def examine_contract(text: str, *, file: str, environment: str | None = None) -> Examined:
    """The contract without its wrong promises.

    Raises:
        ValidationError: It is no contract that can be watched; `problems` has all that is wrong, with its place.
    """
    return examine_document(parse_document(text, file=file, begin_with="apiVersion: v3.1.0"), environment=environment)


def examine_document(document: Document, *, environment: str | None = None) -> Examined:
    """As `examine_contract`, from a document that was read before."""
    try:
        odcs, left_out = modelled(document)
    except pydantic.ValidationError as error:
        found = [problem.at(document) for problem in problems_in(error, OpenDataContractStandard)]
        raise ValidationError.of("The contract", found) from None
    reader = _Reader(document, odcs, environment, left_out)
    contract = reader.contract()
    if reader.problems:
        raise ValidationError.of("The contract", sorted([*reader.problems, *reader.refused], key=_place))
    return Examined(contract, tuple(sorted(reader.refused, key=_place)))


def _place(problem: Problem) -> tuple[int, int]:
    return (problem.where.line or 0, problem.where.column or 0)


class _Reader:
    """Collects every problem of one document, so that a person sees all of them at once."""

    def __init__(
        self,
        document: Document,
        odcs: OpenDataContractStandard,
        environment: str | None,
        left_out: Iterable[KeyProblem] = (),
    ) -> None:
        self._document = document
        self._odcs = odcs
        self._environment = environment
        self.problems: list[Problem] = []
        self.refused: list[Problem] = [problem.at(document) for problem in left_out]

    def contract(self) -> Contract:
        self._check_head()
        self._check_service_levels()
        tables = tuple(self._tables())
        promises = self._freshness(tables)
        return Contract(
            id=self._id(),
            tables=tables,
            freshness=tuple(_strictest(promises)),
            availability=self._availability(),
            quality=self._quality(tables),
            consumers=self._consumers(),
            remarks=tuple(self._remarks(tables)),
            overrides=self._overrides(),
            document=self._document.content,
        )

    def _report(self, path: KeyPath, what: str, remedy: str | None = None) -> None:
        where = self._document.locate(path)
        # What is missing at the top has no line of its own.
        problem = Problem(what, replace(where, line=where.line or 1, column=where.column or 1), remedy)
        (self.refused if promise_at(path) else self.problems).append(problem)

    def _check_head(self) -> None:
        for key in _REQUIRED:
            if not getattr(self._odcs, key) and not (key == "status" and self._needs_no_status):
                self._report((key,), f"`{key}` is missing.", "ODCS requires it.")
        if self._odcs.apiVersion and not _API_VERSION.fullmatch(self._odcs.apiVersion):
            self._report(
                ("apiVersion",),
                f"The ODCS version {self._odcs.apiVersion} is not understood.",
                "Write v3.0.x, v3.1.x or v3.2.x.",
            )
        if self._odcs.kind and self._odcs.kind != "DataContract":
            self._report(("kind",), f"The kind is {self._odcs.kind}.", "A contract's is DataContract.")
        if self._odcs.version and re.search(r"[^!-~]|[:/]", self._odcs.version):
            what = "The version holds a space, a colon, a slash or a character outside ASCII."
            self._report(("version",), what, "Write one such as 1.0.0.")

    def _check_service_levels(self) -> None:
        for index, level in enumerate(self._odcs.slaProperties or ()):
            if not level.property:
                self._report(("slaProperties", index), "A service level without `property`.", "Name it.")

    @property
    def _needs_no_status(self) -> bool:
        return _WITHOUT_STATUS.fullmatch(self._odcs.apiVersion or "") is not None

    def _id(self) -> ContractId:
        odcs = self._odcs
        found = ContractId.of(odcs.domain, odcs.dataProduct, odcs.id or "", odcs.version or "")
        if len(found.name) > _LONGEST_NAME:
            what = f"Domain, data product and id are {len(found.name)} characters together."
            self._report(("id",), what, f"Shorten them to {_LONGEST_NAME} in all.")
        if len(found.version) > _LONGEST_VERSION:
            what = f"The version is {len(found.version)} characters long."
            self._report(("version",), what, f"Shorten it to {_LONGEST_VERSION}.")
        return found

    def _tables(self) -> Iterator[ContractTable]:
        server = self._server()
        names: set[str] = set()
        for index, table in enumerate(self._odcs.schema_ or ()):
            if not table.name:
                self._report(("schema", index), "A table without `name`.", "Name it.")
            elif table.name in names:
                self._report(("schema", index, "name"), f"The table {table.name} is described twice.", "Join both.")
            else:
                names.add(table.name)
                yield table_of(table, server)

    def _server(self) -> Server | None:
        servers = self._odcs.servers or []
        if self._environment is None or not servers:
            return servers[0] if servers else None
        for server in servers:
            if server.environment == self._environment:
                return server
        known = ", ".join(sorted({server.environment for server in servers if server.environment})) or "none"
        self._report(
            ("servers",),
            f"There is no server for the environment {self._environment}.",
            f"Environments here: {known}.",
        )
        return None

    def _service_levels(self, names: frozenset[str]) -> Iterator[tuple[KeyPath, ServiceLevelAgreementProperty]]:
        for index, level in enumerate(self._odcs.slaProperties or ()):
            if (level.property or "").strip().lower() in names:
                yield ("slaProperties", index), level

    def _freshness(self, tables: tuple[ContractTable, ...]) -> Iterator[FreshnessPromise]:
        for path, level in self._service_levels(_FRESHNESS):
            try:
                threshold = parse_duration(level.value, level.unit)
            except ValueError as error:
                self._report((*path, "value"), f"`{level.property}`: {error}")
                continue
            named = level.element or self._odcs.slaDefaultElement or ""
            elements: list[str | None] = [element.strip() for element in named.split(",") if element.strip()]
            for element in elements or [None]:
                promise = self._freshness_of(element, tables, path)
                if promise is not None:
                    table, column, time_zone = promise
                    yield FreshnessPromise(table, threshold, column, time_zone)

    def _freshness_of(
        self, element: str | None, tables: tuple[ContractTable, ...], path: KeyPath
    ) -> tuple[ContractTable, str | None, str | None] | None:
        """Table, column and zone that an `element` names: `table.column`, `table`, or a column of the only table."""
        table_name, _, column_name = (element or "").rpartition(".")
        table = next((table for table in tables if table.name in {table_name, element}), None)
        if table is None and not table_name and len(tables) == 1:
            table = tables[0]
        if table is None:
            known = ", ".join(table.name for table in tables) or "none"
            self._report(
                (*path, "element"),
                f"Freshness of {element!r} cannot be checked." if element else "Freshness does not say of which table.",
                f"Write `element: table.column`; tables of this contract: {known}.",
            )
            return None
        column = column_name if column_name and element != table.name else None
        if not column:
            return table, None, None
        described = next((known for known in table.columns if column in {known.name, known.source_name}), None)
        if table.columns and described is None:
            self._report(
                (*path, "element"),
                f"The contract describes no column {column} of {table.name}.",
                f"Columns: {', '.join(known.name for known in table.columns)}.",
            )
            return None
        return table, described.source_name if described else column, described.time_zone if described else None

    def _availability(self) -> AvailabilityPromise | None:
        promised: list[float] = []
        for path, level in self._service_levels(_AVAILABILITY):
            try:
                promised.append(parse_ratio(level.value, level.unit))
            except ValueError as error:
                self._report((*path, "value"), f"`{level.property}`: {error}")
        return AvailabilityPromise(max(promised)) if promised else None

    def _quality(self, tables: tuple[ContractTable, ...]) -> tuple[QualityRule, ...]:
        by_name = {table.name: table for table in tables}
        return tuple(quality_rules(self._odcs.schema_ or (), by_name, self._document.content, self._report))

    def _remarks(self, tables: tuple[ContractTable, ...]) -> Iterator[str]:
        for level in self._odcs.slaProperties or ():
            if (level.property or REFUSED).strip().lower() not in _FRESHNESS | _AVAILABILITY | {REFUSED}:
                yield f"The service level {level.property} is declared and not checked."
        for table in tables:
            yield from remarks_on(table)
        yield from unchecked(self._odcs.schema_ or ())

    def _overrides(self) -> Overrides:
        found = NOTHING
        for index, entry in enumerate(self._odcs.customProperties or ()):
            if entry.property == OVERRIDES:
                found, problems = read_overrides(entry.value)
                for problem in problems:
                    self._report(("customProperties", index, "value", *problem.path), problem.what, problem.remedy)
        return found

    def _consumers(self) -> tuple[str, ...]:
        named = next(
            (entry.value for entry in self._odcs.customProperties or () if entry.property == "consumers"), None
        )
        return tuple(sorted({str(name) for name in named})) if isinstance(named, list) else ()


def _strictest(promises: Iterable[FreshnessPromise]) -> Iterable[FreshnessPromise]:
    """One promise per element: where freshness and latency are both promised of it, the shorter one holds."""
    by_element: dict[str, FreshnessPromise] = {}
    for promise in promises:
        known = by_element.get(promise.element)
        if known is None or promise.threshold < known.threshold:
            by_element[promise.element] = promise
    return by_element.values()
