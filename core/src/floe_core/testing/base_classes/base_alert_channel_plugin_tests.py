"""What every alert channel plugin must satisfy (FR-026, FR-027)."""

import asyncio
from datetime import UTC, datetime

import pytest

from floe_core.plugin_interfaces import (
    AlertChannelPlugin,
    ContractViolationEvent,
    ViolationSeverity,
    ViolationType,
)
from floe_core.testing.base_classes.base_plugin_tests import CONNECTION_SECONDS, BasePluginTests


class BaseAlertChannelPluginTests(BasePluginTests):
    """Sending and validation of an alert channel."""

    @pytest.fixture
    def plugin(self) -> AlertChannelPlugin:
        """The plugin under test, pointed at a receiver that does not run. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture
    def event(self) -> ContractViolationEvent:
        """What happened. May be overridden."""
        return ContractViolationEvent(
            id="sales.orders-freshness-1",
            contract_name="sales.orders",
            contract_version="1.0.0",
            violation_type=ViolationType.FRESHNESS,
            severity=ViolationSeverity.ERROR,
            message="The data is 7 h old, 6 h are promised.",
            element="updated_at",
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        )

    @pytest.mark.requirement("FR-026")
    def test_an_alert_that_cannot_be_delivered_is_false_and_no_exception(
        self, plugin: AlertChannelPlugin, event: ContractViolationEvent
    ) -> None:
        delivered = asyncio.run(asyncio.wait_for(plugin.send_alert(event), CONNECTION_SECONDS))
        assert delivered is False, f"it is {delivered!r}, not False"

    @pytest.mark.requirement("FR-026")
    def test_a_good_configuration_has_nothing_wrong(self, plugin: AlertChannelPlugin) -> None:
        assert plugin.validate_config() == []
