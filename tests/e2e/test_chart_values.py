"""What the real helm says of values: what cannot work is refused by name, and the next steps are told."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.commands import CommandError
from tests.e2e.helm import VALUES, Helm

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-2.4")]

EVERYTHING = VALUES / "everything.yaml"


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Helm without a cluster."""
    return Helm(tmp_path)


@pytest.mark.parametrize(
    "values", [{}, *sorted(VALUES.glob("*.yaml"))], ids=lambda one: getattr(one, "stem", "defaults")
)
def test_helm_finds_nothing_to_criticise(helm: Helm, values: Path | dict[str, Any]) -> None:
    files = [f"--values={values}"] if isinstance(values, Path) else []

    assert "1 chart(s) linted, 0 chart(s) failed" in helm.lint(*files)


@pytest.mark.requirement("HOUSE-7")
def test_a_credential_that_the_manifest_does_not_know_is_refused_with_the_remedy(helm: Helm) -> None:
    with pytest.raises(CommandError, match=r"add manifest\.credentials\.TYPO"):
        helm.template({"credentials": {"TYPO": "x"}})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"certificates": {"source": "secret"}}, "certificates.secretName", id="a Secret without a name"),
        pytest.param({"certificates": {"source": "cert-manager"}}, "certificates.issuerRef.name", id="no issuer"),
        pytest.param({"monitor": {"enabled": True}}, "monitor.database.secret", id="a monitor without a database"),
        pytest.param(
            {"manifest": {"plugins": {"lineage_backend": {"type": "marquez", "config": {"url": "${env:URL}"}}}}},
            "gateway.lineage.url",
            id="a backend that only a credential names",
        ),
        pytest.param({"webhook": {"drainSeconds": 60}}, "terminationGracePeriodSeconds", id="killed while it drains"),
    ],
)
def test_values_that_cannot_work_together_are_refused_by_name(helm: Helm, values: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandError, match=re.escape(told)):
        helm.template(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"webhok": {}}, "webhok", id="an unknown key"),
        pytest.param({"webhook": {"replica": 2}}, "replica", id="an unknown inner key"),
        pytest.param({"webhook": {"replicas": "2"}}, "/webhook/replicas", id="text for a number"),
        pytest.param({"webhook": {"port": 443}}, "/webhook/port", id="a port that needs root"),
        pytest.param({"certificates": {"source": "vault"}}, "/certificates/source", id="an unknown source"),
        pytest.param({"certificates": {"servingLifetime": "one year"}}, "/certificates/servingLifetime", id="words"),
        pytest.param({"gateway": {"volume": {"size": "8 GB"}}}, "/gateway/volume/size", id="no quantity"),
        pytest.param({"fullnameOverride": "floe-sidecar"}, "/fullnameOverride", id="a name that would break pods"),
        pytest.param({"manifest": {"injection": {"telemetri": 1}}}, "telemetri", id="an unknown key of the manifest"),
        pytest.param({"monitor": {"contracts": {"a.txt": {}}}}, "a.txt", id="no YAML file"),
    ],
)
def test_helm_refuses_what_the_schema_forbids_and_says_where(helm: Helm, values: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandError, match=re.escape(told)):
        helm.template(values)


def test_a_parent_chart_may_give_its_global_values(helm: Helm) -> None:
    assert helm.template({"global": {"imageRegistry": "registry.example"}})


def test_installing_tells_the_next_steps_and_what_is_missing(helm: Helm) -> None:
    bare = helm.notes({})
    with_a_backend = helm.notes(EVERYTHING)

    for notes in (bare, with_a_backend):
        assert "kubectl label namespace MY-PIPELINES floe.dev/inject=enabled" in notes
        assert "helm test floe-injector --namespace floe-system" in notes
        assert "floe_sidecar.tokens MY-PIPELINES" in notes
    assert "The manifest names no lineage backend yet" in bare
    assert "The manifest names no lineage backend yet" not in with_a_backend
