"""The webhook's rights: those of the documentation, no more and no fewer, each of them switched by its value alone."""

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.cluster.client import Manifest
from tests.e2e.helm import CHART, Helm, Renderings
from tools.chart import defaults

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-3.1")]

DOCUMENTATION = CHART.parents[1] / "docs" / "rbac.md"
ROLES = {"Role": "In the release's namespace", "ClusterRole": "In all namespaces"}

SWITCHES: Mapping[str, bool] = {name: on for name, on in defaults()["rbac"].items() if name != "create"}
ALL_OFF = dict.fromkeys(SWITCHES, False)
BROUGHT = {"source": "secret", "secretName": "floe-injector-webhook-certificate"}

Right = tuple[str, str, str]
"""Kind of role, resource with group and name, verb."""


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderings:
    """Renders values, without a cluster."""
    return Renderings(Helm(tmp_path_factory.mktemp("helm")))


def _rights(objects: list[Manifest]) -> set[Right]:
    return {
        (one["kind"], f"{resource}.{group}".rstrip(".") + name, verb)
        for one in objects
        if one["kind"] in ROLES
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in [f" {name}" for name in rule.get("resourceNames", [])] or [""]
        for verb in rule["verbs"]
    }


def _documented(value: str) -> set[Right]:
    return {right for given, right in _rows() if given == value}


def _rows() -> Iterator[tuple[str, Right]]:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for kind, heading in ROLES.items():
        (section,) = re.findall(rf"## {heading}\n(.*?)(?=\n## |\Z)", text, re.DOTALL)
        for value, resources, verbs in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([a-z, ]+) \| ", section, re.MULTILINE):
            for resource in resources.replace("the Secret", "secrets").replace("`", "").split(", "):
                for verb in verbs.split(", "):
                    if value != "value":
                        yield value.replace("`", ""), (kind, resource, verb)


def test_without_any_switch_only_what_nothing_works_without_is_granted(render: Renderings) -> None:
    own = _rights(render({"rbac": ALL_OFF}))
    brought = _rights(render({"rbac": ALL_OFF, "certificates": BROUGHT}))

    assert brought == _documented("always")
    assert own - brought == _documented("certificates.source: own")


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_grants_what_the_documentation_says_of_it(render: Renderings, switch: str) -> None:
    without = _rights(render({"rbac": ALL_OFF}))

    granted = _rights(render({"rbac": ALL_OFF | {switch: True}})) - without

    assert granted == _documented(f"rbac.{switch}") != set()


def test_what_two_switches_grant_together_is_granted_with_both_alone(render: Renderings) -> None:
    pair = ("endedPods", "recreate")
    apart = set().union(*(_rights(render({"rbac": ALL_OFF | {switch: True}})) for switch in pair))

    together = _rights(render({"rbac": ALL_OFF | dict.fromkeys(pair, True)}))

    assert together - apart == _documented("rbac.endedPods with rbac.recreate") != set()


def test_nothing_is_granted_that_no_switch_grants(render: Renderings) -> None:
    everything = _rights(render({"rbac": dict.fromkeys(SWITCHES, True)}))

    assert everything == {right for _, right in _rows()}


@pytest.mark.requirement("HOUSE-7")
def test_no_switch_lets_secrets_be_listed_or_watched(render: Renderings) -> None:
    everything = _rights(render({"rbac": dict.fromkeys(SWITCHES, True)}))

    assert {verb for _, resource, verb in everything if resource.startswith("secrets")} == {"get", "patch", "create"}
    assert all("*" not in part for right in everything for part in right)


def test_rights_that_somebody_else_grants_are_not_rendered(render: Renderings) -> None:
    kinds = {one["kind"] for one in render({"rbac": {"create": False}})}

    assert kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} == set()
    assert "ServiceAccount" in kinds
