"""Each telemetry plugin's Helm values in a real Collector: accepted, and sending what the backend documents.

The values run as they are; only the plugin's own configuration points it at a stand-in instead of the vendor's hosts.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from floe_core.credentials import names_in
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.testing.artifacts import sample_artifacts
from tests.e2e import otlp_client
from tests.e2e.cluster.collector import chart_defaults, collector, validate
from tests.e2e.cluster.otlp_backend import Export, OtlpBackend, Signal, otlp_backend, temporalities
from tests.e2e.cluster.processes import LOOPBACK, free_port

pytestmark = pytest.mark.e2e

SIGNALS: tuple[Signal, ...] = get_args(Signal)
ENVIRONMENT = "production"
GRPC_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True)
class Case:
    """A plugin and what its backend documents of the requests that it takes."""

    id: str
    name: str
    vendor_config: Mapping[str, Any]
    """The manifest's `config:` as a user writes it."""
    stand_in_config: Callable[[OtlpBackend], Mapping[str, Any]]
    """The same, pointed at the stand-in."""
    paths: Mapping[Signal, str]
    headers: Callable[[Mapping[str, str]], dict[str, str]] = lambda _: {}
    """What every request carries, given the credentials by name."""
    temporality: str = "cumulative"

    def values(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The Helm values of the plugin that the registry makes from a manifest."""
        choice = PluginChoice(type=self.name, config=dict(config))
        plugin = PluginRegistry().create(PluginKind.TELEMETRY_BACKEND, choice)
        return plugin.get_helm_values(sample_artifacts(), ENVIRONMENT)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


CASES = [
    Case(
        id="Jaeger",
        name="jaeger",
        vendor_config={},
        stand_in_config=lambda backend: {"endpoint": backend.grpc_address},
        paths={"traces": GRPC_TRACES},
    ),
    Case(
        id="Datadog",
        name="datadog",
        vendor_config={"site": "datadoghq.eu"},
        stand_in_config=lambda backend: {"endpoint": backend.http_url},
        # docs.datadoghq.com, OTLP intake: metrics as deltas only; traces are a preview that an organisation asks for.
        paths={"metrics": "/v1/metrics", "logs": "/v1/logs"},
        headers=lambda credentials: {"dd-api-key": credentials["DD_API_KEY"]},
        temporality="delta",
    ),
    Case(
        id="Datadog with traces",
        name="datadog",
        vendor_config={"traces": True},
        stand_in_config=lambda backend: {"endpoint": backend.http_url, "traces": True},
        paths={"traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs"},
        headers=lambda credentials: {"dd-api-key": credentials["DD_API_KEY"]},
        temporality="delta",
    ),
    Case(
        id="Grafana Cloud",
        name="grafana-cloud",
        vendor_config={"zone": "prod-eu-west-2"},
        stand_in_config=lambda backend: {"endpoint": f"{backend.http_url}/otlp"},
        # grafana.com/docs, OTLP endpoint: one gateway under /otlp, Basic authentication.
        paths={"traces": "/otlp/v1/traces", "metrics": "/otlp/v1/metrics", "logs": "/otlp/v1/logs"},
        headers=lambda credentials: {
            "authorization": _basic(credentials["GRAFANA_CLOUD_INSTANCE_ID"], credentials["GRAFANA_CLOUD_API_KEY"])
        },
    ),
]


def _durable_queue(folder: Path) -> dict[str, Any]:
    return {"collector": {"durable_queue": {"directory": str(folder / "queue")}}}


Queue = Callable[[Path], dict[str, Any]]
each_queue = pytest.mark.parametrize(
    "queue", [pytest.param(lambda _: {}, id="queue in memory"), pytest.param(_durable_queue, id="queue on a volume")]
)
each_plugin = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@pytest.mark.requirement("REQ-055")
def test_every_installed_telemetry_plugin_is_judged_here() -> None:
    installed = {entry.name for entry in PluginRegistry().entries(PluginKind.TELEMETRY_BACKEND)}

    assert {case.name for case in CASES} == installed


@each_plugin
@each_queue
@pytest.mark.requirement("REQ-052", "REQ-053")
def test_the_collector_accepts_the_helm_values(case: Case, queue: Queue, tmp_path: Path) -> None:
    values = case.values({**case.vendor_config, **queue(tmp_path)})

    validate([chart_defaults(), values["config"]], tmp_path, _credentials(values))


@each_plugin
@each_queue
@pytest.mark.requirement("REQ-052", "REQ-053", "REQ-055", "HOUSE-4", "HOUSE-7")
async def test_the_collector_sends_what_the_backend_documents(case: Case, queue: Queue, tmp_path: Path) -> None:
    async with otlp_backend() as backend:
        values = case.values({**case.stand_in_config(backend), **queue(tmp_path)})
        credentials = _credentials(values)
        with collector([chart_defaults(), values["config"]], tmp_path, credentials) as running_collector:
            await asyncio.to_thread(otlp_client.send_all_signals, running_collector.http_url)
            exports = await backend.received(*case.paths)

    assert {export.signal: export.path for export in backend.exports} == case.paths
    assert {export.compression for export in backend.exports} == {"gzip"}
    for export in backend.exports:
        assert case.headers(credentials).items() <= export.headers.items()
    assert backend.refused == []
    assert _what_was_sent(exports) == {signal: _SENT[signal] for signal in case.paths}
    assert _all_temporalities(backend) == ({case.temporality} if "metrics" in case.paths else set())


@each_plugin
@pytest.mark.requirement("REQ-053", "REQ-055")
async def test_a_queue_on_a_volume_keeps_what_a_dead_backend_did_not_take_through_a_kill(
    case: Case, tmp_path: Path
) -> None:
    grpc_port, http_port = free_port(), free_port()
    absent = OtlpBackend(http_url=f"http://{LOOPBACK}:{http_port}", grpc_address=f"{LOOPBACK}:{grpc_port}")
    config = case.values({**case.stand_in_config(absent), **_durable_queue(tmp_path)})
    configs, credentials = [chart_defaults(), config["config"]], _credentials(config)

    with collector(configs, tmp_path, credentials) as first:
        await asyncio.to_thread(otlp_client.send_all_signals, first.http_url)
        first.process.popen.kill()
        first.process.popen.wait()
    async with otlp_backend(grpc_port=grpc_port, http_port=http_port) as backend:
        with collector(configs, tmp_path, credentials):
            exports = await backend.received(*case.paths)

    assert _what_was_sent(exports) == {signal: _SENT[signal] for signal in case.paths}


@each_plugin
@pytest.mark.requirement("REQ-052")
async def test_the_stand_in_is_reached_by_nothing_but_another_address(case: Case) -> None:
    async with otlp_backend() as backend:
        config_to_stand_in = case.values(case.stand_in_config(backend))["config"]

    assert _without_addresses(config_to_stand_in) == _without_addresses(case.values(case.vendor_config)["config"])


def _without_addresses(config: object) -> object:
    if isinstance(config, Mapping):
        return {key: _without_addresses(value) for key, value in config.items() if not key.endswith("endpoint")}
    return config


_SENT: Mapping[Signal, str] = {
    "traces": otlp_client.SPAN_NAME,
    "metrics": otlp_client.METRIC_NAME,
    "logs": otlp_client.LOG_BODY,
}


def _what_was_sent(exports: Mapping[Signal, Export]) -> dict[Signal, str]:
    """What of the client's own names stands in the requests."""
    return {signal: _SENT[signal] for signal, export in exports.items() if _SENT[signal] in str(export.request)}


def _all_temporalities(backend: OtlpBackend) -> set[str]:
    return set[str]().union(*(temporalities(export) for export in backend.exports if export.signal == "metrics"))


def _credentials(values: Mapping[str, Any]) -> dict[str, str]:
    """A value for each credential that Helm values refer to."""
    return {name: f"value-of-{name.lower()}" for name in names_in(values)}
