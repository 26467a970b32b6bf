"""Atlan as a lineage backend: the suite of all backends, and what its connection check tells."""

from typing import ClassVar

import pytest

from floe_core.namespaces import NamespaceStrategy
from floe_core.testing.base_classes import BaseLineageBackendPluginTests
from floe_lineage_atlan import AtlanLineagePlugin
from tests.integration.lineage_connections import AccountConnectionTests
from tests.integration.lineage_standins import ATLAN, Vendor

VARIABLE = "ATLAN_API_TOKEN"


def configured() -> AtlanLineagePlugin:
    return AtlanLineagePlugin.from_mapping({"url": "https://acme.atlan.com", "api_token": f"${{env:{VARIABLE}}}"})


class TestAtlanBackend(BaseLineageBackendPluginTests):
    """REQ-060: every implementation passes the suite."""

    expected_namespace_strategy = NamespaceStrategy.CENTRALIZED

    @pytest.fixture
    def plugin(self) -> AtlanLineagePlugin:
        return configured()


class TestAtlanConnection(AccountConnectionTests):
    variable: ClassVar[str] = VARIABLE
    vendor: ClassVar[Vendor] = ATLAN

    @pytest.fixture
    def plugin(self) -> AtlanLineagePlugin:
        return configured()
