"""The page of the monitor says what the program does."""

from pathlib import Path

import pytest

from floe_monitor.checks.model import CheckStatus
from floe_monitor.service.metrics import METRICS
from floe_monitor.store.tables import Table

pytestmark = pytest.mark.requirement("FR-033", "FR-002", "HOUSE-12")
PAGE = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_stands_in_the_page_with_its_kind(name: str) -> None:
    assert f"| `{name}` | {METRICS[name][0]} |" in PAGE


@pytest.mark.parametrize("name", sorted(Table.metadata.tables))
def test_every_table_stands_in_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("status", CheckStatus)
def test_every_state_is_explained(status: CheckStatus) -> None:
    assert f"| {status.value} | {status.sentence} |" in PAGE
