"""What admission tests share: namespaces and pods, and a webhook configuration that is in force while a block runs."""

import copy
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster.client import ApiError, KubernetesClient, Manifest

RUN_LABEL = "floe.dev/e2e-run"
INJECT_LABEL = "floe.dev/inject"
IMAGE = "e2e.invalid/app:1"
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace that was created, with its default service account."""

    name: str
    manifest: Manifest


def create_namespace(client: KubernetesClient, labels: dict[str, str]) -> Namespace:
    """A new namespace in which pods can be created at once."""
    name = f"floe-e2e-{uuid.uuid4().hex[:10]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    client.create(manifest)
    try:
        # A controller manager makes it a moment later; without one nobody does, and the API server refuses pods.
        client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    return Namespace(name, manifest)


def pod(
    namespace: Namespace, *, inject: str | None = None, spec: dict[str, Any] | None = None, **metadata: Any
) -> Manifest:
    """A pod that is ready to be created; `spec` and `metadata` replace what it has by default."""
    labels = {**metadata.pop("labels", {})} | ({INJECT_LABEL: inject} if inject is not None else {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{uuid.uuid4().hex[:10]}", "namespace": namespace.name, "labels": labels, **metadata},
        "spec": {"containers": [{"name": "app", "image": IMAGE}]} | copy.deepcopy(spec or {}),
    }


@contextmanager
def in_force(
    client: KubernetesClient, configuration: Manifest, run_id: str, calls: Callable[[], float]
) -> Iterator[None]:
    """Registers a webhook configuration for this run's namespaces alone; returns once the API server obeys it.

    Args:
        client: An administrator's client.
        configuration: The MutatingWebhookConfiguration.
        run_id: Only pods in namespaces that carry it in `RUN_LABEL` travel: other users of the cluster are left alone.
        calls: How often the webhook has been called so far.
    """
    scoped = copy.deepcopy(configuration)
    for entry in scoped["webhooks"]:
        entry["namespaceSelector"]["matchExpressions"].append({"key": RUN_LABEL, "operator": "In", "values": [run_id]})
    probes = create_namespace(client, {RUN_LABEL: run_id})
    try:
        client.create(scoped)
        _wait_until_called(client, probes, calls)
        yield
    finally:
        client.delete(scoped)
        client.delete(probes.manifest)


def _wait_until_called(client: KubernetesClient, namespace: Namespace, calls: Callable[[], float]) -> None:
    calls_before = calls()
    deadline = time.monotonic() + 20.0
    while True:
        client.create(pod(namespace, inject="enabled"), dry_run=True)
        if calls() > calls_before:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the API server calls no webhook 20 s after its configuration was created")
        time.sleep(_POLL_SECONDS)
