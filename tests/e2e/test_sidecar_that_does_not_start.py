"""An image that does not start, on a real node: noticed from the pods that hang, ended by a probe pod that runs."""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jsonpatch
import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.admission import Review, review
from floe_webhook.announcements import Silence
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.probe_pods import ProbePods
from floe_webhook.cluster.sidecar_health import SECONDS, SidecarHealth
from floe_webhook.cluster.sidecar_probe import PATIENCE_SECONDS, SidecarProbe
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.profile import Profile
from tests.e2e.admission import Namespace, create_namespace, pod
from tests.e2e.cluster.images import BASE_IMAGE, image_name
from tests.e2e.cluster.node import Node
from tests.e2e.webhook_release import administrator
from tests.e2e.workloads import python
from webhook.tests.builders import profile
from webhook.tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-5", "HOUSE-3")]

NOTICED_SECONDS = 30
PROBE = "floe-probe"


@dataclass(frozen=True, slots=True)
class InForce:
    """A manifest in force."""

    profile: Profile


@pytest.fixture
async def api(node: Node) -> AsyncIterator[KubernetesApi]:
    async with administrator(node.cluster) as found:
        yield found


@pytest.fixture
def home(node: Node) -> Iterator[Namespace]:
    """A namespace for hanging pods and the probe pod."""
    with node.cluster.client() as client:
        found = create_namespace(client, {"pod-security.kubernetes.io/warn": "restricted"})
        yield found
        client.delete(found.manifest)


@contextmanager
def watched(
    api: KubernetesApi, home: Namespace, image: str
) -> Iterator[tuple[SidecarHealth, SidecarProbe, list[float]]]:
    """What a replica that leads has of this, and how much later the probe's clock is."""
    later = [0.0]
    in_force: Any = InForce(profile(injection={"sidecar": {"image": image}}))
    probes = ProbePods(api, home.name, PROBE)
    health = SidecarHealth(api, in_force, LookupMetrics(CollectorRegistry()), probes=probes)
    probe = SidecarProbe(
        api, api, health, in_force, Silence(), probes=probes, deployment=None,
        monotonic=lambda: time.monotonic() + later[0],
    )  # fmt: skip
    yield health, probe, later


async def in_trouble(
    api: KubernetesApi, home: Namespace, image: str, health: SidecarHealth, **of_sidecar: object
) -> None:
    """A pod whose sidecar does not start, and a look that notices it in time."""
    spec = {"containers": [python("app", "import time; time.sleep(60)")], "terminationGracePeriodSeconds": 1}
    document = pod(home, inject="enabled", spec=spec)
    by = profile(injection={"sidecar": {"image": image}})
    injection = review(Review("uid", document, home.name, dry_run=False), by, namespace_label=None)
    hanging = jsonpatch.apply_patch(document, injection.operations)
    hanging["spec"]["initContainers"][0] |= of_sidecar
    began = time.monotonic()
    answer = await api("POST", f"/api/v1/namespaces/{home.name}/pods", body=hanging)
    assert answer.status == 201, answer.document

    async def noticed() -> bool:
        await health.look()
        return not health.starts

    await eventually(noticed, "noticed")
    assert time.monotonic() - began + SECONDS < NOTICED_SECONDS


@pytest.mark.requirement("HOUSE-11")
async def test_a_missing_image_is_noticed_in_time_and_its_end_by_a_probe_pod(
    node: Node, api: KubernetesApi, home: Namespace
) -> None:
    image = f"e2e.local/floe-sidecar:{uuid.uuid4().hex[:8]}"
    with watched(api, home, image) as (health, probe, later):
        await in_trouble(api, home, image, health)
        await probe.look()
        await eventually(lambda: _probe_waits(api, home), "the probe pod hangs too")
        await health.look()
        assert not health.starts

        node.runtime.ctr("images", "tag", image_name("sidecar"), image)
        later[0] += PATIENCE_SECONDS  # the probe pod's kubelet waits ever longer; a new one is pulled for at once

        async def well() -> bool:
            await probe.look()
            await health.look()
            return health.starts

        await eventually(well, "well again")
        await health.look()
        assert health.starts_in(home.name)  # although the first pod may hang still
        node.runtime.ctr("images", "rm", image)


async def test_an_image_that_crashes_after_the_application_has_started_is_noticed_in_time(
    api: KubernetesApi, home: Namespace
) -> None:
    crashing = python("floe-sidecar", "import time; time.sleep(1); raise SystemExit(1)")
    with watched(api, home, BASE_IMAGE) as (health, _, _):
        await in_trouble(api, home, BASE_IMAGE, health, command=crashing["command"])
        # The kubelet says CrashLoopBackOff for a moment only; mostly a look finds what the last attempt ended with.
        assert health.details()["trouble"] in {"Error", "CrashLoopBackOff"}


async def _probe_waits(api: KubernetesApi, home: Namespace) -> bool:
    found = await ProbePods(api, home.name, PROBE).found()
    statuses = [status for probe in found for status in probe.get("status", {}).get("containerStatuses", [])]
    return any("Pull" in status["state"].get("waiting", {}).get("reason", "") for status in statuses)
