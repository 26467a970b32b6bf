"""Iceberg field ids of promised columns, as they were when each was first seen under its promised name.

A contract names columns and knows no ids (ODCS has no place for them, and owners do not know them). So the ids are
learned from the first look and kept in the store; from then on a rename is a rename, and a name that was dropped and
added again is told from the column that it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class TableIds:
    """Ids of one table, by path (`address.city`).

    Attributes:
        uuid: The table's identity; ids of another one mean nothing.
    """

    uuid: str | None = None
    ids: Mapping[str, int] = field(default_factory=dict)

    def of(self, uuid: str | None) -> Mapping[str, int]:
        """The ids that hold for the table of this identity."""
        return self.ids if self.uuid == uuid else {}


@dataclass(frozen=True, slots=True)
class FieldIds:
    """Ids of a contract's tables, by the contract's name of each."""

    tables: Mapping[str, TableIds] = field(default_factory=dict)

    def of(self, table: str) -> TableIds:
        """A table's ids; none if it was never seen."""
        return self.tables.get(table, TableIds())

    def document(self) -> dict[str, Any]:
        """For the store."""
        return {name: {"uuid": table.uuid, "ids": dict(table.ids)} for name, table in self.tables.items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """As `document` wrote it."""
        return cls({name: TableIds(table["uuid"], table["ids"]) for name, table in document.items()})
