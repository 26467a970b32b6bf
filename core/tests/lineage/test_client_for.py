"""The client of a transport has its credentials resolved and sends where the transport says."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from floe_core.errors import ConfigurationError
from floe_core.lineage.transport import client_for
from floe_core.plugin_interfaces import OpenLineageTransport
from floe_core.testing.lineage_receiver import lineage_receiver

pytestmark = pytest.mark.requirement("REQ-520", "REQ-526", "REQ-057")


def event() -> RunEvent:
    return RunEvent(
        eventType=RunState.START,
        eventTime=datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        run=Run(runId=str(uuid4())),
        job=Job(namespace="acme/sales/orders", name="nightly"),
        producer="https://floe.dev/tests",
    )


def test_an_event_arrives_with_the_resolved_credential() -> None:
    with lineage_receiver() as receiver:
        transport = OpenLineageTransport(
            url=receiver.origin,
            endpoint="/events/openlineage/dbt/api/v1/lineage",
            auth={"type": "api_key", "apiKey": "${env:LINEAGE_TOKEN}"},
            headers={"x-source": "floe"},
        )
        client_for(transport, {"LINEAGE_TOKEN": "token-value-1"}).emit(event())
    (request,) = receiver.received
    assert request.path == "/events/openlineage/dbt/api/v1/lineage"
    assert request.headers["authorization"] == "Bearer token-value-1"
    assert request.headers["x-source"] == "floe"
    assert request.body["job"] == {"namespace": "acme/sales/orders", "name": "nightly", "facets": {}}


def test_a_missing_credential_is_told_by_name() -> None:
    transport = OpenLineageTransport(url="http://127.0.0.1:1", auth={"type": "api_key", "apiKey": "${env:NOWHERE}"})
    with pytest.raises(ConfigurationError, match="NOWHERE"):
        client_for(transport, {})


def test_what_the_client_refuses_is_told_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="refuses the transport") as caught:
        client_for(OpenLineageTransport(url="http://127.0.0.1:1", auth={"type": "acme.Provider"}), {})
    assert "Check url" in (caught.value.remedy or "")


def test_a_console_transport_needs_no_address() -> None:
    assert client_for(OpenLineageTransport(type="console"), {}).transport.kind == "console"
