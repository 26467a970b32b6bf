"""A contract's own thresholds and channels, in a run of a check."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.trace import NoOpTracer

from floe_core.manifest.models import Monitoring
from floe_monitor.contracts.overrides import read_overrides
from floe_monitor.service.memory import Memory
from floe_monitor.service.runner import Runner
from floe_monitor.service.watches import WATCHES, Target
from floe_monitor.store.records import CheckRun
from monitor.tests.builders import HOUR, MINUTE, NOW, FakeClock, contract
from monitor.tests.sources import ToldCompute, told_source

pytestmark = pytest.mark.requirement("FR-024", "FR-045")


async def run_at_a_quarter_of_the_threshold(**overrides: Any) -> CheckRun:
    own, problems = read_overrides(overrides)
    assert problems == ()
    watched = replace(contract(freshness=2 * HOUR), overrides=own)
    source = told_source(ToldCompute(rows=lambda: [(NOW - 30 * MINUTE, NOW)]))
    runner = Runner(Monitoring(), ("team",), NoOpTracer(), (), FakeClock())
    return await runner.run(WATCHES[0], Target(watched, source, Memory(), timedelta(hours=1)), NOW)


async def test_the_platforms_thresholds_hold_where_a_contract_sets_none() -> None:
    run = await run_at_a_quarter_of_the_threshold()
    assert (run.verdict.findings, run.alerts) == ((), ())


async def test_a_contract_may_want_to_be_warned_earlier() -> None:
    run = await run_at_a_quarter_of_the_threshold(severity_thresholds={"info_pct": 10, "warning_pct": 20})
    assert [finding.severity.value for finding in run.verdict.findings] == ["warning"]
    assert [alert.channel for alert in run.alerts] == ["team"]


async def test_a_contract_may_have_a_channel_hear_of_lighter_findings() -> None:
    thresholds = {"info_pct": 10, "warning_pct": 90}
    quiet = await run_at_a_quarter_of_the_threshold(severity_thresholds=thresholds)
    rules = {"routing_rules": [{"channel_name": "team", "min_severity": "info"}]}
    told = await run_at_a_quarter_of_the_threshold(severity_thresholds=thresholds, alerts=rules)
    assert (quiet.alerts, [alert.event.severity.value for alert in told.alerts]) == ((), ["info"])
