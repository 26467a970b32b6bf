"""Every kind of pod that runs pipelines, injected on a real node: it runs and ends as before, and is heard of.

All of them run at once, before the first test; each test looks at what it is about.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from floe_webhook.tracing import SPAN
from tests.e2e import pod_kinds
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, in_force
from tests.e2e.cluster import images
from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.jaeger import tags
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.processes import LOOPBACK
from tests.e2e.observability import Platform, platform
from tests.e2e.webhook_program import EXAMPLE_MANIFEST, webhook_program
from tests.e2e.workloads import SIDECAR, condition, end_of, log_of

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-3", "HOUSE-4", "HOUSE-5")]

SERVING = {"orders-api": "app", "orders-stream": "app"}
ENDING = {
    "nightly-dbt": ("dbt", 0),
    "after-init": ("app", 0),
    "airflow-loads": ("base", 0),
    "airflow-fails": ("base", pod_kinds.FAILED),
    "dagster-orders": ("dagster", pod_kinds.FAILED),
    "strict": ("app", 0),
    "host-network": ("app", 0),
}
"""The application's container, and its own exit code."""
AIRFLOW = ("airflow-loads", "airflow-fails")
WITHOUT_SIDECAR = "host-network"

RUN = "kinds"
RUN_SECONDS = 180.0
HEALTH_PORT = 4328
SECRET = {"secret": "marquez-credentials", "key": "api_key"}
_POLL_SECONDS = 0.3


@dataclass(slots=True)
class Kinds:
    """What ran: each kind's pod, as it was when it had ended or served.

    Attributes:
        results: What the launcher of an Airflow task got as its result.
    """

    client: KubernetesClient
    platform: Platform
    pods: dict[str, Manifest] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)

    def told(self, job: str) -> dict[str, Any]:
        """The lineage of a job."""
        return self.platform.event(lambda event: event["job"]["name"] == job, job)

    def variable(self, kind: str, name: str) -> dict[str, Any]:
        """A variable of the application's container."""
        container = SERVING.get(kind) or ENDING[kind][0]
        (found,) = (one for one in self.pods[kind]["spec"]["containers"] if one["name"] == container)
        variable: dict[str, Any] = next(one for one in found["env"] if one["name"] == name)
        return variable


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture(scope="module")
def observability(node: Node, client: KubernetesClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The lineage service, the Collector and Jaeger."""
    with platform(node, client, tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def kinds(
    node: Node,
    observability: Platform,
    authority: Authority,
    serving: KeyPairFiles,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kinds]:
    """Every kind, created at once; the fixture is there when all have ended or serve."""
    folder = tmp_path_factory.mktemp("kinds")
    manifest = _manifest(folder / "manifest.yaml", observability)
    node.runtime.load(images.pipeline_archive())
    tracing = ("--otlp-endpoint", observability.collector_grpc_url)
    with (
        node.cluster.client() as client,
        webhook_program(manifest, authority, serving, LOOPBACK, folder, *tracing) as webhook,
        in_force(client, webhook.configuration("floe-e2e-kinds"), RUN, webhook.admissions),
        ExitStack() as made,
    ):
        home = _home(client, observability, made)
        strict = _home(client, observability, made, **{"pod-security.kubernetes.io/enforce": "restricted"})
        ran = Kinds(client, observability)
        _create(client, home, strict)
        _wait(ran, node, home, strict)
        _keep_metrics(ran, folder)
        yield ran


@pytest.mark.requirement("REQ-521")
@pytest.mark.parametrize("kind", [*SERVING, *ENDING])
def test_the_lineage_of_a_pod_of_any_kind_arrives(kind: str, kinds: Kinds) -> None:
    sidecars = [one["name"] for one in kinds.pods[kind]["spec"].get("initContainers", []) if one["name"] == SIDECAR]

    assert sidecars == ([] if kind == WITHOUT_SIDECAR else [SIDECAR])
    assert kinds.told(kind)["eventType"] == ("FAIL" if ENDING.get(kind, ("", 0))[1] else "COMPLETE")


@pytest.mark.requirement("CC-1.3")
@pytest.mark.parametrize("kind", [*SERVING, *ENDING])
def test_the_spans_of_a_pod_of_any_kind_are_in_jaeger_under_its_name(kind: str, kinds: Kinds) -> None:
    service = kinds.variable(kind, "OTEL_SERVICE_NAME")["value"]

    traces = kinds.platform.jaeger.traces(service, operation=kind)

    (process,) = traces[0]["processes"].values()
    assert process["serviceName"] == service
    assert tags(process)["k8s.pod.name"] == kinds.pods[kind]["metadata"]["name"]
    assert tags(process)["k8s.namespace.name"] == kinds.pods[kind]["metadata"]["namespace"]


@pytest.mark.requirement("HOUSE-12")
@pytest.mark.usefixtures("kinds")
def test_the_webhooks_own_spans_are_in_jaeger_beside_the_pods(observability: Platform) -> None:
    traces = observability.jaeger.traces("floe-webhook")

    assert {span["operationName"] for trace in traces for span in trace["spans"]} == {SPAN}


@pytest.mark.parametrize("kind", ENDING)
def test_an_exit_code_is_the_applications_and_the_sidecar_ends_well(kind: str, kinds: Kinds) -> None:
    pod, (container, exit_code) = kinds.pods[kind], ENDING[kind]

    assert end_of(pod, container)["exitCode"] == exit_code, log_of(kinds.client, pod, container)
    assert pod["status"]["phase"] == ("Failed" if exit_code else "Succeeded")
    if kind != WITHOUT_SIDECAR:
        assert end_of(pod, SIDECAR)["exitCode"] == 0, log_of(kinds.client, pod, SIDECAR)


@pytest.mark.requirement("FP-2", "FP-4")
@pytest.mark.parametrize("kind", [kind for kind in ENDING if kind not in AIRFLOW])
def test_a_job_ends_as_its_application_did(kind: str, kinds: Kinds) -> None:
    (owner,) = kinds.pods[kind]["metadata"]["ownerReferences"]
    job = {"metadata": {"name": owner["name"], "namespace": kinds.pods[kind]["metadata"]["namespace"]}}

    assert condition(kinds.client, job) == ("Failed" if ENDING[kind][1] else "Complete")


@pytest.mark.requirement("REQ-529", "FP-15")
def test_the_runs_of_a_cron_jobs_dbt_belong_to_its_pod_and_bear_the_cron_jobs_name(kinds: Kinds) -> None:
    runs = {kinds.pods["nightly-dbt"]["metadata"]["uid"]}
    events = kinds.platform.events()
    while more := {event["run"]["runId"] for event in events if _parent_run(event) in runs} - runs:
        runs |= more  # dbt's own run is the parent of its models'
    written = {
        output["name"].rpartition(".")[2]
        for event in events
        if event["run"]["runId"] in runs
        for output in event["outputs"]
    }

    assert kinds.variable("nightly-dbt", "OTEL_SERVICE_NAME")["value"] == "nightly-dbt"
    assert {"stg_orders", "orders", "revenue_by_day"} <= written


def _parent_run(event: dict[str, Any]) -> str | None:
    run: str | None = event["run"].get("facets", {}).get("parent", {}).get("run", {}).get("runId")
    return run


@pytest.mark.requirement("FP-5")
def test_init_containers_and_a_sidecar_of_the_users_own_run_as_they_were(kinds: Kinds) -> None:
    pod = kinds.pods["after-init"]
    names = [one["name"] for one in pod["spec"]["initContainers"]]

    assert names == [SIDECAR, "fetch", "cache", "unpack", "migrate"]
    assert pod["spec"]["initContainers"][2]["restartPolicy"] == "Always"
    assert {name: end_of(pod, name)["exitCode"] for name in names} == dict.fromkeys(names, 0)
    assert [kinds.told(job)["job"]["name"] for job in ("init-fetch", "init-unpack", "init-migrate")]


@pytest.mark.requirement("FP-3")
@pytest.mark.parametrize("kind", AIRFLOW)
def test_a_launcher_that_waits_for_base_gets_its_result_and_its_pod_ends(kind: str, kinds: Kinds) -> None:
    names = [one["name"] for one in kinds.pods[kind]["spec"]["containers"]]

    assert names == ["base", "airflow-xcom-sidecar"]
    assert json.loads(kinds.results[kind]) == json.loads(pod_kinds.RESULT)


@pytest.mark.requirement("FP-17", "FP-18")
def test_a_strict_namespaces_limits_and_quota_hold_for_the_application_as_before(kinds: Kinds) -> None:
    pod = kinds.pods["strict"]
    (app,) = pod["spec"]["containers"]
    quota = kinds.client.get("ResourceQuota", "quota", pod["metadata"]["namespace"])

    assert app["resources"] == {
        "limits": {"cpu": "2", "memory": "512Mi"},
        "requests": {"cpu": "100m", "memory": "128Mi"},
    }
    assert quota["status"]["hard"]["pods"] == "4"
    assert pod["spec"]["initContainers"][0]["resources"]["requests"] == {"cpu": "10m", "memory": "48Mi"}


@pytest.mark.requirement("HOUSE-7")
def test_a_pod_on_the_nodes_network_sends_to_the_lineage_service_itself_with_its_secret(kinds: Kinds) -> None:
    (app,) = kinds.pods[WITHOUT_SIDECAR]["spec"]["containers"]
    references = [one["valueFrom"]["secretKeyRef"] for one in app["env"] if "secretKeyRef" in one.get("valueFrom", {})]

    assert kinds.variable(WITHOUT_SIDECAR, "OPENLINEAGE_URL")["value"] == kinds.platform.lineage_url
    assert references == [{"name": SECRET["secret"], "key": SECRET["key"], "optional": True}]


def _manifest(path: Path, observed: Platform) -> Path:
    yaml = YAML(typ="safe", pure=True)
    manifest = yaml.load(EXAMPLE_MANIFEST)
    manifest["plugins"]["lineage_backend"]["config"] = {"url": observed.lineage_url, "api_key": "${env:LINEAGE_KEY}"}
    manifest["credentials"]["LINEAGE_KEY"] = SECRET
    manifest["injection"]["collector"]["endpoint"] = observed.collector_url
    manifest["injection"]["sidecar"] |= {"image": images.image_name("sidecar"), "shutdown_seconds": 10}
    yaml.dump(manifest, path)
    return path


def _home(client: KubernetesClient, observed: Platform, made: ExitStack, **labels: str) -> Namespace:
    """A namespace that opts in, with the lineage service's key in its Secret."""
    home = create_namespace(client, {RUN_LABEL: RUN, "floe.dev/inject": "enabled"} | labels)
    made.callback(client.delete, home.manifest)
    metadata = {"name": SECRET["secret"], "namespace": home.name}
    values = {SECRET["key"]: observed.api_key}
    client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})
    return home


def _create(client: KubernetesClient, home: Namespace, strict: Namespace) -> None:
    for manifest in (
        pod_kinds.cron_job(home),
        pod_kinds.deployment(home),
        pod_kinds.stateful_set(home),
        pod_kinds.with_init_containers(home),
        pod_kinds.airflow_task(home, "airflow-loads", "end"),
        pod_kinds.airflow_task(home, "airflow-fails", str(pod_kinds.FAILED)),
        *pod_kinds.dagster_run(home),
        *pod_kinds.in_a_strict_namespace(strict),
        pod_kinds.on_the_nodes_network(home),
    ):
        client.create(manifest)
        if "status" in manifest:
            client.set_status(manifest)


def _wait(ran: Kinds, node: Node, *homes: Namespace) -> None:
    """Waits for every kind's pod, as its launcher would.

    Raises:
        TimeoutError: One neither ended nor served in time; the message has what its pod says.
    """
    deadline = time.monotonic() + RUN_SECONDS
    while missing := {*ENDING, *SERVING} - ran.pods.keys():
        pods = [pod for home in homes for pod in ran.client.pods(home.name, label=pod_kinds.KIND_LABEL)]
        found = {pod["metadata"]["labels"][pod_kinds.KIND_LABEL]: pod for pod in pods}
        for kind in missing & found.keys():
            if _is_there(found[kind], serves=kind in SERVING):
                ran.pods[kind] = found[kind]
            elif kind in AIRFLOW and kind not in ran.results and _has_ended(found[kind], "base"):
                ran.results[kind] = _result_of_a_task(node, found[kind])
        if time.monotonic() > deadline:
            states = {kind: found[kind]["status"] if kind in found else "no pod" for kind in missing}
            raise TimeoutError(f"not there after {RUN_SECONDS:g} s: {states}")
        time.sleep(_POLL_SECONDS)


def _keep_metrics(ran: Kinds, folder: Path) -> None:
    """What the sidecars of running pods measure, kept for the search for credentials."""
    for kind in SERVING:
        address = ran.pods[kind]["status"]["podIP"]
        metrics = httpx.get(f"http://{address}:{HEALTH_PORT}/metrics", trust_env=False, timeout=10.0).raise_for_status()
        (folder / f"{kind}.metrics").write_text(metrics.text)


def _is_there(pod: Manifest, *, serves: bool) -> bool:
    if serves:
        return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
    return pod["status"]["phase"] in {"Succeeded", "Failed"}


def _has_ended(pod: Manifest, container: str) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return any(one["name"] == container and "terminated" in one["state"] for one in statuses)


def _result_of_a_task(node: Node, pod: Manifest) -> str:
    """What Airflow does once `base` has ended: it reads the result from its own sidecar, and ends that."""
    metadata = pod["metadata"]
    command = [
        str(program("kubectl")),
        f"--kubeconfig={node.cluster.kubeconfig}",
        f"--namespace={metadata['namespace']}",
    ]
    command += ["exec", metadata["name"], "-c", "airflow-xcom-sidecar", "--"]
    command += ["sh", "-c", "cat /airflow/xcom/return.json && kill -s INT 1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
