"""The monitor on a real cluster: a breach is seen and told once, whichever replica looks; versions come and go."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.admission import create_namespace
from tests.e2e.cluster import images
from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.node import Node
from tests.e2e.monitor_release import PROMISED, SCRAPE_SECONDS, TABLES, Watching, contract_of, watching
from tests.e2e.workloads import end_of, job, log_of, python, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FR-001", "FR-002", "HOUSE-11")]

SEEN_WITHIN = timedelta(seconds=60)
LEASE_AND_ROUND = timedelta(seconds=20)
FIRST_CHECK = timedelta(seconds=5)
"""After a contract was taken over."""
STALE = 5 * PROMISED
_POLL_SECONDS = 0.2
_VERSIONS = "/opt/floe/lib/python3.11/site-packages/floe_monitor/store/migrations/versions"

# What the next version might bring: code of this one works on it.
_LATER_MIGRATION = """\
from alembic import op

revision = "9999"
down_revision = {head!r}
is_additive = True

def upgrade():
    op.execute("CREATE TABLE of_a_later_version (id integer)")

def downgrade():
    op.execute("DROP TABLE of_a_later_version")
"""


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster, which has the images."""
    for image in ("webhook", "monitor"):
        node.runtime.load(images.archive_of(image))
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture(scope="module")
def monitor(node: Node, client: KubernetesClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """Two replicas that watch."""
    with watching(node, client, tmp_path_factory.mktemp("watching")) as running:
        yield running


@pytest.mark.requirement("FR-007", "FR-009", "FR-033", "CC-1.4")
def test_a_prometheus_sees_a_breach_within_a_minute_and_it_is_told_once(monitor: Watching) -> None:
    contract = contract_of("orders")
    _until_fresh(monitor, contract)
    told_before = len(monitor.alerts())

    happened = time.monotonic()
    monitor.write(orders=STALE)
    stale = f'floe_contract_freshness_seconds{{contract="{contract}"}} > {PROMISED.total_seconds():g}'
    monitor.prometheus.wait_for(stale, SEEN_WITHIN.total_seconds())
    alert = monitor.prometheus.firing(SEEN_WITHIN.total_seconds(), alertname="FloeContractViolated", contract=contract)
    seen_after = time.monotonic() - happened
    monitor.write()
    _until_fresh(monitor, contract)

    assert seen_after < SEEN_WITHIN.total_seconds()
    assert (alert["type"], alert["severity"]) == ("freshness", "warning")
    assert _kinds(_wait_for(lambda: _told(monitor, "orders", told_before, 2))) == ["opened", "resolved"]
    ends = [event for event in monitor.lineage() if _is_check_of(event, "orders") and event["eventType"] == "FAIL"]
    assert ends[0]["run"]["facets"]["contractViolation"]["contractName"] == "default.default/orders"


@pytest.mark.requirement("FR-006")
def test_the_work_of_a_replica_that_is_deleted_goes_on_within_a_lease_and_nothing_is_told_twice(
    monitor: Watching,
) -> None:
    contract = contract_of("returns")
    _until_fresh(monitor, contract)
    told_before = len(monitor.alerts())
    monitor.write(returns=STALE)
    _wait_for(lambda: _told(monitor, "returns", told_before, 1))
    watched_by = f'floe_contract_freshness_seconds{{contract="{contract}"}}'
    (labels, _), *_others = monitor.prometheus.wait_for(watched_by)

    deleted = time.monotonic()
    monitor.client.delete(_pod(monitor, labels["pod"]))
    monitor.prometheus.wait_for(f'floe_contract_freshness_seconds{{contract="{contract}", pod!="{labels["pod"]}"}}')
    away = time.monotonic() - deleted
    monitor.write()
    _until_fresh(monitor, contract)

    assert away < (LEASE_AND_ROUND + FIRST_CHECK).total_seconds() + 2 * SCRAPE_SECONDS
    assert _kinds(_wait_for(lambda: _told(monitor, "returns", told_before, 2))) == ["opened", "resolved"]


@pytest.mark.requirement("HOUSE-10")
def test_a_later_version_migrates_and_this_one_goes_on_after_a_rollback(monitor: Watching, node: Node) -> None:
    head = _schema(monitor, node)
    later = {"9999_later.py": _LATER_MIGRATION.format(head=head)}
    metadata = {"name": "later-version", "namespace": monitor.home.name}
    monitor.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": later})
    began = time.time()

    monitor.helm.upgrade(_with_a_later_version(monitor.values))
    after_the_upgrade = _schema(monitor, node)
    monitor.helm.rollback()
    rolled_back = time.time()
    after_the_rollback = _schema(monitor, node)

    assert (after_the_upgrade, after_the_rollback) == ("9999", "9999")
    warned = [log_of(monitor.client, pod, "monitor") for pod in monitor.replicas()]
    assert all("store.newer_schema" in log for log in warned), warned
    longest = LEASE_AND_ROUND + FIRST_CHECK
    for table in TABLES:
        _wait_for(partial(_starts, monitor, table, rolled_back + 1))
        starts = _starts(monitor, table, began)
        assert max(later - earlier for earlier, later in pairwise(starts)) < longest.total_seconds()


_REVISION = """\
import asyncio, asyncpg
async def ask():
    connection = await asyncpg.connect(user="floe", database="postgres", host="/data")
    print(await connection.fetchval("SELECT version_num FROM alembic_version"))
asyncio.run(ask())
"""
_EMBEDDED = """\
import sys
from pathlib import Path
from floe_core.errors import FloeError
from floe_monitor.store.embedded import default_directory, embedded_server
try:
    with embedded_server(Path(sys.argv[1]) if sys.argv[1:] else default_directory()) as server:
        print("it runs")
except FloeError as error:
    print(error)
"""


@pytest.mark.requirement("HOUSE-10", "CC-3.1")
def test_the_embedded_database_runs_as_the_images_user_and_any_other_is_told_why_not(
    client: KubernetesClient,
) -> None:
    home = create_namespace(client, {"pod-security.kubernetes.io/enforce": "restricted"})
    image = images.image_name("monitor")
    users = {"own": ("/data/own",), "stranger": ("/data/stranger",), "homeless": ()}
    containers = [python(name, _EMBEDDED, *arguments, image=image) for name, arguments in users.items()]
    for container in containers:
        container["securityContext"] |= {
            "runAsUser": 65532 if container["name"] == "own" else 1000650000,
            "readOnlyRootFilesystem": True,
        }
        container["volumeMounts"] = [{"name": name, "mountPath": f"/{name}"} for name in ("data", "tmp")]
    volumes = [{"name": name, "emptyDir": {}} for name in ("data", "tmp")]
    spec = {"containers": containers, "securityContext": {"fsGroup": 65532}, "volumes": volumes}

    pod = run_job(client, job(home, spec))
    said = {name: log_of(client, pod, name) for name in users}
    client.delete(home.manifest)

    assert [end_of(pod, name)["exitCode"] for name in users] == [0, 0, 0], said
    assert said["own"] == "it runs\n"
    assert "The user 1000650000 has no entry in /etc/passwd" in said["stranger"]
    assert "Read-only file system" in said["homeless"]
    assert all("--database-url" in said[name] for name in ("stranger", "homeless"))


def _until_fresh(monitor: Watching, contract: str) -> None:
    fresh = f'floe_contract_freshness_seconds{{contract="{contract}"}} < {PROMISED.total_seconds():g}'
    monitor.prometheus.wait_for(fresh)


def _told(monitor: Watching, table: str, since: int, number: int) -> list[dict[str, Any]]:
    """What people were told of a table's contract since then, if it was that often at least."""
    told = [one for one in monitor.alerts()[since:] if one["contractName"] == f"default.default/{table}"]
    return told if len(told) >= number else []


def _kinds(told: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in told]


def _wait_for(found: Callable[[], list[Any]], timeout_seconds: float = 60.0) -> list[Any]:
    deadline = time.monotonic() + timeout_seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"nothing was found in {timeout_seconds:g} s"
        time.sleep(_POLL_SECONDS)
    return result


def _is_check_of(event: dict[str, Any], table: str) -> bool:
    name: str = event["job"]["name"]
    return name == f"contract_check.default.default/{table}.freshness"


def _starts(monitor: Watching, table: str, since: float) -> list[float]:
    """When checks of a table began, in seconds since the epoch."""
    events = [one for one in monitor.lineage() if _is_check_of(one, table) and one["eventType"] == "START"]
    starts = sorted(datetime.fromisoformat(event["eventTime"]).timestamp() for event in events)
    return [start for start in starts if start > since]


def _pod(monitor: Watching, name: str) -> Manifest:
    return monitor.client.get("Pod", name, monitor.home.name) | {"apiVersion": "v1", "kind": "Pod"}


def _schema(monitor: Watching, node: Node) -> str:
    """The revision that the database has."""
    kubectl = [str(program("kubectl")), f"--kubeconfig={node.cluster.kubeconfig}", f"--namespace={monitor.home.name}"]
    ask = ["/opt/floe/bin/python", "-c", _REVISION]
    return run([*kubectl, "exec", "postgres", "--", *ask]).strip()


def _with_a_later_version(values: dict[str, Any]) -> dict[str, Any]:
    monitor = values["monitor"]
    volume = {"name": "later", "configMap": {"name": "later-version"}}
    mount = {"name": "later", "mountPath": f"{_VERSIONS}/9999_later.py", "subPath": "9999_later.py"}
    more = {"volumes": [*monitor["volumes"], volume], "volumeMounts": [*monitor["volumeMounts"], mount]}
    return values | {"monitor": monitor | more | {"replicas": 1}}  # each more takes seconds to start
