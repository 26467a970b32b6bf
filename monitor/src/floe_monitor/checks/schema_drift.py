"""Schema drift (FR-011 to FR-014): the tables' schemas in the catalog, compared with the contract's.

| differences                              | status  | finding |
|------------------------------------------|---------|---------|
| none                                     | pass    | none    |
| only such that weigh less than an error  | pass    | warning: the promise is not broken yet, or for nobody |
| one that weighs as an error, or more     | fail    | the heaviest; an error is critical above the count |
| a table could not be read                | unknown | what the other tables show |
| the contract or manifest must be mended  | error   | what the other tables show |

All differences of a run are one finding: a contract has at most one episode of drift, however many columns changed.
`floe_monitor.checks.schema_comparison` finds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from floe_core.manifest.models import CheckIntervals
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.catalog import Table
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.checks.model import Check, CheckStatus, Finding, Outcome, Rules, Verdict
from floe_monitor.checks.schema_comparison import Comparison, Difference, compare
from floe_monitor.checks.severity import above_the_count
from floe_monitor.contracts.model import Contract, ContractTable

# A message is read by people; the result keeps all of them.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """What the catalog tells of one table.

    Attributes:
        table: None if it could not be read, or if there is none.
        is_missing: The catalog answered, and knows no such table.
        failure: Why it could not be read.
        is_configuration: Whether the failure is for a person to mend.
    """

    table: Table | None = None
    is_missing: bool = False
    failure: str = ""
    is_configuration: bool = False


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """One observation per table whose columns are promised, in the contract's order.

    Attributes:
        dialect: Of the engine, as sqlglot names it; empty if there is none.
        known: Field ids that are remembered.
    """

    tables: tuple[ObservedTable, ...]
    dialect: str = ""
    known: FieldIds = field(default_factory=FieldIds)


def promised_tables(contract: Contract) -> tuple[ContractTable, ...]:
    """The tables whose columns the contract describes."""
    return tuple(table for table in contract.tables if table.columns)


class SchemaDriftCheck(Check[SchemaFacts]):
    """Compares schemas."""

    type: ClassVar[ViolationType] = ViolationType.SCHEMA_DRIFT

    def is_promised(self, contract: Contract) -> bool:
        """Whether the contract describes the columns of any table."""
        return bool(promised_tables(contract))

    def interval(self, intervals: CheckIntervals) -> timedelta:
        """`schema_drift_minutes`."""
        return timedelta(minutes=intervals.schema_drift_minutes)

    def judge(self, contract: Contract, facts: SchemaFacts, rules: Rules) -> Verdict:
        """One outcome for all tables; the verdict also carries the field ids to be remembered."""
        differences: list[Difference] = []
        not_compared: list[str] = []
        ids = {}
        for promised, observed in zip(promised_tables(contract), facts.tables, strict=True):
            known = facts.known.of(promised.name)
            found = Comparison(ids=known)
            if observed.table is not None or observed.is_missing:
                found = compare(promised, observed.table, known, facts.dialect)
            differences += found.differences
            not_compared += found.not_compared
            ids[promised.name] = found.ids
        learned = FieldIds(ids)
        return Verdict(
            (_outcome(contract, differences, facts.tables, rules),),
            {"differences": [_described(difference) for difference in differences], "not_compared": not_compared},
            learned if learned != facts.known else None,
        )


def _outcome(
    contract: Contract, differences: Sequence[Difference], tables: Sequence[ObservedTable], rules: Rules
) -> Outcome:
    failed = next((table for table in tables if table.failure), None)
    finding = _finding(contract, differences, rules) if differences else None
    if finding is not None and finding.severity.rank >= ViolationSeverity.ERROR.rank:
        status = CheckStatus.FAIL
    elif failed is None:
        status = CheckStatus.PASS
    else:
        status = CheckStatus.ERROR if failed.is_configuration else CheckStatus.UNKNOWN
    reason = failed.failure if failed else ""
    measure = None if failed else float(len(differences))
    return Outcome(status, None, finding, measure, 0.0, reason)


def _finding(contract: Contract, differences: Sequence[Difference], rules: Rules) -> Finding:
    severity = max((difference.severity for difference in differences), key=lambda found: found.rank)
    if severity is ViolationSeverity.ERROR and above_the_count(rules.recent_episodes.get(None, 1), rules.thresholds):
        severity = ViolationSeverity.CRITICAL
    # The heaviest first; among equals by path.
    shown = sorted(differences, key=lambda difference: (-difference.severity.rank, difference.path, difference.kind))
    count = "1 difference" if len(shown) == 1 else f"{len(shown)} differences"
    breaking = "Consumers break." if any(difference.breaks_consumers for difference in shown) else "No consumer breaks."
    return Finding(
        severity,
        f"The schema differs from {contract.id.name} in {count}: {_joined([_sentence(each) for each in shown])}. "
        f"{breaking}",
        shown[0].path if len(shown) == 1 else None,
        expected=_joined([f"{each.path}: {each.expected or 'nothing'}" for each in shown]),
        actual=_joined([f"{each.path}: {each.actual or 'nothing'}" for each in shown]),
    )


def _sentence(difference: Difference) -> str:
    kind = difference.kind.value.replace("_", " ")
    if difference.expected is None:
        return f"{difference.path} {kind} ({difference.actual})"
    if difference.actual is None:
        return f"{difference.path} {kind} ({difference.expected} is promised)"
    return f"{difference.path} {kind} ({difference.expected} is promised, {difference.actual} is there)"


def _joined(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more


def _described(difference: Difference) -> dict[str, str | bool | None]:
    return {
        "path": difference.path,
        "kind": difference.kind.value,
        "expected": difference.expected,
        "actual": difference.actual,
        "severity": difference.severity.value,
        "breaks_consumers": difference.breaks_consumers,
    }
