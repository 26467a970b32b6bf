"""docs/requirements.md says which modules test which requirement; this keeps it true."""

import pytest

from tools.requirements import MODULES_BY_REQUIREMENT, PAGE, known_requirements, requirements_page

pytestmark = pytest.mark.requirement("HOUSE-1")


def test_the_page_of_requirements_is_up_to_date(pytestconfig: pytest.Config) -> None:
    modules = pytestconfig.stash.get(MODULES_BY_REQUIREMENT, None)
    if modules is None:
        pytest.skip("only a run of the whole suite knows every test")
    page = PAGE.read_text(encoding="utf-8")
    assert page == requirements_page(known_requirements(), modules), "run `make docs`"


def test_every_requirement_is_listed_once() -> None:
    rows = [
        line.split(" | ")[0].removeprefix("| ") for line in requirements_page(known_requirements(), {}).splitlines()
    ]
    listed = [row for row in rows if row in known_requirements()]
    assert listed == list(known_requirements())
