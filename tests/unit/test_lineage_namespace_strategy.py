"""Each lineage backend's default namespace strategy, and what the platform's manifest makes of it (REQ-058)."""

import pytest

from floe_core.cli.helm_values import values_of
from floe_core.errors import ConfigurationError
from floe_core.manifest.models import Manifest, PluginChoice
from floe_core.namespaces import NamespaceParts, NamespaceStrategy, job_namespace
from floe_core.plugin_interfaces import LineageBackendPlugin, PluginKind, PluginRegistry

pytestmark = pytest.mark.requirement("REQ-058", "HOUSE-9")

ADDRESSES = {
    "marquez": "http://marquez.lineage.svc:5000",
    "atlan": "https://acme.atlan.com",
    "openmetadata": "https://openmetadata.example.com",
}
PARTS = NamespaceParts(product="orders", domain="sales", organization="acme")


def plugin(name: str) -> LineageBackendPlugin:
    return PluginRegistry().create(PluginKind.LINEAGE_BACKEND, PluginChoice(type=name, config={"url": ADDRESSES[name]}))


def namespace(name: str, **namespaces: str) -> str:
    """OPENLINEAGE_NAMESPACE of a platform with this backend and these `namespaces:`."""
    manifest = Manifest.model_validate(
        {
            "apiVersion": "floe.dev/v1",
            "kind": "Manifest",
            "metadata": {"name": "acme-data"},
            "plugins": {"lineage_backend": {"type": name, "config": {"url": ADDRESSES[name]}}},
            "namespaces": namespaces,
        }
    )
    env = values_of("lineage", manifest, "production")["env"]
    return str(next(entry["value"] for entry in env if entry["name"] == "OPENLINEAGE_NAMESPACE"))


@pytest.mark.parametrize(
    ("name", "strategy", "expected"),
    [
        pytest.param("marquez", NamespaceStrategy.SIMPLE, "single-tenant/orders", id="Marquez: one server, one tenant"),
        pytest.param("atlan", NamespaceStrategy.CENTRALIZED, "acme/sales/orders", id="Atlan"),
        pytest.param("openmetadata", NamespaceStrategy.CENTRALIZED, "acme/sales/orders", id="OpenMetadata"),
    ],
)
def test_each_backend_has_its_default(name: str, strategy: NamespaceStrategy, expected: str) -> None:
    assert plugin(name).get_namespace_strategy() is strategy
    assert job_namespace(strategy.template, PARTS) == expected


def test_the_backends_default_names_the_platform_where_no_pod_says_more() -> None:
    assert namespace("marquez") == "single-tenant/acme-data"
    assert namespace("atlan", organization="acme", domain="sales") == "acme/sales/acme-data"


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_manifests_strategy_wins_over_the_backends(name: str) -> None:
    assert namespace(name, strategy="mesh", domain="sales") == "domain-sales/acme-data"
    assert namespace(name, strategy="environment", domain="sales") == "floe.production.sales"


def test_a_template_names_the_atlan_connection() -> None:
    # Atlan files a job under the connection whose name its namespace is; any other name is nobody's.
    assert namespace("atlan", template="production-dbt") == "production-dbt"


def test_a_part_that_the_backends_default_needs_is_asked_for_by_name() -> None:
    with pytest.raises(ConfigurationError, match="needs organization") as missing:
        namespace("openmetadata", domain="sales")

    assert "namespaces:" in str(missing.value.remedy)
