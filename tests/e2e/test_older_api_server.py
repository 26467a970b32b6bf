"""An API server of 1.30, as it comes and with native sidecars switched off, which a newer one can no longer do.

The admission tests themselves (`test_admission_api_server.py`) run against it, too.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from floe_webhook.cluster.native_sidecars import supported
from tests.e2e.admission import IMAGE, RUN_LABEL, Namespace, create_namespace, pod
from tests.e2e.cluster.binaries import OLDER_KUBERNETES, OLDER_KUBERNETES_VERSION
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.control_plane import KUBECONFIG_VARIABLE, Cluster, control_plane
from tests.e2e.webhook_load import Load, in_force
from tests.e2e.webhook_release import NAME, Release, administrator, release
from webhook.tests.serving.program import program
from webhook.tests.serving.switch import switch
from webhook.tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-5", "HOUSE-3")]

SIDECAR = {"name": "sidecar", "image": IMAGE, "restartPolicy": "Always"}


@pytest.fixture(scope="module")
def without_native_sidecars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The older API server without native sidecars."""
    if KUBECONFIG_VARIABLE in os.environ:
        pytest.skip("an existing cluster is used: no API server is built")
    folder = tmp_path_factory.mktemp("without-native-sidecars")
    with control_plane(folder, ["--feature-gates=SidecarContainers=false"], OLDER_KUBERNETES) as cluster:
        yield cluster


@pytest.fixture
def client(without_native_sidecars: Cluster) -> Iterator[KubernetesClient]:
    """An administrator's client of it."""
    with without_native_sidecars.client() as client:
        yield client


@pytest.fixture
def home(client: KubernetesClient) -> Namespace:
    """A namespace in it."""
    return create_namespace(client, {})


def test_the_older_api_server_says_its_version(older_cluster: Cluster) -> None:
    with older_cluster.client() as client:
        assert client.server_version() == f"v{OLDER_KUBERNETES_VERSION}"


def test_a_server_without_native_sidecars_stores_a_pod_that_would_hang_in_its_init_phase(
    client: KubernetesClient, home: Namespace
) -> None:
    spec = {"initContainers": [SIDECAR], "containers": [{"name": "app", "image": IMAGE}]}

    stored = client.create(pod(home, spec=spec))

    assert stored["spec"]["initContainers"][0]["name"] == "sidecar"
    assert "restartPolicy" not in stored["spec"]["initContainers"][0]


@pytest.mark.parametrize("cluster", ["test_cluster", "older_cluster"])
async def test_a_server_that_keeps_native_sidecars_says_so(cluster: str, request: pytest.FixtureRequest) -> None:
    async with administrator(request.getfixturevalue(cluster)) as api:
        assert await supported(api, "default") is True


async def test_a_server_that_drops_them_says_so(without_native_sidecars: Cluster) -> None:
    async with administrator(without_native_sidecars) as api:
        assert await supported(api, "default") is False


async def test_asking_leaves_nothing_in_the_cluster(without_native_sidecars: Cluster) -> None:
    async with administrator(without_native_sidecars) as api:
        await supported(api, "default")
        left = [one async for page in api.pages("/api/v1/podtemplates") for one in page]

    assert left == []


async def test_a_namespace_that_does_not_exist_tells_nothing(older_cluster: Cluster) -> None:
    async with administrator(older_cluster) as api:
        assert await supported(api, "no-such-namespace") is None


async def test_where_they_are_dropped_a_pod_gets_its_environment_only_and_is_told(
    without_native_sidecars: Cluster, client: KubernetesClient, tmp_path: Path
) -> None:
    run = "without-native-sidecars"
    own, sales = create_namespace(client, {}), create_namespace(client, {RUN_LABEL: run})
    async with (
        switch() as entrance,
        release(without_native_sidecars, own.name, run, entrance.port, tmp_path) as made,
    ):
        await _grant_the_dry_run(made)
        flags = made.flags("a", "--trust-settle", "1s", "--certificate-poll", "0.25s", "--lookup", "native-sidecars")
        async with program(tmp_path / "webhook.log", *flags, environment=made.environment) as replica:
            entrance.replicas = [replica]
            await until(lambda: bool(entrance.ready), "ready")
            await in_force(Load(made, sales))

            # The switch that the API server calls runs in this loop.
            stored = await asyncio.to_thread(client.create, pod(sales, inject="enabled"))

    (app,) = stored["spec"]["containers"]
    assert stored["metadata"]["labels"].get("floe.dev/injected") == "true", replica.text()
    assert "initContainers" not in stored["spec"]
    assert '"kubernetes_too_old"' in stored["metadata"]["annotations"]["floe.dev/injection"]
    assert "127.0.0.1" not in next(one["value"] for one in app["env"] if one["name"] == "OPENLINEAGE_URL")


async def _grant_the_dry_run(made: Release) -> None:
    """The one right that asking needs."""
    group = "rbac.authorization.k8s.io"
    inside = f"/apis/{group}/v1/namespaces/{made.namespace}"
    rules = [{"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["create"]}]
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": made.namespace}
    reference = {"apiGroup": group, "kind": "Role", "name": "dry-run"}
    for resource, more in (
        ("roles", {"rules": rules}),
        ("rolebindings", {"roleRef": reference, "subjects": [account]}),
    ):
        answer = await made.api("POST", f"{inside}/{resource}", body={"metadata": {"name": "dry-run"}, **more})
        assert answer.status == 201, answer.document
