"""The interface of lineage backends is what REQ-056 asks for."""

import inspect
from typing import Any, Literal, get_type_hints

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport, PluginKind

METHODS: dict[str, dict[str, Any]] = {
    "get_transport_config": {"environment": str, "return": OpenLineageTransport},
    "get_namespace_strategy": {"return": NamespaceStrategy},
    "get_helm_values": {"artifacts": CompiledArtifacts, "environment": str, "return": dict[str, Any]},
    "validate_connection": {"config": OpenLineageTransport, "return": bool},
}


@pytest.mark.requirement("REQ-056")
def test_abc_compliance() -> None:
    assert frozenset(METHODS) == LineageBackendPlugin.__abstractmethods__
    for name, hints in METHODS.items():
        method = getattr(LineageBackendPlugin, name)
        assert get_type_hints(method) == hints
        assert not inspect.iscoroutinefunction(method)
        assert inspect.getdoc(method)
    assert PluginKind.LINEAGE_BACKEND.entry_point_group == "floe.lineage_backends"


@pytest.mark.requirement("REQ-056")
@pytest.mark.parametrize("missing", METHODS)
def test_a_plugin_that_lacks_a_method_cannot_be_constructed(missing: str) -> None:
    methods = {name: lambda *_: None for name in METHODS if name != missing}
    incomplete = type("Incomplete", (LineageBackendPlugin,), {"name": "x", "version": "1.0.0", **methods})
    with pytest.raises(TypeError, match=missing):
        incomplete()


@pytest.mark.requirement("REQ-056", "REQ-057")
def test_the_transport_has_the_required_fields_and_types() -> None:
    hints = get_type_hints(OpenLineageTransport)
    assert hints["type"] == Literal["http", "kafka", "console", "file"]
    assert hints["auth"] == dict[str, str]
    assert hints["timeout"] is float
    assert hints["headers"] == dict[str, str]
    assert "url" in hints


@pytest.mark.requirement("REQ-058")
def test_the_three_required_strategies_format_as_asked() -> None:
    assert NamespaceStrategy.SIMPLE.template == "{tenant}/{product}"
    assert NamespaceStrategy.CENTRALIZED.template == "{organization}/{domain}/{product}"
    assert NamespaceStrategy.MESH.template == "domain-{domain}/{product}"
