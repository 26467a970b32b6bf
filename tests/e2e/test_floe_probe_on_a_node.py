"""`floe check --probe` on a real node: what a pod there reaches."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from floe_core.cli.main import floe
from tests.e2e.admission import create_namespace
from tests.e2e.cluster.images import image_name
from tests.e2e.cluster.node import Node
from tests.e2e.cluster.processes import free_port
from tests.e2e.lineage_backend import lineage_backend

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-12", "FP-1", "FP-8")]


@pytest.mark.requirement("HOUSE-4", "FP-17")
def test_a_probe_from_a_pod_on_a_real_node_tells_which_backend_answers(node: Node, tmp_path: Path) -> None:
    options = ["--kubeconfig", str(node.cluster.kubeconfig), "--manifest", str(tmp_path / "floe.yaml")]
    silent = f"{node.address}:{free_port()}"
    with node.cluster.client() as client, lineage_backend(node.address) as backend:
        (tmp_path / "floe.yaml").write_text(_manifest_of_a_node(backend.url, f"http://{silent}"))
        restricted = {"floe.dev/inject": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
        sales = create_namespace(client, restricted)
        try:
            done = CliRunner().invoke(floe, ["check", *options, "-n", sales.name, "--probe", "-o", "json"])
            left = client.pods(sales.name)
        finally:
            client.delete(sales.manifest)

    findings = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "backends"]
    assert [(one["result"], f"from a pod in {sales.name}" in one["sentence"]) for one in findings] == [
        ("failed", True),
        ("ok", True),
    ]
    assert f"{silent} (injection.collector)" in findings[0]["sentence"]
    assert "Connection refused" in findings[0]["sentence"]
    assert [pod for pod in left if "deletionTimestamp" not in pod["metadata"]] == []


def _manifest_of_a_node(lineage: str, collector: str) -> str:
    return f"""\
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: acme}}
plugins:
  telemetry_backend: {{type: jaeger, config: {{endpoint: "jaeger.invalid:4317"}}}}
  lineage_backend: {{type: marquez, config: {{url: "{lineage}"}}}}
injection: {{collector: {{endpoint: "{collector}"}}, sidecar: {{image: "{image_name("sidecar")}"}}}}
"""
