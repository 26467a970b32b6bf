"""What every orchestrator plugin must satisfy (REQ-021 to REQ-025, REQ-028)."""

import json
import re
import time

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces import OrchestratorPlugin, ResourceRequirements, ValidationResult, WorkloadSize
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes.base_plugin_tests import CONNECTION_SECONDS, BasePluginTests
from floe_core.testing.credentials_probe import as_plain, assert_no_credentials
from floe_core.testing.quantities import bytes_or_cores

_SIZES: tuple[WorkloadSize, ...] = ("small", "medium", "large")


class BaseOrchestratorPluginTests(BasePluginTests):
    """Assets, Helm values, connection check and resources of an orchestrator."""

    @pytest.fixture
    def plugin(self) -> OrchestratorPlugin:
        """The plugin under test, pointed at a service that does not run. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture
    def artifacts(self) -> CompiledArtifacts:
        """A product's artifacts. May be overridden."""
        return sample_artifacts()

    @pytest.mark.requirement("REQ-022")
    def test_every_model_schedule_and_sensor_becomes_a_definition(
        self, plugin: OrchestratorPlugin, artifacts: CompiledArtifacts
    ) -> None:
        assets = plugin.create_assets_from_artifacts(artifacts)
        assert isinstance(assets, (dict, list)), f"it is {type(assets).__name__}, not dict or list"
        text = self.describe(assets)
        for name in [*(model.name for model in artifacts.models), *(schedule.job for schedule in artifacts.schedules)]:
            assert name in text, f"{name} is in the artifacts and not in the definitions"

    def describe(self, assets: object) -> str:
        """Text in which the names of all definitions stand. May be overridden."""
        return repr(assets)

    @pytest.mark.requirement("REQ-023")
    def test_helm_values_can_be_written_as_yaml_and_set_resources(self, plugin: OrchestratorPlugin) -> None:
        values = plugin.get_helm_values()
        assert isinstance(values, dict), f"they are {type(values).__name__}, not a dict"
        text = json.dumps(as_plain(values))
        assert '"resources"' in text, "REQ-023: values include requests and limits"

    @pytest.mark.requirement("REQ-023", "HOUSE-7")
    def test_helm_values_hold_no_credential(self, plugin: OrchestratorPlugin) -> None:
        assert_no_credentials(plugin.get_helm_values(), "the Helm values")

    @pytest.mark.requirement("REQ-024", "REQ-028")
    def test_an_unreachable_service_is_a_result_with_a_sentence(self, plugin: OrchestratorPlugin) -> None:
        started = time.monotonic()
        result = plugin.validate_connection()
        assert isinstance(result, ValidationResult), f"it is {type(result).__name__}"
        assert time.monotonic() - started < CONNECTION_SECONDS, "REQ-024: at most ten seconds"
        assert not result.success
        assert result.message.strip(), "REQ-024: say what to do"
        assert not re.search(r"Traceback|File \"", result.message), "REQ-028: no stack traces"

    @pytest.mark.requirement("REQ-025")
    @pytest.mark.parametrize("size", _SIZES)
    def test_resources_are_quantities_with_requests_within_limits(
        self, plugin: OrchestratorPlugin, size: WorkloadSize
    ) -> None:
        components = plugin.get_resource_requirements(size)
        assert components, "no component"
        for name, resources in components.items():
            assert isinstance(resources, ResourceRequirements), f"{name} is {type(resources).__name__}"
            for resource in ("cpu", "memory"):
                request, limit = (
                    bytes_or_cores(getattr(amounts, resource)) for amounts in (resources.requests, resources.limits)
                )
                assert 0 < request <= limit, f"{name}: {resource} requests {request}, limit {limit}"
