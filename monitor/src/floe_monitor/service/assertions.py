"""What a check found out about tables, as OpenLineage input datasets with the facet `dataQualityAssertions` (pure).

An assertion is a promise that was found kept or broken. What nobody could tell is none: the facet knows success and
failure only, and the run facet `test` has the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from openlineage.client.event_v2 import InputDataset
from openlineage.client.facet_v2 import InputDatasetFacet, data_quality_assertions_dataset

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.compute import DatasetName
from floe_monitor.checks.model import CheckStatus, Outcome
from floe_monitor.checks.schema_drift import promised_tables
from floe_monitor.contracts.model import ContractTable, QualityRule
from floe_monitor.store.records import CheckRun

NameDataset = Callable[[tuple[str, ...]], DatasetName]
_FACET: Final = "dataQualityAssertions"
# The facet's own examples; other metrics keep ODCS's names.
_WORDS: Final = {
    "nullValues": "not_null",
    "duplicateValues": "unique",
    "invalidValues": "accepted_values",
    "rowCount": "row_count",
    "sql": "custom_sql",
}
Assertion = data_quality_assertions_dataset.Assertion


def datasets_of(run: CheckRun, name_of: NameDataset, producer: str, *, asserted: bool) -> list[InputDataset]:
    """The tables that a run looks at.

    Args:
        run: A run of a check.
        name_of: A table's name in lineage, by the parts of its name in the source.
        producer: Of the facet.
        asserted: Whether they carry what was found, as at the run's end.
    """
    found: dict[tuple[str, str], InputDataset] = {}
    for table in _tables(run):
        dataset = name_of(table.location.parts)
        told = _facet(run, table, producer) if asserted else {}
        found[dataset.namespace, dataset.name] = InputDataset(
            namespace=dataset.namespace, name=dataset.name, inputFacets=told
        )
    return list(found.values())


def _facet(run: CheckRun, table: ContractTable, producer: str) -> dict[str, InputDatasetFacet]:
    assertions = list(_assertions(run, table))
    if not assertions:
        return {}
    facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions, producer=producer)
    return {_FACET: facet}


def _tables(run: CheckRun) -> Sequence[ContractTable]:
    contract = run.contract
    match run.check:
        case ViolationType.FRESHNESS:
            tables = [promise.table for promise in contract.freshness]
        case ViolationType.QUALITY:
            tables = [rule.table for rule in contract.quality]
        case ViolationType.SCHEMA_DRIFT:
            tables = list(promised_tables(contract))
        case _:
            tables = []  # a source's availability is no table's
    return list({table.name: table for table in tables}.values())


def _assertions(run: CheckRun, table: ContractTable) -> Iterator[Assertion]:
    if run.check is ViolationType.SCHEMA_DRIFT:
        yield from _of_schema(run, table)
        return
    rules = {rule.element: rule for rule in run.contract.quality if rule.table.name == table.name}
    for outcome in run.verdict.outcomes:
        element = outcome.element or ""
        if outcome.status not in {CheckStatus.PASS, CheckStatus.FAIL}:
            continue
        if run.check is ViolationType.QUALITY:
            if element in rules:
                yield _of_rule(rules[element], outcome)
        elif element == table.name or element.startswith(f"{table.name}."):
            column = element.removeprefix(table.name).removeprefix(".") or None
            yield _assertion(run.check.value, element, outcome, column)


def _of_schema(run: CheckRun, table: ContractTable) -> Iterator[Assertion]:
    """One assertion per difference; one of the whole table if there is none and everything was compared."""
    differences = [
        difference for difference in run.verdict.details.get("differences", ()) if _is_in(difference["path"], table)
    ]
    for difference in differences:
        yield Assertion(
            assertion=str(difference["kind"]),
            success=False,
            column=difference["path"].removeprefix(table.name).removeprefix(".") or None,
            severity=_severity(ViolationSeverity(difference["severity"])),
            name=difference["path"],
            expected=difference["expected"],
            actual=difference["actual"],
        )
    is_known = all(outcome.status in {CheckStatus.PASS, CheckStatus.FAIL} for outcome in run.verdict.outcomes)
    if not differences and is_known:
        yield Assertion(assertion=run.check.value, success=True, severity="error", name=table.name)


def _is_in(path: str, table: ContractTable) -> bool:
    return path == table.name or path.startswith(f"{table.name}.")


def _of_rule(rule: QualityRule, outcome: Outcome) -> Assertion:
    kind = rule.check.type
    return _assertion(_WORDS.get(kind, kind), rule.element, outcome, rule.check.column, _severity(rule.severity))


def _assertion(kind: str, name: str, outcome: Outcome, column: str | None, severity: str = "error") -> Assertion:
    finding = outcome.finding
    # An early warning of freshness is a promise that is kept; a light quality rule that does not hold is broken.
    is_broken = outcome.status is CheckStatus.FAIL or (finding is not None and kind != ViolationType.FRESHNESS)
    return Assertion(
        assertion=kind,
        success=not is_broken,
        column=column,
        severity=_severity(finding.severity) if finding else severity,
        name=name,
        description=finding.message if finding else None,
        expected=finding.expected if finding else None,
        actual=finding.actual if finding else None,
    )


def _severity(severity: ViolationSeverity) -> str:
    return "error" if severity.rank >= ViolationSeverity.ERROR.rank else "warn"
