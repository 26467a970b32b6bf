"""Jobs and pods that really run on a node, and waiting for what becomes of them."""

import time
import uuid
from typing import Any

from tests.e2e.admission import INJECT_LABEL, Namespace
from tests.e2e.cluster.client import ApiError, KubernetesClient, Manifest
from tests.e2e.cluster.images import BASE_IMAGE
from tests.e2e.pod_shapes import RESTRICTED

SIDECAR = "floe-sidecar"
RUN_SECONDS = 90.0
_POLL_SECONDS = 0.1
_ENDS = {"Complete", "Failed"}

# As a client of OpenLineage does, it tries again while nobody listens yet: a sidecar without a probe delays nobody.
_EMIT = """\
import json, os, sys, time, urllib.request
job, exit_code = sys.argv[1], int(sys.argv[2])
event = {
    "eventType": "COMPLETE", "eventTime": "2026-11-21T10:00:00Z", "producer": "https://floe.dev/tests",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {"runId": "01234567-89ab-7def-8123-456789abcdef"}, "job": {"namespace": "tests", "name": job},
    "inputs": [], "outputs": [],
}
headers = {"Content-Type": "application/json"}
if key := os.environ.get("OPENLINEAGE_API_KEY"):
    headers["Authorization"] = "Bearer " + key
url = os.environ["OPENLINEAGE_URL"] + "/api/v1/lineage"
request = urllib.request.Request(url, json.dumps(event).encode(), headers)
started = time.monotonic()
while True:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            print("answered", answer.status, "after", round(time.monotonic() - started, 3), flush=True)
        break
    except OSError:
        if time.monotonic() - started > 20:
            raise
        time.sleep(0.05)
sys.exit(exit_code)
"""


def emitting(name: str, job: str, exit_code: int = 0) -> dict[str, Any]:
    """A container that posts one lineage event where its environment says, and ends."""
    return python(name, _EMIT, job, str(exit_code))


def python(name: str, program: str, *arguments: str, image: str = BASE_IMAGE) -> dict[str, Any]:
    """A container that runs a Python program, under restricted security."""
    interpreter = "python3" if image == BASE_IMAGE else "/opt/floe/bin/python"
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": [interpreter, "-c", program, *arguments],
        "securityContext": RESTRICTED | {"runAsUser": 1000},
    }


def job(namespace: Namespace, spec: dict[str, Any], **metadata: Any) -> Manifest:
    """A Job that is tried once, opted in; `spec` is its pod's."""
    labels = {INJECT_LABEL: "true"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"job-{uuid.uuid4().hex[:8]}", "namespace": namespace.name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels, **metadata},
                "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False} | spec,
            },
        },
    }


def run_job(client: KubernetesClient, manifest: Manifest, timeout_seconds: float = RUN_SECONDS) -> Manifest:
    """Creates a Job and waits until it is complete or failed; gives its pod as it is then.

    Raises:
        TimeoutError: It has not ended in time; the message has what its pod says.
    """
    client.create(manifest)
    _ended(client, manifest, timeout_seconds)
    metadata = manifest["metadata"]
    (pod,) = client.pods(metadata["namespace"], label=f"job-name={metadata['name']}")
    return pod


def condition(client: KubernetesClient, manifest: Manifest) -> str:
    """How a Job ended: `Complete` or `Failed`; its controller says so some time after its pod's end."""
    conditions = _ended(client, manifest, RUN_SECONDS)["status"]["conditions"]
    return next(kind for one in conditions if (kind := str(one["type"])) in _ENDS)


def _ended(client: KubernetesClient, manifest: Manifest, timeout_seconds: float) -> Manifest:
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    deadline = time.monotonic() + timeout_seconds
    while not _has_ended(found := client.get("Job", name, namespace, api_version="batch/v1")):
        if time.monotonic() > deadline:
            statuses = [pod["status"] for pod in client.pods(namespace, label=f"job-name={name}")]
            raise TimeoutError(f"job {name} has not ended after {timeout_seconds:g} s: {statuses}")
        time.sleep(_POLL_SECONDS)
    return found


def end_of(pod: Manifest, container: str) -> Manifest:
    """How a container of a pod ended: its exit code, when, and why."""
    status = pod["status"]
    for one in [*status.get("initContainerStatuses", []), *status["containerStatuses"]]:
        if one["name"] == container:
            terminated: Manifest = one["state"]["terminated"]
            return terminated
    raise KeyError(f"the pod has no container {container!r}")


def wait_until_ready(client: KubernetesClient, pod: Manifest, timeout_seconds: float = RUN_SECONDS) -> None:
    """Returns when a pod serves.

    Raises:
        TimeoutError: It does not in time.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    deadline = time.monotonic() + timeout_seconds
    while not _is_ready(status := client.get("Pod", name, namespace)["status"]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"pod {name} is not ready after {timeout_seconds:g} s: {status}")
        time.sleep(_POLL_SECONDS)


def log_of(client: KubernetesClient, pod: Manifest, container: str) -> str:
    """A container's log; what the node says if there is none."""
    try:
        return client.log(pod, container)
    except ApiError as error:
        return str(error)


def _is_ready(status: Manifest) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))


def _has_ended(job_document: Manifest) -> bool:
    conditions = job_document["status"].get("conditions", [])
    return any(one["type"] in _ENDS and one["status"] == "True" for one in conditions)
