"""What every compute plugin must satisfy (FR-019)."""

import time
from typing import Literal

import pytest

from floe_core.plugin_interfaces import ComputeConfig, ComputePlugin, ConnectionResult, ConnectionStatus, ResourceSpec
from floe_core.testing.base_classes.base_plugin_tests import CONNECTION_SECONDS, BasePluginTests
from floe_core.testing.credentials_probe import assert_no_credentials
from floe_core.testing.quantities import bytes_or_cores


class BaseComputePluginTests(BasePluginTests):
    """Profile, probe, queries and resources of a compute engine."""

    @pytest.fixture
    def plugin(self) -> ComputePlugin:
        """The plugin under test, configured as in a manifest. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture
    def compute_config(self, plugin: ComputePlugin) -> ComputeConfig:
        """How the engine that runs is reached. May be overridden."""
        return ComputeConfig(plugin=type(plugin).name, timeout_seconds=5)

    @pytest.fixture
    def unreachable_config(self) -> ComputeConfig:
        """How an engine that does not run would be reached. Override it."""
        raise NotImplementedError("override the fixture `unreachable_config`")

    @pytest.mark.requirement("CC-4.3")
    def test_it_says_who_runs_it_and_what_it_speaks(self, plugin: ComputePlugin) -> None:
        assert isinstance(plugin.is_self_hosted, bool)
        assert plugin.sql_dialect
        assert plugin.sql_dialect == plugin.sql_dialect.lower(), "sqlglot's names of dialects are lower-case"

    @pytest.mark.requirement("CC-4.3", "HOUSE-7")
    def test_the_dbt_profile_names_a_type_and_holds_no_credential(
        self, plugin: ComputePlugin, compute_config: ComputeConfig
    ) -> None:
        profile = plugin.generate_dbt_profile(compute_config)
        assert isinstance(profile, dict)
        assert isinstance(profile.get("type"), str), "a dbt target needs `type`"
        assert_no_credentials(profile, "the dbt profile")
        packages = plugin.get_required_dbt_packages()
        assert all(isinstance(package, str) for package in packages)

    @pytest.mark.requirement("FR-019")
    def test_a_running_engine_is_healthy(self, plugin: ComputePlugin, compute_config: ComputeConfig) -> None:
        result = plugin.validate_connection(compute_config)
        assert isinstance(result, ConnectionResult), f"it is {type(result).__name__}, not ConnectionResult"
        assert result.status is ConnectionStatus.HEALTHY, result.message

    @pytest.mark.requirement("FR-019", "FR-022")
    def test_an_engine_that_does_not_run_is_a_result_with_a_reason(
        self, plugin: ComputePlugin, unreachable_config: ComputeConfig
    ) -> None:
        started = time.monotonic()
        result = plugin.validate_connection(unreachable_config)
        assert time.monotonic() - started < CONNECTION_SECONDS
        assert result.status is ConnectionStatus.UNHEALTHY
        assert result.message.strip(), "say why"

    @pytest.mark.requirement("FR-007", "FR-019")
    def test_a_query_gives_rows_as_tuples(self, plugin: ComputePlugin, compute_config: ComputeConfig) -> None:
        assert plugin.fetch_rows(compute_config, "SELECT 1, 2", timeout_seconds=5) == [(1, 2)]

    @pytest.mark.requirement("CC-4.3")
    @pytest.mark.parametrize("size", ["small", "medium", "large"])
    def test_resources_are_quantities_with_requests_within_limits(
        self, plugin: ComputePlugin, size: Literal["small", "medium", "large"]
    ) -> None:
        spec = plugin.get_resource_requirements(size)
        assert isinstance(spec, ResourceSpec), f"it is {type(spec).__name__}, not ResourceSpec"
        assert 0 < bytes_or_cores(spec.cpu_request) <= bytes_or_cores(spec.cpu_limit)
        assert 0 < bytes_or_cores(spec.memory_request) <= bytes_or_cores(spec.memory_limit)
