"""The channel `console`."""

import io
from contextlib import redirect_stdout

import pytest

from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, ContractViolationEvent
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.testing.base_classes import BaseAlertChannelPluginTests
from floe_monitor.alerts.console import ConsoleAlertConfig, ConsoleAlertPlugin
from floe_monitor.service.memory import Memory
from monitor.tests.builders import NOW, SECOND, check_run, outcome

pytestmark = pytest.mark.requirement("FR-026", "FR-027")


class TestConsoleAlertPlugin(BaseAlertChannelPluginTests):
    """The suite that every alert channel inherits."""

    @pytest.fixture
    def plugin(self) -> ConsoleAlertPlugin:
        return ConsoleAlertPlugin(ConsoleAlertConfig())

    def test_an_alert_that_cannot_be_delivered_is_false_and_no_exception(
        self, plugin: AlertChannelPlugin, event: ContractViolationEvent
    ) -> None:
        """The output is closed, as that of a pipe whose reader has gone."""
        closed = io.StringIO()
        closed.close()
        with redirect_stdout(closed):
            super().test_an_alert_that_cannot_be_delivered_is_false_and_no_exception(plugin, event)


async def test_it_prints_one_line_per_alert(capsys: pytest.CaptureFixture[str]) -> None:
    memory = Memory()
    opened = check_run(outcome("error"), memory=memory)
    resolved = check_run(outcome(), memory=memory, at=NOW + SECOND)
    channel = ConsoleAlertPlugin()
    for run in (opened, resolved):
        assert await channel.send_alert(run.alerts[0].event)
    assert capsys.readouterr().out.splitlines() == [
        "12:00:00  ▲ ALERT error freshness sales.shop/orders:1.0.0  orders is stale",
        "12:00:01  ✓ RECOVERED error freshness sales.shop/orders:1.0.0  Recovered. It was: orders is stale",
    ]


def test_it_is_found_by_its_name() -> None:
    found = PluginRegistry().plugin_class(PluginKind.ALERT_CHANNEL, "console")
    assert issubclass(found, AlertChannelPlugin)
    assert found is ConsoleAlertPlugin
