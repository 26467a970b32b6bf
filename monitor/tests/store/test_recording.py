"""What is stored of a run, on a real PostgreSQL."""

from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.checks.field_ids import FieldIds, TableIds
from floe_monitor.checks.model import CheckStatus, Finding, Outcome, Verdict
from floe_monitor.service.memory import Memory
from floe_monitor.store.history import past_states
from floe_monitor.store.records import PastState
from floe_monitor.store.results import active_contracts, record, register
from floe_monitor.store.tables import (
    CheckResult,
    EpisodeRow,
    OutboxRow,
    RegisteredContract,
    SlaStatus,
    Table,
    Violation,
)
from monitor.tests.builders import HOUR, MINUTE, NOW, SECOND, check_run, contract, outcome

pytestmark = pytest.mark.requirement("FR-002", "FR-004", "HOUSE-10")
DAY = timedelta(days=1)


async def rows(engine: AsyncEngine, table: type[Table]) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        found = await connection.execute(select(*table.__table__.columns))
        return [dict(row) for row in found.mappings()]


async def test_a_breach_leaves_result_violation_episode_alert_and_state(engine: AsyncEngine) -> None:
    run = check_run(outcome("error"), of=contract(consumers=("dashboard",)))
    await record(engine, [run])
    [result], [violation] = await rows(engine, CheckResult), await rows(engine, Violation)
    [episode], [alert], [state] = (
        await rows(engine, EpisodeRow),
        await rows(engine, OutboxRow),
        await rows(engine, SlaStatus),
    )
    assert (result["id"], result["status"], result["checked_at"]) == (run.id, "fail", NOW)
    assert (violation["check_result_id"], violation["episode_id"]) == (run.id, episode["id"])
    assert (violation["severity"], violation["affected_consumers"]) == ("error", ["dashboard"])
    assert (episode["element"], episode["severity"], episode["closed_at"]) == ("orders.updated_at", "error", None)
    assert (alert["episode_id"], alert["channel"], alert["sent_at"]) == (episode["id"], "hook", None)
    assert (state["current_value"], state["threshold"], state["consecutive_failures"]) == (10_800.0, 7200.0, 1)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("a\ud800b", "a?b"),
        ("a\x00b", "ab"),
        ({"\x00k": [1.5]}, {"k": [1.5]}),
    ],
)
async def test_what_jsonb_refuses_in_one_contract_holds_up_none(
    engine: AsyncEngine, value: object, stored: object
) -> None:
    odd = replace(contract(name="odd"), document={"customProperties": value})
    await register(engine, [odd, contract(name="other")], NOW)
    kept = {row["contract_name"]: row["contract_data"] for row in await rows(engine, RegisteredContract)}
    assert kept[odd.id.name] == {"customProperties": stored}
    assert len(kept) == 2


async def test_storing_a_run_again_changes_nothing(engine: AsyncEngine) -> None:
    run = check_run(outcome("error"))
    await record(engine, [run])
    await record(engine, [run, run])
    for table in (CheckResult, Violation, EpisodeRow, OutboxRow):
        assert len(await rows(engine, table)) == 1
    assert (await rows(engine, SlaStatus))[0]["consecutive_failures"] == 1


async def test_a_long_breach_is_one_episode_and_one_alert(engine: AsyncEngine) -> None:
    memory = Memory()
    runs = [check_run(outcome("error"), memory=memory, at=NOW + number * MINUTE) for number in range(5)]
    await record(engine, runs)
    await record(engine, [check_run(outcome(), memory=memory, at=NOW + HOUR)])
    [episode] = await rows(engine, EpisodeRow)
    assert (episode["opened_at"], episode["closed_at"]) == (NOW, NOW + HOUR)
    assert len(await rows(engine, Violation)) == 5
    assert sorted(row["kind"] for row in await rows(engine, OutboxRow)) == ["opened", "resolved"]
    assert (await rows(engine, SlaStatus))[0]["consecutive_failures"] == 0


async def test_an_escalation_is_stored_and_told(engine: AsyncEngine) -> None:
    memory = Memory()
    await record(engine, [check_run(outcome("warning"), memory=memory)])
    await record(engine, [check_run(outcome("error"), memory=memory, at=NOW + MINUTE)])
    [episode] = await rows(engine, EpisodeRow)
    assert (episode["severity"], episode["escalated_at"], episode["broken_at"]) == ("error", NOW + MINUTE, NOW + MINUTE)
    assert sorted(row["kind"] for row in await rows(engine, OutboxRow)) == ["escalated", "opened"]


@pytest.mark.requirement("HOUSE-11")
async def test_of_two_processes_that_find_one_breach_only_one_tells_it(engine: AsyncEngine) -> None:
    await record(engine, [check_run(outcome("error"), memory=Memory())])
    await record(engine, [check_run(outcome("error"), memory=Memory())])
    assert len(await rows(engine, EpisodeRow)) == 1
    assert len(await rows(engine, OutboxRow)) == 1


async def test_check_types_and_versions_do_not_overwrite_each_other(engine: AsyncEngine) -> None:
    await record(
        engine,
        [
            check_run(outcome("error")),
            check_run(outcome("error"), of=contract(version="2.0.0")),
            check_run(outcome("error", element=None), check=ViolationType.AVAILABILITY),
        ],
    )
    assert len(await rows(engine, SlaStatus)) == 3
    assert len(await rows(engine, EpisodeRow)) == 3


async def test_an_old_result_does_not_replace_the_present_state(engine: AsyncEngine) -> None:
    await record(engine, [check_run(outcome(), at=NOW + MINUTE)])
    await record(engine, [check_run(outcome("error"), at=NOW)])
    assert (await rows(engine, SlaStatus))[0]["status"] == "pass"


async def test_old_results_can_be_deleted_although_a_violation_names_them(engine: AsyncEngine) -> None:
    await record(engine, [check_run(outcome("error"))])
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM contract_check_results"))
    assert len(await rows(engine, Violation)) == 1


async def test_text_that_postgresql_cannot_hold_is_stored_without_it(engine: AsyncEngine) -> None:
    odd = Outcome(CheckStatus.UNKNOWN, "orders", reason="NUL \x00 here")
    await record(engine, [check_run(odd)])
    assert (await rows(engine, CheckResult))[0]["details"]["outcomes"][0]["reason"] == "NUL  here"


async def past_of(engine: AsyncEngine, check: ViolationType, now: datetime) -> PastState:
    return (await past_states(engine, [contract().id], now, DAY))[contract().id, check]


async def test_a_restart_knows_what_was_open_broken_and_run(engine: AsyncEngine) -> None:
    memory = Memory()
    await record(engine, [check_run(outcome("error"), memory=memory)])
    await record(engine, [check_run(outcome(), memory=memory, at=NOW + MINUTE)])
    await record(engine, [check_run(outcome("error"), memory=memory, at=NOW + 2 * MINUTE)])
    past = await past_of(engine, ViolationType.FRESHNESS, NOW + HOUR)
    assert past.last_run == NOW + 2 * MINUTE
    assert [episode.id for episode in past.open_episodes] == [memory.episodes["orders.updated_at"].id]
    assert past.broken_at == (("orders.updated_at", NOW), ("orders.updated_at", NOW + 2 * MINUTE))
    assert Memory.restored(past, holds_for=HOUR).broken_at == memory.broken_at


async def test_a_restart_knows_the_uptime_of_the_last_day(engine: AsyncEngine) -> None:
    runs = []
    for number, up in enumerate([True, True, False, True]):
        run = check_run(outcome(element=None), check=ViolationType.AVAILABILITY, at=NOW + number * MINUTE)
        verdict = Verdict(run.verdict.outcomes, {"up": up})
        runs.append(type(run)(run.id, run.contract, run.check, run.planned_at, run.checked_at, SECOND, verdict))
    await record(engine, runs)
    past = await past_of(engine, ViolationType.AVAILABILITY, NOW + HOUR)
    uptime = Memory.restored(past, holds_for=2 * MINUTE).uptime
    assert uptime.ratio(NOW + 3 * MINUTE) == pytest.approx(2 / 3)


async def test_what_is_registered_is_watched_beside_what_was(engine: AsyncEngine) -> None:
    await register(engine, [contract(), contract(version="2.0.0")], NOW)
    await register(engine, [contract(version="2.0.0"), contract(name="returns")], NOW + MINUTE)
    names = ("sales.shop/orders:1.0.0", "sales.shop/orders:2.0.0", "sales.shop/returns:1.0.0")
    assert await active_contracts(engine) == names


async def test_a_finding_of_any_length_can_be_stored(engine: AsyncEngine) -> None:
    long = "x" * 10_000
    found = Finding(ViolationSeverity.ERROR, long, long, long, long)
    await record(engine, [check_run(Outcome(CheckStatus.FAIL, long, found))])
    assert (await rows(engine, EpisodeRow))[0]["element"] == long


@pytest.mark.requirement("FR-012")
async def test_a_restart_knows_the_field_ids_that_were_seen(engine: AsyncEngine) -> None:
    async def known() -> FieldIds:
        drift = ViolationType.SCHEMA_DRIFT
        return (await past_of(engine, drift, NOW)).field_ids

    first, then = (FieldIds({"orders": TableIds("u", {"id": number})}) for number in (1, 2))
    assert await known() == FieldIds()
    for at, learned in ((NOW, first), (NOW + MINUTE, None), (NOW + HOUR, then), (NOW - HOUR, first)):
        run = check_run(outcome(), at=at, check=ViolationType.SCHEMA_DRIFT)
        await record(engine, [replace(run, verdict=replace(run.verdict, learned=learned))])
    assert await known() == then


async def test_an_episode_that_another_process_opened_is_closed_by_whoever_finds_its_end(engine: AsyncEngine) -> None:
    """Both saw it begin while the store was away; people hear of one beginning and of one end."""
    one, other = Memory(), Memory()
    await record(engine, [check_run(outcome("error"), memory=one), check_run(outcome("error"), memory=other)])
    assert await record(engine, [check_run(outcome(), memory=other, at=NOW + MINUTE)]) == 0
    await record(engine, [check_run(outcome(), memory=one, at=NOW + 2 * MINUTE)])
    [episode] = await rows(engine, EpisodeRow)
    assert episode["closed_at"] is not None
    alerts = sorted(await rows(engine, OutboxRow), key=itemgetter("position"))
    assert [alert["kind"] for alert in alerts] == ["opened", "resolved"]
    assert {alert["episode_id"] for alert in alerts} == {episode["id"]}


async def test_of_two_processes_that_find_an_episode_heavier_one_tells_and_it_never_becomes_lighter(
    engine: AsyncEngine,
) -> None:
    """As `test_an_episode_that_another_process_opened_...`, and each sees it escalate, by different steps."""
    one, other = Memory(), Memory()
    await record(engine, [check_run(outcome("warning"), memory=memory) for memory in (one, other)])
    await record(engine, [check_run(outcome("critical"), memory=one, at=NOW + MINUTE)])
    await record(engine, [check_run(outcome("error"), memory=other, at=NOW + 2 * MINUTE)])
    await record(engine, [check_run(outcome("critical"), memory=other, at=NOW + 3 * MINUTE)])
    [episode] = await rows(engine, EpisodeRow)
    assert (episode["severity"], episode["escalated_at"]) == ("critical", NOW + MINUTE)
    assert sorted(alert["kind"] for alert in await rows(engine, OutboxRow)) == ["escalated", "opened"]
