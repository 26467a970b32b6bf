"""What the API server's answer to the probe says; the real answers of two API servers are asked end to end."""

import copy
import json
from typing import Any

import pytest
from aiohttp.test_utils import unused_port

from floe_webhook.cluster.native_sidecars import supported
from webhook.tests.cluster.api_server import StandIn, client, stand_in

pytestmark = pytest.mark.requirement("FP-5", "HOUSE-3")

TEMPLATES = "/api/v1/namespaces/floe-system/podtemplates"


async def _asked_once(server: StandIn) -> bool | None:
    async with client(server.url) as api:
        return await supported(api, "floe-system")


async def _sent() -> dict[str, Any]:
    """The object that the probe sends."""
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(201, {})]
        await _asked_once(server)
        (asked,) = server.asked
    sent: dict[str, Any] = json.loads(asked.body)
    return sent


async def test_the_probe_is_a_dry_run_of_an_object_that_starts_nothing() -> None:
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(201, {})]
        await _asked_once(server)
        (asked,) = server.asked

    assert (asked.method, asked.path, asked.query) == ("POST", TEMPLATES, {"dryRun": "All"})
    assert json.loads(asked.body)["kind"] == "PodTemplate"


async def test_a_server_that_answers_what_it_was_sent_keeps_native_sidecars() -> None:
    sent = await _sent()
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(201, sent)]
        assert await _asked_once(server) is True


async def test_a_server_that_drops_the_field_has_none() -> None:
    dropped = copy.deepcopy(await _sent())
    del dropped["template"]["spec"]["initContainers"][0]["restartPolicy"]
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(201, dropped)]
        assert await _asked_once(server) is False


async def test_a_container_that_another_injector_put_first_is_not_taken_for_ours() -> None:
    injected = copy.deepcopy(await _sent())
    injected["template"]["spec"]["initContainers"].insert(0, {"name": "mesh-init"})
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(201, injected)]
        assert await _asked_once(server) is True


@pytest.mark.parametrize(
    ("status", "document"),
    [
        pytest.param(403, {"kind": "Status", "reason": "Forbidden"}, id="no right to ask"),
        pytest.param(404, {"kind": "Status", "reason": "NotFound"}, id="no such namespace"),
        pytest.param(503, b"", id="an API server that cannot now"),
        pytest.param(201, b"no document", id="no document"),
        pytest.param(201, {"template": {"spec": {"initContainers": []}}}, id="no init container"),
        pytest.param(201, {"template": {"spec": {"initContainers": [{"name": "x"}]}}}, id="only those of others"),
        pytest.param(201, {"template": []}, id="another shape"),
    ],
)
async def test_an_answer_that_tells_nothing_is_unknown(status: int, document: dict[str, Any] | bytes) -> None:
    async with stand_in() as server:
        server.answers[TEMPLATES] = [(status, document)]
        assert await _asked_once(server) is None


async def test_no_answer_is_unknown() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        assert await supported(api, "floe-system") is None
