"""`floe check` against an API server: a healthy installation, and one defect at a time, each told by its check."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from click.testing import CliRunner, Result

from floe_webhook.checks.backends import PROBE
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.installation import Choices
from floe_webhook.checks.results import Check, Verdict
from floe_webhook.checks.running import INSTALLED, run
from floe_webhook.cluster.api import Access
from floe_webhook.commands import commands
from floe_webhook.commands.access import connected
from webhook.tests.command.installation import (
    CONFIG_MAP,
    CONFIGURATION,
    CREDENTIAL,
    DEPLOYMENT,
    MANIFEST,
    Installation,
    healthy,
    kubeconfig,
    listening,
    named,
    now,
)

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-12")

CHECK = next(command for command in commands if command.name == "check")


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A healthy one, whose API server listens."""
    with listening(healthy(now())) as found:
        yield found


@pytest.fixture
def check(installation: Installation, tmp_path: Path) -> Callable[..., Result]:
    """Runs `floe check` against it."""
    file = kubeconfig(tmp_path, installation.url)

    def run(*arguments: str) -> Result:
        found = CliRunner().invoke(CHECK, ["--kubeconfig", str(file), *arguments])
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found

    return run


@pytest.fixture
def verdicts(check: Callable[..., Result]) -> Callable[..., dict[str, list[tuple[str, str]]]]:
    """Runs it and gives each check's results and sentences."""

    def run(*arguments: str) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for finding in json.loads(check("-o", "json", *arguments).stdout)["findings"]:
            found.setdefault(finding["check"], []).append((finding["result"], finding["sentence"]))
        return found

    return run


@dataclass(frozen=True, slots=True)
class Told:
    """A finding that a defect has to lead to."""

    check: str
    result: str
    says: str


Verdicts = Callable[..., dict[str, list[tuple[str, str]]]]


def test_in_a_healthy_installation_every_check_is_ok(check: Callable[..., Result]) -> None:
    found = check("-o", "json")

    answer = json.loads(found.stdout)
    wrong = [finding for finding in answer["findings"] if finding["result"] != "ok"]
    assert wrong == []
    assert (answer["result"], found.exit_code) == ("ok", 0)
    assert {finding["check"] for finding in answer["findings"]} == {check.value for check in Check} - {
        "install-rights",
        "cert-manager",
        "release-namespace",
        "leftovers",
    }


def test_what_failed_is_told_with_remedy_and_section_and_the_exit_code_is_two(
    installation: Installation, check: Callable[..., Result]
) -> None:
    installation.objects[DEPLOYMENT]["status"] = {}

    found = check()

    assert found.exit_code == 2
    lines = found.stdout.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("failed  webhook-deployment"))
    assert "No replica of floe-injector-webhook is ready" in lines[place]
    assert lines[place + 1].strip().startswith("what to do: ")
    assert lines[place + 2].strip() == "see docs/troubleshooting.md#webhook-deployment"
    assert lines[-1].endswith("1 failed")
    assert found.stderr == ""


def test_a_warning_alone_is_no_failure(installation: Installation, check: Callable[..., Result]) -> None:
    installation.put_namespace("odd", "perhaps")

    found = check()

    assert found.exit_code == 0
    assert "1 warning" in found.stdout


def _nothing_more(installation: Installation) -> None:
    del installation.objects[CONFIGURATION]


def _fail_closed(installation: Installation) -> None:
    installation.objects[CONFIGURATION]["webhooks"][0]["failurePolicy"] = "Fail"


def _one_entry(installation: Installation) -> None:
    del installation.objects[CONFIGURATION]["webhooks"][0]


def _foreign_authority(installation: Installation) -> None:
    secret = installation.objects["/api/v1/namespaces/floe-system/secrets/floe-injector-webhook-certificate"]
    installation.put_certificates(now=now())
    installation.objects["/api/v1/namespaces/floe-system/secrets/floe-injector-webhook-certificate"] = secret


def _no_bundle(installation: Installation) -> None:
    for entry in installation.objects[CONFIGURATION]["webhooks"]:
        del entry["clientConfig"]["caBundle"]


def _ends_soon(installation: Installation) -> None:
    installation.put_certificates(now=now() - timedelta(days=310))


def _old_kubelet(installation: Installation) -> None:
    installation.objects["/api/v1/nodes/two"] = {
        "metadata": named("two"),
        "status": {"nodeInfo": {"kubeletVersion": "v1.28.9"}},
    }


def _no_secret(installation: Installation) -> None:
    del installation.objects[CREDENTIAL]


def _other_key(installation: Installation) -> None:
    installation.objects[CREDENTIAL]["data"] = {"tokn": base64.b64encode(b"hunter2").decode()}


def _bad_manifest(installation: Installation) -> None:
    installation.objects[CONFIG_MAP]["data"]["floe.yaml"] = MANIFEST + "injektion: {}\n"


def _foreign_plugin(installation: Installation) -> None:
    installation.objects[CONFIG_MAP]["data"]["floe.yaml"] = MANIFEST.replace("type: marquez", "type: somebodys-own")


def _missed_pod(installation: Installation) -> None:
    installation.put_pod("etl-7")


def _missed_pod_of_a_silent_namespace(installation: Installation) -> None:
    installation.put_namespace("quiet")
    installation.put_pod("etl-8", "quiet", metadata={"labels": {"floe.dev/inject": "true"}})


def _older_version(installation: Installation) -> None:
    by = {"floe.dev/injected-by": "floe-webhook/0.0.1"}
    installation.put_pod("etl-6", metadata={"labels": {"floe.dev/injected": "true"}, "annotations": by})


def _closed_namespace(installation: Installation) -> None:
    installation.objects["/apis/networking.k8s.io/v1/namespaces/sales/networkpolicies/deny"] = {
        "metadata": named("deny", "sales"),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"port": 54, "protocol": "UDP"}]}],
        },
    }


def _full_quota(installation: Installation) -> None:
    installation.objects["/api/v1/namespaces/sales/resourcequotas/team"] = {
        "metadata": named("team", "sales"),
        "spec": {"hard": {"limits.memory": "1Gi"}},
        "status": {"hard": {"limits.memory": "1Gi"}, "used": {"limits.memory": "1000Mi"}},
    }


def _no_backend(installation: Installation) -> None:
    del installation.objects["/api/v1/namespaces/lineage/services/marquez"]


def _nothing_behind(installation: Installation) -> None:
    installation.put_service("marquez", "lineage", 5000, ready=False)


def _silent_webhook(installation: Installation) -> None:
    installation.injects = False


def _no_nodes(installation: Installation) -> None:
    container = {"args": ["--lookup=native-sidecars"]}
    installation.objects[DEPLOYMENT]["spec"]["template"] = {"spec": {"containers": [container]}}
    installation.denied.add(("list", "nodes"))


def _no_patch(installation: Installation) -> None:
    installation.denied.add(("patch", "leases"))


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (
            _nothing_more,
            Told("webhook-configuration", "failed", "There is no MutatingWebhookConfiguration floe-injector"),
        ),
        (_fail_closed, Told("webhook-configuration", "failed", "has failurePolicy Fail")),
        (_one_entry, Told("webhook-configuration", "failed", "is sent by no entry, expected one entry")),
        (_foreign_authority, Told("ca-bundle", "failed", "does not verify against the caBundle of")),
        (_no_bundle, Told("ca-bundle", "failed", "has no caBundle")),
        (_ends_soon, Told("certificate-expiry", "warning", "The webhook's certificate ends in 5")),
        (_old_kubelet, Told("cluster-version", "warning", "1 with v1.28.9")),
        (_no_secret, Told("secrets", "warning", "The namespace sales has no Secret lineage (key token).")),
        (_other_key, Told("secrets", "warning", "The Secret lineage of sales has no key token.")),
        (_bad_manifest, Told("manifest", "failed", "injektion")),
        (_foreign_plugin, Told("manifest", "skipped", "The plugin somebodys-own is not installed here")),
        (_missed_pod, Told("missed-pods", "warning", "sales: etl-7.")),
        (_missed_pod_of_a_silent_namespace, Told("missed-pods", "warning", "quiet: etl-8.")),
        (_older_version, Told("injected-versions", "warning", "Injected by floe-webhook/0.0.1, not by ")),
        (_closed_namespace, Told("network-policies", "failed", "from sales to marquez.lineage.svc:5000, TCP 5001")),
        (_full_quota, Told("quotas", "warning", "New pods in sales get environment only")),
        (_no_backend, Told("backends", "failed", "There is no Service for marquez.lineage.svc:5000")),
        (_nothing_behind, Told("backends", "failed", "No pod behind the Service of marquez.lineage.svc:5000")),
        (_silent_webhook, Told("admission", "failed", "is not injected (dry run)")),
        (_no_nodes, Told("webhook-rights", "warning", "rbac.nativeSidecars is switched on, but ")),
        (_no_patch, Told("webhook-rights", "failed", "may not patch leases")),
    ],
    ids=lambda value: value.check if isinstance(value, Told) else value.__name__.strip("_"),
)
async def test_a_defect_is_told_by_its_check(
    plant: Callable[[Installation], None], told: Told, installation: Installation
) -> None:
    plant(installation)
    check = Check(told.check)

    async with connected(Access(installation.url, tls=False)) as api:
        found = await run(Cluster(api, Choices(), now()), {check: INSTALLED[check]}, told=lambda _: None)

    of_check = [finding for finding in found if finding.check is check]
    assert any(one.verdict == told.result and told.says in one.sentence for one in of_check), of_check
    assert all(one.remedy for one in of_check if one.verdict in {Verdict.WARNING, Verdict.FAILED})


def test_without_a_right_a_check_is_skipped_with_its_reason_and_the_others_go_on(
    installation: Installation, verdicts: Verdicts
) -> None:
    installation.forbidden = ("/api/v1/nodes",)
    installation.denied.add(("list", "nodes"))

    found = verdicts()

    assert found["cluster-version"][0][0] == "skipped"
    assert "/api/v1/nodes" in found["cluster-version"][0][1]
    assert found["own-rights"] == [("warning", "You may not list nodes.")]
    assert found["admission"][0][0] == "ok"


def test_the_help_of_floe_imports_nothing_that_only_a_command_needs() -> None:
    script = (
        "import sys; from floe_core.cli.main import run; run(['check', '--help']);"
        "sys.exit(str(sys.modules.keys() & {'kubernetes', 'aiohttp', 'orjson', 'cryptography', 'jsonpatch'} or ''))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_cluster_that_does_not_answer_is_one_failure(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:9")

    found = CliRunner().invoke(CHECK, ["--kubeconfig", str(file), "-o", "json"])

    assert found.exit_code == 2
    assert [finding["check"] for finding in json.loads(found.stdout)["findings"]] == ["api-server"]


def test_no_content_of_a_secret_is_ever_shown(installation: Installation, check: Callable[..., Result]) -> None:
    _other_key(installation)
    for output in ("json", "table"):
        found = check("-o", output)
        assert "hunter2" not in found.output
        assert "PRIVATE KEY" not in found.output


def test_a_probe_tries_the_backends_from_a_pod_that_is_gone_afterwards(
    installation: Installation, verdicts: Verdicts
) -> None:
    installation.unreachable = ("marquez.lineage.svc:5000",)

    found = verdicts("--probe")

    assert [verdict for verdict, _ in found["backends"]] == ["ok", "failed"]
    assert "from a pod in sales: Connection refused." in found["backends"][1][1]
    assert installation.created == []


def test_what_the_probe_runs_tells_who_takes_connections(installation: Installation, tmp_path: Path) -> None:
    answering, silent = installation.url.removeprefix("http://"), f"127.0.0.1:{unused_port()}"
    nowhere, told = "no-such-host.invalid:80", tmp_path / "told"

    subprocess.run([sys.executable, "-c", PROBE, told, answering, silent, nowhere], check=True)

    found = json.loads(told.read_text())
    assert list(found) == [answering, silent, nowhere]
    assert (found[answering], found[silent]) == ("", "Connection refused")
    assert found[nowhere] != ""


def test_before_an_installation_other_things_are_looked_at(
    installation: Installation, check: Callable[..., Result], verdicts: Verdicts
) -> None:
    del installation.objects[CONFIGURATION]
    found = verdicts("--pre", "--certificates", "cert-manager")
    assert {name: each[0][0] for name, each in found.items()} == {
        "api-server": "ok",
        "cluster-version": "ok",
        "admission-api": "ok",
        "install-rights": "ok",
        "release-namespace": "ok",
        "leftovers": "ok",
        "cert-manager": "ok",
    }
    assert check("--pre").exit_code == 0


def _no_cert_manager(installation: Installation) -> None:
    installation.objects["/apis"] = {"groups": []}


def _no_right_to_install(installation: Installation) -> None:
    installation.denied.add(("create", "clusterroles"))


def _labelled_home(installation: Installation) -> None:
    installation.put_namespace("floe-system", "enabled")


def _left_over(installation: Installation) -> None:
    installation.objects[CONFIGURATION] = {"metadata": named("floe-injector"), "webhooks": []}


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_no_cert_manager, Told("cert-manager", "failed", "cert-manager is not installed")),
        (_no_right_to_install, Told("install-rights", "failed", "You may not create clusterroles")),
        (_labelled_home, Told("release-namespace", "warning", "floe's own pods are never injected")),
        (_left_over, Told("leftovers", "failed", "that no release owns")),
    ],
    ids=lambda value: value.check if isinstance(value, Told) else value.__name__.strip("_"),
)
def test_what_would_hinder_an_installation_is_told_before_it(
    plant: Callable[[Installation], None],
    told: Told,
    installation: Installation,
    verdicts: Verdicts,
) -> None:
    plant(installation)

    ((result, sentence),) = verdicts("--pre", "--certificates", "cert-manager")[told.check]

    assert result == told.result
    assert told.says in sentence


def test_namespaces_that_are_named_are_the_only_ones(installation: Installation, verdicts: Verdicts) -> None:
    installation.put_namespace("finance", "enabled")
    assert len(verdicts()["secrets"]) == 1
    assert "finance" in verdicts()["secrets"][0][1]
    assert verdicts("-n", "sales")["secrets"][0][0] == "ok"


def test_a_manifest_file_that_is_not_there_is_a_failure_of_its_check(verdicts: Verdicts) -> None:
    ((result, sentence),) = verdicts("--manifest", "/nowhere.yaml")["manifest"]
    assert (result, "/nowhere.yaml" in sentence) == ("failed", True)


def test_a_namespace_that_is_not_there_is_told(verdicts: Verdicts) -> None:
    found: dict[str, Any] = verdicts("-n", "nowhere")
    assert found["namespace-labels"] == [("skipped", "There is no namespace nowhere.")]
