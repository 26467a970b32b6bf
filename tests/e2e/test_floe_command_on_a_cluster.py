"""`floe check`, `floe status` and `floe explain` against a real API server and a webhook with its own authority."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from floe_core.cli.main import floe
from floe_webhook.cluster.api import KubernetesApi
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, pod
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.webhook_release import NAME, Release, release
from webhook.tests.serving.program import Program, program
from webhook.tests.serving.switch import switch
from webhook.tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-2", "HOUSE-12", "FP-1", "FP-8")]

NamespaceMaker = Callable[..., Namespace]

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Installation:
    """A release with one replica, in force."""

    release: Release
    replica: Program
    kubeconfig: Path

    @property
    def api(self) -> KubernetesApi:
        """With all rights."""
        return self.release.api

    @property
    def options(self) -> tuple[str, ...]:
        """Which cluster, and which release in it."""
        return (
            *("--kubeconfig", str(self.kubeconfig), "--release-namespace", self.release.namespace),
            *("--webhook-configuration", self.release.configuration),
        )

    async def floe(self, command: str, *arguments: str) -> Result:
        """Runs a command in a thread of its own, which has its own loop."""
        return await asyncio.to_thread(CliRunner().invoke, floe, [command, *self.options, *arguments])

    async def create(self, path: str, document: dict[str, Any]) -> None:
        """An object in a collection."""
        answer = await self.api("POST", path, body=document)
        assert answer.status == 201, (path, answer.document)

    async def patch(self, path: str, **changes: object) -> None:
        """Merges changes into an object."""
        answer = await self.api("PATCH", path, body=changes, content_type="application/merge-patch+json")
        assert answer.status == 200, (path, answer.document)

    async def delete(self, path: str) -> None:
        """An object that is there."""
        assert (await self.api("DELETE", path)).status == 200

    async def give_credential(self, namespace: Namespace) -> None:
        """What a platform team adds to a namespace that opts in."""
        secret = {"metadata": {"name": "lineage"}, "stringData": {"token": "hunter2"}}
        await self.create(f"/api/v1/namespaces/{namespace.name}/secrets", secret)

    async def create_running(self, namespace: Namespace, name: str, **metadata: Any) -> None:
        """A pod that runs, by its status."""
        path = f"/api/v1/namespaces/{namespace.name}/pods"
        await self.create(path, pod(namespace, name=name, **metadata))
        await self.patch(f"{path}/{name}/status", status={"phase": "Running"})

    async def wait_until_in_force(self, namespace: Namespace) -> None:
        """The API server reads configurations a moment after they are written."""
        path, loop = f"/api/v1/namespaces/{namespace.name}/pods", asyncio.get_running_loop()
        deadline = loop.time() + 30
        while True:
            answer = await self.api("POST", path, query={"dryRun": "All"}, body=pod(namespace))
            if "floe.dev/injected" in answer.document["metadata"].get("labels", {}):
                return
            assert loop.time() < deadline, "not injected within 30 s"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def installation(
    cluster: Cluster, kubernetes: KubernetesClient, run_id: str, folder: Path
) -> AsyncIterator[Installation]:
    """What `helm install` and a controller would leave, in force; every object is there and right."""
    home = create_namespace(kubernetes, {RUN_LABEL: run_id})
    probes = create_namespace(kubernetes, {RUN_LABEL: run_id, "floe.dev/inject": "enabled"})
    account, manifest = folder / "serviceaccount", folder / "floe.yaml"
    account.mkdir()
    manifest.write_text(_manifest(home.name))
    quick = ("--certificate-poll", "0.25s", "--trust-settle", "1s", "--drain-seconds", "0")
    try:
        async with (
            switch() as entrance,
            release(cluster, home.name, run_id, entrance.port, account) as made,
            program(
                folder / "webhook.log", *made.flags("one", *quick), manifest=manifest, environment=made.environment
            ) as replica,
        ):
            entrance.replicas = [replica]
            found = Installation(made, replica, cluster.kubeconfig)
            await _complete(found, manifest.read_text())
            await until(lambda: len(entrance.ready) == 1, "ready")
            await found.wait_until_in_force(probes)
            yield found
    finally:
        for namespace in (home, probes):
            kubernetes.delete(namespace.manifest)


def _manifest(namespace: str) -> str:
    return f"""\
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: acme}}
plugins:
  telemetry_backend: {{type: jaeger, config: {{endpoint: "jaeger.{namespace}.svc:4317"}}}}
  lineage_backend:
    type: marquez
    config: {{url: "http://marquez.{namespace}.svc:5000", api_key: "${{env:LINEAGE_KEY}}"}}
credentials: {{LINEAGE_KEY: {{secret: lineage, key: token}}}}
injection: {{collector: {{endpoint: "http://collector.{namespace}.svc:4318"}}}}
"""


async def _complete(installation: Installation, manifest: str) -> None:
    """The manifest, a state that a controller would write, and the backends' Services."""
    home = installation.release.namespace
    await installation.create(
        f"/api/v1/namespaces/{home}/configmaps",
        {"metadata": {"name": "floe-injector-manifest"}, "data": {"floe.yaml": manifest}},
    )
    deployment = f"/apis/apps/v1/namespaces/{home}/deployments/{NAME}"
    await installation.patch(deployment, spec={"replicas": 1})
    await installation.patch(f"{deployment}/status", status={"replicas": 1, "readyReplicas": 1})
    for name, port in (("marquez", 5000), ("collector", 4318)):
        await installation.create(
            f"/api/v1/namespaces/{home}/services",
            {"metadata": {"name": name}, "spec": {"ports": [{"port": port, "targetPort": 8000}]}},
        )
        await installation.create(
            f"/apis/discovery.k8s.io/v1/namespaces/{home}/endpointslices",
            {
                "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}],
                "ports": [{"name": "", "port": 8000}],
            },
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed(
    test_cluster: Cluster, kubernetes: KubernetesClient, run_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """One that nobody spoils."""
    async with installation(test_cluster, kubernetes, run_id, tmp_path_factory.mktemp("installed")) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
async def test_the_command_finds_a_healthy_installation_by_the_kubeconfig_and_nothing_wrong(
    installed: Installation, namespace: NamespaceMaker
) -> None:
    sales = namespace(inject="enabled")
    await installed.give_credential(sales)
    await installed.create_running(sales, "etl-1")
    command: list[str | Path] = [SCRIPTS / "kubectl-floe", "check", *installed.options[2:], "-n", sales.name]
    environment = os.environ | {"KUBECONFIG": str(installed.kubeconfig)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, "-o", "json"], env=environment, capture_output=True, text=True, check=False)

    done = await asyncio.to_thread(run)

    assert (done.returncode, done.stderr) == (0, "")
    findings = json.loads(done.stdout)["findings"]
    assert [one for one in findings if one["result"] != "ok"] == []
    assert sum(one["check"] == "admission" for one in findings) == 2


async def test_each_of_eight_planted_defects_is_told_by_its_check(
    test_cluster: Cluster, kubernetes: KubernetesClient, namespace: NamespaceMaker, run_id: str, tmp_path: Path
) -> None:
    run = f"{run_id}-spoilt"  # the other tests' webhook stays out of it
    sales = namespace(inject="enabled", run=run)
    async with installation(test_cluster, kubernetes, run, tmp_path) as spoilt:
        await _plant_defects(spoilt, sales)

        done = await spoilt.floe("check", "-o", "json", "-n", sales.name)

    findings = [(one["check"], one["result"], one["sentence"]) for one in json.loads(done.stdout)["findings"]]
    home = spoilt.release.namespace
    expected = [
        ("webhook-configuration", "failed", "is sent by one entry, expected no entry"),
        ("webhook-deployment", "failed", f"No replica of {NAME} is ready"),
        ("admission", "failed", f"in the namespace {sales.name}, is not injected (dry run)"),
        ("secrets", "warning", f"The namespace {sales.name} has no Secret lineage (key token)."),
        ("quotas", "warning", f"New pods in {sales.name} get environment only"),
        ("network-policies", "failed", f"from {sales.name} to collector.{home}.svc:4318, TCP 8000."),
        ("backends", "failed", f"There is no Service for marquez.{home}.svc:5000"),
        ("missed-pods", "warning", f"{sales.name}: missed-1."),
    ]
    for check, result, says in expected:
        assert any(found[:2] == (check, result) and says in found[2] for found in findings), (check, findings)
    assert {check for check, result, _ in findings if result in ("failed", "warning")} == {one[0] for one in expected}
    assert done.exit_code == 2
    assert "hunter2" not in done.output


async def _plant_defects(spoilt: Installation, sales: Namespace) -> None:
    home, there = spoilt.release.namespace, f"/api/v1/namespaces/{sales.name}"
    await spoilt.create_running(sales, "missed-1", inject="false")
    await spoilt.patch(f"{there}/pods/missed-1", metadata={"labels": {"floe.dev/inject": None}})
    await spoilt.create(
        f"/apis/networking.k8s.io/v1/namespaces/{sales.name}/networkpolicies",
        {"metadata": {"name": "deny"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}},
    )
    hard = {"limits.memory": "32Mi"}
    await spoilt.create(f"{there}/resourcequotas", {"metadata": {"name": "team"}, "spec": {"hard": hard}})
    await spoilt.patch(f"{there}/resourcequotas/team/status", status={"hard": hard, "used": {"limits.memory": "0"}})
    await spoilt.patch(f"/apis/apps/v1/namespaces/{home}/deployments/{NAME}/status", status={"readyReplicas": 0})
    await spoilt.delete(f"/api/v1/namespaces/{home}/services/marquez")
    path = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{spoilt.release.configuration}"
    spoilt.replica.stop()
    await asyncio.wait_for(spoilt.replica.process.wait(), 30)
    live = dict(await spoilt.api.read(path) or {})
    live["webhooks"][1]["objectSelector"] = {}
    assert (await spoilt.api("PUT", path, body=live)).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_status_counts_and_explain_tells_then_and_now(installed: Installation, namespace: NamespaceMaker) -> None:
    sales = namespace(inject="enabled")
    await installed.create_running(sales, "full-1")
    await installed.create_running(sales, "alone-1", annotations={"floe.dev/environment-only": "true"})

    status = await installed.floe("status", "-o", "json", "-n", sales.name)
    explained = await installed.floe("explain", "pod/alone-1", "-n", sales.name)

    (state,) = json.loads(status.stdout)
    assert (state["namespace"], state["label"]) == (sales.name, "enabled")
    assert (state["injected"], state["environment_only"], state["missed"]) == (1, 1, 0)
    assert explained.exit_code == 0, explained.output
    then, _, now = explained.stdout.partition("If it were created now")
    assert f"Pod/alone-1 in {sales.name}: was injected when it was created: environment only" in then
    assert "the one in force" in then
    assert "[environment_only_asked]" in then
    assert "injected: environment only" in now
    assert "from plugins.lineage_backend" in now
