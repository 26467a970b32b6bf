"""What the webhook finds out from a real API server; its word on quotas and limit ranges is that server's."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jsonpatch
import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.admission import Review
from floe_webhook.admission import review as review_alone
from floe_webhook.announcements import Silence
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.nodes import KubernetesVersions
from floe_webhook.cluster.probe_pods import ProbePods
from floe_webhook.cluster.sidecar_health import SidecarHealth
from floe_webhook.cluster.sidecar_probe import SidecarProbe
from floe_webhook.cluster.sidecar_trouble import STEADY
from floe_webhook.cluster.surroundings import ClusterSurroundings
from floe_webhook.decision import Outcome
from floe_webhook.injection import Injection
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from tests.e2e.admission import IMAGE
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.webhook_load import Load
from tests.e2e.webhook_load import in_force as called
from tests.e2e.webhook_release import NAME, administrator, release
from webhook.tests.builders import PROFILE, profile
from webhook.tests.serving.program import program
from webhook.tests.serving.switch import switch
from webhook.tests.waiting import eventually, until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-3")]

MERGE_PATCH = "application/merge-patch+json"
BUDGET_SECONDS = 30.0  # what is asked for is what counts here, not how fast a busy machine answers


@dataclass(slots=True)
class Home:
    """A namespace of the API server that pods can be created in."""

    api: KubernetesApi
    name: str

    async def create(self, resource: str, document: Mapping[str, Any], *, group: str = "/api/v1") -> dict[str, Any]:
        """An object as the API server stores it."""
        answer = await self.api("POST", f"{group}/namespaces/{self.name}/{resource}", body=document)
        assert answer.status == 201, answer.document
        return dict(answer.document)

    async def accepts(self, pod: Mapping[str, Any]) -> bool:
        """Whether a pod could be created."""
        answer = await self.api("POST", f"/api/v1/namespaces/{self.name}/pods", query={"dryRun": "All"}, body=pod)
        assert answer.status in (201, 403), answer.document
        return answer.status == 201

    async def quota(self, hard: Mapping[str, str], **spec: Any) -> None:
        """A ResourceQuota with nothing used, as the quota controller would have it."""
        made = await self.create("resourcequotas", {"metadata": {"name": "quota"}, "spec": {"hard": hard, **spec}})
        path = f"/api/v1/namespaces/{self.name}/resourcequotas/quota/status"
        used = dict.fromkeys(hard, "0")
        answer = await self.api(
            "PATCH", path, body={"status": {"hard": made["spec"]["hard"], "used": used}}, content_type=MERGE_PATCH
        )
        assert answer.status == 200, answer.document

    async def limit_range(self, **bounds: Any) -> None:
        """A LimitRange."""
        await self.create("limitranges", {"metadata": {"name": "range"}, "spec": {"limits": [bounds]}})


@asynccontextmanager
async def home(api: KubernetesApi) -> AsyncIterator[Home]:
    """A namespace, deleted afterwards."""
    name = f"floe-e2e-{uuid.uuid4().hex[:10]}"
    answer = await api("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    assert answer.status == 201, answer.document
    found = Home(api, name)
    await api("POST", f"/api/v1/namespaces/{name}/serviceaccounts", body={"metadata": {"name": "default"}})
    yield found
    await api("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
async def sales(test_cluster: Cluster) -> AsyncIterator[Home]:
    async with administrator(test_cluster) as api, home(api) as found:
        yield found


def pod(*containers: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{uuid.uuid4().hex[:8]}", "labels": {"floe.dev/inject": "enabled"}},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def container(name: str = "app", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, **fields}


def asking_for(requests: Mapping[str, str], limits: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    resources = {"requests": dict(requests)} | ({"limits": dict(limits)} if limits else {})
    return container(resources=resources, **fields)


def surroundings(api: KubernetesApi, *enabled: Lookup) -> ClusterSurroundings:
    return ClusterSurroundings(
        api,
        LookupSettings(enabled=frozenset(enabled), budget_seconds=BUDGET_SECONDS),
        LookupMetrics(CollectorRegistry()),
        native_sidecars=lambda: True,
        sidecar_starts=lambda _: True,
    )


async def decided(found: Home, document: Mapping[str, Any], *enabled: Lookup) -> Injection:
    """What the webhook decides about a pod, with what the cluster knows."""
    request = Review("uid", document, found.name, dry_run=False)
    return await surroundings(found.api, *enabled).review(request, PROFILE, namespace_label=None)


def decided_alone(found: Home, document: Mapping[str, Any]) -> Injection:
    """What it decides without asking."""
    return review_alone(Review("uid", document, found.name, dry_run=False), PROFILE, namespace_label=None)


def patched(document: Mapping[str, Any], injection: Injection) -> dict[str, Any]:
    result: dict[str, Any] = jsonpatch.apply_patch(document, injection.operations)
    return result


@dataclass(frozen=True, slots=True)
class Case:
    """A namespace's bounds and a pod that it accepts.

    Attributes:
        refuses: Why it would refuse the pod if that had the sidecar; None if it would not.
        scoped: What a pod needs to be counted by the quota.
    """

    spec: Mapping[str, Any]
    refuses: Reason | None = None
    hard: Mapping[str, str] | None = None
    scopes: Sequence[str] = ()
    bounds: Mapping[str, Any] | None = None
    scoped: Mapping[str, Any] | None = None


SMALL = {"cpu": "100m", "memory": "100Mi"}
WIDE = {"cpu": "900", "memory": "900Gi"}


def one(
    requests: Mapping[str, str] | None = None, limits: Mapping[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    app = asking_for(requests or {}, limits) if requests or limits else container()
    return {"containers": [app], **spec}


def within(**bounds: Any) -> dict[str, Any]:
    """A LimitRange's entry for containers, in which a very large one has no room."""
    return {"type": "Container", "max": WIDE, **bounds}


HUNGRY: dict[str, Any] = {"initContainers": [asking_for({"cpu": "2"}, name="first")]}
STORAGE = {"default": {"ephemeral-storage": "1Gi"}, "defaultRequest": {"ephemeral-storage": "1Mi"}}
QUOTA, RANGE = Reason.QUOTA_EXCEEDED, Reason.LIMIT_RANGE

CASES = [
    pytest.param(Case(one({"cpu": "500m"}), QUOTA, {"requests.cpu": "509m"}), id="room for the application alone"),
    pytest.param(Case(one({"cpu": "500m"}), None, {"requests.cpu": "510m"}), id="exactly room for both"),
    pytest.param(Case(one({"cpu": "500m"}), QUOTA, {"cpu": "509m"}), id="a quota by its short name"),
    pytest.param(
        Case(one(limits={"memory": "100Mi"}), QUOTA, {"limits.memory": "163Mi"}),
        id="limits of memory, a little too low",
    ),
    pytest.param(Case(one(limits={"memory": "100Mi"}), None, {"limits.memory": "164Mi"}), id="limits of memory"),
    pytest.param(Case(one({"cpu": "1"}, **HUNGRY), QUOTA, {"cpu": "2009m"}), id="a hungry init container after ours"),
    pytest.param(Case(one({"cpu": "1"}, **HUNGRY), None, {"cpu": "2010m"}), id="a hungry init container, with room"),
    pytest.param(
        Case(one(SMALL, SMALL), QUOTA, {"requests.cpu": "349m"}), id="a Guaranteed pod's sidecar asks for more"
    ),
    pytest.param(Case(one(SMALL, SMALL), None, {"requests.cpu": "350m"}), id="a Guaranteed pod, with room"),
    pytest.param(
        Case(one(), QUOTA, {"requests.cpu": "10"}, ["NotBestEffort"]), id="a best-effort pod that is none with ours"
    ),
    pytest.param(
        Case(one({"cpu": "1"}), None, {"requests.cpu": "0"}, ["Terminating"], scoped={"activeDeadlineSeconds": 60}),
        id="a quota for pods with a deadline",
    ),
    pytest.param(
        Case(one(SMALL, SMALL), None, {f"{kind}.{name}": "10Gi" for kind in ("requests", "limits") for name in SMALL}),
        id="a quota that wants everything named",
    ),
    pytest.param(
        Case({"containers": [container()], "resources": {"requests": SMALL, "limits": SMALL}}, None, {"cpu": "100m"}),
        id="a pod with resources of its own",
    ),
    pytest.param(Case(one(SMALL, SMALL), RANGE, bounds=within(max={"cpu": "249m"})), id="a limit above the highest"),
    pytest.param(Case(one(SMALL, SMALL), None, bounds=within(max={"cpu": "250m"})), id="the highest limit"),
    pytest.param(
        Case(one({"memory": "100Mi"}, WIDE), RANGE, bounds=within(min={"memory": "64Mi"}, max=WIDE)),
        id="a request below the lowest",
    ),
    pytest.param(
        Case(
            one({"cpu": "60m", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}),
            RANGE,
            bounds=within(maxLimitRequestRatio={"cpu": "24"}),
        ),
        id="a limit too far above its request",
    ),
    pytest.param(
        Case(
            one({"cpu": "1m"}, {"memory": "100Mi", "cpu": "1"}),
            RANGE,
            bounds={"type": "Pod", "max": {"memory": "163Mi"}},
        ),
        id="a whole pod above the highest",
    ),
    pytest.param(
        Case(one(SMALL, SMALL), None, bounds=within(max={"ephemeral-storage": "1Gi", **WIDE}, **STORAGE)),
        id="what the range gives the sidecar",
    ),
    pytest.param(
        Case(one(SMALL, SMALL), QUOTA, {"limits.ephemeral-storage": "1Gi"}, bounds=within(**STORAGE)),
        id="what the range gives the sidecar is counted",
    ),
]


@pytest.mark.requirement("FP-18", "INV-2")
@pytest.mark.parametrize("case", CASES)
async def test_a_pod_keeps_its_sidecar_exactly_where_the_api_server_accepts_it(sales: Home, case: Case) -> None:
    if case.hard is not None:
        await sales.quota(case.hard, **({"scopes": list(case.scopes)} if case.scopes else {}))
    if case.bounds is not None:
        await sales.limit_range(**case.bounds)
    await _bounds_are_in_force(sales, case)
    document = await _as_the_webhook_sees_it(sales, pod(automountServiceAccountToken=False) | {"spec": case.spec})

    injection = await decided(sales, document, Lookup.QUOTAS)

    assert injection.plan.decision.reasons == ((case.refuses,) if case.refuses else ())
    assert injection.plan.decision.outcome is (Outcome.ENVIRONMENT_ONLY if case.refuses else Outcome.FULL)
    assert await sales.accepts(patched(document, injection))
    assert await sales.accepts(patched(document, decided_alone(sales, document))) is (case.refuses is None)


async def _bounds_are_in_force(found: Home, case: Case) -> None:
    """The API server knows of quotas, of their status and of ranges a moment after it has stored them."""
    names = [next(iter(case.hard)).rpartition(".")[2]] if case.hard else []
    names += [next(iter(case.bounds["max"]))] if case.bounds else []
    for name in names:
        vast = SMALL | {name: "9000Gi"}
        await eventually(partial(_refuses, found, pod(asking_for(vast, vast), **(case.scoped or {}))), "in force")
    await eventually(partial(found.accepts, pod(automountServiceAccountToken=False) | {"spec": case.spec}), "known")


async def _refuses(found: Home, document: Mapping[str, Any]) -> bool:
    return not await found.accepts(document)


async def _as_the_webhook_sees_it(found: Home, document: Mapping[str, Any]) -> dict[str, Any]:
    """With what the API server and its LimitRanger add before webhooks are called; the pod is accepted as it is."""
    path = f"/api/v1/namespaces/{found.name}/pods"
    answer = await found.api("POST", path, query={"dryRun": "All"}, body=document)
    assert answer.status == 201, answer.document
    metadata = {key: answer.document["metadata"][key] for key in ("name", "labels")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": answer.document["spec"]}


@pytest.mark.requirement("FP-14", "DEF-7")
async def test_keys_that_come_by_env_from_are_seen_and_win(sales: Home) -> None:
    await sales.create("configmaps", {"metadata": {"name": "settings"}, "data": {"SERVICE_NAME": "theirs"}})
    await sales.create(
        "secrets", {"metadata": {"name": "keys"}, "stringData": {"OPENLINEAGE_URL": "http://lineage.example"}}
    )
    taking = [{"configMapRef": {"name": "settings"}, "prefix": "OTEL_"}, {"secretRef": {"name": "keys"}}]

    injection = await decided(sales, pod(container(envFrom=taking)), Lookup.ENV_FROM)

    names = injection.plan.containers[0].environment.names
    assert {"OTEL_SERVICE_NAME", "OPENLINEAGE_URL"}.isdisjoint(names)
    assert injection.plan.decision.reasons == (Reason.LINEAGE_IS_USERS,)


@pytest.mark.requirement("FP-12", "HOUSE-7")
async def test_a_missing_secret_and_a_missing_key_are_told_and_the_pod_is_accepted(sales: Home) -> None:
    document = pod()
    missing = await decided(sales, document, Lookup.SECRETS)
    await sales.create("secrets", {"metadata": {"name": "lineage-credentials"}, "stringData": {"other": "x"}})
    without_key = await decided(sales, document, Lookup.SECRETS)

    assert missing.plan.decision.reasons == (Reason.SECRET_MISSING,)
    assert without_key.plan.decision.reasons == (Reason.SECRET_KEY_MISSING,)
    for injection in (missing, without_key):
        assert injection.plan.decision.outcome is Outcome.FULL
        assert await sales.accepts(patched(document, injection))


@pytest.mark.requirement("FP-15", "DEF-10")
async def test_a_job_that_somebody_started_by_hand_has_its_cron_jobs_name(sales: Home) -> None:
    template = {"spec": {"containers": [container()], "restartPolicy": "Never"}}
    cron_job = {
        "metadata": {"name": "load"},
        "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}},
    }
    owner = _reference(await sales.create("cronjobs", cron_job, group="/apis/batch/v1"), "CronJob", "batch/v1")
    job = {"metadata": {"name": "by-hand", "ownerReferences": [owner]}, "spec": {"template": template}}
    made = await sales.create("jobs", job, group="/apis/batch/v1")
    document = pod()
    document["metadata"]["ownerReferences"] = [_reference(made, "Job", "batch/v1")]

    injection = await decided(sales, document, Lookup.OWNERS)

    variables = {one.name: one.entry.get("value") for one in injection.plan.containers[0].environment.variables}
    assert variables["OTEL_SERVICE_NAME"] == "load"
    assert "k8s.cronjob.name=load" in str(variables["OTEL_RESOURCE_ATTRIBUTES"])


def _reference(stored: Mapping[str, Any], kind: str, api_version: str) -> dict[str, Any]:
    metadata = stored["metadata"]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


@pytest.mark.requirement("FP-5")
async def test_the_oldest_kubelet_decides_and_is_read_from_the_servers_table(test_cluster: Cluster) -> None:
    async with administrator(test_cluster) as api:
        names = [f"floe-e2e-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        try:
            for name, kubelet in zip(names, ("v1.36.3", "v1.28.15-eks-1"), strict=True):
                await api("POST", "/api/v1/nodes", body={"metadata": {"name": name}})
                status = {"status": {"nodeInfo": {"kubeletVersion": kubelet}}}
                answer = await api("PATCH", f"/api/v1/nodes/{name}/status", body=status, content_type=MERGE_PATCH)
                assert answer.status == 200, answer.document
            versions = KubernetesVersions(api, LookupMetrics(CollectorRegistry()), release_namespace="default")
            found = await versions.look()
        finally:
            for name in names:
                await api("DELETE", f"/api/v1/nodes/{name}")
    assert found.oldest_kubelet == (1, 28)
    assert (found.keeps_the_field, found.native_sidecars, found.unknown) == (True, False, ())
    assert found.api_server is not None
    assert found.api_server >= (1, 30)


@dataclass(frozen=True, slots=True)
class InForce:
    """A manifest in force."""

    profile: Profile


@pytest.mark.requirement("FP-5")
async def test_a_pod_whose_sidecar_cannot_be_pulled_is_found_among_those_that_wait(sales: Home) -> None:
    # An image of its own: other tests' pods have nothing to do with it, nor it with them.
    of_its_own = profile(injection={"sidecar": {"image": f"e2e.invalid/{uuid.uuid4().hex}:1"}})
    in_force: Any = InForce(of_its_own)
    health = SidecarHealth(sales.api, in_force, LookupMetrics(CollectorRegistry()), probes=None)
    await health.look()
    before = health.details()
    await _in_trouble(sales, of_its_own)

    await health.look()

    assert before == {"starts": True, "trouble": None, "troubled_namespaces": 0}
    assert health.details() == {"starts": False, "trouble": "ImagePullBackOff", "troubled_namespaces": 0}


@pytest.mark.requirement("FP-5", "HOUSE-3")
async def test_a_replica_that_begins_finds_the_pods_whose_sidecar_runs(sales: Home) -> None:
    of_its_own = profile(injection={"sidecar": {"image": f"e2e.invalid/{uuid.uuid4().hex}:1"}})
    in_force: Any = InForce(of_its_own)
    started = (datetime.now(UTC) - 2 * STEADY).strftime("%Y-%m-%dT%H:%M:%SZ")
    await _in_trouble(sales, of_its_own)
    await _reported(sales, of_its_own, "Running", {"running": {"startedAt": started}})

    health = SidecarHealth(sales.api, in_force, LookupMetrics(CollectorRegistry()), probes=None)
    await health.look()

    assert (health.starts, health.starts_in(sales.name), health.starts_in("elsewhere")) == (True, False, True)


@pytest.mark.requirement("FP-5")
async def test_a_probe_pod_that_is_being_deleted_for_ever_keeps_nobody_from_making_the_next(sales: Home) -> None:
    of_its_own = profile(injection={"sidecar": {"image": f"e2e.invalid/{uuid.uuid4().hex}:1"}})
    in_force: Any = InForce(of_its_own)
    probes = ProbePods(sales.api, sales.name, "floe-webhook-probe")
    health = SidecarHealth(sales.api, in_force, LookupMetrics(CollectorRegistry()), probes=probes)
    probe = SidecarProbe(sales.api, sales.api, health, in_force, Silence(), probes=probes, deployment=None)
    await _in_trouble(sales, of_its_own)
    await health.look()
    await probe.look()
    (first,) = await probes.found()
    path = f"{probes.path}/{first['metadata']['name']}"
    held, free = ({"metadata": {"finalizers": finalizers}} for finalizers in (["e2e.invalid/held"], []))
    await sales.api("PATCH", path, body=held, content_type=MERGE_PATCH)
    try:
        await sales.api("DELETE", path)
        await probe.look()
        found = await probes.found()
    finally:
        await sales.api("PATCH", path, body=free, content_type=MERGE_PATCH)
    second = [one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]]
    assert (len(found), len(second)) == (2, 1)
    assert second[0].startswith("floe-webhook-probe-")


async def _in_trouble(sales: Home, by: Profile) -> None:
    """An injected pod as the kubelet reports it when the sidecar's image cannot be pulled."""
    await _reported(sales, by, "Pending", {"waiting": {"reason": "ImagePullBackOff"}})


async def _reported(sales: Home, by: Profile, phase: str, state: dict[str, Any]) -> None:
    """An injected pod of a phase, and its sidecar in a state, as the kubelet reports it."""
    document = pod(automountServiceAccountToken=False)
    request = Review("uid", document, sales.name, dry_run=False)
    await sales.create("pods", patched(document, review_alone(request, by, namespace_label=None)))
    sidecar = {
        "name": "floe-sidecar", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state
    }  # fmt: skip
    path = f"/api/v1/namespaces/{sales.name}/pods/{document['metadata']['name']}/status"
    status = {"status": {"phase": phase, "initContainerStatuses": [sidecar]}}
    answer = await sales.api("PATCH", path, body=status, content_type=MERGE_PATCH)
    assert answer.status == 200, answer.document


RIGHTS = (
    ("", ["resourcequotas", "limitranges", "nodes", "pods"], ["list"]),
    ("", ["configmaps", "secrets"], ["get"]),
    ("apps", ["replicasets"], ["get"]),
    ("batch", ["jobs"], ["get"]),
)
RIGHTS_AT_HOME = (("", ["podtemplates"], ["create"]), ("", ["pods"], ["create", "delete"]))


@pytest.mark.requirement("FP-18", "FP-12", "HOUSE-7")
async def test_the_program_asks_with_the_rights_that_the_documentation_lists(
    test_cluster: Cluster, namespace: Any, run_id: str, tmp_path: Path
) -> None:
    own, labelled = namespace(), namespace(inject="enabled")
    flags = [part for lookup in Lookup for part in ("--lookup", lookup)]
    timing = ("--trust-settle", "1s", "--certificate-poll", "0.25s", "--lookup-budget", "3s")
    async with AsyncExitStack() as parts:
        entrance = await parts.enter_async_context(switch())
        made = await parts.enter_async_context(release(test_cluster, own.name, run_id, entrance.port, tmp_path))
        await parts.enter_async_context(_rights(made.api, own.name, made.configuration))
        replica = await parts.enter_async_context(
            program(tmp_path / "log", *made.flags("a", *timing, *flags), environment=made.environment)
        )
        entrance.replicas = [replica]
        await until(lambda: bool(entrance.ready), "ready")
        await called(Load(made, labelled))
        sales = Home(made.api, labelled.name)
        await sales.quota({"requests.cpu": "505m"})
        await _bounds_are_in_force(sales, Case(one({"cpu": "500m"}), hard={"requests.cpu": "505m"}))

        stored = await sales.create("pods", pod(asking_for({"cpu": "500m"})))
        async with httpx.AsyncClient(trust_env=False) as http:
            details = (await http.get(f"http://127.0.0.1:{replica.health_port}/readyz")).json()

    assert "initContainers" not in stored["spec"]
    assert '"quota_exceeded"' in stored["metadata"]["annotations"]["floe.dev/injection"]
    assert details["sidecar"] == {"starts": True, "trouble": None, "troubled_namespaces": 0}
    assert details["kubernetes"]["native_sidecars"] is True
    assert "keeps_native_sidecars" not in details["kubernetes"]["assumed"]
    assert "lookup refused" not in replica.text()


@asynccontextmanager
async def _rights(api: KubernetesApi, namespace: str, name: str) -> AsyncIterator[None]:
    name = f"{name}-lookups"
    group = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    wide, inside = f"/apis/{group}/v1", f"/apis/{group}/v1/namespaces/{namespace}"
    for kind, path, rights in (("Cluster", wide, RIGHTS), ("", inside, RIGHTS_AT_HOME)):
        rules = [{"apiGroups": [of], "resources": resources, "verbs": verbs} for of, resources, verbs in rights]
        role = {"metadata": {"name": name}, "rules": rules}
        reference = {"apiGroup": group, "kind": f"{kind}Role", "name": name}
        binding = {"metadata": {"name": name}, "subjects": [account], "roleRef": reference}
        for resource, document in ((f"{kind}Roles".lower(), role), (f"{kind}RoleBindings".lower(), binding)):
            answer = await api("POST", f"{path}/{resource}", body=document)
            assert answer.status == 201, answer.document
    try:
        yield
    finally:
        for resource in ("clusterroles", "clusterrolebindings"):
            await api("DELETE", f"{wide}/{resource}/{name}")
