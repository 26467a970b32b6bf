"""Trouble with the sidecar's image: noticed from pods, ended by a probe pod."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.announcements import Announcement
from floe_webhook.cluster.sidecar_health import FORGET_SECONDS, SEVERAL_NAMESPACES, SidecarHealth
from floe_webhook.cluster.sidecar_probe import KEPT_SECONDS, PATIENCE_SECONDS, SidecarProbe, probe_path, probe_pod
from floe_webhook.cluster.sidecar_trouble import Trouble, trouble_of
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.profile import Profile
from webhook.tests.builders import PROFILE, profile
from webhook.tests.cluster.api_server import Asked, StandIn, client, stand_in

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-5")

assert PROFILE.sidecar is not None
IMAGE = PROFILE.sidecar.image
PODS = "/api/v1/pods"
HOME = "/api/v1/namespaces/floe-system/pods"
PROBE = probe_path("floe-system", "floe-probe")
EARLY, LATE, LATER = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"


@dataclass
class InForce:
    """A manifest in force."""

    profile: Profile = PROFILE


@dataclass
class Told:
    """An announcer that remembers."""

    announcements: list[Announcement] = field(default_factory=list)

    def announce(self, announcement: Announcement) -> None:
        self.announcements.append(announcement)


@dataclass
class Replica:
    """What one replica has of this."""

    server: StandIn
    health: SidecarHealth
    probe: SidecarProbe
    in_force: InForce
    told: Told
    registry: CollectorRegistry
    now: list[float]

    def pods(self, *waiting: dict[str, Any], running: tuple[dict[str, Any], ...] = ()) -> None:
        self.server.answers[PODS] = [(200, {"items": list(waiting)}), (200, {"items": list(running)})] * 50

    def made(self) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.method in ("POST", "DELETE")]


@asynccontextmanager
async def replica() -> AsyncIterator[Replica]:
    async with stand_in() as server, client(server.url) as api:
        now, in_force, told, registry = [1000.0], InForce(), Told(), CollectorRegistry()
        current: Any = in_force
        health = SidecarHealth(api, current, LookupMetrics(registry), probe_path=PROBE, monotonic=lambda: now[0])
        probe = SidecarProbe(
            api,
            api,
            health,
            current,
            told,
            namespace="floe-system",
            name="floe-probe",
            deployment="floe-webhook",
            monotonic=lambda: now[0],
        )
        server.answers[HOME] = [(201, {"metadata": {"uid": "p-1"}})]
        yield Replica(server, health, probe, in_force, told, registry, now)


def injected_pod(
    reason: str = "ImagePullBackOff", *, created: str = LATE, image: str = IMAGE, namespace: str = "sales"
) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": created, "namespace": namespace},
        "spec": {"initContainers": [{"name": "first", "image": "x"}, {"name": "floe-sidecar", "image": image}]},
        "status": {"initContainerStatuses": [{"name": "floe-sidecar", "state": {"waiting": {"reason": reason}}}]},
    }


def ended_pod(*, code: int, restarts: int, reason: str | None = "Error", **metadata: str) -> dict[str, Any]:
    """A pod as the kubelet reports it between two attempts of its sidecar."""
    found = injected_pod()
    found["metadata"] |= metadata
    ended = {"exitCode": code} | ({"reason": reason} if reason else {})
    found["status"]["initContainerStatuses"][0] |= {"state": {"terminated": ended}, "restartCount": restarts}
    return found


def probe(
    *, ready: bool = True, created: str = LATER, image: str = IMAGE, phase: str = "Running", **metadata: str
) -> dict[str, Any]:
    return {
        "metadata": {"uid": "p-1", "creationTimestamp": created, **metadata},
        "spec": {"containers": [{"name": "floe-sidecar", "image": image}]},
        "status": {"phase": phase, "containerStatuses": [{"ready": ready}]},
    }


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        pytest.param(injected_pod("ErrImagePull"), "ErrImagePull", id="a first attempt"),
        pytest.param(injected_pod("ImagePullBackOff"), "ImagePullBackOff", id="many attempts"),
        pytest.param(injected_pod("InvalidImageName"), "InvalidImageName", id="no image's name"),
        pytest.param(injected_pod("CrashLoopBackOff"), "CrashLoopBackOff", id="a crash"),
        pytest.param(ended_pod(code=1, restarts=1), "Error", id="a crash, between two attempts"),
        pytest.param(ended_pod(code=137, restarts=3, reason="OOMKilled"), "OOMKilled", id="too little memory"),
        pytest.param(ended_pod(code=1, restarts=2, reason=None), "Error", id="a crash that nobody names"),
        pytest.param(ended_pod(code=1, restarts=0), None, id="a first crash, which may be the last"),
        pytest.param(ended_pod(code=0, restarts=1), None, id="an end in order"),
        pytest.param(ended_pod(code=137, restarts=1, deletionTimestamp=LATER), None, id="a pod that is being deleted"),
        pytest.param(injected_pod("PodInitializing"), None, id="a pod that waits as all do"),
        pytest.param(injected_pod("ContainerCreating"), None, id="a pod whose volumes are waited for"),
        pytest.param(injected_pod(image="other:1"), None, id="another image"),
        pytest.param({"metadata": {}, "spec": {}, "status": {}}, None, id="no sidecar"),
        pytest.param({"spec": None, "status": [], "metadata": 1}, None, id="a strange shape"),
    ],
)
def test_a_pod_says_what_keeps_its_sidecar_from_starting(pod: dict[str, Any], reason: str | None) -> None:
    assert trouble_of(pod, IMAGE) == (Trouble(reason, IMAGE, LATE) if reason else None)


async def test_one_look_notices_a_pod_whose_image_cannot_be_pulled() -> None:
    async with replica() as found:
        found.pods(injected_pod("PodInitializing"), injected_pod())
        await found.health.look()
        assert found.health.starts is False
        assert found.health.details() == {"starts": False, "trouble": "ImagePullBackOff", "troubled_namespaces": 0}
        query = found.server.asked[0].query
    assert query == {"labelSelector": "floe.dev/injected=true", "fieldSelector": "status.phase=Pending", "limit": "50"}
    assert found.registry.get_sample_value("floe_webhook_sidecar_starts") == 0


async def test_a_running_pod_whose_sidecar_crashes_is_noticed() -> None:
    async with replica() as found:
        found.pods(running=(injected_pod("CrashLoopBackOff"),))
        await found.health.look()
        assert found.health.starts is False


async def test_running_pods_are_looked_at_a_page_at_a_time_in_turn() -> None:
    async with replica() as found:
        running = (200, {"items": [], "metadata": {"continue": "more"}})
        found.server.answers[PODS] = [(200, {}), running, (200, {}), (410, {"reason": "Expired"}), (200, {}), (200, {})]
        for _ in range(3):
            await found.health.look()
        asked = [one.query for one in found.server.asked if "Running" in one.query["fieldSelector"]]
    assert [query.get("continue") for query in asked] == [None, "more", None]


@pytest.mark.parametrize("status", [403, 503])
async def test_what_was_known_holds_while_nobody_answers(status: int) -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[PODS] = [(status, {})]
        with pytest.raises((RefusedError, UnreachableError)):
            await found.health.look()
        assert found.health.starts is False


async def test_a_manifest_with_another_image_starts_anew() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.in_force.profile = profile(injection={"sidecar": {"image": "registry.example/floe-sidecar:2"}})
        assert found.health.starts is True
        await found.health.look()
        assert found.health.trouble is None


async def test_a_probe_pod_that_runs_ends_the_trouble_and_pods_that_still_hang_do_not_begin_it_again() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[PROBE] = [(200, probe())]
        await found.health.look()
        assert found.health.starts is True
        await found.health.look()
        assert found.health.starts is True
        assert found.health.starts_in("sales")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(probe(ready=False), id="not running yet"),
        pytest.param(probe(created=EARLY), id="older than the trouble"),
        pytest.param(probe(image="other:1"), id="of another image"),
    ],
)
async def test_a_probe_pod_that_proves_nothing_ends_no_trouble(document: dict[str, Any]) -> None:
    async with replica() as found:
        found.pods(injected_pod())
        found.server.answers[PROBE] = [(200, document)]
        await found.health.look()
        found.now[0] += FORGET_SECONDS
        await found.health.look()
        assert found.health.starts is False


async def test_without_a_probe_pod_the_sidecar_is_tried_again_after_a_long_while() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.now[0] += FORGET_SECONDS - 1
        await found.health.look()
        assert found.health.starts is False
        found.now[0] += 1
        await found.health.look()
        assert found.health.starts is True


AFTERWARDS = "2026-01-01T12:00:01Z"


@asynccontextmanager
async def replica_that_saw_it_run() -> AsyncIterator[Replica]:
    async with replica() as found:
        found.pods(injected_pod())
        found.server.answers[PROBE] = [(200, probe())]
        await found.health.look()
        assert found.health.starts is True
        yield found


async def test_trouble_with_an_image_that_has_run_is_its_namespaces_alone_while_it_lasts() -> None:
    async with replica_that_saw_it_run() as found:
        found.pods(injected_pod(created=AFTERWARDS))
        await found.health.look()
        assert (found.health.starts, found.health.starts_in("sales"), found.health.starts_in("web")) == (
            True,
            False,
            True,
        )
        assert found.registry.get_sample_value("floe_webhook_sidecar_troubled_namespaces") == 1
        found.now[0] += FORGET_SECONDS - 1
        await found.health.look()
        found.pods()
        found.now[0] += FORGET_SECONDS - 1
        await found.health.look()
        assert not found.health.starts_in("sales")
        found.now[0] += 1
        await found.health.look()
        assert found.health.starts_in("sales")
        assert found.registry.get_sample_value("floe_webhook_sidecar_troubled_namespaces") == 0


async def test_trouble_in_several_namespaces_is_the_images_whatever_has_run_before() -> None:
    async with replica_that_saw_it_run() as found:
        found.pods(*(injected_pod(created=AFTERWARDS, namespace=f"n{at}") for at in range(SEVERAL_NAMESPACES)))
        await found.health.look()
        assert found.health.starts is False
        assert not found.health.starts_in("elsewhere")


async def test_pods_that_get_into_trouble_later_do_not_put_off_its_end() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.pods(injected_pod(created=AFTERWARDS))
        found.server.answers[PROBE] = [(200, probe())]
        await found.health.look()
        assert found.health.starts is True
        await found.health.look()
        assert found.health.starts_in("sales")  # it was created before anybody could know better


async def test_the_leader_makes_one_probe_pod_and_tells_people() -> None:
    async with replica() as found:
        await found.probe.look()
        assert found.made() == []
        found.pods(injected_pod())
        await found.health.look()
        await found.probe.look()
        found.server.answers[PROBE] = [(200, probe(ready=False))]
        await found.probe.look()
        assert [(asked.method, asked.path) for asked in found.made()] == [("POST", HOME)]
    (told,) = found.told.announcements
    assert (told.reason, told.subject.kind, told.subject.name) == ("SidecarDoesNotStart", "Deployment", "floe-webhook")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(probe(ready=False, created=EARLY), id="older than the trouble"),
        pytest.param(probe(ready=False, image="other:1"), id="of another image"),
        pytest.param(probe(ready=False, phase="Failed"), id="failed"),
    ],
)
async def test_a_probe_pod_that_can_prove_nothing_is_deleted(document: dict[str, Any]) -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[PROBE] = [(200, document)]
        await found.probe.look()
        assert [(asked.method, asked.path) for asked in found.made()] == [("DELETE", PROBE)]


async def test_a_probe_pod_that_does_not_run_in_time_makes_room_for_a_new_one() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[PROBE] = [(200, probe(ready=False))]
        await found.probe.look()
        found.now[0] += PATIENCE_SECONDS - 1
        await found.probe.look()
        assert found.made() == []
        found.now[0] += 1
        await found.probe.look()
        assert [asked.method for asked in found.made()] == ["DELETE"]


async def test_a_probe_pod_that_runs_stays_until_everybody_has_seen_it() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[PROBE] = [(200, probe())]
        await found.probe.look()
        await found.health.look()
        found.now[0] += KEPT_SECONDS - 1
        await found.probe.look()
        assert found.made() == []
        found.now[0] += 1
        await found.probe.look()
        assert [asked.method for asked in found.made()] == ["DELETE"]
        found.server.answers[PROBE] = [(200, probe(deletionTimestamp=LATER)), (404, {})]
        await found.probe.look()
        await found.probe.look()
        asked = len(found.server.asked)
        await found.probe.look()
        assert len(found.server.asked) == asked  # nothing is left to look after


async def test_a_probe_pod_that_may_not_be_made_is_an_error_that_is_counted() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.answers[HOME] = [(403, {"reason": "Forbidden"})]
        with pytest.raises(RefusedError, match="create probe pod: 403 Forbidden"):
            await found.probe.look()


def test_the_probe_pod_is_the_sidecar_alone_and_restricted() -> None:
    sidecar = profile(injection={"sidecar": {"image": IMAGE, "image_pull_secrets": ["registry"]}}).sidecar
    assert sidecar is not None
    document = probe_pod(sidecar, "floe-system", "floe-probe")
    assert document["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    (container,) = document["spec"]["containers"]
    assert (container["image"], "restartPolicy" in container) == (IMAGE, False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert document["spec"]["securityContext"]["runAsNonRoot"] is True
    assert document["spec"]["automountServiceAccountToken"] is False
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in document["spec"]["volumes"]
    }
