"""The judgements of backends, Secrets with certificates, labels and what stands before an installation, by tables."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from floe_certs.authority import create_authority, issue_serving_certificate
from floe_webhook.checks.backends import judge_probe, judge_service, probe_pod
from floe_webhook.checks.before_install import judge_leftovers, judge_release_namespace
from floe_webhook.checks.certificates import judge_bundles
from floe_webhook.checks.cluster import MissingError, Namespace
from floe_webhook.checks.destinations import Backend, Service
from floe_webhook.checks.pods_of_namespaces import judge_labels
from floe_webhook.checks.quotas import judge_quotas
from floe_webhook.checks.results import Finding
from floe_webhook.namespace_limits import limits_of
from webhook.tests.builders import PROFILE, profile

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-12")

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAME = "floe-injector-webhook.floe-system.svc"
MARQUEZ = Backend("plugins.lineage_backend", "marquez.lineage.svc", 5000)


def verdicts(findings: Sequence[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


def service(*, exists: bool = True, ready: int = 1, port: int = 5001) -> Service:
    return Service({"spec": {}} if exists else {}, ready, "10.0.0.9", port, {}, {})


@pytest.mark.parametrize(
    ("found", "expected", "says"),
    [
        (None, "skipped", "is outside of the cluster"),
        (service(exists=False, port=0), "failed", "There is no Service for"),
        (service(port=0), "failed", "has no port 5000"),
        (service(ready=0), "failed", "No pod behind"),
        (service(), "ok", "1 ready pod,"),
        (service(ready=2), "ok", "2 ready pods,"),
    ],
)
def test_a_backend_by_what_the_api_server_knows(found: Service | None, expected: str, says: str) -> None:
    finding = judge_service(MARQUEZ, found)
    assert (finding.verdict, says in finding.sentence) == (expected, True)


@pytest.mark.parametrize(
    ("told", "expected"),
    [({MARQUEZ.address: ""}, "ok"), ({MARQUEZ.address: "Connection refused"}, "failed"), ({}, "skipped")],
)
def test_a_backend_by_what_a_pod_says(told: dict[str, str], expected: str) -> None:
    (finding,) = judge_probe("sales", [MARQUEZ], told)
    assert (finding.verdict, "from a pod in sales" in finding.sentence) == (expected, True)


@pytest.mark.requirement("FP-5")
def test_the_pod_of_a_probe_gets_the_sidecars_image_as_injected_pods_do() -> None:
    pulled = {
        "image": "registry.example/floe-sidecar:2",
        "image_pull_policy": "Always",
        "image_pull_secrets": ["private"],
    }
    sidecar = profile(injection={"sidecar": pulled}).sidecar
    assert sidecar is not None
    spec = probe_pod(sidecar, [MARQUEZ.address])["spec"]
    (container,) = spec["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/floe-sidecar:2", "Always")
    assert spec["imagePullSecrets"] == [{"name": "private"}]


@pytest.mark.parametrize(
    ("labels", "quotas", "expected"),
    [
        (None, [], ["ok"]),
        ({"pod-security.kubernetes.io/enforce": "restricted"}, [], ["ok"]),
        ({"floe.dev/inject": "enabled"}, ["team"], ["warning", "warning"]),
        ({"floe.dev/inject": "disabled"}, [], ["ok"]),
    ],
)
def test_the_namespace_of_a_release(labels: dict[str, str] | None, quotas: list[str], expected: list[str]) -> None:
    assert verdicts(judge_release_namespace("floe-system", labels, quotas)) == expected


@pytest.mark.parametrize(
    ("annotations", "expected"), [({"meta.helm.sh/release-name": "floe-injector"}, "warning"), ({}, "failed")]
)
def test_a_configuration_that_is_there_already(annotations: dict[str, str], expected: str) -> None:
    assert verdicts(judge_leftovers({"metadata": {"annotations": annotations}}, "floe-injector")) == [expected]
    assert verdicts(judge_leftovers(None, "floe-injector")) == ["ok"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["enabled"], ["ok"]),
        (["enabled", "perhaps", "Enabled"], ["warning", "warning"]),
        (["disabled"], ["warning"]),
        ([], ["warning"]),
    ],
)
def test_labels_of_namespaces_mean_something_and_one_has_opted_in(words: list[str], expected: list[str]) -> None:
    namespaces = [Namespace({"metadata": {"name": word, "labels": {"floe.dev/inject": word}}}) for word in words]
    assert verdicts(judge_labels(namespaces)) == expected


def secret(*, ends_in: timedelta = timedelta(days=365), name: str = NAME) -> tuple[dict[str, bytes], bytes]:
    """A Secret's content, and its authority."""
    authority = create_authority("one", now=NOW - timedelta(days=1))
    made = issue_serving_certificate(
        authority, dns_names=[name], now=NOW - timedelta(days=1), lifetime=ends_in + timedelta(days=1)
    )
    content = {"tls.crt": made.certificate_pem, "tls.key": made.key_pem, "ca.crt": authority.certificate_pem}
    return content, authority.certificate_pem


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tls.key": b""}, "tls.key is missing"),
        ({"tls.crt": b"-----BEGIN CERTIFICATE-----\nAAAA"}, "is cut off"),
        ({"tls.crt": b""}, "tls.crt holds no certificate"),
    ],
)
def test_what_is_wrong_with_the_secret_is_told_as_the_webhook_tells_it(change: dict[str, bytes], says: str) -> None:
    content, bundle = secret()
    found = judge_bundles({"namespace.inject.floe.dev": bundle}, content | change, NAME, NOW)
    assert set(verdicts(found)) == {"failed"}
    assert any(says in finding.sentence for finding in found), found


def test_a_certificate_for_another_name_or_of_another_time_is_told() -> None:
    content, bundle = secret(name="other.floe-system.svc")
    assert "is not for floe-injector-webhook" in judge_bundles({"a": bundle}, content, NAME, NOW)[0].sentence
    content, bundle = secret()
    later = NOW + timedelta(days=400)
    assert "ended at" in judge_bundles({"a": bundle}, content, NAME, later)[0].sentence


def test_each_entry_has_to_trust_the_webhook() -> None:
    content, bundle = secret()
    _, foreign = secret()
    assert verdicts(judge_bundles({"a": bundle, "b": foreign + bundle}, content, NAME, NOW)) == ["ok"]
    found = judge_bundles({"a": bundle, "b": foreign, "c": b""}, content, NAME, NOW)
    assert verdicts(found) == ["failed", "failed"]
    assert "the caBundle of b" in found[0].sentence
    assert "The entry c has no caBundle" in found[1].sentence


def quota(left: str) -> list[dict[str, Any]]:
    return [{"status": {"hard": {"limits.memory": left}, "used": {"limits.memory": "0"}}}]


def test_a_namespace_without_room_for_the_sidecar_is_told_and_a_manifest_without_one_needs_none() -> None:
    limits = {name: limits_of(quota(left), []) for name, left in (("wide", "1Gi"), ("narrow", "32Mi"))}
    (found,) = judge_quotas(PROFILE, limits)
    assert (found.verdict, "New pods in narrow get environment only" in found.sentence) == ("warning", True)
    with pytest.raises(MissingError, match="no sidecar"):
        judge_quotas(profile(lineage=False), limits)
