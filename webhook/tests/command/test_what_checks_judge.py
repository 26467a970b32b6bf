"""The judgements of `floe check`, by tables: facts in, findings out; no cluster."""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from floe_certs.authority import create_authority
from floe_certs.kubernetes import Answer
from floe_webhook.checks.admission import Trial, judge_trial
from floe_webhook.checks.certificates import judge_expiry
from floe_webhook.checks.cluster import Namespace
from floe_webhook.checks.deployment import judge_deployment
from floe_webhook.checks.destinations import Backend, backends_of
from floe_webhook.checks.installation import Choices, Names, argument_of, names_in
from floe_webhook.checks.label_selectors import selects
from floe_webhook.checks.network_policies import Destination, Room, Way, judge_rooms, way
from floe_webhook.checks.results import Check, Finding, Verdict, worst
from floe_webhook.checks.rights import Account, Right
from floe_webhook.checks.running import BEFORE_INSTALL, INSTALLED, chosen
from floe_webhook.checks.versions import judge_admission_api, judge_versions
from floe_webhook.checks.webhook_configuration import fires, judge_configuration
from floe_webhook.checks.webhook_rights import (
    FEATURES,
    Objects,
    features_of,
    judge_webhook_rights,
    of_the_webhook,
)
from tests.e2e.webhook_configuration import mutating_webhook_configuration
from webhook.tests.builders import profile

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-12")

RIGHTS_PAGE = Path(__file__).parents[3] / "docs" / "rbac.md"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = Names("floe-injector", "floe-injector", "floe-system")


def verdicts(findings: Sequence[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


@pytest.mark.parametrize(
    ("server", "kubelets", "expected"),
    [
        ("v1.36.3", {"v1.36.1": 3}, ["ok"]),
        ("v1.29.0", {"v1.29.0": 1}, ["ok"]),
        ("v1.30.1-gke.1", {}, ["ok"]),
        ("v1.28.9", {"v1.28.9": 1}, ["warning", "warning"]),
        ("v1.31.0", {"v1.31.0": 2, "v1.28.15-eks-1": 1}, ["warning"]),
        ("v2.0.0", {"v2.0.0": 1}, ["ok"]),
        ("", {}, ["warning"]),
    ],
)
def test_native_sidecars_need_both_the_api_server_and_the_oldest_kubelet(
    server: str, kubelets: dict[str, int], expected: list[str]
) -> None:
    assert verdicts(judge_versions(server, kubelets)) == expected


def test_a_cluster_without_the_admission_api_fails() -> None:
    assert verdicts(judge_admission_api(["validatingwebhookconfigurations"])) == ["failed"]


SELECTORS = [
    ({}, {"a": "1"}, True),
    ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
    ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
    ({"matchExpressions": [{"key": "a", "operator": "Guess"}]}, {"a": ""}, False),
]


@pytest.mark.parametrize(("selector", "labels", "expected"), SELECTORS)
def test_selectors_select_as_kubernetes_says(
    selector: dict[str, Any], labels: dict[str, str], *, expected: bool
) -> None:
    assert selects(selector, labels) is expected


def configuration(*excluded: str) -> list[dict[str, Any]]:
    made = mutating_webhook_configuration(
        "floe-injector", lambda path: {"service": {"path": path}}, excluded or ("kube-system", "floe-system")
    )
    entries: list[dict[str, Any]] = made["webhooks"]
    return entries


def test_the_right_configuration_is_ok() -> None:
    assert verdicts(judge_configuration(configuration(), NAMES)) == ["ok"]


def test_what_a_cloud_adds_to_the_selectors_does_not_matter() -> None:
    entries = configuration()
    for entry in entries:  # AKS keeps webhooks away from its own namespaces
        entry["namespaceSelector"]["matchExpressions"].append({"key": "control-plane", "operator": "DoesNotExist"})
    assert verdicts(judge_configuration(entries, NAMES)) == ["ok"]


def test_a_selector_that_misses_one_namespace_is_told_with_it() -> None:
    entries = configuration()
    entries[0]["namespaceSelector"]["matchLabels"] = {"team": "a"}
    homes = [
        Namespace({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, "team": team}}})
        for name, team in (("sales", "a"), ("finance", "b"))
    ]
    (found,) = judge_configuration(entries, NAMES, homes)
    assert found.verdict is Verdict.FAILED
    assert "in the namespace finance with floe.dev/inject=enabled is sent by no entry" in found.sentence


def _both_entries_alike(entries: list[dict[str, Any]]) -> None:
    entries[1] = dict(entries[0])


def _own_pods(entries: list[dict[str, Any]]) -> None:
    entries[:] = configuration("kube-system")


def _slow(entries: list[dict[str, Any]]) -> None:
    entries[0]["timeoutSeconds"] = 30


def _once(entries: list[dict[str, Any]]) -> None:
    entries[0]["reinvocationPolicy"] = "Never"


def _side_effects(entries: list[dict[str, Any]]) -> None:
    entries[0]["sideEffects"] = "Some"


def _updates_only(entries: list[dict[str, Any]]) -> None:
    entries[0]["rules"][0]["operations"] = ["UPDATE"]


@pytest.mark.parametrize(
    ("spoil", "expected", "says"),
    [
        (_both_entries_alike, "failed", "is sent by"),
        (_own_pods, "failed", "Pods of floe-system can be sent to the webhook"),
        (_slow, "warning", "waits up to 30 s"),
        (_once, "warning", "is not called again"),
        (_side_effects, "warning", "is not called on dry runs"),
        (_updates_only, "failed", "does not ask for pods that are created"),
    ],
)
def test_each_way_to_spoil_the_configuration_is_told(
    spoil: Callable[[list[dict[str, Any]]], None], expected: str, says: str
) -> None:
    entries = configuration()
    spoil(entries)
    found = judge_configuration(entries, NAMES)
    assert any(finding.verdict == expected and says in finding.sentence for finding in found), found


words = st.sampled_from([None, "enabled", "true", "disabled", "false", "yes", ""])


@given(words, words)
def test_our_own_configuration_never_sends_a_pod_twice(namespace_word: str | None, pod_word: str | None) -> None:
    namespace = {"kubernetes.io/metadata.name": "sales"}
    if namespace_word is not None:
        namespace["floe.dev/inject"] = namespace_word
    pod = {} if pod_word is None else {"floe.dev/inject": pod_word}
    assert sum(fires(entry, namespace, pod) for entry in configuration()) <= 1


def certificate(lifetime: timedelta, left: timedelta) -> x509.Certificate:
    made = create_authority("one", now=NOW - (lifetime - left), lifetime=lifetime)
    return x509.load_pem_x509_certificate(made.certificate_pem)


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (timedelta(days=365), timedelta(days=61), "ok"),
        (timedelta(days=365), timedelta(days=59), "warning"),
        (timedelta(days=3650), timedelta(days=59), "warning"),
        (timedelta(days=90), timedelta(days=30), "ok"),
        (timedelta(days=90), timedelta(days=22), "warning"),
        (timedelta(minutes=10), timedelta(minutes=3), "ok"),
        (timedelta(days=365), timedelta(seconds=-1), "failed"),
    ],
)
def test_a_certificate_is_warned_of_sixty_days_ahead_or_in_the_last_quarter_of_a_short_life(
    lifetime: timedelta, left: timedelta, expected: str
) -> None:
    assert verdicts(judge_expiry({"it": certificate(lifetime, left)}, NOW)) == [expected]


@pytest.mark.parametrize(
    ("ready", "version", "expected"),
    [(2, "1.0", ["ok"]), (1, "1.0", ["warning"]), (0, "1.0", ["failed"]), (2, "0.9", ["warning"]), (2, "", ["ok"])],
)
def test_replicas_and_version_of_the_webhook(ready: int, version: str, expected: list[str]) -> None:
    labels = {"app.kubernetes.io/version": version} if version else {}
    document = {
        "metadata": {"name": "w", "labels": labels},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": ready},
    }
    assert verdicts(judge_deployment(document, "1.0")) == expected


@pytest.mark.parametrize(
    ("status", "labels", "expected"),
    [(201, {"floe.dev/injected": "true"}, "ok"), (201, {}, "failed"), (403, {}, "skipped")],
)
def test_a_dry_run_tells_the_whole_road(status: int, labels: dict[str, str], expected: str) -> None:
    answer = Answer(status, {"metadata": {"labels": labels}, "message": "exceeded quota"})
    assert judge_trial(Trial("with a label of its own", "sales", answer)).verdict == expected


ACCOUNT = Account("floe-system", "floe-injector-webhook")


def test_a_right_that_only_a_feature_needs_is_a_warning() -> None:
    needed, nodes = (
        [Right("get", "secrets", "floe-system", "s", "x")],
        {"rbac.nativeSidecars": [Right("list", "nodes")]},
    )
    assert verdicts(judge_webhook_rights(ACCOUNT, [], {"rbac.quotas": []})) == ["ok"]
    assert verdicts(judge_webhook_rights(ACCOUNT, [], nodes)) == ["warning"]
    assert verdicts(judge_webhook_rights(ACCOUNT, needed, nodes)) == ["failed", "warning"]


def test_only_what_the_deployment_switches_on_is_asked_for() -> None:
    arguments = ["--port=8443", "--certificates=own", "--lookup=quotas", "--evict-per-round=2"]
    document = {"spec": {"template": {"spec": {"containers": [{"args": arguments}, {"args": ["--lookup=owners"]}]}}}}
    assert features_of(document) == ["--certificates=own", "--lookup=quotas", "--evict-per-round"]
    assert features_of({}) == []


def test_the_rights_are_those_of_the_documentation() -> None:
    objects = Objects(NAMES, "floe-injector-webhook-certificate")
    ours = {("always", *_shown(right)) for right in of_the_webhook(objects)}
    ours |= {(value, *_shown(right)) for value, rights in FEATURES.values() for right in rights(objects)}
    documented = set(_documented_rights())
    assert {right for right in documented if "rbac.recreate" not in right[0]} == ours


def _shown(right: Right) -> tuple[bool, str, str]:
    """Whether it is for the release's namespace, the resource with its name, the verb."""
    return bool(right.namespace), f"{right.resource} {right.name}".rstrip(), right.verb


def _documented_rights() -> Iterator[tuple[str, bool, str, str]]:
    inside, wide = RIGHTS_PAGE.read_text(encoding="utf-8").split("## In all namespaces")
    for in_namespace, part in ((True, inside), (False, wide)):
        for value, resources, verbs in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([a-z, ]+) \| ", part, re.MULTILINE):
            for resource in resources.replace("the Secret", "secrets").replace("`", "").split(", "):
                for verb in verbs.split(", "):
                    if value != "value":
                        yield value.strip("`"), in_namespace, resource, verb


def test_a_right_names_group_and_subresource_as_an_access_review_wants_them() -> None:
    right = Right("create", "pods/eviction", "sales")
    assert right.attributes == {
        "verb": "create",
        "resource": "pods",
        "subresource": "eviction",
        "namespace": "sales",
    }
    assert Right("get", "leases.coordination.k8s.io").attributes["group"] == "coordination.k8s.io"


HOME = {"kubernetes.io/metadata.name": "sales"}
LINEAGE = {"kubernetes.io/metadata.name": "lineage"}
MARQUEZ = Destination("marquez", 5001, "TCP", "10.0.0.9", LINEAGE, {"app": "marquez"}, frozenset({"api"}))
OUTSIDE = Destination("api.example", 443)
DNS = Destination(
    "DNS", 53, "UDP", "10.0.0.10", {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}
)


def policy(*egress: dict[str, Any], selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"podSelector": selector or {}, "policyTypes": ["Egress"], "egress": list(egress)} | spec}


def to_lineage(**ports: Any) -> dict[str, Any]:
    return {"to": [{"namespaceSelector": {"matchLabels": LINEAGE}}], **ports}


@pytest.mark.parametrize(
    ("policies", "destination", "expected"),
    [
        pytest.param([], MARQUEZ, Way.OPEN, id="without a policy everything is open"),
        pytest.param([policy()], MARQUEZ, Way.CLOSED, id="default deny"),
        pytest.param([policy({})], MARQUEZ, Way.OPEN, id="an empty rule is everywhere"),
        pytest.param([policy(policyTypes=["Ingress"])], MARQUEZ, Way.OPEN, id="ingress does not matter"),
        pytest.param([{"spec": {"podSelector": {}, "egress": []}}], MARQUEZ, Way.CLOSED, id="egress implies its type"),
        pytest.param([{"spec": {"podSelector": {}}}], MARQUEZ, Way.OPEN, id="no egress, no types: ingress only"),
        pytest.param([policy(), policy(to_lineage())], MARQUEZ, Way.OPEN, id="policies add up"),
        pytest.param([policy(to_lineage())], DNS, Way.CLOSED, id="another namespace"),
        pytest.param([policy(to_lineage(ports=[{"port": 5001}]))], MARQUEZ, Way.OPEN, id="the pod's port"),
        pytest.param([policy(to_lineage(ports=[{"port": 5000}]))], MARQUEZ, Way.CLOSED, id="not the Service's port"),
        pytest.param([policy(to_lineage(ports=[{"port": 4000, "endPort": 6000}]))], MARQUEZ, Way.OPEN, id="a range"),
        pytest.param([policy(to_lineage(ports=[{"port": "api"}]))], MARQUEZ, Way.OPEN, id="a port by its name"),
        pytest.param([policy(to_lineage(ports=[{"port": "web"}]))], MARQUEZ, Way.CLOSED, id="another port's name"),
        pytest.param([policy(to_lineage(ports=[{"protocol": "UDP"}]))], MARQUEZ, Way.CLOSED, id="another protocol"),
        pytest.param([policy({"ports": [{"port": 53, "protocol": "UDP"}]})], DNS, Way.OPEN, id="DNS anywhere"),
        pytest.param(
            [policy({"to": [{"podSelector": {"matchLabels": {"app": "marquez"}}}]})],
            MARQUEZ,
            Way.CLOSED,
            id="a pod selector alone means the policy's own namespace",
        ),
        pytest.param(
            [policy({"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "other"}}}]})],
            MARQUEZ,
            Way.CLOSED,
            id="both selectors have to take it",
        ),
        pytest.param([policy({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})], MARQUEZ, Way.OPEN, id="its address"),
        pytest.param(
            [policy({"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.9/32"]}}]})],
            MARQUEZ,
            Way.CLOSED,
            id="an exception of the block",
        ),
        pytest.param([policy({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], OUTSIDE, Way.OPEN, id="any address"),
        pytest.param([policy({"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]})], OUTSIDE, Way.UNKNOWN, id="not known"),
        pytest.param([policy({"to": [{"namespaceSelector": {}}]})], OUTSIDE, Way.CLOSED, id="outside is no namespace"),
        pytest.param([policy({"to": [{"ipBlock": {"cidr": "nonsense"}}]})], OUTSIDE, Way.CLOSED, id="no address"),
        pytest.param([policy(selector={"matchLabels": {"a": "1"}})], MARQUEZ, Way.OPEN, id="it selects other pods"),
    ],
)
def test_a_way_out_is_open_as_network_policies_say(
    policies: list[dict[str, Any]], destination: Destination, expected: Way
) -> None:
    assert way(Room("sales", HOME, policies, [{}]), {}, destination) is expected


@given(st.lists(st.sampled_from([policy(), policy({}), policy(to_lineage())]), max_size=4))
def test_the_order_of_policies_does_not_matter(policies: list[dict[str, Any]]) -> None:
    there, back = (Room("sales", HOME, each, [{}]) for each in (policies, policies[::-1]))
    assert way(there, {}, MARQUEZ) is way(back, {}, MARQUEZ)


@pytest.mark.parametrize(
    ("host", "service", "address"),
    [
        ("marquez.lineage.svc", ("lineage", "marquez"), None),
        ("marquez.lineage.svc.cluster.local", ("lineage", "marquez"), None),
        ("marquez.lineage", ("lineage", "marquez"), None),
        ("api.example.com", None, None),
        ("192.0.2.7", None, "192.0.2.7"),
        ("localhost", None, None),
    ],
)
def test_a_host_tells_whether_it_may_be_a_service(
    host: str, service: tuple[str, str] | None, address: str | None
) -> None:
    backend = Backend("plugins.lineage_backend", host, 443)
    assert (backend.service, backend.ip_address) == (service, address)


def test_a_profile_names_what_pods_are_told_to_reach_and_not_their_own_sidecar() -> None:
    gateway = profile(injection={"gateway": {"url": "http://gateway.floe.svc:5055"}})
    assert {backend.address for backend in backends_of(gateway)} >= {
        "otel-collector.observability.svc:4318",
        "lineage.example:443",
        "gateway.floe.svc:5055",
    }
    assert not any("127.0.0.1" in backend.address for backend in backends_of(gateway))


def test_one_pod_that_cannot_get_out_is_enough_to_be_told() -> None:
    room = Room("sales", HOME, [policy(selector={"matchLabels": {"a": "1"}})], [{}, {"a": "1"}])
    (found,) = judge_rooms([room], [MARQUEZ])
    assert (found.verdict, "from sales to marquez, TCP 5001" in found.sentence) == (Verdict.FAILED, True)


def test_where_addresses_decide_it_is_a_warning_that_asks_for_a_probe() -> None:
    room = Room("sales", HOME, [policy({"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]})], [{}])
    (found,) = judge_rooms([room], [OUTSIDE])
    assert (found.verdict, "--probe" in found.remedy) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("client", "chosen_namespace", "expected"),
    [
        ({"service": {"namespace": "platform"}}, None, ("platform", None, True)),
        ({"service": {"namespace": "platform"}}, "other", ("other", None, True)),
        ({"url": "https://192.0.2.1:8443/mutate"}, None, ("floe-system", "192.0.2.1", False)),
        ({"url": "https://hook.example/mutate"}, "platform", ("platform", "hook.example", True)),
    ],
)
def test_names_follow_from_the_configuration_and_from_what_the_person_says(
    client: dict[str, Any], chosen_namespace: str | None, expected: tuple[str, str | None, bool]
) -> None:
    names = names_in({"webhooks": [{"clientConfig": client}]}, Choices(release_namespace=chosen_namespace))
    assert (names.namespace, names.url_host, names.in_cluster) == expected


def test_a_flag_of_the_deployment_is_read() -> None:
    arguments = ["--port=8443", "--certificate-secret=mine"]
    document = {"spec": {"template": {"spec": {"containers": [{"args": arguments}]}}}}
    assert argument_of(document, "--certificate-secret") == "mine"
    assert argument_of(document, "--lease") is None
    assert argument_of({}, "--lease") is None


def test_the_worst_verdict_counts_and_every_check_can_run() -> None:
    def finding(verdict: Verdict) -> Finding:
        return Finding(Check.SECRETS, verdict, "")

    assert worst([]) is Verdict.OK
    assert worst([finding(Verdict.WARNING), finding(Verdict.OK), finding(Verdict.SKIPPED)]) is Verdict.WARNING
    assert {*INSTALLED, *BEFORE_INSTALL, Check.API_SERVER, Check.CERT_MANAGER} == set(Check)
    assert Check.CERT_MANAGER not in chosen(before_install=True, with_cert_manager=False, probe=False)


def test_no_certificate_text_stands_in_a_finding() -> None:
    authority = create_authority("one", now=NOW)
    found = judge_expiry({"it": x509.load_pem_x509_certificate(authority.certificate_pem)}, NOW + timedelta(days=3640))
    assert base64.b64encode(authority.key_pem[40:80]).decode() not in str(found)
    assert verdicts(found) == ["warning"]
