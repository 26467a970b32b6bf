"""What happens to pods after their admission, on a real API server, with the rights that the documentation lists."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from floe_webhook.announcements import Subject
from floe_webhook.cluster.eviction import Eviction, EvictionBudget, Evictions
from floe_webhook.missed import MissedPod, Verdict
from tests.e2e.admission import Namespace, pod
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.following_installation import Document, Installation, following_installation, patch_status
from tests.e2e.webhook_release import administrator
from webhook.tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-1", "HOUSE-3", "HOUSE-5", "HOUSE-11")]

NamespaceMaker = Callable[..., Namespace]


@pytest.fixture
async def installation(
    test_cluster: Cluster, namespace: NamespaceMaker, run_id: str, tmp_path: Path
) -> AsyncIterator[Installation]:
    """A release whose replicas follow pods, and a namespace that is its business."""
    async with following_installation(test_cluster, namespace(), namespace(), run_id, tmp_path) as made:
        yield made


async def workload(installation: Installation) -> tuple[str, dict[str, Any]]:
    """A Deployment's UID, and the metadata that its ReplicaSet gives its pods."""
    labels = {"app": "orders"}
    template = {"metadata": {"labels": labels}, "spec": pod(installation.sales)["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    apps = f"/apis/apps/v1/namespaces/{installation.sales.name}"
    deployment = await installation.create(
        f"{apps}/deployments",
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orders"}, "spec": spec},
    )
    # No controller manager runs beside this API server.
    hashed = {"pod-template-hash": "5d9"}
    replica_set = await installation.create(
        f"{apps}/replicasets",
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "orders-5d9", "ownerReferences": [reference_to("Deployment", deployment)]},
            "spec": {"selector": {"matchLabels": hashed}, "template": template | {"metadata": {"labels": hashed}}},
        },
    )
    owned = {"labels": labels | hashed, "ownerReferences": [reference_to("ReplicaSet", replica_set)]}
    return deployment["metadata"]["uid"], owned


def reference_to(kind: str, owner: Document) -> dict[str, Any]:
    """A controlling owner reference."""
    metadata = owner["metadata"]
    return {
        "apiVersion": "apps/v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": True
    }  # fmt: skip


async def test_pods_are_told_of_on_their_workload_and_their_ends_become_runs_once_for_all_leaders(
    installation: Installation,
) -> None:
    deployment, owned = await workload(installation)
    sales = installation.sales

    def one(inject: str = "enabled", **spec: Any) -> Document:
        return pod(sales, inject=inject, spec=spec, **owned)

    async with installation.replica("first"):
        pods = f"/api/v1/namespaces/{sales.name}/pods"
        for query in ({"dryRun": "All"}, {}, {}, {}):
            answer = await installation.release.api("POST", pods, query=query, body=one(hostNetwork=True))
            assert "floe.dev/injected" in answer.document["metadata"]["labels"]
        event = await installation.told(deployment, "HostNetwork", 3)
        assert (event["type"], event["source"]["component"]) == ("Warning", "floe-webhook")
        assert (event["involvedObject"]["kind"], event["count"]) == ("Deployment", 3)

        succeeded = await installation.create_pod(one(restartPolicy="Never"))
        await installation.end(succeeded, "Succeeded", {"exitCode": 0})
        uid = succeeded["metadata"]["uid"]
        await until(lambda: len(installation.runs()) == 2, "the pod's run told")
        assert installation.runs() == [("START", uid), ("COMPLETE", uid)]
        await installation.told(deployment, "LineageUnsent", 1)

        typo = await installation.create_pod(one("yes"))
        await patch_status(installation.release.api, typo, {"phase": "Running"})
        await installation.told(deployment, "PodLabelUnknown", 1)

    await installation.settled()
    missed = await installation.create_pod(one())
    assert "floe.dev/injected" not in missed["metadata"]["labels"], "no replica ran"
    await patch_status(installation.release.api, missed, {"phase": "Running"})

    async with installation.replica("second"):
        await installation.told(deployment, "NotInjected", 1)
        failed = await installation.create_pod(one(restartPolicy="Never"))
        await installation.end(failed, "Failed", {"exitCode": 137, "reason": "OOMKilled"})
        await until(lambda: len(installation.runs()) == 4, "the other pod's run told")

    assert installation.runs()[2:] == [("START", failed["metadata"]["uid"]), ("FAIL", failed["metadata"]["uid"])]
    error = installation.gateway.received[-1].body["run"]["facets"]["errorMessage"]["message"]
    assert error == "Container app ended with exit code 137: OOMKilled."


async def test_an_eviction_removes_a_pod_unless_a_budget_holds_it(
    test_cluster: Cluster, namespace: NamespaceMaker
) -> None:
    home = namespace()
    async with administrator(test_cluster) as api:
        pods = f"/api/v1/namespaces/{home.name}/pods"
        found = {}
        for name in ("free", "held", "other"):
            labels = {"app": name}
            found[name] = (await api("POST", pods, body=pod(home, name=name, labels=labels))).document
            await patch_status(api, found[name], {"phase": "Running"})
        budget = {
            "metadata": {"name": "held"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "held"}}},
        }
        await api("POST", f"/apis/policy/v1/namespaces/{home.name}/poddisruptionbudgets", body=budget)
        evictions = Evictions(api, EvictionBudget(per_round=5))

        uids = {name: stored["metadata"]["uid"] for name, stored in found.items()}
        uids["other"] = "00000000-0000-4000-8000-000000000000"  # made anew since it was looked at
        results = {name: await evictions.evict([suspect(home, name, uid)]) for name, uid in uids.items()}

        gone = await api.read(f"{pods}/free")
        assert gone is None or "deletionTimestamp" in gone["metadata"]
        assert None not in [await api.read(f"{pods}/{name}") for name in ("held", "other")]
    assert results == {
        "free": [Eviction.EVICTED],
        "held": [Eviction.HELD_BY_BUDGET],
        "other": [Eviction.GONE],
    }


def suspect(home: Namespace, name: str, uid: str) -> MissedPod:
    """A missed pod of a StatefulSet."""
    subject = Subject(home.name, "StatefulSet", name)
    return MissedPod(home.name, name, uid, datetime.now(UTC), Verdict.MISSED, subject)
