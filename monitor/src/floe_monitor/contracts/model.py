"""What the monitor knows of a contract: identity, tables, and the service levels that it can check.

The ODCS document stays a foreign document (`floe_monitor.contracts.reading` keeps it); here is only what checks need.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_core.plugin_interfaces.quality import QualityCheck
from floe_monitor.contracts.overrides import NOTHING, Overrides

UNNAMED = "default"


@dataclass(frozen=True, slots=True, order=True)
class ContractId:
    """`domain.product/contract:version`; the version is the contract's own.

    A name alone is no identity: two domains may use one name, and two versions may be watched at once.
    """

    domain: str
    product: str
    contract: str
    version: str

    @property
    def name(self) -> str:
        """`domain.product/contract`, the identity without the version."""
        return f"{self.domain}.{self.product}/{self.contract}"

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"

    @classmethod
    def of(cls, domain: str | None, product: str | None, contract: str, version: str) -> Self:
        """An identity from a document's free texts; what is not given is called `default`."""
        return cls(_slug(domain), _slug(product), _slug(contract), version)


def _slug(text: str | None) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", (text or "").strip().lower()).strip("-") or UNNAMED


@dataclass(frozen=True, slots=True)
class TableLocation:
    """Where a table of the contract is: the name that its source knows it by."""

    table: str
    schema: str | None = None
    database: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the qualified name, outermost first."""
        return tuple(part for part in (self.database, self.schema, self.table) if part)

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the contract describes it, as far as checks need it.

    Attributes:
        source_name: The name that the source knows it by (ODCS `physicalName`).
        time_zone: IANA name of the zone of timestamps that carry none (`logicalTypeOptions.defaultTimezone`).
        physical_type: The source's own type, where the contract pins it.
        with_zone: Whether timestamps carry a zone (`logicalTypeOptions.timezone`); None if nothing is promised.
        required: Whether it is never null; None if nothing is promised.
        children: Fields of an object, the element of an array (`element`), `key` and `value` of a map.
    """

    name: str
    source_name: str
    logical_type: str | None = None
    time_zone: str | None = None
    physical_type: str | None = None
    with_zone: bool | None = None
    required: bool | None = None
    children: tuple["Column", ...] = ()


@dataclass(frozen=True, slots=True)
class ContractTable:
    """A table that the contract describes; `name` is the contract's word for it, `location` the source's.

    Attributes:
        primary_key: Names of the key's columns in the source; empty if no key is promised. So are the next two.
        partitioned_by: Columns that the table is partitioned by.
        sorted_by: Columns that it is sorted by, in this order.
    """

    name: str
    location: TableLocation
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    partitioned_by: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FreshnessPromise:
    """Rows of a table are never older than a duration.

    Attributes:
        column: The timestamp column; None if the contract names none and it has to be found (FR-008).
        time_zone: Zone of timestamps without one; None if the contract declares none.
    """

    table: ContractTable
    threshold: timedelta
    column: str | None = None
    time_zone: str | None = None

    @property
    def element(self) -> str:
        """What findings call it: `table.column`, or the table alone."""
        return f"{self.table.name}.{self.column}" if self.column else self.table.name


@dataclass(frozen=True, slots=True)
class AvailabilityPromise:
    """The source answers for a share (0 < ratio <= 1) of the last 24 hours."""

    ratio: float


@dataclass(frozen=True, slots=True)
class QualityRule:
    """A rule about the content of a table.

    Attributes:
        check: As a quality plugin takes it; its name is unique in the contract and what findings call it.
        severity: Of a finding if the rule does not hold.
    """

    table: ContractTable
    check: QualityCheck
    severity: ViolationSeverity

    @property
    def element(self) -> str:
        """What findings call it: `table.column: rule`."""
        return self.check.name


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that is watched.

    Attributes:
        document: The ODCS document as it was read, for the store.
        remarks: What the contract declares and the monitor cannot check, as sentences.
        overrides: What it sets for itself of the monitor's configuration.
    """

    id: ContractId
    tables: tuple[ContractTable, ...] = ()
    freshness: tuple[FreshnessPromise, ...] = ()
    availability: AvailabilityPromise | None = None
    quality: tuple[QualityRule, ...] = ()
    consumers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    overrides: Overrides = NOTHING
    document: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
