"""Changes between two versions of a contract, and what the version number has to say of them."""

import pytest

from floe_monitor.contracts.comparison import Change, ContractDiff, Level, compare_contracts
from floe_monitor.contracts.reading import parse_contract

pytestmark = pytest.mark.requirement("FR-004", "FR-045")

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.2.3
status: active
description: {purpose: orders}
schema:
  - name: orders
    quality:
      - {metric: rowCount, mustBeGreaterThan: 10}
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true}
      - name: email
        logicalType: string
        physicalType: varchar(20)
        quality: [{metric: nullValues, unit: percent, mustBeLessThan: 5}]
      - {name: updated_at, logicalType: timestamp}
  - name: returns
slaProperties:
  - {property: freshness, value: PT6H, element: orders.updated_at}
  - {property: availability, value: 99%}
"""


def diff(*replacements: tuple[str, str], version: str = "1.2.3") -> ContractDiff:
    after = CONTRACT.replace("version: 1.2.3", f"version: {version}")
    for old, new in replacements:
        assert old in after
        after = after.replace(old, new)
    return compare_contracts(parse_contract(CONTRACT, file="old"), parse_contract(after, file="new"))


def test_a_contract_does_not_differ_from_itself() -> None:
    found = diff()
    assert (found.changes, found.needed, found.is_version_enough) == ((), None, True)


@pytest.mark.parametrize(
    ("old", "new", "level", "path", "what"),
    [
        ("  - name: returns\n", "", Level.MAJOR, "returns", "table removed"),
        ("  - name: returns\n", "  - name: returns\n  - name: more\n", Level.MINOR, "more", "table added"),
        (
            "      - {name: updated_at, logicalType: timestamp}\n",
            "      - {name: updated_at, logicalType: timestamp}\n      - {name: x}\n",
            Level.MINOR,
            "orders.x",
            "column added",
        ),
        (
            "      - {name: updated_at, logicalType: timestamp}\n",
            "      - {name: updated_at, logicalType: timestamp}\n      - {name: x, required: true}\n",
            Level.MAJOR,
            "orders.x",
            "required column added",
        ),
        ("varchar(20)", "varchar(30)", Level.MAJOR, "orders.email", "type changed from varchar(20) to varchar(30)"),
        ("required: true, ", "", Level.MINOR, "orders.id", "is required no longer"),
        (
            "logicalType: timestamp",
            "logicalType: timestamp, required: true",
            Level.MAJOR,
            "orders.updated_at",
            "became required",
        ),
        (
            "logicalType: timestamp",
            "physicalName: UPD, logicalType: timestamp",
            Level.MAJOR,
            "orders.updated_at",
            "is UPD in the source, was updated_at",
        ),
        (", primaryKey: true", "", Level.MAJOR, "orders", "primary key changed"),
        (
            "logicalType: timestamp",
            "logicalType: timestamp, partitioned: true",
            Level.MINOR,
            "orders",
            "partitioning changed",
        ),
        ("PT6H", "PT5H", Level.MINOR, "freshness of orders.updated_at", "became stricter"),
        ("PT6H", "PT7H", Level.MAJOR, "freshness of orders.updated_at", "was relaxed"),
        ("99%", "99.5%", Level.MINOR, "availability", "became stricter"),
        ("99%", "98%", Level.MAJOR, "availability", "was relaxed"),
        ("  - {property: availability, value: 99%}\n", "", Level.MAJOR, "availability", "removed"),
        (
            "mustBeGreaterThan: 10",
            "mustBeGreaterThan: 20",
            Level.MINOR,
            "orders: rowCount",
            "quality rule became stricter",
        ),
        ("mustBeGreaterThan: 10", "mustBeGreaterThan: 5", Level.MAJOR, "orders: rowCount", "quality rule was relaxed"),
        ("mustBeGreaterThan: 10", "mustBe: 10", Level.MAJOR, "orders: rowCount", "quality rule changed"),
        (
            "mustBeLessThan: 5",
            "mustBeLessThan: 4",
            Level.MINOR,
            "orders.email: nullValues",
            "quality rule became stricter",
        ),
        (
            "      - {metric: rowCount, mustBeGreaterThan: 10}\n",
            "      - {metric: duplicateValues, arguments: {properties: [id, email]}}\n",
            Level.MAJOR,
            "orders: rowCount",
            "quality rule removed",
        ),
        ("purpose: orders", "purpose: all orders", Level.PATCH, "contract", "texts or other descriptions changed"),
    ],
)
def test_each_change_is_named_and_weighed(old: str, new: str, level: Level, path: str, what: str) -> None:
    found = diff((old, new))
    assert Change(level, path, what) in found.changes
    assert found.needed is level


def test_the_heaviest_change_decides_and_stands_first() -> None:
    found = diff(("PT6H", "PT5H"), ("  - name: returns\n", ""), ("purpose: orders", "purpose: all"))
    assert [change.level for change in found.changes] == [Level.MAJOR, Level.MINOR]
    assert found.needed is Level.MAJOR


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [("1.2.3", False), ("1.2.4", False), ("1.3.0", True), ("2.0.0", True), ("1.1.9", False), ("next", False)],
)
def test_the_version_has_to_say_how_much_has_changed(version: str, is_enough: bool) -> None:
    assert diff(("PT6H", "PT5H"), version=version).is_version_enough is is_enough
