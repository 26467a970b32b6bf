"""Pods that are created one after the other while something else happens; nobody schedules them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.admission import Namespace, pod
from tests.e2e.cluster.client import KubernetesClient, Manifest

PAUSE_SECONDS = 0.05
INJECTED_LABEL = "floe.dev/injected"


@dataclass
class Trickle:
    """What was created so far."""

    pods: list[Manifest] = field(default_factory=list)

    def not_injected(self) -> list[str]:
        """When each pod was created that does not carry the label of an injected one."""
        return [one["metadata"]["creationTimestamp"] for one in self.pods if not _is_injected(one)]


@contextmanager
def trickle(client: KubernetesClient, namespace: Namespace) -> Iterator[Trickle]:
    """Creates pods while the block runs; an error of it is raised at the end."""
    created, stop = Trickle(), threading.Event()
    errors: list[Exception] = []

    def create() -> None:
        try:
            while not stop.wait(PAUSE_SECONDS):
                created.pods.append(client.create(pod(namespace, spec={"schedulerName": "nobody"})))
        except Exception as error:  # noqa: BLE001 - the edge of a thread: raised again below
            errors.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield created
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def wait_until_injected(client: KubernetesClient, namespace: Namespace, timeout_seconds: float = 20.0) -> None:
    """Returns when a pod of a namespace would be injected: the API server has heard of its label and of the webhook.

    Raises:
        TimeoutError: It is not in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not _is_injected(client.create(pod(namespace), dry_run=True)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no pod of {namespace.name} is injected {timeout_seconds:g} s after its opting in")
        time.sleep(PAUSE_SECONDS)


def _is_injected(one: Manifest) -> bool:
    labels: dict[str, str] = one["metadata"].get("labels", {})
    return labels.get(INJECTED_LABEL) == "true"
