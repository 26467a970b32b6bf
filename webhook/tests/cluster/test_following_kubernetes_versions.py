"""Which versions the cluster has, and what is said of what could not be found out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.cluster.nodes import AGAIN_SECONDS, SECONDS, TABLE, KubernetesVersions, Version, version_of
from floe_webhook.lookup_metrics import LookupMetrics
from webhook.tests.cluster.api_server import StandIn, client, stand_in

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-5")

NODES = "/api/v1/nodes"
TEMPLATES = "/api/v1/namespaces/floe-system/podtemplates"
NEW: dict[str, Any] = {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
KEPT: dict[str, Any] = {"template": {"spec": {"initContainers": [{"name": "sidecar", "restartPolicy": "Always"}]}}}
DROPPED: dict[str, Any] = {"template": {"spec": {"initContainers": [{"name": "sidecar"}]}}}


def table(*kubelets: str, following: str = "") -> dict[str, Any]:
    return {
        "metadata": {"continue": following},
        "columnDefinitions": [{"name": "Name"}, {"name": "Status"}, {"name": "Version"}],
        "rows": [{"cells": [f"node-{at}", "Ready", kubelet]} for at, kubelet in enumerate(kubelets)],
    }


@asynccontextmanager
async def followed(
    registry: CollectorRegistry | None = None, **settings: Any
) -> AsyncIterator[tuple[StandIn, KubernetesVersions]]:
    async with stand_in() as server, client(server.url) as api:
        server.answers |= {"/version": [(200, NEW)], NODES: [(200, table("v1.36.3"))], TEMPLATES: [(201, KEPT)]}
        settings = {"release_namespace": "floe-system"} | settings
        yield server, KubernetesVersions(api, LookupMetrics(registry or CollectorRegistry()), **settings)


async def test_a_new_cluster_keeps_native_sidecars_and_nothing_is_assumed() -> None:
    async with followed() as (_, versions):
        found = await versions.look()
    assert (found.native_sidecars, found.unknown) == (True, ())
    assert versions.details() == {
        "native_sidecars": True,
        "api_server": "1.36",
        "oldest_kubelet": "1.36",
        "assumed": (),
    }


@pytest.mark.parametrize(
    ("path", "answer", "kept"),
    [
        pytest.param("/version", (200, {"major": "1", "minor": "28+"}), False, id="an old API server"),
        pytest.param("/version", (200, {"major": "1", "minor": "29"}), True, id="the first API server"),
        pytest.param(NODES, (200, table("v1.36.3", "v1.28.9-gke.1", "v1.29.0")), False, id="one old kubelet"),
        pytest.param(NODES, (200, table("v1.29.0")), True, id="the first kubelet"),
        pytest.param(TEMPLATES, (201, DROPPED), False, id="a gate that is off"),
        pytest.param(NODES, (403, {"reason": "Forbidden"}), True, id="nodes that may not be listed"),
        pytest.param(NODES, (200, table()), True, id="no node yet"),
        pytest.param(NODES, (200, {"rows": [{"cells": ["v1.2"]}]}), True, id="a table without versions"),
        pytest.param(NODES, (200, table("v1." + "9" * 5000)), True, id="a kubelet with a strange version"),
        pytest.param("/version", (503, {}), True, id="no answer"),
    ],
)
async def test_what_is_too_old_or_off_switches_the_sidecar_off(path: str, answer: Any, kept: bool) -> None:
    registry = CollectorRegistry()
    async with followed(registry) as (server, versions):
        server.answers[path] = [answer]
        assert (await versions.look()).native_sidecars is kept
    assert registry.get_sample_value("floe_webhook_native_sidecars_kept") == kept


async def test_nodes_come_page_by_page_and_as_a_table() -> None:
    async with followed() as (server, versions):
        server.answers[NODES] = [(200, table("v1.36.3", following="more")), (200, table("v1.27.0"))]
        assert (await versions.look()).oldest_kubelet == (1, 27)
        asked = [one for one in server.asked if one.path == NODES]
    assert [one.query.get("continue") for one in asked] == [None, "more"]
    assert {(one.headers["Accept"], one.query["includeObject"]) for one in asked} == {(TABLE, "None")}


async def test_a_version_that_is_told_spares_the_question() -> None:
    async with followed(oldest_kubelet="v1.28.1") as (server, versions):
        assert versions.versions.native_sidecars is False
        await versions.look()
        assert NODES not in {one.path for one in server.asked}
        assert versions.details()["oldest_kubelet"] == "1.28"


async def test_what_is_not_answered_keeps_its_last_answer_and_what_never_was_is_told() -> None:
    registry = CollectorRegistry()
    async with followed(registry, release_namespace=None) as (server, versions):
        server.answers[NODES] = [(200, table("v1.28.0")), (500, {})]
        await versions.look()
        assert (await versions.look()).oldest_kubelet == (1, 28)
    assert versions.details()["assumed"] == ("keeps_native_sidecars",)
    unknown = {
        of: registry.get_sample_value("floe_webhook_kubernetes_version_unknown", {"of": of})
        for of in ("api_server", "oldest_kubelet", "keeps_native_sidecars")
    }
    assert unknown == {"api_server": 0, "oldest_kubelet": 0, "keeps_native_sidecars": 1}


async def test_a_first_look_that_fails_is_over_all_the_same() -> None:
    async with followed() as (_, versions):
        versions._oldest_kubelet = None  # type: ignore[assignment,method-assign]  # a defect of ours
        with pytest.raises(TypeError):
            await versions.look()
        assert versions.looked.is_set(), "every admission would wait for it"


async def test_an_answer_is_waited_for_less_long_than_the_next_version() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise asyncio.CancelledError

    async with followed(sleep=sleep) as (server, versions):
        server.answers[NODES] = [(503, {}), (403, {}), (200, table("v1.36.3"))]
        with pytest.raises(asyncio.CancelledError):
            await versions.run()
    assert waited == [AGAIN_SECONDS, SECONDS, SECONDS]


@pytest.mark.parametrize(
    ("told", "version"),
    [("v1.29.3-eks-1", (1, 29)), ("1.29+", (1, 29)), ("1.9", (1, 9)), ("", None), ("next", None), (".", None)],
)
def test_a_version_is_read_from_what_a_server_tells(told: str, version: Version | None) -> None:
    assert version_of(told) == version
