"""What each lineage backend contributes to the values of a job's chart (REQ-059), as a person would read it."""

from typing import Any

import pytest

from floe_core.cli.helm_values import values_of
from floe_core.credentials import SecretKey
from floe_core.manifest.models import Manifest, PluginChoice
from floe_core.plugin_interfaces import PluginKind, PluginRegistry
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.job_environment import job_values_problems

pytestmark = pytest.mark.requirement("REQ-059", "HOUSE-6", "HOUSE-7")

CHOICES = {
    "marquez": {"url": "http://marquez.lineage.svc:5000"},
    "atlan": {"url": "https://acme.atlan.com"},
    "openmetadata": {"url": "https://openmetadata.example.com"},
}


def values(name: str, *, credentials: dict[str, SecretKey] | None = None, **config: Any) -> dict[str, Any]:
    choice = PluginChoice(type=name, config={**CHOICES[name], **config})
    known = {"lineage_namespace": "acme/sales/orders", "credentials": credentials or {}}
    artifacts = sample_artifacts().model_copy(update=known)
    return PluginRegistry().create(PluginKind.LINEAGE_BACKEND, choice).get_helm_values(artifacts, "production")


def key_of(secret: str, key: str) -> dict[str, Any]:
    source = {"secretKeyRef": {"name": secret, "key": key, "optional": True}}
    return {"name": "OPENLINEAGE_API_KEY", "valueFrom": source}


def test_marquez_gets_an_origin_and_no_key() -> None:
    assert values("marquez") == {
        "env": [
            {"name": "OPENLINEAGE_URL", "value": "http://marquez.lineage.svc:5000"},
            {"name": "OPENLINEAGE_NAMESPACE", "value": "acme/sales/orders"},
        ]
    }


def test_atlan_gets_its_intake_as_endpoint_and_the_token_by_reference() -> None:
    assert values("atlan") == {
        "env": [
            {"name": "OPENLINEAGE_URL", "value": "https://acme.atlan.com"},
            {"name": "OPENLINEAGE_ENDPOINT", "value": "events/openlineage/generic-openlineage/api/v1/lineage"},
            {"name": "OPENLINEAGE_NAMESPACE", "value": "acme/sales/orders"},
            key_of("atlan-credentials", "api_key"),
        ]
    }


def test_openmetadata_gets_its_openlineage_api_and_the_jwt_by_reference() -> None:
    assert values("openmetadata") == {
        "env": [
            {"name": "OPENLINEAGE_URL", "value": "https://openmetadata.example.com"},
            {"name": "OPENLINEAGE_ENDPOINT", "value": "api/v1/openlineage/lineage"},
            {"name": "OPENLINEAGE_NAMESPACE", "value": "acme/sales/orders"},
            key_of("openmetadata-credentials", "jwt_token"),
        ]
    }


@pytest.mark.parametrize("name", CHOICES)
def test_a_closing_slash_of_the_address_makes_no_difference(name: str) -> None:
    assert values(name, url=f"{CHOICES[name]['url']}/") == values(name)


@pytest.mark.parametrize("name", CHOICES)
def test_the_values_fit_the_published_schema(name: str) -> None:
    assert job_values_problems(values(name)) == []


def test_the_platforms_secret_wins_over_the_plugins_own() -> None:
    env = values("atlan", credentials={"ATLAN_API_TOKEN": SecretKey("lineage", "atlan")})["env"]

    assert env[-1] == key_of("lineage", "atlan")


def test_a_namespace_that_cannot_be_made_is_left_out() -> None:
    choice = PluginChoice(type="atlan", config=CHOICES["atlan"])
    plugin = PluginRegistry().create(PluginKind.LINEAGE_BACKEND, choice)

    env = plugin.get_helm_values(sample_artifacts(), "production")["env"]

    assert "OPENLINEAGE_NAMESPACE" not in {entry["name"] for entry in env}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(
            {"credentials": {"ATLAN_API_TOKEN": {"secret": "lineage", "key": "atlan"}}},
            key_of("lineage", "atlan"),
            id="credentials: names it",
        ),
        pytest.param(
            {"plugins": {"connection_secret_ref": "atlan"}},
            key_of("atlan", "ATLAN_API_TOKEN"),
            id="the plugin's own Secret has it under its name",
        ),
        pytest.param(
            {
                "credentials": {"ATLAN_API_TOKEN": {"secret": "lineage", "key": "atlan"}},
                "plugins": {"connection_secret_ref": "atlan"},
            },
            key_of("lineage", "atlan"),
            id="credentials: beats the plugin's own Secret",
        ),
        pytest.param({}, key_of("atlan-credentials", "api_key"), id="nobody says"),
    ],
)
def test_the_commands_values_name_the_manifests_secret(manifest: dict[str, Any], expected: dict[str, Any]) -> None:
    choice = {"type": "atlan", "config": CHOICES["atlan"], **manifest.get("plugins", {})}
    document = {
        "apiVersion": "floe.dev/v1",
        "kind": "Manifest",
        "metadata": {"name": "acme-data"},
        "plugins": {"lineage_backend": choice},
        "credentials": manifest.get("credentials", {}),
        "namespaces": {"template": "production-dbt"},
    }

    env = values_of("lineage", Manifest.model_validate(document), None)["env"]

    assert env[-2:] == [{"name": "OPENLINEAGE_NAMESPACE", "value": "production-dbt"}, expected]
