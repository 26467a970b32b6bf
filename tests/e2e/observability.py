"""What a platform runs for its pipelines: a lineage service, and a Collector that hands spans on to a Jaeger.

The lineage service is a pod behind a Service; it stands in for Marquez, which is in no package registry, and asks for a
Bearer token. The Collector and Jaeger are the real programs, on the node's address behind a Service without selector.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.admission import Namespace, create_namespace
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.collector import chart_defaults, collector
from tests.e2e.cluster.jaeger import Jaeger, jaeger
from tests.e2e.cluster.node import Node
from tests.e2e.workloads import python, wait_until_ready

LINEAGE_PORT = 5000
OTLP_PORT = 4318
_POLL_SECONDS = 0.2

# As Marquez answers: 201 without a body for an event; 401 is the proxy's before it.
_RECEIVE = """\
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
events, bearer = [], "Bearer " + os.environ["API_KEY"]
class Lineage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != bearer:
            return self.answer(401)
        events.append(event)
        self.answer(201 if self.path == "/api/v1/lineage" else 404)
    def do_GET(self):
        self.answer(200, json.dumps(events).encode())
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("", 5000), Lineage).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Platform:
    """What runs, and how pods reach it.

    Attributes:
        lineage_url: The lineage service's, by the name of its Service.
        collector_url: The Collector's OTLP/HTTP receiver, by the name of its Service.
        collector_grpc_url: Its OTLP/gRPC receiver, for what runs on this machine.
        api_key: What the lineage service asks for.
        events: Every lineage event that has arrived.
    """

    lineage_url: str
    collector_url: str
    collector_grpc_url: str
    api_key: str = field(repr=False)
    jaeger: Jaeger
    events: Callable[[], list[dict[str, Any]]]

    def event(self, of: Callable[[dict[str, Any]], bool], what: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
        """The first lineage event that a condition holds for; waits for it.

        Raises:
            TimeoutError: None came in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not (found := [event for event in self.events() if of(event)]):
            if time.monotonic() > deadline:
                names = sorted({event["job"]["name"] for event in self.events()})
                raise TimeoutError(f"no lineage of {what} after {timeout_seconds:g} s; there are events of {names}")
            time.sleep(_POLL_SECONDS)
        return found[0]


@contextmanager
def platform(node: Node, client: KubernetesClient, folder: Path) -> Iterator[Platform]:
    """The whole of it, ready; its namespace is deleted afterwards."""
    home = create_namespace(client, {})
    api_key = secrets.token_urlsafe(24)
    try:
        address = lineage_service(client, home, api_key)
        with jaeger(folder) as spans, collector([chart_defaults(), _to(spans)], folder, {}, host=node.address) as otel:
            _collector_service(client, home, node.address, otel.addresses.http_port)
            with httpx.Client(base_url=f"http://{address}:{LINEAGE_PORT}", trust_env=False, timeout=10.0) as http:
                running = Platform(
                    lineage_url=f"http://marquez.{home.name}.svc:{LINEAGE_PORT}",
                    collector_grpc_url=f"http://{otel.grpc_address}",
                    collector_url=f"http://otel-collector.{home.name}.svc:{OTLP_PORT}",
                    api_key=api_key,
                    jaeger=spans,
                    events=lambda: list(http.get("/").raise_for_status().json()),
                )
                yield running
                (folder / "jaeger.spans").write_text(json.dumps(spans.everything()))
                (folder / "lineage.log").write_text(json.dumps(running.events()))
    finally:
        client.delete(home.manifest)


def _to(spans: Jaeger) -> Manifest:
    exporter = {"endpoint": spans.grpc_address, "tls": {"insecure": True}}
    return {
        "exporters": {"otlp_grpc": exporter},
        "processors": {"batch": {"timeout": "200ms"}},
        "service": {"pipelines": {"traces": {"exporters": ["otlp_grpc"]}}},
    }


def lineage_service(client: KubernetesClient, home: Namespace, api_key: str) -> str:
    """Starts the lineage service; gives its Service's address, which this machine reaches as pods do."""
    labels = {"app": "marquez"}
    secret = {"name": "marquez", "namespace": home.name}
    client.create({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"api_key": api_key}})
    container = python("marquez", _RECEIVE) | {
        "env": [{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "marquez", "key": "api_key"}}}],
        "readinessProbe": {"tcpSocket": {"port": LINEAGE_PORT}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "marquez", "namespace": home.name, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    client.create(pod)
    service = client.create(
        _service(home, "marquez", LINEAGE_PORT) | {"spec": _port(LINEAGE_PORT) | {"selector": labels}}
    )
    wait_until_ready(client, pod)
    address: str = service["spec"]["clusterIP"]
    return address


def _collector_service(client: KubernetesClient, home: Namespace, address: str, port: int) -> None:
    """A Service for the Collector, which runs outside of the cluster."""
    client.create(_service(home, "otel-collector", OTLP_PORT))
    labels = {"kubernetes.io/service-name": "otel-collector"}
    client.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "otel-collector-outside", "namespace": home.name, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        }
    )


def _service(home: Namespace, name: str, port: int) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": home.name},
        "spec": _port(port),
    }


def _port(port: int) -> Manifest:
    return {"ports": [{"port": port, "protocol": "TCP"}]}
