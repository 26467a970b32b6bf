"""Registers the suites' mark with pytest and makes their assertions explain themselves; loaded by entry point."""

import pytest

pytest.register_assert_rewrite("floe_core.testing.base_classes")


def pytest_configure(config: pytest.Config) -> None:
    """Declares the mark that every test of the suites carries."""
    config.addinivalue_line("markers", "requirement(id): the requirement that the test proves")
