"""The catalog plugin `sql`: pyiceberg's SQL catalog, in SQLite or PostgreSQL.

The database holds where each table's newest metadata file is; the file is read from the warehouse by pyarrow.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from floe_catalog_iceberg.catalog import IcebergCatalogPlugin
from floe_catalog_iceberg.clients import Clients
from floe_catalog_iceberg.failures import KINDS, ConnectionLostError, Failures, at_start, tell
from floe_core.errors import ConfigurationError, ConnectionError, FloeError  # noqa: A004 - our tree's name

_TABLE = "iceberg_tables"


class SqlCatalogConfig(BaseModel):
    """`config:` of the plugin in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: SecretStr = Field(description="Database as SQLAlchemy writes it, e.g. sqlite:////data/catalog.db")
    password: SecretStr | None = Field(default=None, description="The database user's, instead of one in `uri`")
    warehouse: str | None = Field(default=None, description="Where new tables go, e.g. s3://lake/warehouse")
    catalog_name: str = Field(default="default", description="The name under which its rows stand in the database")
    storage: dict[str, SecretStr] = Field(
        default_factory=dict, description="pyiceberg's properties of the storage, e.g. s3.endpoint"
    )
    create_tables: bool = Field(default=False, description="Whether an empty database becomes a catalog")
    timeout_seconds: float = Field(default=10.0, gt=0, le=300, description="Longest wait for a file of the storage")
    nested_namespaces: bool = Field(default=True, description="Whether namespaces below namespaces are listed")


class SqlCatalogPlugin(IcebergCatalogPlugin):
    """pyiceberg's SQL catalog."""

    name = "sql"
    version = "0.1.0"
    description = "Tables of pyiceberg's SQL catalog, in SQLite or PostgreSQL"
    config_schema: ClassVar[type[BaseModel] | None] = SqlCatalogConfig
    config: SqlCatalogConfig | None

    def clients(self, config: SqlCatalogConfig) -> Clients:
        """Clients with a database connection each."""
        url = _url(config)
        properties = {
            # A server that is gone is noticed before a statement is lost on it.
            "pool_pre_ping": "true",
            "init_catalog_tables": str(config.create_tables).lower(),
            "s3.connect-timeout": str(config.timeout_seconds),
            "s3.request-timeout": str(config.timeout_seconds),
            **{name: value.get_secret_value() for name, value in config.storage.items()},
            "uri": url.render_as_string(hide_password=False),
            **({"warehouse": config.warehouse} if config.warehouse else {}),
        }

        def build() -> SqlCatalog:
            _require_file(url, creates=config.create_tables)
            catalog = SqlCatalog(config.catalog_name, **properties)
            try:
                _require_tables(catalog)
            except (SQLAlchemyError, FloeError):
                catalog.close()
                raise
            return catalog

        return Clients(f"the catalog in {url.render_as_string(hide_password=True)}", build, _FAILURES)

    def is_nested(self, config: SqlCatalogConfig) -> bool:
        """As the configuration says."""
        return config.nested_namespaces


def _url(config: SqlCatalogConfig) -> URL:
    try:
        url = make_url(config.uri.get_secret_value())
    except (ArgumentError, ValueError):
        # The text may hold a password, and SQLAlchemy repeats it.
        raise ConfigurationError(
            "`uri` of the plugin sql is no database address.", remedy="Write it as sqlite:////data/catalog.db."
        ) from None
    return url.set(password=config.password.get_secret_value()) if config.password else url


def _require_file(url: URL, *, creates: bool) -> None:
    """SQLite makes an empty file of a mistyped path; a monitor must not."""
    path = url.database
    is_file = url.get_backend_name() == "sqlite" and path and path != ":memory:" and not path.startswith("file:")
    if is_file and path and not creates and not Path(path).is_file():
        raise ConnectionError(f"There is no file {path}.", remedy="Check `uri` in the configuration.")


def _require_tables(catalog: SqlCatalog) -> None:
    if not inspect(catalog.engine).has_table(_TABLE):
        raise ConnectionError(
            f"The database holds no Iceberg catalog: it has no table {_TABLE}.",
            remedy="Check `uri`, or let `create_tables` make it.",
        )


def _tell(error: Exception, where: str, subject: str) -> FloeError:
    if isinstance(error, SQLAlchemyError):
        # Its text holds statements and parameters.
        kind = type(error).__name__
        return ConnectionLostError(f"{at_start(where)} does not answer ({kind}).", details={"reason": "unreachable"})
    if isinstance(error, FileNotFoundError):
        return ConnectionError(
            f"A metadata file of {subject} in {where} is gone.",
            remedy="Check the warehouse's path and that nobody deletes files beside the catalog.",
            details={"reason": "metadata_missing"},
        )
    return tell(error, where, subject)


_FAILURES = Failures((*KINDS, SQLAlchemyError), _tell)
