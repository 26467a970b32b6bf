"""OpenMetadata as a lineage backend: the suite of all backends, and what its connection check tells."""

from typing import ClassVar

import pytest

from floe_core.namespaces import NamespaceStrategy
from floe_core.testing.base_classes import BaseLineageBackendPluginTests
from floe_lineage_openmetadata import OpenMetadataLineagePlugin
from tests.integration.lineage_connections import AccountConnectionTests
from tests.integration.lineage_standins import OPENMETADATA, Vendor

VARIABLE = "OPENMETADATA_JWT_TOKEN"


def configured() -> OpenMetadataLineagePlugin:
    return OpenMetadataLineagePlugin.from_mapping(
        {"url": "https://openmetadata.example.com", "jwt_token": f"${{env:{VARIABLE}}}"}
    )


class TestOpenMetadataBackend(BaseLineageBackendPluginTests):
    """REQ-060: every implementation passes the suite."""

    expected_namespace_strategy = NamespaceStrategy.CENTRALIZED

    @pytest.fixture
    def plugin(self) -> OpenMetadataLineagePlugin:
        return configured()


class TestOpenMetadataConnection(AccountConnectionTests):
    variable: ClassVar[str] = VARIABLE
    vendor: ClassVar[Vendor] = OPENMETADATA

    @pytest.fixture
    def plugin(self) -> OpenMetadataLineagePlugin:
        return configured()
