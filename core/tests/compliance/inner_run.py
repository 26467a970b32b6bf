"""Runs a module of planted plugins through its suite, in this process, and tells what failed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

PLANTED = Path(__file__).parent / "planted"


class _Recorder:
    """Notes the names of failed tests by class; a test with a failed set-up has failed."""

    def __init__(self) -> None:
        self.failed: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, test_class, test = report.nodeid.split("::")
        failed = self.failed.setdefault(test_class, set())
        if report.failed:
            failed.add(test.partition("[")[0])


def failures_by_class(module: str | Path) -> Mapping[str, set[str]]:
    """Each test class of a module (a planted one by name) with the tests that failed."""
    recorder = _Recorder()
    options = ["-q", "--no-header", "--no-summary", "--import-mode=importlib", "-p", "no:cacheprovider"]
    isolation = [f"--rootdir={PLANTED}", f"--confcutdir={PLANTED}", "-c", str(PLANTED / "pytest.ini")]
    plugins_off = ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:cov"]
    pytest.main([*options, *isolation, *plugins_off, str(PLANTED / module)], plugins=[recorder])
    return recorder.failed
