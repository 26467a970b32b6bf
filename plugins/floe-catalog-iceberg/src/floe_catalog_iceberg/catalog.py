"""What the plugins `rest` and `sql` share: an Iceberg catalog as floe's `Catalog`, whoever answers behind pyiceberg."""

import os
import queue
import threading
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic import ValidationError as ModelError
from pyiceberg.catalog import Catalog as IcebergClient
from pyiceberg.exceptions import BadRequestError, NoSuchNamespaceError

from floe_catalog_iceberg.clients import Clients
from floe_catalog_iceberg.failures import NAMESPACES
from floe_catalog_iceberg.tables import schema_of, table_of
from floe_core.credentials import resolve_all
from floe_core.errors import ConfigurationError, FloeError
from floe_core.plugin_interfaces.catalog import CatalogPlugin, Column, Table
from floe_core.plugin_interfaces.metadata import HealthState, HealthStatus

_LONGEST_TIMEOUT_SECONDS = 300.0  # of both configurations


class IcebergCatalog:
    """A connected catalog; any thread may call.

    Args:
        clients: Who answers.
        nested: Whether namespaces below namespaces are looked for.
        is_shared: Whether the clients outlive this connection.
    """

    def __init__(self, clients: Clients, *, nested: bool, is_shared: bool) -> None:
        self._clients = clients
        self._nested = nested
        self._is_shared = is_shared

    def list_namespaces(self, parent: str | None = None) -> list[str]:
        """All namespaces, those below others too (one call for each), as `outer.inner`; sorted."""
        start = tuple(parent.split(".")) if parent else ()
        found = self._clients.call(
            f"namespace {parent}" if parent else NAMESPACES, lambda client: self._below(client, start)
        )
        return sorted(".".join(namespace) for namespace in found)

    def list_tables(self, namespace: str) -> list[str]:
        """`namespace.table` of all tables in a namespace; sorted."""
        found = self._clients.call(f"namespace {namespace}", lambda client: client.list_tables(namespace))
        return sorted(".".join(identifier) for identifier in found)

    def load_table(self, identifier: str) -> Table:
        """The table by its current metadata; no data file is read. See `Catalog.load_table`."""
        return self._clients.call(
            f"table {identifier}", lambda client: table_of(identifier, client.load_table(identifier).metadata)
        )

    def close(self) -> None:
        """Lets go of the connection, unless the plugin keeps it for the next `connect`."""
        if not self._is_shared:
            self._clients.close()

    def _below(self, client: IcebergClient, start: tuple[str, ...]) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        waiting = [start]
        while waiting:
            parent = waiting.pop()
            try:
                listed = client.list_namespaces(parent)
            except (BadRequestError, NoSuchNamespaceError, NotImplementedError):
                # A catalog whose namespaces are flat may refuse to look below one.
                if parent == start:
                    raise
                continue
            # A flat catalog may also ignore the parent and list everything again.
            inner = {tuple(name) for name in listed if len(name) > len(parent) and tuple(name[: len(parent)]) == parent}
            waiting.extend(inner - found if self._nested else ())
            found |= inner
        return found


class IcebergCatalogPlugin(CatalogPlugin):
    """Connecting, and the calls that change something. Connections with the same settings are shared and kept."""

    def __init__(self, config: BaseModel | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._shared: tuple[BaseModel, Clients] | None = None

    @abstractmethod
    def clients(self, config: Any) -> Clients:
        """Clients for a configuration whose credentials are resolved; nothing is connected yet."""

    @abstractmethod
    def is_nested(self, config: Any) -> bool:
        """Whether namespaces below namespaces are looked for."""

    def connect(self, config: Mapping[str, Any]) -> IcebergCatalog:
        """Connects, or takes up a connection that has worked: then the next call tells what has changed since.

        The environment is read again each time, so that a credential that is set anew is used.
        """
        chosen = self._resolved(config)
        is_shared = not config
        clients = self._shared_clients(chosen) if is_shared else self.clients(chosen)
        clients.ready()
        return IcebergCatalog(clients, nested=self.is_nested(chosen), is_shared=is_shared)

    def create_namespace(self, namespace: str, properties: Mapping[str, str] | None = None) -> None:
        """Creates a namespace."""
        self._change(
            f"namespace {namespace}", lambda client: client.create_namespace(namespace, dict(properties or {}))
        )

    def list_namespaces(self, parent: str | None = None) -> list[str]:
        """Namespaces, those below others too; see `IcebergCatalog.list_namespaces`."""
        return self.connect({}).list_namespaces(parent)

    def delete_namespace(self, namespace: str) -> None:
        """Deletes an empty namespace."""
        self._change(f"namespace {namespace}", lambda client: client.drop_namespace(namespace))

    def create_table(
        self,
        identifier: str,
        columns: tuple[Column, ...],
        location: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Creates a table; types as Iceberg writes them, parts of nested types in `children`."""
        schema = schema_of(columns)
        self._change(
            f"table {identifier}",
            lambda client: client.create_table(identifier, schema, location, properties=dict(properties or {})),
        )

    def list_tables(self, namespace: str) -> list[str]:
        """`namespace.table` of all tables in a namespace."""
        return self.connect({}).list_tables(namespace)

    def drop_table(self, identifier: str, *, purge: bool = False) -> None:
        """Drops a table; the catalog deletes its files if `purge`."""
        self._change(
            f"table {identifier}",
            lambda client: client.purge_table(identifier) if purge else client.drop_table(identifier),
        )

    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:  # noqa: ARG002 - see below
        """Empty: this kind of catalog vends none."""
        return {}

    def health_check(self, timeout_seconds: float = 5.0) -> HealthStatus:
        """Whether the catalog answers and takes the credential, asked anew."""
        answers: queue.SimpleQueue[HealthStatus] = queue.SimpleQueue()

        def ask() -> None:
            try:
                # Not the shared connection: a working one says nothing of the credential.
                self.connect({"timeout_seconds": min(timeout_seconds, _LONGEST_TIMEOUT_SECONDS)}).close()
            except FloeError as error:
                answers.put(HealthStatus(state=HealthState.UNHEALTHY, message=error.what))
            else:
                answers.put(HealthStatus(state=HealthState.HEALTHY))

        # The bound covers DNS and dripping answers, too; a thread whose time is up is left behind.
        threading.Thread(target=ask, name=f"{self.name}-health", daemon=True).start()
        try:
            return answers.get(timeout=timeout_seconds)
        except queue.Empty:
            return HealthStatus(
                state=HealthState.UNHEALTHY, message=f"The catalog did not answer within {timeout_seconds:g} s."
            )

    def shutdown(self) -> None:
        """Closes the connections that are kept."""
        with self._lock:
            shared, self._shared = self._shared, None
        if shared:
            shared[1].close()

    def _change(self, subject: str, action: Any) -> None:
        clients = self._shared_clients(self._resolved({}))
        clients.call(subject, action, repeatable=False)

    def _resolved(self, overrides: Mapping[str, Any]) -> BaseModel:
        schema = type(self).config_schema
        assert schema is not None  # noqa: S101 - both plugins have one
        own = _revealed(self.config.model_dump(exclude_unset=True)) if self.config else {}
        merged = resolve_all({**own, **_revealed(overrides)}, os.environ)
        try:
            return schema.model_validate(merged)
        except ModelError as error:
            # pydantic's text repeats the values.
            wrong = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
            raise ConfigurationError(
                f"The configuration of the plugin {self.name} is wrong: {wrong}", where="plugins.catalog.config"
            ) from None

    def _shared_clients(self, config: BaseModel) -> Clients:
        with self._lock:
            if self._shared is None or self._shared[0] != config:
                outdated = self._shared
                self._shared = (config, self.clients(config))
                if outdated:
                    outdated[1].close()
            return self._shared[1]


def _revealed(value: Any) -> Any:
    """The same nested document with secrets as text, so that references in them can be resolved."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(entry) for key, entry in value.items()}
    return value
