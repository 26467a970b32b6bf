"""What holds for every test of the house: it names a requirement, and that requirement exists.

`docs/requirements.md` (requirement to test modules) is made from the same marks; `make docs` writes it, and
`tests/contract/test_requirements_page.py` keeps it true whenever the whole suite is collected.
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings as hypothesis_settings

from tools.requirements import (
    MODULES_BY_REQUIREMENT,
    is_whole_suite,
    known_requirements,
    requirements_of,
    requirements_page,
)

# By default an example that takes 200 ms fails: on a busy machine that says nothing of the code.
hypothesis_settings.register_profile("floe", deadline=None)
hypothesis_settings.load_profile("floe")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Lets `tools/docs.py` ask for the page."""
    parser.addoption("--write-requirements", metavar="FILE", help="write the page of requirements and their tests")


@pytest.hookimpl(tryfirst=True)  # before -m and -k take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuses a test without a requirement, and notes which modules test which."""
    known = known_requirements()
    modules: dict[str, set[str]] = {}
    objections = []
    for item in items:
        named = requirements_of(item)
        if not named:
            objections.append(
                f'{item.nodeid}: add @pytest.mark.requirement("…"); the ids are in docs/requirements.toml'
            )
        for requirement in named:
            if requirement not in known:
                objections.append(f"{item.nodeid}: docs/requirements.toml has no {requirement!r}")
            modules.setdefault(requirement, set()).add(item.nodeid.partition("::")[0])
    if objections:
        raise pytest.UsageError(*objections)
    if is_whole_suite(config):
        config.stash[MODULES_BY_REQUIREMENT] = modules
    if target := config.getoption("--write-requirements"):
        Path(target).write_text(requirements_page(known, modules), encoding="utf-8")


def pytest_runtest_teardown() -> None:
    """Forgets what a test resolved: a remembered "value" would be masked in the texts of every later test."""
    if redaction := sys.modules.get("floe_core.redaction"):
        redaction.forget_secrets()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Ends the logging that a test sets up: it would quiet libraries, and write elsewhere, for every later test."""
    from floe_core.logging import QUIETED  # noqa: PLC0415 - not before coverage has begun

    root = logging.getLogger()
    handlers = list(root.handlers)
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, QUIETED))}
    _log_plainly()
    outcome = yield
    _log_plainly()
    for handler in [added for added in root.handlers if added not in handlers]:
        root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)
    return outcome


def _log_plainly() -> None:
    """As structlog does by itself, but for rich's tracebacks with every local: each of a deep stack takes seconds."""
    structlog.reset_defaults()
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])
