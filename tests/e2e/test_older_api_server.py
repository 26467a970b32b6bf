"""An API server of 1.30, as it comes and with native sidecars switched off, which a newer one can no longer do.

The admission tests themselves (`test_admission_api_server.py`) run against it, too.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from floe_webhook.cluster.api import Access, KubernetesApi
from floe_webhook.cluster.native_sidecars import supported
from tests.e2e.admission import IMAGE, Namespace, create_namespace, pod
from tests.e2e.cluster.binaries import OLDER_KUBERNETES, OLDER_KUBERNETES_VERSION
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.control_plane import Cluster, control_plane
from tests.e2e.cluster.kubeconfig import read_access

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-5", "HOUSE-3")]

SIDECAR = {"name": "sidecar", "image": IMAGE, "restartPolicy": "Always"}


@pytest.fixture(scope="module")
def without_native_sidecars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The older API server without native sidecars."""
    folder = tmp_path_factory.mktemp("without-native-sidecars")
    with control_plane(folder, ["--feature-gates=SidecarContainers=false"], OLDER_KUBERNETES) as cluster:
        yield cluster


@pytest.fixture
def client(without_native_sidecars: Cluster) -> Iterator[KubernetesClient]:
    """An administrator's client of it."""
    with without_native_sidecars.client() as administrator:
        yield administrator


@pytest.fixture
def home(client: KubernetesClient) -> Namespace:
    """A namespace in it."""
    return create_namespace(client, {})


@asynccontextmanager
async def _asking(cluster: Cluster) -> AsyncIterator[KubernetesApi]:
    access = read_access(cluster.kubeconfig)
    async with aiohttp.ClientSession() as session:
        yield KubernetesApi(session, Access(access.server, access.tls, lambda: access.token))


def test_the_older_api_server_says_its_version(older_cluster: Cluster) -> None:
    with older_cluster.client() as administrator:
        assert administrator.server_version() == f"v{OLDER_KUBERNETES_VERSION}"


def test_a_server_without_native_sidecars_stores_a_pod_that_would_hang_in_its_init_phase(
    client: KubernetesClient, home: Namespace
) -> None:
    spec = {"initContainers": [SIDECAR], "containers": [{"name": "app", "image": IMAGE}]}

    stored = client.create(pod(home, spec=spec))

    assert stored["spec"]["initContainers"][0]["name"] == "sidecar"
    assert "restartPolicy" not in stored["spec"]["initContainers"][0]


@pytest.mark.parametrize("cluster", ["test_cluster", "older_cluster"])
async def test_a_server_that_keeps_native_sidecars_says_so(cluster: str, request: pytest.FixtureRequest) -> None:
    async with _asking(request.getfixturevalue(cluster)) as api:
        assert await supported(api, "default") is True


async def test_a_server_that_drops_them_says_so(without_native_sidecars: Cluster) -> None:
    async with _asking(without_native_sidecars) as api:
        assert await supported(api, "default") is False


async def test_asking_leaves_nothing_in_the_cluster(without_native_sidecars: Cluster) -> None:
    async with _asking(without_native_sidecars) as api:
        await supported(api, "default")
        left = [one async for page in api.pages("/api/v1/podtemplates") for one in page]

    assert left == []


async def test_a_namespace_that_does_not_exist_tells_nothing(older_cluster: Cluster) -> None:
    async with _asking(older_cluster) as api:
        assert await supported(api, "no-such-namespace") is None
