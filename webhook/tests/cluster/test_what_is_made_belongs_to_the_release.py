"""Secret and Lease that are made at run time go when the release goes."""

import io
from typing import Any

import pytest

from certs.tests.api_server import OBJECTS, SECRET, InMemoryApi
from floe_certs.api import UnreachableError
from floe_certs.kubernetes import ClusterApi
from floe_core.logging import configure_logging
from floe_webhook.cluster.ownership import OwnedCreation
from webhook.tests.cluster.api_server import StandIn, client, stand_in

pytestmark = pytest.mark.requirement("FP-23", "HOUSE-11")

DEPLOYMENT = "/apis/apps/v1/namespaces/floe/deployments/floe-webhook"
LABELS = {"app.kubernetes.io/instance": "floe"}


async def written(server: StandIn, *, times: int = 1, deployment: str | None = "floe-webhook") -> dict[str, Any]:
    """The metadata of a Secret that is created; what owns it is asked of the server."""
    memory = InMemoryApi()
    async with client(server.url) as api:
        cluster = ClusterApi(OwnedCreation(memory.request, api, "floe", deployment), OBJECTS)
        for _ in range(times):
            memory.objects.pop(SECRET, None)
            await cluster.write_secret({"tls.crt": b"x"}, None)
    metadata: dict[str, Any] = memory.objects[SECRET]["metadata"]
    return metadata


async def test_it_has_the_deployments_labels_and_is_owned_by_it() -> None:
    async with stand_in() as server:
        server.answers[DEPLOYMENT] = [(200, {"metadata": {"name": "floe-webhook", "uid": "u-1", "labels": LABELS}})]
        metadata = await written(server, times=3)
        asked = len(server.asked)
    assert metadata["labels"] == LABELS
    assert metadata["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "floe-webhook", "uid": "u-1"}
    ]
    assert (metadata["name"], metadata["namespace"]) == ("floe-webhook-tls", "floe")
    assert asked == 1, "an owner does not change while it runs"


@pytest.mark.parametrize("status", [403, 404])
async def test_without_a_right_to_the_owner_it_is_made_all_the_same_and_told(status: int) -> None:
    lines = io.StringIO()
    configure_logging(stream=lines)
    async with stand_in() as server:
        server.answers[DEPLOYMENT] = [(status, {"reason": "No"})]
        metadata = await written(server)
    assert "ownerReferences" not in metadata
    assert "will stay after uninstalling" in lines.getvalue()


async def test_an_owner_that_cannot_be_asked_for_now_makes_it_wait() -> None:
    async with stand_in() as server:
        server.answers[DEPLOYMENT] = [(503, {}), (200, {"metadata": {"name": "floe-webhook", "uid": "u-1"}})]
        memory = InMemoryApi()
        async with client(server.url) as api:
            cluster = ClusterApi(OwnedCreation(memory.request, api, "floe", "floe-webhook"), OBJECTS)
            with pytest.raises(UnreachableError):
                await cluster.write_secret({"tls.crt": b"x"}, None)
            assert memory.objects == {}
            await cluster.write_secret({"tls.crt": b"x"}, None)
    assert memory.objects[SECRET]["metadata"]["ownerReferences"][0]["uid"] == "u-1"


async def test_who_names_no_owner_asks_for_none() -> None:
    async with stand_in() as server:
        metadata = await written(server, deployment=None)
        assert server.asked == []
    assert "ownerReferences" not in metadata


async def test_what_exists_already_keeps_its_owner() -> None:
    async with stand_in() as server, client(server.url) as api:
        memory = InMemoryApi()
        memory.put(SECRET, {"metadata": {"name": "floe-webhook-tls", "labels": {"made-by": "chart"}}})
        cluster = ClusterApi(OwnedCreation(memory.request, api, "floe", "floe-webhook"), OBJECTS)
        await cluster.write_secret({"tls.crt": b"x"}, await cluster.read_secret())
        assert server.asked == []
    assert memory.objects[SECRET]["metadata"]["labels"] == {"made-by": "chart"}
