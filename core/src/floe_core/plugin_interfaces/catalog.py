"""The interface of catalogs: which tables there are and what they look like (FR-011, FR-014)."""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata


class Column(Frozen):
    """A column as the catalog describes it."""

    name: str
    type: str = Field(description="The catalog's own type text, e.g. decimal(10,2)")
    required: bool | None = Field(default=False, description="None where the catalog cannot tell, e.g. of a view")
    field_id: int | None = Field(default=None, description="Iceberg field id, where there is one")
    children: tuple["Column", ...] = Field(
        default=(), description="Fields of a struct, element of a list, key and value of a map"
    )
    doc: str | None = None


class Snapshot(Frozen):
    """A version of a table's data."""

    snapshot_id: str
    committed_at: datetime
    operation: str = Field(description="append, overwrite, delete or replace, as Iceberg names them")
    added_records: int | None = None
    deleted_records: int | None = None


class Table(Frozen):
    """A table's description at one moment."""

    identifier: str
    columns: tuple[Column, ...]
    snapshots: tuple[Snapshot, ...] = Field(
        default=(), description="Known snapshots, oldest first; empty where the catalog has none"
    )
    properties: dict[str, str] = Field(default_factory=dict)
    location: str | None = None
    partitioned_by: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()
    primary_key: tuple[str, ...] | None = Field(
        default=None, description="Columns of the key, empty if there is none; None where the catalog cannot tell"
    )
    uuid: str | None = Field(
        default=None,
        description="Identity that a dropped and recreated table does not share; field ids hold within it",
    )


class Catalog(Protocol):
    """A connected catalog. Methods block."""

    def list_namespaces(self) -> list[str]:
        """All namespaces."""

    def list_tables(self, namespace: str) -> list[str]:
        """Identifiers of the tables in a namespace."""

    def load_table(self, identifier: str) -> Table:
        """A table's description.

        Raises:
            floe_core.errors.ValidationError: There is no such table.
            floe_core.errors.ConnectionError: The catalog cannot be reached.
        """

    def close(self) -> None:
        """Lets go of connections."""


class CatalogPlugin(PluginMetadata):
    """A catalog of tables (entry points: `floe.catalogs`). All methods block; callers run them in threads."""

    @abstractmethod
    def connect(self, config: Mapping[str, Any]) -> Catalog:
        """Connects; `config` is merged over the plugin's own configuration.

        Raises:
            floe_core.errors.ConnectionError: The catalog cannot be reached or refuses the credentials.
        """

    @abstractmethod
    def create_namespace(self, namespace: str, properties: Mapping[str, str] | None = None) -> None:
        """Creates a namespace."""

    @abstractmethod
    def list_namespaces(self, parent: str | None = None) -> list[str]:
        """Namespaces, below a parent if one is given."""

    @abstractmethod
    def delete_namespace(self, namespace: str) -> None:
        """Deletes an empty namespace."""

    @abstractmethod
    def create_table(
        self,
        identifier: str,
        columns: tuple[Column, ...],
        location: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Creates a table."""

    @abstractmethod
    def list_tables(self, namespace: str) -> list[str]:
        """Identifiers of the tables in a namespace."""

    @abstractmethod
    def drop_table(self, identifier: str, *, purge: bool = False) -> None:
        """Drops a table; its data too if `purge`."""

    @abstractmethod
    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:
        """Short-lived credentials for operations on a table's files."""
