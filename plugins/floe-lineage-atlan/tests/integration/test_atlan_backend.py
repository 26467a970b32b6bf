"""Atlan as a lineage backend: the suite of all backends, and what its connection check tells and cannot tell."""

from datetime import UTC, datetime
from typing import ClassVar
from uuid import uuid4

import pytest
import requests
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from floe_core.lineage.transport import client_for
from floe_core.namespaces import NamespaceStrategy
from floe_core.testing.base_classes import BaseLineageBackendPluginTests
from floe_lineage_atlan import AtlanLineagePlugin
from tests.integration.lineage_connections import AccountConnectionTests
from tests.integration.lineage_standins import ATLAN, KEY, Vendor, standing_in

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


@pytest.mark.requirement("REQ-057", "REQ-060")
def test_a_source_that_is_not_set_up_is_refused_like_a_wrong_token_although_the_token_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    plugin = AtlanLineagePlugin.from_mapping({"url": "https://acme.atlan.com", "source": "airflow"})
    event = RunEvent(
        eventType=RunState.START,
        eventTime=datetime.now(UTC).isoformat(),
        run=Run(runId=str(uuid4())),
        job=Job(namespace="production", name="load"),
        producer="https://floe.dev/tests",
    )

    with standing_in(ATLAN) as atlan:
        transport = plugin.get_transport_config("production").model_copy(update={"url": atlan.origin})
        assert plugin.validate_connection(transport)
        client = client_for(transport)
        with pytest.raises(requests.HTTPError, match="401"):
            client.emit(event)
        client.close()
