"""Pods of every shape on a real API server, as dry runs: what it accepts it accepts after the patch, and back again.

`E2E_GENERATED_PODS` says how many pods each API server is shown; a run of 5 000 takes some minutes.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from floe_webhook.record import record_of
from floe_webhook.removal import removal
from tests.e2e.admission import Namespace, in_force, pod
from tests.e2e.cluster.client import ApiError, KubernetesClient, Manifest
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.pod_shapes import pod_specs
from tests.e2e.webhook_program import Webhook, WebhookRunner
from webhook.tests.strategies import annotations
from webhook.tests.strategies import pods as pods_that_collide_with_ours

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("INV-2", "INV-3", "INV-9", "HOUSE-3")]

PODS = int(os.environ.get("E2E_GENERATED_PODS", "150"))
TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")

NamespaceMaker = Callable[..., Namespace]

specs = st.one_of(pod_specs(), pods_that_collide_with_ours().map(lambda whole: whole["spec"]))


@pytest.fixture(scope="module", params=["test_cluster", "older_cluster"])
def kubernetes(request: pytest.FixtureRequest) -> Iterator[KubernetesClient]:
    """An administrator's client of each API server in turn: the newest and the oldest that we look at."""
    cluster: Cluster = request.getfixturevalue(request.param)
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def webhook(
    kubernetes: KubernetesClient, run_id: str, run_webhook: WebhookRunner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webhook]:
    """The webhook program, registered and in force for this module's namespaces."""
    run = f"{run_id}-generated"
    with (
        run_webhook(tmp_path_factory.mktemp("webhook")) as program,
        in_force(kubernetes, program.configuration(f"floe-e2e-{run}"), run, program.admissions),
    ):
        yield program


@pytest.mark.usefixtures("webhook")
def test_what_the_api_server_accepts_it_accepts_injected_and_uninjected(
    namespace: NamespaceMaker, kubernetes: KubernetesClient, run_id: str
) -> None:
    run = f"{run_id}-generated"
    plain, opted_in = namespace(run=run), namespace(run=run, inject="enabled")
    seen: Counter[str] = Counter()

    @settings(max_examples=PODS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(specs, annotations)
    def accepted_injected_and_back(spec: dict[str, Any], given: dict[str, str]) -> None:
        name = f"pod-{seen['shown']}"
        seen["shown"] += 1
        original = _dry_run(kubernetes, pod(plain, spec=spec, name=name, annotations=given))
        if original is None:
            reject()
        seen["accepted"] += 1

        patched = kubernetes.create(pod(opted_in, spec=spec, name=name, annotations=given), dry_run=True)

        record = record_of(patched)
        if record is None:
            assert _comparable(patched) == _comparable(original)
            return
        seen["injected"] += 1
        # An API server that does not know a pod's own resources yet shows them to us and then drops them.
        if ("resources" in spec) == ("resources" in original["spec"]):
            assert _class_of(patched, original) == _class_of(original, original)
        restored = jsonpatch.apply_patch(patched, removal(patched, record))
        assert _comparable(restored) == _comparable(original)

    accepted_injected_and_back()
    print(", ".join(f"{count} {what}" for what, count in seen.items()))  # noqa: T201 - the figures of a long run
    assert seen["injected"] > seen["accepted"] / 2, "too few pods were injected to show anything"


def _dry_run(client: KubernetesClient, manifest: Manifest) -> Manifest | None:
    """What the API server would store; None if it finds the pod invalid."""
    try:
        return client.create(manifest, dry_run=True)
    except ApiError as error:
        if error.reason != "Invalid":
            raise
        return None


def _class_of(stored: Manifest, original: Manifest) -> str:
    """The class that has to stay; a BestEffort pod becomes Burstable by the sidecar's requests (docs/injection.md)."""
    quality: str = stored["status"]["qosClass"]
    return "Burstable" if original["status"]["qosClass"] == "BestEffort" else quality


def _comparable(stored: Manifest) -> Manifest:
    """A pod without what differs between two dry runs of the same: its identity, and the token volume's name."""
    metadata = {
        key: value
        for key, value in stored["metadata"].items()
        if key in {"name", "generateName", "labels", "annotations"} and value
    }
    return {"metadata": metadata, "spec": _with_token_volume_renamed(stored["spec"])}


def _with_token_volume_renamed(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _with_token_volume_renamed(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_with_token_volume_renamed(one) for one in part]
    return TOKEN_VOLUME.sub("kube-api-access", part) if isinstance(part, str) else part
