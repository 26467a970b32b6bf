"""The chart's files as they lie there: what is generated is fresh; values, templates and metrics use the same names."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from floe_monitor.cli import monitor
from floe_monitor.service.metrics import METRICS
from floe_sidecar.settings import DEFAULT_HEALTH_PORT, DEFAULT_PORT, Variable
from floe_webhook.__main__ import main as webhook_program
from floe_webhook.following import Follow
from floe_webhook.lookups import Lookup
from floe_webhook.metrics import Metrics
from sidecar.tests.builders import get
from sidecar.tests.gateways import gateway
from tools.chart import CHART, defaults, readme, values_schema

pytestmark = pytest.mark.requirement("HOUSE-8")

TEMPLATES = sorted((CHART / "templates").rglob("*.*"))
ALL_TEMPLATES = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)


def test_the_schema_is_the_one_of_its_source_and_of_the_manifests_models() -> None:
    assert (CHART / "values.schema.json").read_text(encoding="utf-8") == values_schema(), "run `make docs`"


def test_the_readme_is_the_one_of_the_values_and_their_schema() -> None:
    assert (CHART / "README.md").read_text(encoding="utf-8") == readme(), "run `make docs`"


def test_every_value_is_used_by_a_template() -> None:
    words = set(re.findall(r"[A-Za-z]+", ALL_TEMPLATES))

    assert {name for name in _names(defaults()) if name not in words} == set()


def _names(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield name
        # Below these everything is copied as it is.
        if isinstance(value, dict) and name not in {"manifest", "resources", "labels"}:
            yield from _names(value)


@pytest.mark.parametrize(
    "path", [path for path in TEMPLATES if path.suffix == ".yaml"], ids=lambda path: str(path.relative_to(CHART))
)
def test_every_rendered_object_has_the_common_labels(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    objects = len(re.findall(r"^kind: ", text, re.MULTILINE))
    labelled = len(re.findall(r'^  labels:\n    {{- (include "floe.labels"|\$labels)', text, re.MULTILINE))

    assert objects == labelled > 0


@pytest.mark.requirement("FP-10")
def test_no_template_names_a_ca_bundle() -> None:
    without_comments = re.sub(r"#.*|{{- /\*.*?\*/ -?}}", "", ALL_TEMPLATES, flags=re.DOTALL)

    assert "caBundle:" not in without_comments


@pytest.mark.requirement("HOUSE-11")
def test_every_flag_that_the_chart_gives_is_one_of_the_webhook() -> None:
    given = _flags("templates/webhook/deployment.yaml")
    known = {option for parameter in webhook_program.params for option in parameter.opts}

    assert given <= known
    assert {str(one) for one in Lookup} == set(re.findall(r'"\w+" "([a-z-]+)"', _definition("floe.webhook.lookups")))
    assert {str(one) for one in Follow} == set(re.findall(r"--follow=([a-z-]+)", ALL_TEMPLATES))


@pytest.mark.requirement("FR-001")
def test_every_flag_that_the_chart_gives_is_one_of_the_monitor() -> None:
    known = {option for parameter in monitor.commands["run"].params for option in parameter.opts}

    assert _flags("templates/monitor/monitor.yaml") <= known


@pytest.mark.requirement("HOUSE-4")
def test_every_variable_that_the_chart_gives_is_one_of_the_gateway() -> None:
    template = (CHART / "templates/gateway/gateway.yaml").read_text(encoding="utf-8")
    given = set(re.findall(r'^ +"([A-Z_]+)" ', template, re.MULTILINE))

    assert {f"FLOE_SIDECAR_{name}" for name in given} <= {str(variable) for variable in Variable}
    assert "ROLE" in given


@pytest.mark.requirement("FR-023")
def test_every_variable_that_the_chart_gives_the_monitors_sidecar_is_one_of_a_sidecar() -> None:
    template = (CHART / "templates/monitor/_sidecar.tpl").read_text(encoding="utf-8")
    given = set(re.findall(r'^ +"([A-Z_]+)" ', template, re.MULTILINE))

    assert {f"FLOE_SIDECAR_{name}" for name in given} <= {str(variable) for variable in Variable}
    assert "LINEAGE_URL" in given
    assert f"--lineage-url=http://127.0.0.1:{DEFAULT_PORT}" in ALL_TEMPLATES
    assert f"containerPort: {DEFAULT_HEALTH_PORT}" in template


def _flags(template: str) -> set[str]:
    return set(re.findall(r"^ +- (--[a-z-]+)=", (CHART / template).read_text(encoding="utf-8"), re.MULTILINE))


def _definition(name: str) -> str:
    return ALL_TEMPLATES.split(f'define "{name}"')[1].split("\n{{- end }}\n", 1)[0]


@pytest.mark.requirement("CC-1.4")
@pytest.mark.parametrize("file", ["templates/metrics/alerts.yaml", "dashboards/floe-injector.json"])
def test_alerts_and_panels_ask_for_metrics_that_the_webhook_has(file: str) -> None:
    asked = set(re.findall(r"floe_webhook_\w+", (CHART / file).read_text(encoding="utf-8")))
    told = set(re.findall(r"^# HELP (\w+)", Metrics().text().decode(), re.MULTILINE))

    assert {name.removesuffix("_bucket") for name in asked} <= told


@pytest.mark.requirement("CC-1.4", "FR-033")
def test_alerts_ask_for_metrics_that_the_monitor_has() -> None:
    text = (CHART / "templates/monitor/alerts.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"floe_(?:contract|monitor|alert)_\w+", text))

    assert {name.removesuffix("_bucket") for name in asked} <= set(METRICS)


@pytest.mark.requirement("CC-1.4", "HOUSE-4")
async def test_alerts_and_panels_ask_for_metrics_that_the_gateway_has(tmp_path: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*TEMPLATES, *(CHART / "dashboards").iterdir())]
    asked = {name for text in texts for name in re.findall(r"floe_sidecar_\w+(?![\w.])", text)}
    async with gateway(tmp_path) as running:
        told = (await get(running.health.port, "/metrics")).body.decode()

    assert asked & set(re.findall(r"^# HELP (\w+)", told, re.MULTILINE)) == asked != set()


def test_the_chart_and_the_images_have_one_version() -> None:
    chart = YAML(typ="safe", pure=True).load(CHART / "Chart.yaml")

    assert chart["version"] == chart["appVersion"]
    assert f"floe-sidecar:{chart['appVersion']}" in values_schema()
