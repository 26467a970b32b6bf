"""The gateway's page names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from floe_sidecar import parcels
from floe_sidecar.settings import Settings, Variable

pytestmark = pytest.mark.requirement("HOUSE-5", "CC-2.2")

PAGE = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def test_every_variable_that_the_page_names_exists() -> None:
    named = set(re.findall(r"FLOE_SIDECAR_[A-Z_]+", PAGE))
    assert {Variable.ROLE, Variable.HOST, Variable.GATEWAY_KEY_FILE, Variable.NAMESPACE_MAX_BYTES} <= named
    assert named <= set(Variable)


def test_the_values_that_the_chart_gives_are_ones_that_a_gateway_starts_with() -> None:
    rows = re.findall(r"^\| `(FLOE_SIDECAR_[A-Z_]+)` \| `([^`]+)` \|", section("What the chart renders"), re.MULTILINE)
    environment = dict(rows)
    assert len(environment) >= 10
    settings = Settings.from_environment(environment)
    assert (settings.role, settings.port, settings.health_port) == ("gateway", 5055, 5056)


def test_the_wire_format_is_where_the_page_says() -> None:
    assert f"`POST {parcels.PATH}`" in section("The handover's wire format")
