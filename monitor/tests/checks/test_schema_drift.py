"""What a run of the drift check says."""

import pytest

from floe_core.plugin_interfaces.catalog import Column as CatalogColumn
from floe_core.plugin_interfaces.catalog import Table
from floe_monitor.checks.field_ids import FieldIds, TableIds
from floe_monitor.checks.model import CheckStatus, Rules, Verdict
from floe_monitor.checks.schema_drift import ObservedTable, SchemaDriftCheck, SchemaFacts
from monitor.tests.builders import described, schema_contract

pytestmark = pytest.mark.requirement("FR-011", "FR-012", "FR-013")


def observed(*columns: tuple[str, str], ids: bool = False) -> ObservedTable:
    return ObservedTable(
        Table(
            identifier="main.orders",
            columns=tuple(
                CatalogColumn(name=name, type=kind, required=None, field_id=at + 1 if ids else None)
                for at, (name, kind) in enumerate(columns)
            ),
        )
    )


def judge(*tables: ObservedTable, known: FieldIds | None = None, rules: Rules | None = None) -> Verdict:
    facts = SchemaFacts(tables, "duckdb", known or FieldIds())
    return SchemaDriftCheck().judge(schema_contract(tables=len(tables)), facts, rules or Rules())


KEPT = observed(("id", "INTEGER"), ("amount", "DECIMAL(10,2)"))


def test_an_equal_schema_passes() -> None:
    verdict = judge(KEPT)
    assert (verdict.status, verdict.findings) == (CheckStatus.PASS, ())
    assert verdict.details == {"differences": [], "not_compared": []}


@pytest.mark.parametrize(
    ("columns", "status", "severity"),
    [
        pytest.param([("id", "INTEGER")], "fail", "critical", id="removed"),
        pytest.param([("id", "INTEGER"), ("amount", "FLOAT")], "fail", "error", id="another type"),
        pytest.param([("id", "INTEGER"), ("amount", "DECIMAL(10,2)"), ("more", "DATE")], "pass", "warning", id="added"),
    ],
)
def test_the_heaviest_difference_decides(columns: list[tuple[str, str]], status: str, severity: str) -> None:
    verdict = judge(observed(*columns))
    assert (verdict.status, [finding.severity for finding in verdict.findings]) == (status, [severity])


def test_a_difference_says_what_is_promised_and_what_is_there() -> None:
    [finding] = judge(observed(("id", "INTEGER"), ("amount", "FLOAT"))).findings
    assert finding.message == (
        "The schema differs from sales.shop/orders in 1 difference: orders.amount type changed "
        "(decimal(10,2) is promised, FLOAT is there). Consumers break."
    )
    assert (finding.element, finding.expected, finding.actual) == (
        "orders.amount",
        "orders.amount: decimal(10,2)",
        "orders.amount: FLOAT",
    )


def test_all_differences_are_one_finding_with_each_of_them() -> None:
    verdict = judge(observed(("amount", "FLOAT"), ("more", "DATE")))
    [finding] = verdict.findings
    assert finding.message == (
        "The schema differs from sales.shop/orders in 3 differences: orders.id removed (integer is promised); "
        "orders.amount type changed (decimal(10,2) is promised, FLOAT is there); orders.more added (DATE). "
        "Consumers break."
    )
    assert verdict.details["differences"][1] == {
        "path": "orders.id",
        "kind": "removed",
        "expected": "integer",
        "actual": None,
        "severity": "critical",
        "breaks_consumers": True,
    }
    assert verdict.outcomes[0].measure == 3


def test_a_message_stays_short_however_much_has_changed() -> None:
    verdict = judge(observed(("id", "INTEGER"), ("amount", "DECIMAL(10,2)"), *((f"c{n}", "DATE") for n in range(500))))
    [finding] = verdict.findings
    assert finding.message.endswith("; and 490 more. No consumer breaks.")
    assert len(finding.message) < 1000
    assert len(verdict.details["differences"]) == 500


def test_the_fourth_episode_of_a_day_is_critical() -> None:
    [finding] = judge(observed(("id", "INTEGER"), ("amount", "FLOAT")), rules=Rules(recent_episodes={None: 4})).findings
    assert finding.severity == "critical"


def test_a_table_that_is_gone_is_critical() -> None:
    [finding] = judge(ObservedTable(is_missing=True)).findings
    assert (finding.severity, finding.element) == ("critical", "orders")


def test_a_catalog_that_does_not_answer_makes_drift_unknown_with_its_cause() -> None:
    verdict = judge(ObservedTable(failure="connection refused"))
    assert (verdict.status, verdict.reason, verdict.findings) == (CheckStatus.UNKNOWN, "connection refused", ())
    assert verdict.learned is None or verdict.learned.of("orders") == TableIds()


def test_without_a_catalog_somebody_has_to_change_something() -> None:
    verdict = judge(ObservedTable(failure="The manifest names no catalog.", is_configuration=True))
    assert verdict.status is CheckStatus.ERROR


def test_what_one_table_shows_is_told_although_another_cannot_be_read() -> None:
    gone = ObservedTable(failure="connection refused")
    assert judge(observed(("id", "INTEGER")), gone).status is CheckStatus.FAIL
    more = judge(observed(("id", "INTEGER"), ("amount", "DECIMAL(10,2)"), ("more", "DATE")), gone)
    assert (more.status, len(more.findings)) == (CheckStatus.UNKNOWN, 1)
    assert judge(KEPT, gone).status is CheckStatus.UNKNOWN


def test_ids_are_carried_to_the_next_run_only_if_there_is_something_new() -> None:
    now = observed(("id", "INTEGER"), ("amount", "DECIMAL(10,2)"), ids=True)
    first = judge(now)
    assert first.learned == FieldIds({"orders": TableIds(None, {"id": 1, "amount": 2})})
    assert judge(now, known=first.learned).learned is None
    assert FieldIds.from_document(first.learned.document()) == first.learned


def test_ids_stay_while_the_catalog_does_not_answer() -> None:
    known = FieldIds({"orders": TableIds("u", {"id": 1})})
    assert judge(ObservedTable(failure="connection refused"), known=known).learned is None
    assert judge(ObservedTable(is_missing=True), known=known).learned is None


def test_a_contract_without_columns_promises_no_schema() -> None:
    check = SchemaDriftCheck()
    assert check.is_promised(schema_contract())
    assert not check.is_promised(described(schema_contract(), ()))
