"""Trouble with the sidecar's image: noticed from pods, ended by a probe pod."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.announcements import Announcement
from floe_webhook.cluster.probe_pods import PROBE_LABELS, ProbePods
from floe_webhook.cluster.sidecar_evidence import SEVERAL_NAMESPACES, concerns_all
from floe_webhook.cluster.sidecar_health import FORGET_SECONDS, SidecarHealth
from floe_webhook.cluster.sidecar_probe import (
    DELETION_SECONDS,
    KEPT_SECONDS,
    MOST_PODS,
    PATIENCE_SECONDS,
    SidecarProbe,
    probe_pod,
)
from floe_webhook.cluster.sidecar_trouble import STEADY, Trouble, has_run, trouble_of
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.profile import Profile
from webhook.tests.builders import PROFILE, profile
from webhook.tests.cluster.api_server import Asked, StandIn, client, stand_in

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-5")

assert PROFILE.sidecar is not None
IMAGE = PROFILE.sidecar.image
PODS = "/api/v1/pods"
HOME = "/api/v1/namespaces/floe-system/pods"
PROBE = f"{HOME}/floe-probe-x1"
EARLY, LATE, LATER = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"
NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)


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

    def pods(
        self,
        *waiting: dict[str, Any],
        running: tuple[dict[str, Any], ...] = (),
        ended: tuple[dict[str, Any], ...] = (),
    ) -> None:
        phases = {"Pending": waiting, "Running": running, "Succeeded": ended}
        self.server.chosen[PODS] = lambda asked: (
            200,
            {"items": list(phases[asked.query["fieldSelector"].removeprefix("status.phase=")])},
        )

    def probes(self, *found: dict[str, Any]) -> None:
        self.server.chosen[HOME] = lambda asked: (
            (201, {"metadata": {"name": "floe-probe-x2"}}) if asked.method == "POST" else (200, {"items": list(found)})
        )

    def made(self) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.method in ("POST", "DELETE")]


@asynccontextmanager
async def replica() -> AsyncIterator[Replica]:
    async with stand_in() as server, client(server.url) as api:
        now, in_force, told, registry = [1000.0], InForce(), Told(), CollectorRegistry()
        current: Any = in_force
        probes = ProbePods(api, "floe-system", "floe-probe")
        health = SidecarHealth(
            api, current, LookupMetrics(registry), probes=probes, monotonic=lambda: now[0], now=lambda: NOW
        )
        probe = SidecarProbe(
            api,
            api,
            health,
            current,
            told,
            probes=probes,
            deployment="floe-webhook",
            monotonic=lambda: now[0],
        )
        found = Replica(server, health, probe, in_force, told, registry, now)
        found.probes()
        yield found


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
        "metadata": {"name": "floe-probe-x1", "uid": "p-1", "creationTimestamp": created, **metadata},
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
        found.server.chosen[PODS] = lambda _: (status, {})
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
        found.probes(probe())
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
        found.probes(document)
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
        found.probes(probe())
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
        found.probes(probe())
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
        found.probes(probe(ready=False))
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
        found.probes(document)
        await found.probe.look()
        assert [(asked.method, asked.path) for asked in found.made()] == [("DELETE", PROBE)]


async def test_a_probe_pod_that_does_not_run_in_time_makes_room_for_a_new_one() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.probes(probe(ready=False))
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
        found.probes(probe())
        await found.probe.look()
        await found.health.look()
        found.now[0] += KEPT_SECONDS - 1
        await found.probe.look()
        assert found.made() == []
        found.now[0] += 1
        await found.probe.look()
        assert [asked.method for asked in found.made()] == ["DELETE"]
        found.probes(probe(deletionTimestamp=LATER))
        await found.probe.look()
        found.probes()
        await found.probe.look()
        asked = len(found.server.asked)
        await found.probe.look()
        assert len(found.server.asked) == asked  # nothing is left to look after


async def test_a_probe_pod_that_may_not_be_made_is_an_error_that_is_counted() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.server.chosen[HOME] = lambda asked: (
            (403, {"reason": "Forbidden"}) if asked.method == "POST" else (200, {"items": []})
        )
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


def running_pod(
    *,
    namespace: str = "web",
    started: datetime = NOW - STEADY,
    created: str = EARLY,
    image: str = IMAGE,
    restarts: int = 0,
) -> dict[str, Any]:
    found = injected_pod(namespace=namespace, created=created, image=image)
    found["status"]["phase"] = "Running"
    state = {"running": {"startedAt": started.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    found["status"]["initContainerStatuses"][0] |= {"state": state, "restartCount": restarts}
    return found


def completed_pod(*, code: int = 0, phase: str = "Succeeded", created: str = EARLY) -> dict[str, Any]:
    found = ended_pod(code=code, restarts=0, namespace="web", creationTimestamp=created)
    found["status"]["phase"] = phase
    return found


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(running_pod(), True, id="it has run for a while"),
        pytest.param(running_pod(restarts=3), True, id="after a node's restart, say"),
        pytest.param(running_pod(started=NOW - STEADY + timedelta(seconds=1)), False, id="it may crash yet"),
        pytest.param(running_pod(started=NOW + STEADY), False, id="a node whose clock is ahead"),
        pytest.param(running_pod(image="other:1"), False, id="another image"),
        pytest.param(completed_pod(), True, id="it ended in order with its pod"),
        pytest.param(completed_pod(code=1), False, id="it ended with an error, and its pod did not mind"),
        pytest.param(completed_pod(phase="Running"), False, id="it ended in order and its pod runs on"),
        pytest.param(injected_pod(), False, id="it cannot be pulled"),
        pytest.param({"status": {"phase": "Succeeded"}}, False, id="no sidecar"),
        pytest.param(
            injected_pod() | {"status": {"initContainerStatuses": [{"name": "floe-sidecar", "state": {"running": 1}}]}},
            False,
            id="a strange shape",
        ),
    ],
)
def test_a_pod_says_whether_its_sidecar_has_run(pod: dict[str, Any], expected: bool) -> None:
    assert has_run(pod, IMAGE, NOW) is expected


THREE = {"a": LATE, "b": LATE, "c": LATER}


@pytest.mark.parametrize(
    ("troubles", "runs", "own", "expected"),
    [
        pytest.param({}, {}, set(), False, id="no trouble"),
        pytest.param({"a": LATE}, {}, set(), True, id="one namespace, and it runs nowhere"),
        pytest.param({"a": LATE, "b": LATE}, {}, set(), True, id="two namespaces, and it runs nowhere"),
        pytest.param({"a": LATE, "b": LATE}, {"z": EARLY}, set(), False, id="two, and it has run elsewhere"),
        pytest.param({"a": LATE}, {"a": EARLY}, set(), False, id="one, and it has run in the same"),
        pytest.param(THREE, {}, set(), True, id="several, and it runs nowhere"),
        pytest.param(THREE, {"z": EARLY}, set(), True, id="several, and it ran elsewhere before"),
        pytest.param(THREE, {"z": LATE}, set(), False, id="several, and it runs elsewhere since"),
        pytest.param(THREE, {"a": LATER}, set(), True, id="several, and it runs since in one of them only"),
        pytest.param(THREE, {"z": EARLY}, {"a"}, False, id="several, of which one has trouble of its own"),
        pytest.param(
            THREE, {}, {"a", "b", "c"}, True, id="all with trouble of their own, and it runs nowhere any more"
        ),
    ],
)
def test_whom_trouble_concerns(troubles: dict[str, str], runs: dict[str, str], own: set[str], expected: bool) -> None:
    assert concerns_all(troubles, runs, own) is expected


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param({"running": (running_pod(),)}, id="a pod that runs"),
        pytest.param({"ended": (completed_pod(),)}, id="a pod that ended well"),
    ],
)
async def test_a_replica_that_begins_learns_from_other_namespaces_that_the_image_starts(
    evidence: dict[str, tuple[dict[str, Any], ...]],
) -> None:
    async with replica() as found:
        found.pods(injected_pod(), **evidence)
        await found.health.look()
        assert (found.health.starts_in("sales"), found.health.starts_in("web"), found.health.starts) == (
            False,
            True,
            True,
        )
        await found.probe.look()
        assert found.made() == []  # nobody need try it


async def test_evidence_that_comes_later_lets_other_namespaces_have_the_sidecar_again() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        assert not found.health.starts_in("web")
        found.pods(injected_pod(), running=(running_pod(),))
        await found.health.look()
        assert (found.health.starts_in("sales"), found.health.starts_in("web")) == (False, True)
        assert found.health.details() == {"starts": True, "trouble": None, "troubled_namespaces": 1}


async def test_namespaces_that_cannot_pull_again_and_again_are_not_taken_for_the_image() -> None:
    async with replica() as found:
        hanging = [f"n{at}" for at in range(SEVERAL_NAMESPACES)]
        found.pods(*(injected_pod(namespace=name) for name in hanging))
        await found.health.look()
        assert not found.health.starts_in("web")
        found.probes(probe())
        await found.health.look()
        assert found.health.starts_in("web")
        found.pods(*(injected_pod(namespace=name, created=AFTERWARDS) for name in hanging))
        await found.health.look()
        assert [found.health.starts_in(name) for name in (*hanging, "web")] == [False] * len(hanging) + [True]


async def test_a_manifest_with_another_image_is_not_believed_for_what_the_last_one_did() -> None:
    async with replica() as found:
        found.pods(running=(running_pod(),))
        await found.health.look()
        wrong = "registry.example/floe-sidecar@sha256:" + "0" * 64
        found.in_force.profile = profile(injection={"sidecar": {"image": wrong}})
        found.pods(injected_pod(image=wrong), running=(running_pod(),))
        await found.health.look()
        assert found.health.starts is False
        assert not found.health.starts_in("web")


async def test_a_probe_pod_that_does_not_go_away_keeps_nobody_from_making_the_next() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.probes(probe(ready=False, deletionTimestamp=LATER))
        await found.probe.look()
        (made,) = found.made()
        metadata = orjson.loads(made.body)["metadata"]
    assert (made.method, metadata["generateName"], "name" in metadata) == ("POST", "floe-probe-", False)


async def test_there_is_an_end_to_probe_pods_that_do_not_go_away() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        stuck = [
            probe(ready=False, deletionTimestamp=LATER, name=f"floe-probe-{at}", uid=str(at)) for at in range(MOST_PODS)
        ]
        found.probes(*stuck)
        await found.probe.look()
        assert found.made() == []
        found.now[0] += DELETION_SECONDS
        await found.probe.look()
        forced = [(asked.path, asked.query) for asked in found.made()]
    assert forced == [(f"{HOME}/floe-probe-{at}", {"gracePeriodSeconds": "0"}) for at in range(MOST_PODS)]


async def test_probe_pods_that_a_former_leader_has_left_are_deleted_and_those_of_others_are_not() -> None:
    async with replica() as found:
        left = probe(name="floe-probe", uid="1", created=EARLY)  # as an older version named it
        others = probe(name="second-probe-x", uid="2")
        found.probes(left, others)
        await found.probe.look()
        assert found.made() == []  # a replica may have need of it
        found.now[0] += KEPT_SECONDS
        await found.probe.look()
        assert [(asked.method, asked.path) for asked in found.made()] == [("DELETE", f"{HOME}/floe-probe")]
        (query,) = {tuple(asked.query.items()) for asked in found.server.asked if asked.method == "GET"}
    key, value = next(iter(PROBE_LABELS.items()))
    assert ("labelSelector", f"{key}={value}") in query


async def test_of_two_probe_pods_the_newest_stays() -> None:
    async with replica() as found:
        found.pods(injected_pod())
        await found.health.look()
        found.probes(probe(ready=False, name="floe-probe-b", uid="b"), probe(ready=False, uid="a", created=LATE))
        await found.probe.look()
        assert [(asked.method, asked.path) for asked in found.made()] == [("DELETE", PROBE)]
