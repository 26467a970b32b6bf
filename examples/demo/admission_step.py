"""The webhook's part: a dbt job's pod goes in over TLS, and comes back with telemetry, lineage and the sidecar."""

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import jsonpatch
from rich.markup import escape
from rich.table import Table

from examples.demo.narration import Narrator
from examples.demo.stage import EXAMPLES, read_yaml

Document = dict[str, Any]


def pod_of_job() -> Document:
    """The pod that the Job controller makes of examples/pods/dbt-job.yaml."""
    job = json.loads(json.dumps(read_yaml(EXAMPLES / "pods" / "dbt-job.yaml")))
    template: Document = job["spec"]["template"]
    name = job["metadata"]["name"]
    metadata = template.setdefault("metadata", {})
    metadata["generateName"] = f"{name}-"
    metadata["namespace"] = job["metadata"].get("namespace", "default")
    metadata.setdefault("labels", {})["batch.kubernetes.io/job-name"] = name
    metadata["ownerReferences"] = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "uid": "8f9f6ad9-0000-4000-8000-000000000001",
            "controller": True,
        }
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def review(pod: Document) -> Document:
    """The AdmissionReview that the API server sends when the pod is created."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "5b2a1c9e-0000-4000-8000-000000000002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": pod["metadata"]["namespace"],
            "userInfo": {"username": "system:serviceaccount:kube-system:job-controller"},
            "object": pod,
            "oldObject": None,
            "dryRun": False,
        },
    }


async def admit(pod: Document, *, port: int, authority: ssl.SSLContext) -> tuple[Document, list[Document]]:
    """Sends the pod to the webhook; gives the patched pod and the operations."""
    async with httpx.AsyncClient(verify=authority) as client:
        answer = await client.post(f"https://127.0.0.1:{port}/mutate", json=review(pod), timeout=10)
    response = answer.raise_for_status().json()["response"]
    operations: list[Document] = json.loads(base64.b64decode(response.get("patch", "W10=")))
    patched: Document = jsonpatch.apply_patch(pod, operations)
    return patched, operations


def stored(pod: Document) -> Document:
    """The pod as the API server stores it: with a name and a UID."""
    metadata = pod["metadata"]
    named = {"name": f"{metadata['generateName']}x7k2p", "uid": "0e6f1a52-0000-4000-8000-000000000003"}
    return pod | {"metadata": metadata | named}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """What was added to the pod, as a person would want to read it: one line an addition, grouped by its place."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True, min_width=34)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for place, additions in _additions(before, after):
        if additions:
            table.add_row(f"  [cyan]{place}[/cyan]")
        for name, value in additions:
            table.add_row(f"  [green]+ {name}[/green]", escape(value))
    return table


def _additions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    metadata = [
        (key, str(value))
        for kind in ("labels", "annotations")
        for key, value in after["metadata"].get(kind, {}).items()
        if key not in before["metadata"].get(kind, {})
    ]
    yield "metadata", metadata
    known = {entry["name"]: entry for entry in _containers(before)}
    for container in _containers(after):
        previous = known.get(container["name"])
        names = {entry["name"] for entry in (previous or {}).get("env", [])}
        variables = [
            (entry["name"], _variable(entry)) for entry in container.get("env", []) if entry["name"] not in names
        ]
        new = ", a native sidecar" if previous is None else ""
        yield f"{container['name']}{new}", variables
    volumes = {volume["name"] for volume in before["spec"].get("volumes", [])}
    yield (
        "volumes",
        [
            (volume["name"], ", ".join(key for key in volume if key != "name"))
            for volume in after["spec"].get("volumes", [])
            if volume["name"] not in volumes
        ],
    )


def tell(narrator: Narrator, pod: Document, patched: Document, operations: list[Document]) -> None:
    """Shows the difference and checks what must hold."""
    narrator.show(difference(pod, patched))
    sidecar = patched["spec"]["initContainers"][0]
    narrator.check(
        {operation["op"] for operation in operations} == {"add"}, f"{len(operations)} operations, all of them `add`"
    )
    narrator.check(
        sidecar.get("restartPolicy") == "Always", "the sidecar is a native sidecar, so that the Job can complete"
    )
    narrator.check(
        patched["spec"]["containers"][0]["command"] == pod["spec"]["containers"][0]["command"],
        "the data engineer's command, image and variables are untouched",
    )


def _containers(pod: Mapping[str, Any]) -> list[Document]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _variable(entry: Mapping[str, Any]) -> str:
    if "valueFrom" not in entry:
        return str(entry.get("value", ""))
    source = entry["valueFrom"]
    if "secretKeyRef" in source:
        reference = source["secretKeyRef"]
        return (
            f"key {reference['key']} of Secret {reference['name']}{', optional' if reference.get('optional') else ''}"
        )
    return str(source.get("fieldRef", {}).get("fieldPath", source))
