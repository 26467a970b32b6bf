"""docs/field-problems.md names every known problem of the field and, for each, what answers it; this keeps it true."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "field-problems.md"
EXPECTED = {
    *(f"FP-{number}" for number in range(1, 34)),
    *(f"DEF-{number}" for number in range(1, 12)),
    *(f"RELAY-{number}" for number in range(1, 12)),
    *(f"MON-A{number}" for number in range(1, 9)),
    *(f"MON-B{number}" for number in range(1, 34)),
    *(f"MON-C{number}" for number in range(1, 13)),
}

pytestmark = pytest.mark.requirement("HOUSE-1")


def rows() -> dict[str, str]:
    """Each problem's id with the text of its answer."""
    found: dict[str, str] = {}
    for line in PAGE.read_text().splitlines():
        if match := re.match(r"^\| ([A-Z]+-[A-Z]?\d+) \| [^|]+ \| ([^|]+) \|$", line):
            assert match[1] not in found, f"{match[1]} stands twice"
            found[match[1]] = match[2].strip()
    return found


@cache
def functions_in(path: Path) -> frozenset[str]:
    """Names of all test functions of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_known_problem_has_a_row_with_an_answer() -> None:
    assert set(rows()) == EXPECTED


def test_an_answer_is_a_test_a_decision_or_open() -> None:
    unclear = {
        problem: answer
        for problem, answer in rows().items()
        if not answer.startswith(("open: ", "decision: ")) and not re.findall(r"`[^`]+::test_\w+`", answer)
    }
    assert unclear == {}


def test_every_test_that_answers_exists() -> None:
    missing = [
        f"{problem}: {path}::{name}"
        for problem, answer in rows().items()
        for path, name in re.findall(r"`([^`:]+\.py)::(test_\w+)`", answer)
        if not (ROOT / path).is_file() or name not in functions_in(ROOT / path)
    ]
    assert missing == []


def test_every_page_that_a_decision_points_to_exists() -> None:
    missing = [
        link
        for answer in rows().values()
        for link in re.findall(r"\]\(([^)#]+)", answer)
        if not (PAGE.parent / link).is_file()
    ]
    assert missing == []
