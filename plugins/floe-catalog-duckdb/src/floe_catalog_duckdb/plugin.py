"""The catalog plugin for DuckDB files: schemas are namespaces, tables and views are tables."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from duckdb.sqltypes import DuckDBPyType
from pydantic import BaseModel, ConfigDict, Field

from floe_catalog_duckdb.connection import connected
from floe_core.errors import ConfigurationError, ExecutionError, ValidationError
from floe_core.plugin_interfaces.catalog import CatalogPlugin, Column, Table
from floe_core.plugin_interfaces.metadata import HealthState, HealthStatus

_DEFAULT_SCHEMA = "main"
# DuckDB's own schemas are no namespaces of anybody.
_USER_SCHEMAS = """
    SELECT DISTINCT schema_name FROM information_schema.schemata
    WHERE catalog_name = current_database() AND schema_name NOT IN ('information_schema', 'pg_catalog') ORDER BY 1
"""
_TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_catalog = current_database() AND table_schema = ? ORDER BY 1
"""
# DuckDB takes names in any case. Of a view it does not know what may be null.
_COLUMNS = """
    SELECT column_name, data_type, CASE WHEN table_type = 'VIEW' THEN NULL ELSE is_nullable = 'NO' END
    FROM information_schema.columns JOIN information_schema.tables USING (table_catalog, table_schema, table_name)
    WHERE table_catalog = current_database() AND lower(table_schema) = lower(?) AND lower(table_name) = lower(?)
    ORDER BY ordinal_position
"""
_KEY = """
    SELECT constraint_column_names FROM duckdb_constraints()
    WHERE database_name = current_database() AND constraint_type = 'PRIMARY KEY'
        AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)
"""


class DuckDBCatalogConfig(BaseModel):
    """`config:` of the plugin in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path = Field(description="The database file")
    lock_wait_seconds: float = Field(
        default=2.0, ge=0, le=60, description="How long a file that another process holds is waited for"
    )


class DuckDBCatalog:
    """A catalog over one file; each call opens and closes a connection of its own."""

    def __init__(self, config: DuckDBCatalogConfig) -> None:
        self._config = config

    def list_namespaces(self) -> list[str]:
        """All schemas but DuckDB's own."""
        return [str(row[0]) for row in self._rows(_USER_SCHEMAS)]

    def list_tables(self, namespace: str) -> list[str]:
        """`schema.table` of all tables and views in a schema."""
        return [f"{namespace}.{row[0]}" for row in self._rows(_TABLES, namespace)]

    def load_table(self, identifier: str) -> Table:
        """Columns and key by the information schema; a plain table has no snapshots. See `Catalog.load_table`."""
        schema, table = split(identifier)
        with self._reading() as connection:
            rows = connection.execute(_COLUMNS, [schema, table]).fetchall()
            key = connection.execute(_KEY, [schema, table]).fetchone()
            columns = tuple(
                Column(name=str(name), type=str(kind), required=required, children=_parts(connection.sqltype(kind)))
                for name, kind, required in rows
            )
        if not rows:
            raise ValidationError(
                f"There is no table {identifier} in {self._config.path.name}.", remedy="Check its name and schema."
            )
        return Table(identifier=identifier, columns=columns, primary_key=tuple(key[0]) if key else ())

    def close(self) -> None:
        """Nothing is held between calls."""

    def _rows(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        with self._reading() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def _reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return connected(self._config.path, read_only=True, wait_seconds=self._config.lock_wait_seconds)


class DuckDBCatalogPlugin(CatalogPlugin):
    """Tables of a DuckDB file."""

    name = "duckdb"
    version = "0.1.0"
    description = "Tables of a DuckDB file, by its information schema"
    config_schema: ClassVar[type[BaseModel] | None] = DuckDBCatalogConfig
    config: DuckDBCatalogConfig | None

    def connect(self, config: Mapping[str, Any]) -> DuckDBCatalog:
        """Opens the file once, so that a wrong path is told here; see `CatalogPlugin.connect`."""
        own = self.config.model_dump() if self.config else {}
        catalog = DuckDBCatalog(DuckDBCatalogConfig.model_validate({**own, **config}))
        catalog.list_namespaces()
        return catalog

    def create_namespace(self, namespace: str, properties: Mapping[str, str] | None = None) -> None:
        """Creates a schema; DuckDB keeps no properties of one.

        Raises:
            ConfigurationError: Properties are given.
        """
        if properties:
            raise ConfigurationError("DuckDB keeps no properties of a schema.", remedy="Create it without properties.")
        self._execute(f"CREATE SCHEMA {quote(namespace)}")

    def list_namespaces(self, parent: str | None = None) -> list[str]:
        """All schemas; schemas do not nest, so there is none below a parent."""
        return [] if parent else self.connect({}).list_namespaces()

    def delete_namespace(self, namespace: str) -> None:
        """Drops an empty schema."""
        self._execute(f"DROP SCHEMA {quote(namespace)} RESTRICT")

    def create_table(
        self,
        identifier: str,
        columns: tuple[Column, ...],
        location: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Creates a table; see `CatalogPlugin.create_table`.

        Raises:
            ConfigurationError: A location or properties are given: a DuckDB file has neither.
        """
        if location or properties:
            raise ConfigurationError("A table of a DuckDB file has no location and no properties.")
        described = ", ".join(
            f"{quote(column.name)} {column.type}{' NOT NULL' if column.required else ''}" for column in columns
        )
        self._execute(f"CREATE TABLE {_quoted(identifier)} ({described})")

    def list_tables(self, namespace: str) -> list[str]:
        """`schema.table` of all tables and views in a schema."""
        return self.connect({}).list_tables(namespace)

    def drop_table(self, identifier: str, *, purge: bool = False) -> None:  # noqa: ARG002 - rows go with their table
        """Drops a table with its rows."""
        self._execute(f"DROP TABLE {_quoted(identifier)}")

    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:  # noqa: ARG002 - see below
        """Empty: a file needs no credentials."""
        return {}

    def health_check(self, timeout_seconds: float = 5.0) -> HealthStatus:
        """Whether the file can be read."""
        if self.config is None:
            return HealthStatus(state=HealthState.UNHEALTHY, message="No path is configured.")
        try:
            self.connect({"lock_wait_seconds": min(timeout_seconds, self.config.lock_wait_seconds)})
        except ExecutionError as error:
            return HealthStatus(state=HealthState.UNHEALTHY, message=error.what)
        return HealthStatus(state=HealthState.HEALTHY)

    def _execute(self, sql: str) -> None:
        with self._writing() as connection:
            try:
                connection.execute(sql)
            except duckdb.Error as error:
                raise ExecutionError(f"DuckDB refused: {str(error).splitlines()[0]}") from None

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self.config is None:
            raise ConfigurationError("The plugin duckdb needs the path of a database file.", remedy="Set `path`.")
        wait = self.config.lock_wait_seconds
        with connected(self.config.path, read_only=False, wait_seconds=wait) as connection:
            yield connection


def _parts(found: DuckDBPyType) -> tuple[Column, ...]:
    """The parts of a nested type; DuckDB knows nothing of their nullability."""
    kind = found.id
    if kind not in {"struct", "map", "list", "array"}:
        return ()
    named = [(name, part) for name, part in found.children if isinstance(part, DuckDBPyType)]
    return tuple(
        Column(
            name="element" if kind in {"list", "array"} else name,
            type=str(part),
            required=None,
            children=_parts(part),
        )
        for name, part in named
    )


def split(identifier: str) -> tuple[str, str]:
    """Schema and table of `table` or `schema.table`; the schema is `main` unless it is named."""
    schema, _, table = identifier.rpartition(".")
    return schema or _DEFAULT_SCHEMA, table


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _quoted(identifier: str) -> str:
    return ".".join(quote(part) for part in split(identifier))
