"""Asks how new the newest row of each promised table is.

A promise that names a column is answered by the column's greatest value. One that names a table alone is answered by
the catalog's snapshots where it keeps any: no query runs, and compaction or a changed property makes nothing fresh.
Without snapshots a column that tells when rows change is looked for (FR-008).
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any

from floe_core.errors import ConfigurationError, FloeError, ValidationError
from floe_core.plugin_interfaces.catalog import Table
from floe_monitor.checks.freshness import FreshnessFacts, NewestRow, last_data_change
from floe_monitor.contracts.model import Contract, FreshnessPromise
from floe_monitor.probes.source import Source
from floe_monitor.probes.sql import newest_row, timestamp_column


async def observe_freshness(
    contract: Contract, source: Source, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> FreshnessFacts:
    """One observation per promise; what cannot be read is told as a failure of that promise alone."""
    rows = await asyncio.gather(*(_observe(promise, source, clock) for promise in contract.freshness))
    return FreshnessFacts(tuple(rows))


async def _observe(promise: FreshnessPromise, source: Source, clock: Callable[[], datetime]) -> NewestRow:
    element = promise.element
    try:
        table = None if promise.column else await source.table(str(promise.table.location))
        if table is not None and table.snapshots:
            return _by_snapshots(promise, table, clock)
        column = promise.column or _found_column(promise, table)
        element = f"{promise.table.name}.{column}"
        asked_at = clock()
        rows = await source.rows(newest_row(promise.table.location.parts, column, source.dialect))
        answered_at = clock()
        newest, observed_at = _values(rows)
    except (ConfigurationError, ValidationError) as error:
        return NewestRow(element, failure=error.what, is_configuration=True)
    except FloeError as error:
        return NewestRow(element, failure=error.what)
    if observed_at is None:
        return NewestRow(element, observed_at=answered_at, newest=newest)
    # The source took its time somewhere between question and answer.
    skew = observed_at - (asked_at + (answered_at - asked_at) / 2)
    return NewestRow(element, observed_at=observed_at, newest=newest, clock_skew=skew)


def _by_snapshots(promise: FreshnessPromise, table: Table, clock: Callable[[], datetime]) -> NewestRow:
    changed = last_data_change(table.snapshots)
    if changed is None:
        return NewestRow(
            promise.element,
            failure="No snapshot that changed data is left: the history has expired, or holds maintenance only.",
        )
    return NewestRow(promise.element, observed_at=clock(), newest=changed.committed_at)


def _found_column(promise: FreshnessPromise, table: Table | None) -> str:
    column = timestamp_column(table.columns if table else ())
    if column is None:
        raise ConfigurationError(
            f"Freshness of {promise.table.name} is declared and cannot be checked: no column tells when a row changed.",
            remedy=f"Write `element: {promise.table.name}.<column>`.",
        )
    return column


def _values(rows: list[tuple[Any, ...]]) -> tuple[datetime | None, datetime | None]:
    """The newest timestamp and the source's clock; a clock without a zone is not used."""
    if not rows:
        return None, None
    newest, now = _moment(rows[0][0]), _moment(rows[0][1])
    return newest, now if now is not None and now.tzinfo is not None else None


def _moment(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time_of_day())  # a date's row may be as old as the day's first moment
    raise ConfigurationError(
        f"The column holds {type(value).__name__}, not a timestamp.", remedy="Name a timestamp column in `element`."
    )
