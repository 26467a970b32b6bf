"""Marquez as a lineage backend: the suite of all backends, and what its connection check tells."""

from typing import ClassVar

import pytest

from floe_core.namespaces import NamespaceStrategy
from floe_core.testing.base_classes import BaseLineageBackendPluginTests
from floe_lineage_marquez import MarquezLineagePlugin
from tests.integration.lineage_connections import ServerConnectionTests
from tests.integration.lineage_standins import MARQUEZ, Vendor

VARIABLE = "MARQUEZ_API_KEY"


def configured() -> MarquezLineagePlugin:
    return MarquezLineagePlugin.from_mapping(
        {"url": "http://marquez.lineage.svc:5000", "api_key": f"${{env:{VARIABLE}}}"}
    )


class TestMarquezBackend(BaseLineageBackendPluginTests):
    """REQ-060: every implementation passes the suite."""

    expected_namespace_strategy = NamespaceStrategy.SIMPLE

    @pytest.fixture
    def plugin(self) -> MarquezLineagePlugin:
        return configured()


class TestMarquezConnection(ServerConnectionTests):
    variable: ClassVar[str] = VARIABLE
    vendor: ClassVar[Vendor] = MARQUEZ

    @pytest.fixture
    def plugin(self) -> MarquezLineagePlugin:
        return configured()
