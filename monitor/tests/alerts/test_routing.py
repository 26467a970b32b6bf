"""Who hears of what."""

import pytest

from floe_core.manifest.models import AlertRoutingRule
from floe_monitor.alerts.episodes import Episode, Step, advance
from floe_monitor.alerts.routing import deliveries
from monitor.tests.builders import MINUTE, NOW, outcome

pytestmark = pytest.mark.requirement("FR-028")
SLACK = AlertRoutingRule(channel_name="slack", min_severity="warning")
PAGER = AlertRoutingRule(channel_name="pager", min_severity="error")
CHANNELS = ("slack", "pager")


def opened(severity: str) -> Step:
    step = advance(None, outcome(severity), NOW)
    assert step is not None
    return step


def next_step(episode: Episode, severity: str | None) -> Step:
    step = advance(episode, outcome(severity), NOW + MINUTE)
    assert step is not None
    return step


def told(step: Step, *rules: AlertRoutingRule, contract: str = "sales.shop/orders") -> dict[str, str]:
    return {delivery.channel: delivery.kind.value for delivery in deliveries(step, contract, CHANNELS, rules)}


def test_a_warning_reaches_the_channel_that_wants_warnings_only() -> None:
    assert told(opened("warning"), SLACK, PAGER) == {"slack": "opened"}


def test_an_error_reaches_both() -> None:
    assert told(opened("error"), SLACK, PAGER) == {"slack": "opened", "pager": "opened"}


def test_a_channel_that_an_escalation_reaches_first_is_told_of_an_opening() -> None:
    step = next_step(opened("warning").episode, "error")
    assert told(step, SLACK, PAGER) == {"slack": "escalated", "pager": "opened"}


def test_a_channel_that_never_heard_of_it_is_not_told_that_it_is_over() -> None:
    step = next_step(opened("warning").episode, None)
    assert told(step, SLACK, PAGER) == {"slack": "resolved"}


def test_without_a_rule_a_channel_hears_of_everything_from_warning() -> None:
    assert told(opened("info")) == {}
    assert told(opened("warning")) == {"slack": "opened", "pager": "opened"}


def test_a_rule_may_be_for_some_contracts_only() -> None:
    finance = AlertRoutingRule(channel_name="pager", min_severity="info", contract_filter="finance.*")
    assert told(opened("error"), SLACK, finance) == {"slack": "opened"}
    assert told(opened("info"), SLACK, finance, contract="finance.book/ledger") == {"pager": "opened"}


def test_rules_of_one_channel_add_up() -> None:
    wide = AlertRoutingRule(channel_name="pager", min_severity="info", contract_filter="sales.*")
    assert told(opened("info"), SLACK, PAGER, wide) == {"pager": "opened"}


def test_a_step_that_changes_nothing_for_people_is_not_told() -> None:
    assert told(next_step(opened("error").episode, "error"), SLACK) == {}
