"""The floe command with the plugins of this project: check a manifest, list, check, and print Helm values."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pydantic
import pytest
import structlog
from ruamel.yaml import YAML

from floe_core.cli.main import run
from floe_core.plugin_interfaces import PluginKind, PluginRegistry
from floe_core.testing.collector import collector_problems
from floe_core.testing.job_environment import job_values_problems
from floe_core.testing.loopback import closed_port

pytestmark = pytest.mark.requirement("CC-4.4", "HOUSE-8")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "manifest.yaml"
MINIMAL = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its whole process; here that process is pytest's."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def listening_port() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def manifest(folder: Path, body: str) -> str:
    file = folder / "manifest.yaml"
    file.write_text(MINIMAL + body)
    return str(file)


def test_the_example_manifest_is_right(capsys: Captured) -> None:
    assert run(["manifest", "check", str(EXAMPLE)]) == 0
    assert capsys.readouterr() == (f"{EXAMPLE}: the manifest of acme-data is right.\n", "")


@pytest.mark.requirement("HOUSE-7")
def test_a_credential_without_a_secret_is_a_problem_at_the_plugin(tmp_path: Path, capsys: Captured) -> None:
    file = manifest(tmp_path, "plugins:\n  telemetry_backend: {type: datadog}\n")
    assert run(["manifest", "check", file]) == 1
    told = capsys.readouterr().err
    assert "manifest.yaml:5:23 (plugins.telemetry_backend.type)" in told
    assert "needs the credential DD_API_KEY, which has no Secret" in told
    file = manifest(
        tmp_path,
        "plugins:\n  telemetry_backend: {type: datadog}\ncredentials: {DD_API_KEY: {secret: datadog, key: api-key}}\n",
    )
    assert run(["manifest", "check", file]) == 0


@pytest.mark.requirement("HOUSE-7")
def test_a_plugins_own_secret_answers_for_its_credentials(tmp_path: Path, capsys: Captured) -> None:
    file = manifest(tmp_path, "plugins:\n  telemetry_backend: {type: datadog, connection_secret_ref: team}\n")
    assert run(["manifest", "check", file]) == 0
    assert run(["helm-values", "telemetry", "--manifest", file]) == 0
    assert "name: team" in capsys.readouterr().out


@pytest.mark.requirement("CC-5.1")
def test_a_plugin_that_needs_configuration_says_how_to_give_it(capsys: Captured) -> None:
    assert run(["plugins", "check", "marquez"]) == 1
    told = capsys.readouterr().err
    assert "The plugin marquez needs configuration" in told
    assert "Give --manifest FILE" in told


@pytest.mark.requirement("HOUSE-7", "CC-3.1")
@pytest.mark.parametrize(
    ("kind", "name", "config"),
    [
        pytest.param("lineage_backend", "atlan", {"url": "https://a.example", "api_token": "raw-t0ken"}, id="atlan"),
        pytest.param(
            "lineage_backend", "openmetadata", {"url": "https://a.example", "jwt_token": "raw-t0ken"}, id="om"
        ),
        pytest.param("lineage_backend", "marquez", {"url": "http://u:raw-t0ken@host"}, id="marquez"),
        pytest.param("telemetry_backend", "datadog", {"api_key": "raw-t0ken"}, id="datadog"),
        pytest.param("telemetry_backend", "grafana-cloud", {"token": "raw-t0ken"}, id="grafana"),
        pytest.param("telemetry_backend", "jaeger", {"endpoint": "u:raw-t0ken@host"}, id="jaeger"),
    ],
)
def test_a_plugin_that_is_built_directly_does_not_repeat_what_it_refuses(
    kind: str, name: str, config: dict[str, str]
) -> None:
    plugin_class = PluginRegistry().plugin_class(PluginKind(kind), name)
    with pytest.raises(pydantic.ValidationError) as caught:
        plugin_class.from_mapping(config)
    assert "raw-t0ken" not in str(caught.value) + repr(caught.value)


def test_every_plugins_mistakes_are_told_with_their_lines(tmp_path: Path, capsys: Captured) -> None:
    body = (
        "plugins:\n"
        "  telemetry_backend: {type: jaeger, config: {endpiont: 'jaeger:4317'}}\n"
        "  lineage_backend: {type: marquez, version: 9.9.9, config: {url: 'http://marquez:5000'}}\n"
        "  alert_channels:\n"
        "    - {name: ops, type: webhook, config: {}}\n"
    )
    assert run(["manifest", "check", manifest(tmp_path, body)]) == 1
    told = capsys.readouterr().err
    assert "manifest.yaml:5:46 (plugins.telemetry_backend.config.endpiont)" in told
    assert "Did you mean `endpoint`?" in told
    assert "manifest.yaml:6:36 (plugins.lineage_backend.version)" in told
    assert "pins marquez to 9.9.9" in told
    assert "manifest.yaml:8:34 (plugins.alert_channels[0].config.url)" in told


def test_all_plugins_of_this_project_are_listed_and_work(capsys: Captured) -> None:
    assert run(["plugins", "list", "--format", "json"]) == 0
    listed = {(row["kind"], row["name"]): row["state"] for row in json.loads(capsys.readouterr().out)}
    for name in ("jaeger", "datadog", "grafana-cloud"):
        assert listed["telemetry_backend", name] == "ok"
    assert run(["plugins", "list"]) == 0
    assert "lineage_backend    marquez" in capsys.readouterr().out


@pytest.mark.requirement("REQ-054")
def test_checking_a_plugin_tells_whether_its_backend_answers(
    tmp_path: Path, listening_port: int, capsys: Captured
) -> None:
    body = "plugins:\n  telemetry_backend: {{type: jaeger, config: {{endpoint: '127.0.0.1:{}'}}}}\n"
    up = manifest(tmp_path, body.format(listening_port))
    assert run(["plugins", "check", "jaeger", "--manifest", up]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Its backend answers and accepts the credentials."
    down = manifest(tmp_path, body.format(closed_port()))
    assert run(["plugins", "check", "jaeger", "--manifest", down]) == 2
    told = capsys.readouterr().err
    assert "does not reach its backend: 127.0.0.1:" in told
    assert "refuses connections" in told
    assert "backend_not_reachable" not in told, "the error says it; a log line beside it would say it twice"


def test_checking_a_plugin_that_the_manifest_does_not_choose_is_told(tmp_path: Path, capsys: Captured) -> None:
    assert run(["plugins", "check", "marquez", "--manifest", manifest(tmp_path, "")]) == 1
    assert "does not choose the lineage_backend plugin 'marquez'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["catalog", "compute"])
def test_a_name_of_two_kinds_is_checked_by_kind(kind: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(warehouse)).close()
    file = manifest(tmp_path, f"plugins:\n  {kind}: {{type: duckdb, config: {{path: '{warehouse}'}}}}\n")
    assert run(["plugins", "check", "duckdb", "--kind", kind, "--manifest", file]) == 0
    warehouse.unlink()
    assert run(["plugins", "check", "duckdb", "--kind", kind, "--manifest", file]) == 2


@pytest.mark.requirement("REQ-053")
def test_helm_values_of_the_telemetry_backend_are_accepted_by_the_chart(capsys: Captured) -> None:
    assert run(["helm-values", "telemetry", "--manifest", str(EXAMPLE)]) == 0
    values = YAML(typ="safe").load(capsys.readouterr().out)
    assert values["config"]["exporters"]["otlp_grpc/jaeger"]["endpoint"] == "jaeger.observability.svc:4317"
    assert collector_problems(values) == []


@pytest.mark.requirement("REQ-059")
def test_helm_values_of_the_lineage_backend_fit_a_jobs_chart(capsys: Captured) -> None:
    assert run(["helm-values", "lineage", "--manifest", str(EXAMPLE), "--environment", "staging"]) == 0
    values = YAML(typ="safe").load(capsys.readouterr().out)
    assert {"name": "OPENLINEAGE_URL", "value": "http://marquez.lineage.svc:5000"} in values["env"]
    assert job_values_problems(values) == []
