"""`floe status` and `floe explain pod/NAME` against an API server on the loopback address."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from click.testing import CliRunner, Result

from floe_core.errors import ConfigurationError
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_webhook.checks.cluster import MANIFEST_KEY
from floe_webhook.commands import commands
from floe_webhook.decision import Facts
from floe_webhook.injection import inject
from floe_webhook.reload import read_profile
from webhook.tests.command.installation import (
    CONFIG_MAP,
    CREDENTIAL,
    MANIFEST,
    Installation,
    healthy,
    kubeconfig,
    listening,
    named,
    now,
)

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-12")

BY_NAME = {command.name: command for command in commands}
Floe = Callable[..., Result]


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A healthy one, whose API server listens."""
    with listening(healthy(now())) as found:
        yield found


@pytest.fixture
def floe(installation: Installation, tmp_path: Path) -> Floe:
    """Runs a command against it."""
    file = kubeconfig(tmp_path, installation.url)

    def run(name: str, *arguments: str) -> Result:
        return CliRunner().invoke(BY_NAME[name], ["--kubeconfig", str(file), *arguments])

    return run


def put_injected(installation: Installation, name: str, folder: Path, **annotations: str) -> dict[str, Any]:
    """A pod that the webhook has injected by the installation's manifest."""
    manifest = folder / MANIFEST_KEY
    manifest.write_text(MANIFEST)
    installation.put_pod(name, metadata={"annotations": annotations})
    path = f"/api/v1/namespaces/sales/pods/{name}"
    pod = installation.objects[path]
    operations = inject(Facts(pod, "sales", "enabled"), read_profile(manifest, "floe-system")).operations
    injected: dict[str, Any] = jsonpatch.apply_patch(pod, operations)
    installation.objects[path] = injected
    return injected


def test_status_counts_the_pods_of_each_namespace(installation: Installation, floe: Floe, tmp_path: Path) -> None:
    put_injected(installation, "full-1", tmp_path)
    put_injected(installation, "alone-1", tmp_path, **{"floe.dev/environment-only": "true"})
    installation.put_pod("missed-1")
    installation.put_pod("ended-1", phase="Succeeded")
    installation.put_namespace("quiet", "disabled")

    states = {state["namespace"]: state for state in json.loads(floe("status", "-o", "json").stdout)}

    sales = states["sales"]
    assert (sales["label"], sales["injected"], sales["environment_only"], sales["missed"]) == ("enabled", 1, 1, 1)
    assert list(sales["versions"].values()) == [2]
    assert len(sales["manifests"]) == 1
    assert (states["quiet"]["label"], states["quiet"]["injected"], states["quiet"]["missed"]) == ("disabled", 0, 0)


def test_status_is_a_table_for_people(installation: Installation, floe: Floe, tmp_path: Path) -> None:
    put_injected(installation, "full-1", tmp_path)

    heading, row = floe("status").stdout.splitlines()

    assert heading.split("  ")[0] == "namespace"
    assert row.split()[:5] == ["sales", "enabled", "1", "0", "0"]


def test_status_does_not_know_what_was_missed_without_a_manifest(installation: Installation, floe: Floe) -> None:
    del installation.objects[CONFIG_MAP]
    (state,) = json.loads(floe("status", "-o", "json").stdout)
    assert state["missed"] is None


def test_status_without_the_right_to_list_says_what_to_do(installation: Installation, floe: Floe) -> None:
    installation.forbidden = ("/api/v1/namespaces",)
    found = floe("status")
    assert isinstance(found.exception, ConfigurationError)
    assert "-n" in str(found.exception)


def test_explain_tells_what_was_decided_and_what_would_be_now(
    installation: Installation, floe: Floe, tmp_path: Path
) -> None:
    put_injected(installation, "full-1", tmp_path)
    then, _, now_ = floe("explain", "pod/full-1").stdout.partition("If it were created now")
    assert "Pod/full-1 in sales: was injected when it was created: environment and sidecar" in then
    assert ", the one in force" in then
    assert "variables of app: " in then
    assert "injected: environment and sidecar" in now_
    assert "Its namespace's label asks for it: floe.dev/inject=enabled." in now_
    assert "OPENLINEAGE_URL = http://127.0.0.1:4327" in now_
    assert "from injection.sidecar" in now_


def test_explain_tells_that_another_manifest_is_in_force_now(
    installation: Installation, floe: Floe, tmp_path: Path
) -> None:
    put_injected(installation, "full-1", tmp_path)
    installation.objects[CONFIG_MAP]["data"][MANIFEST_KEY] = MANIFEST + "injection: {sidecar: {enabled: false}}\n"
    then, _, now_ = floe("explain", "full-1", "-n", "sales").stdout.partition("If it were created now")
    assert ", not the one in force" in then
    assert "injected: environment only" in now_
    assert "[sidecar_disabled]" in now_


def test_explain_knows_what_the_cluster_says_now(installation: Installation, floe: Floe) -> None:
    installation.put_pod("missed-1")
    hard = {"limits.memory": "1Gi"}
    installation.objects["/api/v1/namespaces/sales/resourcequotas/team"] = {
        "metadata": named("team", "sales"),
        "status": {"hard": hard, "used": hard},
    }
    del installation.objects[CREDENTIAL]
    now_ = floe("explain", "missed-1").stdout.partition("If it were created now")[2]
    assert "injected: environment only" in now_
    assert "[quota_exceeded]" in now_
    assert "[secret_missing]" in now_


def test_explain_knows_that_kubelets_are_too_old(installation: Installation, floe: Floe) -> None:
    installation.put_pod("missed-1")
    installation.objects["/api/v1/nodes/one"]["status"] = {"nodeInfo": {"kubeletVersion": "v1.28.0"}}
    assert "[kubernetes_too_old]" in floe("explain", "missed-1").stdout


def test_explain_of_a_missed_pod_says_that_it_would_be_injected_now(installation: Installation, floe: Floe) -> None:
    installation.put_pod("missed-1")
    then, _, now_ = floe("explain", "pods/missed-1").stdout.partition("If it were created now")
    assert "was not injected when it was created" in then
    assert "the webhook did not see its creation. Restart the workload" in then
    assert "its namespace says enabled" in then
    assert "the pod itself says nothing" in then
    assert "injected: environment and sidecar" in now_


def test_explain_of_a_pod_that_was_there_before_floe_says_that(installation: Installation, floe: Floe) -> None:
    installation.put_pod("old-1")
    installation.objects["/api/v1/namespaces/sales/pods/old-1"]["metadata"]["creationTimestamp"] = (
        "2025-01-01T00:00:00Z"
    )
    assert (
        "The pod is older than its namespace's label, or than floe in this cluster." in floe("explain", "old-1").stdout
    )


def test_explain_of_a_pod_whose_record_was_changed_does_not_guess(
    installation: Installation, floe: Floe, tmp_path: Path
) -> None:
    pod = put_injected(installation, "full-1", tmp_path)
    record = json.loads(pod["metadata"]["annotations"]["floe.dev/injection"])
    record["merged"] = {"app": "nonsense"}
    record["reasons"] = ["a_reason_of_tomorrow"]
    pod["metadata"]["annotations"]["floe.dev/injection"] = json.dumps(record)
    pod["spec"]["containers"][0]["env"].append({"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "a=b"})
    found = floe("explain", "full-1")
    assert found.exit_code == 0, found.exception
    assert "[a_reason_of_tomorrow]" in found.stdout
    assert "somebody has changed the record" in found.stdout


def test_explain_without_a_manifest_tells_the_past_and_why_not_the_present(
    installation: Installation, floe: Floe, tmp_path: Path
) -> None:
    put_injected(installation, "full-1", tmp_path)
    del installation.objects[CONFIG_MAP]
    lines = floe("explain", "full-1").stdout.splitlines()
    assert lines[0].startswith("Pod/full-1 in sales: was injected")
    assert lines[-1] == (
        "What would be decided now is not known: There is no ConfigMap floe-injector-manifest in the namespace "
        "floe-system."
    )


def test_explain_takes_another_manifest_by_file(installation: Installation, floe: Floe, tmp_path: Path) -> None:
    installation.put_pod("missed-1")
    file = tmp_path / "mine.yaml"
    file.write_text("apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: mine}\n")
    found = floe("explain", "missed-1", "--manifest", str(file))
    assert "[no_backend]" in found.stdout


def test_explain_of_a_pod_that_is_not_there_says_where_it_looked(floe: Floe) -> None:
    found = floe("explain", "pod/nobody")
    assert isinstance(found.exception, ConfigurationError)
    assert "no pod nobody in the namespace sales" in str(found.exception)


def test_explain_without_a_right_or_an_answer_says_what_to_do(
    installation: Installation, floe: Floe, tmp_path: Path
) -> None:
    installation.forbidden = ("/api/v1/namespaces/sales/pods",)
    assert isinstance(floe("explain", "pod/x").exception, ConfigurationError)
    file = kubeconfig(tmp_path, "http://127.0.0.1:9")
    silent = CliRunner().invoke(BY_NAME["explain"], ["x", "--kubeconfig", str(file)])
    assert isinstance(silent.exception, FloeConnectionError)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give either a pod"),
        (("pod/a", "-f", "b.yaml"), "Give either a pod"),
        (("-f", "b.yaml"), "needs --manifest"),
        (("deployment/a",), "deployment/a is no pod"),
    ],
)
def test_explain_that_is_asked_in_the_wrong_way_says_the_right_one(
    arguments: tuple[str, ...], says: str, floe: Floe
) -> None:
    found = floe("explain", *arguments)
    assert found.exit_code != 0
    assert says in found.output
