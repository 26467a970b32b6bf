"""The interface of orchestrators is what REQ-021 asks for."""

import inspect
from typing import Any, get_type_hints

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces import OrchestratorPlugin, PluginKind, ValidationResult

METHODS = {
    "create_assets_from_artifacts",
    "get_helm_values",
    "validate_connection",
    "get_resource_requirements",
}


@pytest.mark.requirement("REQ-021")
def test_abc_compliance() -> None:
    assert frozenset(METHODS) == OrchestratorPlugin.__abstractmethods__
    for name in METHODS:
        method = getattr(OrchestratorPlugin, name)
        assert "return" in get_type_hints(method)
        assert inspect.getdoc(method)
    create = get_type_hints(OrchestratorPlugin.create_assets_from_artifacts)
    assert create == {"artifacts": CompiledArtifacts, "return": dict[str, Any] | list[Any]}
    assert get_type_hints(OrchestratorPlugin.validate_connection) == {"return": ValidationResult}
    assert PluginKind.ORCHESTRATOR.entry_point_group == "floe.orchestrators"


@pytest.mark.requirement("REQ-021")
@pytest.mark.parametrize("missing", sorted(METHODS))
def test_a_plugin_that_lacks_a_method_cannot_be_constructed(missing: str) -> None:
    methods = {name: lambda *_: None for name in METHODS if name != missing}
    incomplete = type("Incomplete", (OrchestratorPlugin,), {"name": "x", "version": "1.0.0", **methods})
    with pytest.raises(TypeError, match=missing):
        incomplete()


@pytest.mark.requirement("REQ-024")
def test_a_validation_result_says_success_message_and_details() -> None:
    result = ValidationResult(success=False, message="Start the service.", details={"host": "dagster"})
    assert result.model_dump() == {"success": False, "message": "Start the service.", "details": {"host": "dagster"}}
