"""Freshness (FR-007 to FR-010): the age of the newest row, or of the last change, compared with the promise.

| newest timestamp                          | status  | finding                                    |
|-------------------------------------------|---------|--------------------------------------------|
| age up to the threshold                   | pass    | info or warning from 80 % / 90 % of it     |
| age above the threshold                   | fail    | error, critical above the count            |
| up to 60 s in the future                  | pass    | none: clocks differ (FR-010)               |
| further in the future                     | unknown | warning: such a row hides how old the others are |
| no rows                                   | unknown | none                                       |
| no snapshot with a change of data is left | unknown | none                                       |
| without a zone, and none declared         | error   | none                                       |
| could not be read                         | unknown | none; the reason names the cause           |
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from floe_core.manifest.models import CheckIntervals
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.catalog import Snapshot
from floe_monitor.checks.model import Check, CheckStatus, Finding, Outcome, Rules, Verdict
from floe_monitor.checks.severity import severity_of
from floe_monitor.contracts.model import Contract, FreshnessPromise

_CHANGES = frozenset({"append", "overwrite", "delete"})


@dataclass(frozen=True, slots=True)
class NewestRow:
    """What a table tells about its newest row.

    Attributes:
        newest: The greatest timestamp, as the source gave it: aware, or naive; None for an empty table.
        observed_at: The moment of observation, by the source's clock where it has one (aware).
        element: What findings call the column: the promise's element, or the one that was found.
        clock_skew: How far the source's clock is ahead of ours; None if it has not told it.
        failure: Why nothing could be read; then the rest means nothing.
        is_configuration: Whether the failure is for a person to mend in the contract.
    """

    element: str
    observed_at: datetime | None = None
    newest: datetime | None = None
    clock_skew: timedelta | None = None
    failure: str | None = None
    is_configuration: bool = False


@dataclass(frozen=True, slots=True)
class FreshnessFacts:
    """One observation per promise, in the contract's order."""

    rows: tuple[NewestRow, ...]


class FreshnessCheck(Check[FreshnessFacts]):
    """Compares the age of the newest row with the threshold."""

    type: ClassVar[ViolationType] = ViolationType.FRESHNESS

    def is_promised(self, contract: Contract) -> bool:
        """Whether the contract bounds the age of any table."""
        return bool(contract.freshness)

    def promises(self, contract: Contract, element: str | None) -> bool:
        """Whether the age of this element is bounded; a promise without a column means any column of its table."""
        return any(
            promise.element == element
            or (promise.column is None and (element or "").startswith(f"{promise.table.name}."))
            for promise in contract.freshness
        )

    def interval(self, intervals: CheckIntervals) -> timedelta:
        """`freshness_minutes`."""
        return timedelta(minutes=intervals.freshness_minutes)

    def judge(self, contract: Contract, facts: FreshnessFacts, rules: Rules) -> Verdict:
        """One outcome per promise; the details say when each will be broken if nothing is written until then."""
        pairs = list(zip(contract.freshness, facts.rows, strict=True))
        outcomes = tuple(_judge(promise, row, rules) for promise, row in pairs)
        ends = {
            str(outcome.element): (row.observed_at + _left(outcome)).isoformat()
            for outcome, (_, row) in zip(outcomes, pairs, strict=True)
            if row.observed_at is not None and outcome.status is CheckStatus.PASS
        }
        details: dict[str, Any] = {"stale_from": ends} if ends else {}
        skews = [row.clock_skew.total_seconds() for row in facts.rows if row.clock_skew is not None]
        if skews:
            details["clock_skew_seconds"] = max(skews, key=abs)
        return Verdict(outcomes, details=details)


def last_data_change(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The newest snapshot that added or deleted rows; None if there is none.

    Operation `replace` rewrites files and changes nothing; neither does an append of no rows. Where a writer did not
    count, its word is taken (Iceberg specification, snapshots).
    """
    changed = [snapshot for snapshot in snapshots if snapshot.operation in _CHANGES and _has_records(snapshot)]
    return max(changed, key=lambda snapshot: snapshot.committed_at, default=None)


def _has_records(snapshot: Snapshot) -> bool:
    counts = (snapshot.added_records, snapshot.deleted_records)
    return any(count is None or count > 0 for count in counts)


def _left(outcome: Outcome) -> timedelta:
    return timedelta(seconds=(outcome.threshold or 0.0) - (outcome.measure or 0.0))


def _judge(promise: FreshnessPromise, row: NewestRow, rules: Rules) -> Outcome:
    threshold = promise.threshold.total_seconds()
    if row.failure is not None or row.observed_at is None:
        status = CheckStatus.ERROR if row.is_configuration else CheckStatus.UNKNOWN
        return Outcome(status, row.element, threshold=threshold, reason=row.failure or "Nothing was observed.")
    if row.newest is None:
        return Outcome(CheckStatus.UNKNOWN, row.element, threshold=threshold, reason="The table has no rows.")
    try:
        newest = in_zone(row.newest, promise.time_zone)
    except ValueError as error:
        return Outcome(CheckStatus.ERROR, row.element, threshold=threshold, reason=str(error))
    age = row.observed_at - newest
    if age < -rules.clock_skew:
        return _from_the_future(promise, row.element, -age)
    return _of_age(promise, row.element, max(age, timedelta()), rules)


def in_zone(moment: datetime, time_zone: str | None) -> datetime:
    """The moment, aware: a zone of its own wins over the declared one.

    The value that was read is converted, never the column in the query: a wrapped column defeats pruning.

    Raises:
        ValueError: It has no zone and none is declared, or the declared one does not exist.
    """
    if moment.tzinfo is not None:
        return moment
    if time_zone is None:
        raise ValueError(
            "The timestamps carry no time zone and the contract declares none; set logicalTypeOptions.defaultTimezone."
        )
    try:
        return moment.replace(tzinfo=ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"The time zone {time_zone!r} does not exist; write an IANA name such as Etc/UTC.") from None


def _from_the_future(promise: FreshnessPromise, element: str, ahead: timedelta) -> Outcome:
    reason = f"The newest timestamp is {show(ahead)} in the future."
    finding = Finding(
        ViolationSeverity.WARNING,
        f"{reason} How fresh {promise.table.name} is cannot be told.",
        element,
        expected="a timestamp that is not in the future",
        actual=f"{show(ahead)} ahead",
    )
    return Outcome(CheckStatus.UNKNOWN, element, finding, -ahead.total_seconds(), _seconds(promise), reason)


def _of_age(promise: FreshnessPromise, element: str, age: timedelta, rules: Rules) -> Outcome:
    used = age / promise.threshold
    severity = severity_of(used, rules.recent_episodes.get(element, 1), rules.thresholds)
    status = CheckStatus.FAIL if used > 1 else CheckStatus.PASS
    finding = None
    if severity is not None:
        verb = "is stale" if used > 1 else "will soon be stale"
        finding = Finding(
            severity,
            f"{promise.table.name} {verb}: its newest row is {show(age)} old, at most {show(promise.threshold)} is "
            "promised.",
            element,
            expected=f"at most {show(promise.threshold)}",
            actual=show(age),
        )
    return Outcome(status, element, finding, age.total_seconds(), _seconds(promise))


def _seconds(promise: FreshnessPromise) -> float:
    return promise.threshold.total_seconds()


def show(duration: timedelta) -> str:
    """A duration as people say it, two units at most: `2 h 30 min`, `45 s`, `3 d`."""
    seconds = round(duration.total_seconds(), 1)
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:g} s"
    parts = []
    rest = int(seconds)
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
