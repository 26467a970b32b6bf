"""The monitor's part: a contract over dbt's table is kept, broken and kept again, and people are told twice."""

import asyncio
from datetime import timedelta

import duckdb
import httpx
from rich.table import Table

from examples.demo.backend import AlertReceiver, Event
from examples.demo.narration import Narrator
from examples.demo.processes import Service, until
from examples.demo.stage import Stage
from floe_core.retry import retry

TABLE = "orders"


# DuckDB lets one process write or several read, and the monitor reads for some milliseconds at a time.
@retry(max_attempts=60, delay_seconds=0.05, backoff_factor=1.0, exceptions=(duckdb.IOException,))
def shift_updates(stage: Stage, age: timedelta) -> None:
    """Makes the newest row of the table as old as asked, as if no load had run since."""
    with duckdb.connect(str(stage.warehouse)) as connection:
        connection.execute(
            # A constant name of ours, and a parameter.
            f"update {TABLE} set updated_at = updated_at "  # noqa: S608 - see above
            f"+ (now() - ?::interval - (select max(updated_at) from {TABLE}))",
            [f"{age.total_seconds()} seconds"],
        )


async def metrics(stage: Stage) -> dict[str, float]:
    """The monitor's metrics: series to value."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{stage.monitor_port}/metrics")
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, value in lines}


async def freshness(stage: Stage) -> float | None:
    """The age of the table in seconds as the monitor last saw it, or None before the first check."""
    values = [
        value
        for series, value in (await metrics(stage)).items()
        if series.startswith("floe_contract_freshness_seconds")
    ]
    return values[0] if values else None


async def quality_score(stage: Stage) -> float | None:
    """The contract's quality score, or None before the first check."""
    found = (await metrics(stage)).items()
    return next((value for series, value in found if series.startswith("floe_contract_quality_score")), None)


async def watch(narrator: Narrator, *, stage: Stage, monitor: Service, receiver: AlertReceiver) -> None:
    """Fresh, stale, fresh again."""

    async def ready() -> bool:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{stage.monitor_port}/readyz")).status_code == httpx.codes.OK

    async def checked_fresh() -> bool:
        age = await freshness(stage)
        return age is not None and age < timedelta(hours=1).total_seconds()

    narrator.say(
        "The monitor runs with an embedded PostgreSQL; it checks every second here, every 15 minutes by default."
    )
    await until(ready, what="The monitor being ready", seconds=60, program=monitor)
    await asyncio.to_thread(shift_updates, stage, timedelta(minutes=5))
    await until(checked_fresh, what="A check that finds the table fresh", program=monitor)
    narrator.check(not receiver.alerts, "the contract is kept: the table is five minutes old, nobody is told anything")

    async def scored() -> bool:
        return await quality_score(stage) is not None

    await until(scored, what="A check of the quality rules", program=monitor)
    score = await quality_score(stage)
    narrator.check(score == 100.0, "its four quality rules hold, counted by one query: the score is 100")  # noqa: PLR2004 - all

    await asyncio.to_thread(shift_updates, stage, timedelta(days=3))
    narrator.say("Now the table's newest row is made three days old, as if the load had failed since.")
    await until(lambda: _told(receiver, 1), what="An alert about the stale table", program=monitor)
    narrator.show(_alert(receiver.alerts[0]))
    narrator.check(
        receiver.alerts[0]["type"] == "floe.contract.violation", "the violation was stored and sent as a CloudEvent"
    )
    violations = [
        value
        for series, value in (await metrics(stage)).items()
        if series.startswith("floe_contract_violations_total{")
    ]
    narrator.check(sum(violations) >= 1, "it is counted in floe_contract_violations_total")

    await asyncio.to_thread(shift_updates, stage, timedelta(minutes=1))
    narrator.say("The load runs again.")
    await until(lambda: _told(receiver, 2), what="A notice of the recovery", program=monitor)
    narrator.check(
        receiver.alerts[-1]["data"].get("kind") == "resolved",
        "the recovery closed the episode: two messages, not one per check",
    )
    narrator.check(len(receiver.alerts) == 2, "exactly two messages were sent")  # noqa: PLR2004 - opened and resolved


async def _told(receiver: AlertReceiver, count: int) -> bool:
    return len(receiver.alerts) >= count


def _alert(event: Event) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for key in ("contractName", "violationType", "severity", "message", "expectedValue", "actualValue"):
        table.add_row(key, str(event["data"].get(key)))
    return table
