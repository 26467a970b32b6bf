"""Writes runs of checks: result, violations, episodes, outbox and SLA state of a run in one transaction."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import case, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import AlertKind, ViolationSeverity
from floe_monitor.alerts.episodes import Step
from floe_monitor.checks.model import CheckStatus
from floe_monitor.contracts.model import Contract
from floe_monitor.store.aggregates import mark_days
from floe_monitor.store.leases import valid_runs
from floe_monitor.store.records import Alert, CheckRun
from floe_monitor.store.tables import (
    CheckResult,
    EpisodeRow,
    FieldIdsRow,
    OutboxRow,
    RegisteredContract,
    SlaStatus,
    Table,
    Violation,
)


async def register(engine: AsyncEngine, contracts: Sequence[Contract], now: datetime) -> None:
    """Stores these contracts as watched ones; which of the others still are is seen in `floe_monitor.store.leases`."""
    if not contracts:
        return
    statement = upsert(RegisteredContract)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["contract_name", "contract_version"],
        set_={"contract_data": new.contract_data, "active": True},
        where=or_(~RegisteredContract.active, RegisteredContract.contract_data != new.contract_data),
    )
    rows = [
        {
            "contract_name": contract.id.name,
            "contract_version": contract.id.version,
            "contract_data": storable(contract.document),
            "registered_at": now,
            "active": True,
        }
        for contract in contracts
    ]
    async with engine.begin() as connection:
        await connection.execute(statement, rows)


async def record(
    engine: AsyncEngine, runs: Sequence[CheckRun], *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> int:
    """Stores runs in one transaction; a run that is stored already is left as it is.

    Args:
        engine: The store.
        runs: In any order.
        clock: Says which of their days are long over, and aggregated already.

    Returns:
        How many are not stored because another replica has taken their contract before they began.
    """
    async with engine.begin() as connection:
        valid = await valid_runs(connection, runs)
        stored = await _insert_results(connection, valid)
        fresh = [run for run in valid if run.id in stored]
        await mark_days(connection, [run.checked_at for run in fresh], clock())
        told = await _store_steps(connection, fresh)
        alerts = [(run, alert) for run in fresh for alert in run.alerts if alert.episode_id in told]
        await _insert_all(
            connection, OutboxRow, [_alert_row(run, alert, told[alert.episode_id]) for run, alert in alerts]
        )
        await _insert_all(connection, Violation, [row for run in fresh for row in _violation_rows(run)])
        await _store_field_ids(connection, fresh)
        await _store_sla(connection, [row for run in fresh for row in _sla_rows(run)])
    return len(runs) - len(valid)


def _identity(run: CheckRun) -> dict[str, str]:
    return {"contract_name": run.contract.id.name, "contract_version": run.contract.id.version}


async def _insert_all(connection: AsyncConnection, table: type[Table], rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(table), rows)


async def _insert_results(connection: AsyncConnection, runs: Sequence[CheckRun]) -> set[UUID]:
    """Ids of the runs that were not stored before."""
    if not runs:
        return set()
    statement = (
        upsert(CheckResult).on_conflict_do_nothing(index_elements=["id", "checked_at"]).returning(CheckResult.id)
    )
    return set((await connection.scalars(statement, [_result_row(run) for run in runs])).all())


def _result_row(run: CheckRun) -> dict[str, Any]:
    return {
        "id": run.id,
        **_identity(run),
        "check_type": run.check.value,
        "status": run.verdict.status.value,
        "planned_at": run.planned_at,
        "checked_at": run.checked_at,
        "duration_seconds": run.duration.total_seconds(),
        "details": storable(_details(run)),
    }


def _details(run: CheckRun) -> dict[str, Any]:
    return {
        **run.verdict.details,
        "outcomes": [
            {
                "element": outcome.element,
                "status": outcome.status.value,
                "measure": outcome.measure,
                "threshold": outcome.threshold,
                "reason": outcome.reason or None,
            }
            for outcome in run.verdict.outcomes
        ],
    }


async def _store_steps(connection: AsyncConnection, runs: Sequence[CheckRun]) -> dict[UUID, UUID]:
    """Stores the episodes' changes; returns those that people are told of, each with the episode that is stored.

    Should two processes watch one contract for a while, e.g. because the store was away, the index on open episodes
    lets one of them open it, and only that one's alert leaves; whoever finds its end closes it. A step that tells
    nobody anything has changed the text only, which the next change stores.
    """
    told: dict[UUID, UUID] = {}
    opened: list[dict[str, Any]] = []
    steps = [(run, step) for run in runs for step in run.steps if step.told is not None]
    for run, step in steps:
        if step.told is AlertKind.OPENED:
            opened.append(_episode_row(run, step))
            continue
        told |= await _open_episodes(connection, opened)  # in their order: what changes has been opened before
        opened = []
        if (stored := await _change_episode(connection, run, step)) is not None:
            told[step.episode.id] = stored
    return told | await _open_episodes(connection, opened)


def _episode_row(run: CheckRun, step: Step) -> dict[str, Any]:
    episode = step.episode
    return {
        "id": episode.id,
        **_identity(run),
        "check_type": run.check.value,
        "element": storable(episode.element or ""),
        "severity": episode.severity.value,
        "message": storable(episode.message),
        "opened_at": episode.opened_at,
        "broken_at": episode.broken_at,
    }


async def _open_episodes(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> dict[UUID, UUID]:
    """All at once: when a source changes, a thousand contracts may tell so in one moment."""
    if not rows:
        return {}
    statement = upsert(EpisodeRow).on_conflict_do_nothing().returning(EpisodeRow.id)
    return {identity: identity for identity in (await connection.scalars(statement, rows)).all()}


async def _change_episode(connection: AsyncConnection, run: CheckRun, step: Step) -> UUID | None:
    episode = step.episode
    values: dict[str, Any] = {
        "severity": episode.severity.value,
        "message": storable(episode.message),
        "broken_at": episode.broken_at,
        "closed_at": episode.closed_at,
    }
    if step.told is AlertKind.ESCALATED:
        values["escalated_at"] = run.checked_at
    # One that was closed meanwhile, e.g. because its promise is gone, has been told of and stays closed.
    change = update(EpisodeRow).where(EpisodeRow.closed_at.is_(None)).values(values).returning(EpisodeRow.id)
    if step.told is AlertKind.ESCALATED:
        # Of two processes that find it heavier one tells, and neither takes back what the other found.
        change = change.where(EpisodeRow.severity.in_(_lighter_than(episode.severity)))
    found: UUID | None = await connection.scalar(change.where(EpisodeRow.id == episode.id))
    if found is None:  # another process opened it, under another id
        found = await connection.scalar(
            change.where(
                EpisodeRow.contract_name == run.contract.id.name,
                EpisodeRow.contract_version == run.contract.id.version,
                EpisodeRow.check_type == run.check.value,
                EpisodeRow.element == storable(episode.element or ""),
                EpisodeRow.closed_at.is_(None),
            )
        )
    return found


def _lighter_than(severity: ViolationSeverity) -> list[str]:
    return [lighter.value for lighter in ViolationSeverity if lighter.rank < severity.rank]


def _violation_rows(run: CheckRun) -> Iterator[dict[str, Any]]:
    episodes = {step.episode.element: step.episode.id for step in run.steps}
    for outcome in run.verdict.outcomes:
        if (finding := outcome.finding) is not None:
            yield storable(
                {
                    "id": uuid4(),
                    **_identity(run),
                    "violation_type": run.check.value,
                    "severity": finding.severity.value,
                    "message": finding.message,
                    "element": finding.element,
                    "expected_value": finding.expected,
                    "actual_value": finding.actual,
                    "affected_consumers": list(run.contract.consumers),
                    "detected_at": run.checked_at,
                    "check_result_id": run.id,
                    "episode_id": episodes.get(outcome.element),
                }
            )


def _alert_row(run: CheckRun, alert: Alert, episode: UUID) -> dict[str, Any]:
    return {
        "id": UUID(alert.event.id),
        "episode_id": episode,
        "position": alert.position,
        "channel": alert.channel,
        "kind": alert.event.kind.value,
        "event": storable(alert.event.model_dump(mode="json")),
        "created_at": run.checked_at,
        "due_at": run.checked_at,
        "attempts": 0,
    }


async def _store_field_ids(connection: AsyncConnection, runs: Sequence[CheckRun]) -> None:
    """Runs come in order, so that the newest holds. At a start every contract teaches some, so all go at once."""
    rows = [
        {**_identity(run), "tables": storable(run.verdict.learned.document()), "learned_at": run.checked_at}
        for run in runs
        if run.verdict.learned is not None
    ]
    if not rows:
        return
    statement = upsert(FieldIdsRow)
    new = statement.excluded
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["contract_name", "contract_version"],
            set_={"tables": new.tables, "learned_at": new.learned_at},
            where=FieldIdsRow.learned_at <= new.learned_at,
        ),
        rows,
    )


async def _store_sla(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    statement = upsert(SlaStatus)
    new = statement.excluded
    failures = case((new.status == CheckStatus.FAIL.value, SlaStatus.consecutive_failures + 1), else_=0)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["contract_name", "contract_version", "check_type", "element"],
            set_={
                "status": new.status,
                "current_value": new.current_value,
                "threshold": new.threshold,
                "last_check_time": new.last_check_time,
                "consecutive_failures": failures,
            },
            where=SlaStatus.last_check_time <= new.last_check_time,
        ),
        rows,
    )


def _sla_rows(run: CheckRun) -> Iterator[dict[str, Any]]:
    for outcome in run.verdict.outcomes:
        yield {
            **_identity(run),
            "check_type": run.check.value,
            "element": storable(outcome.element or ""),
            "status": outcome.status.value,
            "current_value": outcome.measure,
            "threshold": outcome.threshold,
            "last_check_time": run.checked_at,
            "consecutive_failures": int(outcome.status is CheckStatus.FAIL),
        }


def storable(value: Any) -> Any:
    """The document without what PostgreSQL's text and jsonb refuse: NUL, lone surrogates, numbers that are none."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        is_plain = value.isascii() and "\x00" not in value
        return value if is_plain else value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {storable(key): storable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(entry) for entry in value]
    return value


async def active_contracts(engine: AsyncEngine) -> tuple[str, ...]:
    """Identities of the contracts that are watched."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(RegisteredContract.contract_name, RegisteredContract.contract_version).where(
                RegisteredContract.active
            )
        )
        return tuple(sorted(f"{name}:{version}" for name, version in rows))
