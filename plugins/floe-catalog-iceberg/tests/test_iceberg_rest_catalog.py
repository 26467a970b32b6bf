"""The plugin `rest` against a real catalog: SeaweedFS, with OAuth2 and S3 storage."""

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import (
    DecimalType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from floe_catalog_iceberg.rest import RestCatalogConfig, RestCatalogPlugin, SigV4Config
from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError, ValidationError  # noqa: A004 - ours
from floe_core.plugin_interfaces.catalog import Column
from floe_core.plugin_interfaces.metadata import HealthState
from floe_core.testing.base_classes import BaseCatalogPluginTests

pytestmark = pytest.mark.requirement("FR-011", "FR-014")

KEY, SECRET = "reader", "not-to-be-seen-anywhere"
WEED = Path(sys.executable).parent / "weed"
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("admin.port", "admin.port.grpc", "s3.port", "s3.port.grpc", "s3.port.iceberg"),
)


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class SeaweedFS:
    """One server on its own ports, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port.iceberg']}"

    def start(self) -> None:
        arguments = [
            *("mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-tableBucket=warehouse"),
            *("-webdav=false", "-admin.ui=false", "-s3.port.lance=0", "-master.telemetry=false"),
            *(f"-{name}={port}" for name, port in self.ports.items()),
        ]
        self.process = subprocess.Popen(
            [WEED, *arguments],
            cwd=self.folder,
            env=os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)
        self.process = None
        # The server puts its sockets there whatever it is told, and leaves them.
        for port in self.ports.values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink()

    def _answers(self) -> bool:
        plugin = RestCatalogPlugin(self.config(timeout_seconds=2))
        try:
            plugin.list_namespaces()
            requests.get(f"http://127.0.0.1:{self.ports['s3.port']}", timeout=2).close()
        except (ExecutionError, requests.RequestException):
            return False
        finally:
            plugin.shutdown()
        return True

    def config(self, **changed: Any) -> RestCatalogConfig:
        return RestCatalogConfig.model_validate(
            {"uri": self.uri, "warehouse": "warehouse", "credential": f"{KEY}:{SECRET}", **changed}
        )

    def token(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": KEY, "client_secret": SECRET}
        answer = requests.post(f"{self.uri}/v1/oauth/tokens", data=form, timeout=5)
        return str(answer.json()["access_token"])

    def writer(self) -> RestCatalog:
        """Another engine: pyiceberg as it is, with access to the storage."""
        return RestCatalog(
            "writer",
            **{
                "uri": self.uri,
                "warehouse": "warehouse",
                "credential": f"{KEY}:{SECRET}",
                "oauth2-server-uri": f"{self.uri}/v1/oauth/tokens",
                "s3.endpoint": f"http://127.0.0.1:{self.ports['s3.port']}",
                "s3.access-key-id": KEY,
                "s3.secret-access-key": SECRET,
                "s3.region": "us-east-1",
            },
        )


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def writer(seaweedfs: SeaweedFS) -> Iterator[RestCatalog]:
    writer = seaweedfs.writer()
    yield writer
    writer.close()


@pytest.fixture
def namespace(writer: RestCatalog) -> str:
    """A namespace of the test's own."""
    name = f"sales_{secrets.token_hex(4)}"
    writer.create_namespace(name)
    return name


@pytest.fixture
def rest_plugin(seaweedfs: SeaweedFS) -> Iterator[RestCatalogPlugin]:
    plugin = RestCatalogPlugin(seaweedfs.config())
    yield plugin
    plugin.shutdown()


ORDERS = Schema(
    NestedField(1, "id", IntegerType(), required=True, doc="Number of the order"),
    NestedField(2, "price", DecimalType(10, 2)),
    NestedField(3, "seen_at", TimestamptzType()),
)
ROWS = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False),
        ("price", pa.decimal128(10, 2)),
        ("seen_at", pa.timestamp("us", "UTC")),
    ]
)


def rows(*ids: int) -> pa.Table:
    return pa.Table.from_pylist(
        [{"id": number, "price": None, "seen_at": datetime(2026, 1, 1, tzinfo=UTC)} for number in ids], schema=ROWS
    )


def orders(writer: RestCatalog, namespace: str) -> IcebergTable:
    table: IcebergTable = writer.create_table(f"{namespace}.orders", ORDERS)
    return table


class TestRestCatalogPlugin(BaseCatalogPluginTests):
    """The suite that every catalog plugin inherits."""

    @pytest.fixture
    def plugin(self, rest_plugin: RestCatalogPlugin) -> RestCatalogPlugin:
        return rest_plugin

    @pytest.fixture
    def known_table(self, writer: RestCatalog, namespace: str) -> str:
        orders(writer, namespace).append(rows(1))
        return f"{namespace}.orders"

    @pytest.fixture
    def unreachable_config(self) -> dict[str, Any]:
        return {"uri": f"http://127.0.0.1:{free_ports(1)[0]}"}


def test_a_table_is_described_with_ids_nested_types_partitioning_and_order(
    rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str
) -> None:
    schema = Schema(
        *ORDERS.fields,
        NestedField(
            4,
            "lines",
            ListType(5, StructType(NestedField(6, "sku", StringType(), required=True)), element_required=True),
        ),
        NestedField(7, "tags", MapType(8, StringType(), 9, LongType(), value_required=False)),
        identifier_field_ids=[1],
    )
    created = writer.create_table(
        f"{namespace}.orders",
        schema,
        partition_spec=PartitionSpec(
            PartitionField(3, 1000, DayTransform(), "day"), PartitionField(1, 1001, BucketTransform(16), "bucket")
        ),
        sort_order=SortOrder(
            SortField(1, IdentityTransform(), direction=SortDirection.DESC, null_order=NullOrder.NULLS_LAST)
        ),
        properties={"owner": "sales"},
    )
    table = rest_plugin.connect({}).load_table(f"{namespace}.orders")
    id_, price, seen_at, lines, tags = table.columns
    assert id_ == Column(name="id", type="int", required=True, field_id=1, doc="Number of the order")
    assert price == Column(name="price", type="decimal(10,2)", field_id=2)
    assert (seen_at.type, lines.type, tags.type) == ("timestamptz", "list", "map")
    (element,) = lines.children
    assert (element.name, element.type, element.required) == ("element", "struct", True)
    assert [(sku.name, sku.type, sku.required) for sku in element.children] == [("sku", "string", True)]
    assert [(part.name, part.type, part.required) for part in tags.children] == [
        ("key", "string", True),
        ("value", "long", False),
    ]
    ids = [
        lines.field_id,
        tags.field_id,
        element.field_id,
        *(part.field_id for part in (*element.children, *tags.children)),
    ]
    assert len(set(ids)) == 6
    assert None not in ids
    assert table.partitioned_by == ("day(seen_at)", "bucket[16](id)")
    assert table.sorted_by == ("id DESC NULLS LAST",)
    assert table.primary_key == ("id",)
    assert table.uuid == str(created.metadata.table_uuid)
    assert table.properties["owner"] == "sales"
    assert table.location == created.location()
    assert table.snapshots == ()


def test_snapshots_tell_what_was_added_and_deleted(
    rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str
) -> None:
    table = orders(writer, namespace)
    before = datetime.now(UTC) - timedelta(minutes=1)
    table.append(rows(1, 2, 3))
    table.append(rows())
    table.delete("id = 3")
    table.overwrite(rows(9))
    snapshots = rest_plugin.connect({}).load_table(f"{namespace}.orders").snapshots
    told = [(one.operation, one.added_records, one.deleted_records) for one in snapshots]
    assert told[:2] == [("append", 3, 0), ("append", 0, 0)]
    assert sum(deleted or 0 for _, _, deleted in told) - sum(added or 0 for _, added, _ in told[2:]) == 2
    assert told[-1] == ("append", 1, 0)
    assert {operation for operation, _, _ in told[2:-1]} <= {"overwrite", "delete"}
    assert all(before < one.committed_at < datetime.now(UTC) + timedelta(minutes=1) for one in snapshots)


def test_a_change_of_properties_or_schema_is_no_snapshot(
    rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str
) -> None:
    table = orders(writer, namespace)
    table.append(rows(1))
    catalog = rest_plugin.connect({})
    before = catalog.load_table(f"{namespace}.orders")
    with table.transaction() as transaction:
        transaction.set_properties(owner="somebody else")
    after = catalog.load_table(f"{namespace}.orders")
    assert after.properties["owner"] == "somebody else"
    assert after.snapshots == before.snapshots


def test_a_renamed_column_keeps_its_id_and_a_new_one_gets_another(
    rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str
) -> None:
    table = orders(writer, namespace)
    with table.update_schema() as update:
        update.rename_column("seen_at", "ordered_at")
        update.add_column("note", StringType())
        update.update_column("id", LongType())
        update.update_column("price", DecimalType(12, 2))
    columns = rest_plugin.connect({}).load_table(f"{namespace}.orders").columns
    assert [(column.name, column.type, column.field_id) for column in columns] == [
        ("id", "long", 1),
        ("price", "decimal(12,2)", 2),
        ("ordered_at", "timestamptz", 3),
        ("note", "string", 4),
    ]


def test_tables_and_namespaces_are_made_and_dropped(rest_plugin: RestCatalogPlugin) -> None:
    name = f"made_{secrets.token_hex(4)}"
    rest_plugin.create_namespace(name, {"owner": "sales"})
    columns = (
        Column(name="id", type="long", required=True),
        Column(name="lines", type="list", children=(Column(name="element", type="decimal(8,3)", required=True),)),
        Column(
            name="tags", type="map", children=(Column(name="key", type="string"), Column(name="value", type="uuid"))
        ),
        Column(name="who", type="struct", children=(Column(name="name", type="string", doc="Family name"),)),
    )
    rest_plugin.create_table(f"{name}.t", columns, properties={"owner": "sales"})
    made = rest_plugin.connect({}).load_table(f"{name}.t")
    assert [(column.name, column.type, column.required) for column in made.columns] == [
        ("id", "long", True),
        ("lines", "list", False),
        ("tags", "map", False),
        ("who", "struct", False),
    ]
    assert made.columns[1].children[0].type == "decimal(8,3)"
    assert made.columns[3].children[0].doc == "Family name"
    assert made.properties["owner"] == "sales"
    with pytest.raises(ExecutionError):
        rest_plugin.delete_namespace(name)
    rest_plugin.drop_table(f"{name}.t", purge=True)
    rest_plugin.delete_namespace(name)
    assert name not in rest_plugin.list_namespaces()


def test_a_type_that_is_not_icebergs_is_refused_with_the_columns_name(rest_plugin: RestCatalogPlugin) -> None:
    with pytest.raises(ValidationError, match="column price has the type money"):
        rest_plugin.create_table("sales.t", (Column(name="price", type="money"),))


@pytest.mark.requirement("CC-5.1", "HOUSE-7")
@pytest.mark.parametrize(
    "credential",
    [
        pytest.param({"credential": f"{KEY}:wrong"}, id="a wrong secret"),
        pytest.param({"credential": None, "token": "eyJ.wrong.token"}, id="a wrong token"),
    ],
)
def test_a_wrong_credential_is_told_without_it(rest_plugin: RestCatalogPlugin, credential: dict[str, Any]) -> None:
    with pytest.raises(ConnectionError, match=r"refuses the credential \(HTTP 401\)") as caught:
        rest_plugin.connect(credential).list_namespaces()
    assert caught.value.details == {"reason": "credential_refused"}
    assert "wrong" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_credential_at_all_is_refused(rest_plugin: RestCatalogPlugin) -> None:
    # The server says 401 or 403 of somebody without a name.
    with pytest.raises(ConnectionError, match=r"refuses the credential|does not permit"):
        rest_plugin.connect({"credential": None}).list_namespaces()


def test_an_unknown_warehouse_is_told(rest_plugin: RestCatalogPlugin) -> None:
    with pytest.raises(ConnectionError, match="no such warehouse"):
        rest_plugin.connect({"warehouse": "not-there"}).list_namespaces()


@pytest.mark.requirement("CC-3.2")
def test_a_bearer_token_and_a_signature_are_taken(rest_plugin: RestCatalogPlugin, seaweedfs: SeaweedFS) -> None:
    namespaces = rest_plugin.list_namespaces()
    by_token = rest_plugin.connect({"credential": None, "token": seaweedfs.token()})
    assert by_token.list_namespaces() == namespaces
    by_token.close()
    signature = SigV4Config.model_validate(
        {"region": "us-east-1", "service": "s3tables", "access_key_id": KEY, "secret_access_key": SECRET}
    )
    signed = rest_plugin.connect({"credential": None, "sigv4": signature.model_dump()})
    assert signed.list_namespaces() == namespaces
    signed.close()
    forged = {**signature.model_dump(), "secret_access_key": "wrong"}
    with pytest.raises(ConnectionError, match=r"refuses|permit"):
        rest_plugin.connect({"credential": None, "sigv4": forged}).list_namespaces()


@pytest.mark.requirement("HOUSE-7", "CC-2.3")
def test_a_credential_is_read_from_the_environment_each_time(
    seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = RestCatalogPlugin(seaweedfs.config(credential="${env:LAKE_ID}:${env:LAKE_SECRET}"))
    with pytest.raises(ConfigurationError, match="LAKE_ID is not set"):
        plugin.connect({})
    monkeypatch.setenv("LAKE_ID", KEY)
    monkeypatch.setenv("LAKE_SECRET", "old-and-revoked")
    with pytest.raises(ConnectionError, match="refuses the credential"):
        plugin.connect({})
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    assert plugin.list_namespaces() is not None
    plugin.shutdown()


@pytest.mark.requirement("HOUSE-7", "CC-3.1")
def test_no_log_line_shows_a_secret_or_a_token(
    seaweedfs: SeaweedFS, writer: RestCatalog, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    orders(writer, namespace)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")  # a service's own set-up would keep it quiet
    caplog.clear()
    token = seaweedfs.token()
    plugin = RestCatalogPlugin(seaweedfs.config(credential=None, token=token))
    plugin.connect({}).load_table(f"{namespace}.orders")
    plugin.connect({"token": None, "credential": f"{KEY}:{SECRET}"}).close()
    plugin.shutdown()
    assert caplog.records, "urllib3 logs its calls at DEBUG; nothing at all would prove nothing"
    assert SECRET not in caplog.text
    assert token not in caplog.text
    assert SECRET not in repr(seaweedfs.config())


def test_many_threads_share_one_connection(rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str) -> None:
    orders(writer, namespace)
    catalog = rest_plugin.connect({})
    with ThreadPoolExecutor(8) as threads:
        tables = list(threads.map(lambda _: catalog.load_table(f"{namespace}.orders"), range(80)))
    assert all(table == tables[0] for table in tables)


def test_a_catalog_without_a_role_vends_nothing(
    rest_plugin: RestCatalogPlugin, writer: RestCatalog, namespace: str
) -> None:
    orders(writer, namespace)
    assert rest_plugin.vend_credentials(f"{namespace}.orders", ["read"]) == {}


@pytest.mark.requirement("CC-5.1", "FR-019")
def test_a_connection_outlives_a_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path)
    plugin = RestCatalogPlugin(server.config(timeout_seconds=5))
    try:
        server.start()
        plugin.create_namespace("sales")
        plugin.create_table("sales.orders", (Column(name="id", type="long"),))
        catalog = plugin.connect({})
        before = catalog.load_table("sales.orders")
        server.stop()
        with pytest.raises(ConnectionError, match="refuses connections") as caught:
            catalog.load_table("sales.orders")
        assert caught.value.details == {"reason": "unreachable"}
        assert plugin.health_check(2.0).state is HealthState.UNHEALTHY
        server.start()
        assert catalog.load_table("sales.orders") == before
        assert plugin.health_check(5.0).state is HealthState.HEALTHY
    finally:
        plugin.shutdown()
        server.stop()
