"""What is asked of the API server for one pod, and what is assumed where it gives no answer."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jsonpatch
import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.admission import Review
from floe_webhook.cluster.surroundings import MOST_SOURCES, ClusterSurroundings
from floe_webhook.decision import Facts, Outcome
from floe_webhook.injection import Injection
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.reasons import Reason
from webhook.tests.builders import PROFILE, Pod, container, pod
from webhook.tests.cluster.api_server import StandIn, client, stand_in
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("HOUSE-3")

QUOTAS = "/api/v1/namespaces/sales/resourcequotas"
RANGES = "/api/v1/namespaces/sales/limitranges"
SETTINGS = "/api/v1/namespaces/sales/configmaps/settings"
KEYS = "/api/v1/namespaces/sales/secrets/keys"
CREDENTIALS = "/api/v1/namespaces/sales/secrets/lineage-credentials"
JOB = "/apis/batch/v1/namespaces/sales/jobs/load-by-hand"
REPLICA_SET = "/apis/apps/v1/namespaces/sales/replicasets/web-abc"

EMPTY: dict[str, Any] = {"items": []}
SECRET_VALUE = base64.b64encode(b"hush-hush").decode()


@dataclass
class Cluster:
    """A webhook's surroundings, and the API server that is asked."""

    server: StandIn
    surroundings: ClusterSurroundings
    registry: CollectorRegistry
    now: list[float]
    known: dict[str, bool]

    async def injection(self, document: Pod, *, namespace: str = "sales") -> Injection:
        request = Review("uid", document, namespace, dry_run=False)
        return await self.surroundings.review(request, PROFILE, namespace_label=None)

    def asked(self) -> list[str]:
        return sorted(asked.path for asked in self.server.asked)

    def counted(self, lookup: Lookup, result: str) -> float | None:
        return self.registry.get_sample_value("floe_webhook_lookups_total", {"lookup": lookup, "result": result})


@asynccontextmanager
async def cluster(
    *enabled: Lookup, budget_seconds: float = 30.0, first_looks: Sequence[asyncio.Event] = (), **known: bool
) -> AsyncIterator[Cluster]:
    async with stand_in() as server, client(server.url) as api:
        now, registry = [0.0], CollectorRegistry()
        surroundings = ClusterSurroundings(
            api,
            LookupSettings(enabled=frozenset(enabled), budget_seconds=budget_seconds),
            LookupMetrics(registry),
            native_sidecars=lambda: known.get("native_sidecars", True),
            sidecar_starts=lambda _: known.get("sidecar_starts", True),
            first_looks=first_looks,
            monotonic=lambda: now[0],
        )
        yield Cluster(server, surroundings, registry, now, known)


def quota(left: str) -> dict[str, Any]:
    return {"items": [{"status": {"hard": {"requests.cpu": left}, "used": {"requests.cpu": "0"}}}]}


def asking_for(cpu: str) -> Pod:
    return pod(container(resources={"requests": {"cpu": cpu}}))


def taking(*sources: dict[str, Any]) -> Pod:
    return pod(container(envFrom=list(sources)))


def owned(kind: str, name: str, api_version: str, **more: Any) -> Pod:
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": "u-1", "controller": True}
    return pod(owned_by=reference, **more)


def owner_document(kind: str, name: str, *, uid: str = "u-1") -> dict[str, Any]:
    return {"metadata": {"uid": uid, "ownerReferences": [{"kind": kind, "name": name, "controller": True}]}}


def service_name(injection: Injection) -> str:
    variables = injection.plan.containers[0].environment.variables
    return next(str(one.entry["value"]) for one in variables if one.name == "OTEL_SERVICE_NAME")


@pytest.mark.requirement("FP-25")
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(pod(labels={"floe.dev/inject": "false"}), id="opted out"),
        pytest.param(pod(priorityClassName="system-node-critical"), id="critical"),
        pytest.param(pod(labels={"floe.dev/injected": "true"}), id="injected by somebody else"),
    ],
)
async def test_a_pod_that_is_not_injected_asks_nothing(document: Pod) -> None:
    async with cluster(*Lookup) as found:
        assert (await found.injection(document)).plan.decision.outcome is Outcome.NONE
        assert found.asked() == []


async def test_a_pod_asks_only_for_what_it_needs() -> None:
    async with cluster(*Lookup) as found:
        await found.injection(pod())
        assert found.asked() == [RANGES, QUOTAS, CREDENTIALS]


async def test_a_pod_that_gets_no_sidecar_asks_for_no_limits() -> None:
    async with cluster(Lookup.QUOTAS) as found:
        await found.injection(pod(hostNetwork=True))
        assert found.asked() == []
    async with cluster(Lookup.QUOTAS, native_sidecars=False) as found:
        injection = await found.injection(pod())
        assert found.asked() == []
    assert injection.plan.decision.reasons == (Reason.KUBERNETES_TOO_OLD,)


async def test_the_first_pod_waits_for_the_first_look_at_the_cluster() -> None:
    looked = asyncio.Event()
    async with cluster(first_looks=[looked]) as found:
        waiting = asyncio.ensure_future(found.injection(pod()))
        await asyncio.sleep(0)
        found.known["native_sidecars"] = False
        looked.set()
        assert (await waiting).plan.decision.reasons == (Reason.KUBERNETES_TOO_OLD,)


async def test_a_first_look_that_does_not_end_is_waited_for_within_the_budget() -> None:
    async with cluster(first_looks=[asyncio.Event()], budget_seconds=0.05) as found:
        assert (await found.injection(pod())).plan.decision.outcome is Outcome.FULL


async def test_what_a_pod_needs_is_asked_for_while_it_waits_for_the_first_look() -> None:
    looked = asyncio.Event()
    async with cluster(Lookup.QUOTAS, first_looks=[looked]) as found:
        found.server.answers |= {QUOTAS: [(200, quota("100m"))], RANGES: [(200, EMPTY)]}
        waiting = asyncio.ensure_future(found.injection(asking_for("100m")))
        await until(lambda: found.asked() == [RANGES, QUOTAS], "asked", seconds=10)
        assert not waiting.done()
        looked.set()
        assert (await waiting).plan.decision.reasons == (Reason.QUOTA_EXCEEDED,)


async def test_what_is_not_switched_on_is_not_asked_for() -> None:
    async with cluster() as found:
        injection = await found.injection(taking({"configMapRef": {"name": "settings"}}))
        assert found.asked() == []
    assert injection.plan.decision.outcome is Outcome.FULL


@pytest.mark.parametrize("namespace", ["", "..", "a/b", "a" * 300])
async def test_nothing_is_asked_about_a_namespace_that_can_be_none(namespace: str) -> None:
    async with cluster(*Lookup) as found:
        await found.injection(pod(), namespace=namespace)
        assert found.asked() == []


@pytest.mark.requirement("FP-18")
async def test_a_quota_with_room_for_the_application_alone_keeps_the_sidecar_out() -> None:
    async with cluster(Lookup.QUOTAS) as found:
        found.server.answers |= {QUOTAS: [(200, quota("1"))], RANGES: [(200, EMPTY)]}
        injection = await found.injection(asking_for("1"))
    assert injection.plan.decision.outcome is Outcome.ENVIRONMENT_ONLY
    assert injection.plan.decision.reasons == (Reason.QUOTA_EXCEEDED,)


@pytest.mark.requirement("FP-18")
async def test_what_a_quota_has_left_is_asked_for_again_at_once_and_that_there_is_none_is_not() -> None:
    async with cluster(Lookup.QUOTAS) as found:
        found.server.answers |= {QUOTAS: [(200, EMPTY), (200, quota("2"))], RANGES: [(200, EMPTY)]}
        await found.injection(asking_for("1"))
        found.now[0] = 4.9
        await found.injection(asking_for("1"))
        assert found.asked().count(QUOTAS) == 1
        found.now[0] = 5.1
        await found.injection(asking_for("1"))
        assert found.asked().count(QUOTAS) == 2
        found.now[0] = 5.7
        await found.injection(asking_for("1"))
        assert found.asked().count(QUOTAS) == 3


@pytest.mark.parametrize(
    ("status", "result"),
    [pytest.param(403, "refused", id="refused"), pytest.param(503, "unreachable", id="cannot now")],
)
async def test_limits_without_an_answer_are_assumed_to_be_wide_and_that_is_told(status: int, result: str) -> None:
    async with cluster(Lookup.QUOTAS) as found:
        found.server.answers |= {QUOTAS: [(status, {"kind": "Status"})], RANGES: [(200, EMPTY)]}
        injection = await found.injection(pod())
        assert found.counted(Lookup.QUOTAS, result) == 1
    assert injection.plan.decision.outcome is Outcome.FULL
    assert injection.plan.decision.reasons == (Reason.LIMITS_UNSEEN,)


async def test_an_api_server_that_never_answers_costs_one_budget_and_no_pod_its_injection() -> None:
    async with cluster(*Lookup, budget_seconds=0.1) as found:
        found.server.silent = True
        document = taking({"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}})
        loop = asyncio.get_running_loop()
        began = loop.time()
        injection = await found.injection(document)
        assert 0.1 <= loop.time() - began < 5
        late = [found.counted(lookup, "late") for lookup in Lookup]
        again = await found.injection(document)
        assert [found.counted(lookup, "late") for lookup in Lookup] == late  # nor does the next pod wait
    assert injection.patch == again.patch
    assert injection.plan.decision.outcome is Outcome.FULL
    assert set(injection.plan.decision.reasons) == {Reason.LIMITS_UNSEEN, Reason.ENV_FROM_UNSEEN}


@pytest.mark.requirement("FP-14", "DEF-7")
async def test_keys_that_come_by_env_from_win_over_ours_and_no_value_is_kept() -> None:
    async with cluster(Lookup.ENV_FROM) as found:
        found.server.answers |= {
            SETTINGS: [(200, {"data": {"SERVICE_NAME": "theirs", "OTHER": "x"}})],
            KEYS: [(200, {"data": {"OPENLINEAGE_URL": SECRET_VALUE}})],
        }
        document = taking(
            {"configMapRef": {"name": "settings"}, "prefix": "OTEL_"}, {"secretRef": {"name": "keys", "optional": True}}
        )
        injection = await found.injection(document)
        assert SECRET_VALUE not in repr(vars(found.surroundings)) + repr(
            await found.surroundings.of(Facts(document, "sales", None), PROFILE)
        )
        assert found.asked() == [SETTINGS, KEYS]
    names = injection.plan.containers[0].environment.names
    assert "OTEL_SERVICE_NAME" not in names
    assert Reason.LINEAGE_IS_USERS in injection.plan.decision.reasons
    assert Reason.ENV_FROM_UNSEEN not in injection.plan.decision.reasons


@pytest.mark.requirement("FP-14")
async def test_a_source_that_does_not_exist_yet_is_one_that_was_not_seen() -> None:
    async with cluster(Lookup.ENV_FROM) as found:
        injection = await found.injection(taking({"configMapRef": {"name": "settings"}}))
    assert injection.plan.decision.reasons == (Reason.ENV_FROM_UNSEEN,)


async def test_a_pod_with_very_many_sources_has_some_of_them_asked_for() -> None:
    async with cluster(Lookup.ENV_FROM) as found:
        await found.injection(taking(*({"configMapRef": {"name": f"c{at}"}} for at in range(MOST_SOURCES * 3))))
        assert len(found.asked()) == MOST_SOURCES


@pytest.mark.parametrize("name", ["../secrets/keys", "a b", "", "A"])
async def test_nothing_is_asked_about_a_name_that_can_be_none(name: str) -> None:
    async with cluster(Lookup.ENV_FROM) as found:
        await found.injection(taking({"configMapRef": {"name": name}}))
        assert found.asked() == []


@pytest.mark.requirement("FP-12", "HOUSE-7")
@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        pytest.param((404, {}), (Reason.SECRET_MISSING,), id="missing"),
        pytest.param((200, {"data": {"other": SECRET_VALUE}}), (Reason.SECRET_KEY_MISSING,), id="without the key"),
        pytest.param((200, {"data": {"token": SECRET_VALUE}}), (), id="there"),
        pytest.param((403, {}), (), id="not to be seen"),
    ],
)
async def test_a_missing_credential_is_told(answer: tuple[int, dict[str, Any]], reasons: tuple[Reason, ...]) -> None:
    async with cluster(Lookup.SECRETS) as found:
        found.server.answers[CREDENTIALS] = [answer]
        injection = await found.injection(pod())
        assert found.asked() == [CREDENTIALS]
        assert all(asked.method == "GET" and "watch" not in asked.query for asked in found.server.asked)
    assert injection.plan.decision.reasons == reasons
    assert injection.plan.decision.outcome is Outcome.FULL


@pytest.mark.requirement("FP-15", "DEF-10")
async def test_a_job_that_was_started_by_hand_belongs_to_its_cron_job() -> None:
    async with cluster(Lookup.OWNERS) as found:
        found.server.answers[JOB] = [(200, owner_document("CronJob", "load"))]
        first = await found.injection(owned("Job", "load-by-hand", "batch/v1"))
        await found.injection(owned("Job", "load-by-hand", "batch/v1"))
        assert found.asked() == [JOB]
        assert "PartialObjectMetadata" in found.server.asked[0].headers["Accept"]
    assert service_name(first) == "load"
    assert "k8s.cronjob.name=load" in first.patch
    assert "k8s.job.name=load-by-hand" in first.patch


@pytest.mark.requirement("FP-15")
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(owned("Job", "load-29384756", "batch/v1"), id="a CronJob's Job by its name"),
        pytest.param(owned("ReplicaSet", "web-abc", "apps/v1", labels={"pod-template-hash": "abc"}), id="a Deployment"),
        pytest.param(owned("Job", "run-1", "batch/v1", labels={"dagster/job": "nightly"}), id="Dagster's labels"),
        pytest.param(owned("StatefulSet", "db", "apps/v1"), id="a StatefulSet"),
        pytest.param(owned("Job", "x", "example.com/v1"), id="somebody else's kind of Job"),
        pytest.param(pod(), id="nobody"),
    ],
)
async def test_metadata_that_tell_the_owner_spare_the_question(document: Pod) -> None:
    async with cluster(Lookup.OWNERS) as found:
        await found.injection(document)
        assert found.asked() == []


@pytest.mark.requirement("FP-15")
@pytest.mark.parametrize(
    ("answer", "name"),
    [
        pytest.param((200, owner_document("Deployment", "web")), "web", id="a Deployment"),
        pytest.param((200, owner_document("Rollout", "web")), "web", id="a Rollout"),
        pytest.param((200, owner_document("Deployment", "web", uid="u-2")), "web-abc", id="another one of the name"),
        pytest.param((200, owner_document("Workflow", "run-7")), "web-abc", id="an operator's"),
        pytest.param((200, {"metadata": {"uid": "u-1"}}), "web-abc", id="nobody's"),
        pytest.param((404, {}), "web-abc", id="gone"),
        pytest.param((403, {}), "web-abc", id="not to be seen"),
    ],
)
async def test_a_replica_set_names_its_workload_if_it_can(answer: tuple[int, dict[str, Any]], name: str) -> None:
    async with cluster(Lookup.OWNERS) as found:
        found.server.answers[REPLICA_SET] = [answer]
        assert service_name(await found.injection(owned("ReplicaSet", "web-abc", "apps/v1"))) == name


@pytest.mark.requirement("INV-4", "FP-19")
async def test_a_second_look_at_an_injected_pod_knows_what_the_first_one_knew() -> None:
    async with cluster(*Lookup) as found:
        found.server.answers |= {QUOTAS: [(200, quota("1"))], RANGES: [(200, EMPTY)]}
        document = asking_for("1")
        first = await found.injection(document)
        patched = jsonpatch.apply_patch(document, first.operations)
        second = await found.injection(patched)
    assert first.plan.decision.outcome is Outcome.ENVIRONMENT_ONLY
    assert second.patch == ""
