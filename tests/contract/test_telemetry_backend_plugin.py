"""The interface of telemetry backends is what REQ-051 asks for."""

import inspect
from typing import Any, Literal, get_type_hints

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces import OTLPExporterConfig, PluginKind, TelemetryBackendPlugin

METHODS: dict[str, dict[str, Any]] = {
    "get_otlp_exporter_config": {"environment": str, "return": OTLPExporterConfig},
    "get_helm_values": {"artifacts": CompiledArtifacts, "environment": str, "return": dict[str, Any]},
    "validate_connection": {"config": OTLPExporterConfig, "return": bool},
}


@pytest.mark.requirement("REQ-051")
def test_abc_compliance() -> None:
    assert frozenset(METHODS) == TelemetryBackendPlugin.__abstractmethods__
    for name, hints in METHODS.items():
        method = getattr(TelemetryBackendPlugin, name)
        assert get_type_hints(method) == hints
        assert not inspect.iscoroutinefunction(method)
        assert inspect.getdoc(method)
    assert PluginKind.TELEMETRY_BACKEND.entry_point_group == "floe.telemetry_backends"


@pytest.mark.requirement("REQ-051")
@pytest.mark.parametrize("missing", METHODS)
def test_a_plugin_that_lacks_a_method_cannot_be_constructed(missing: str) -> None:
    methods = {name: lambda *_: None for name in METHODS if name != missing}
    incomplete = type("Incomplete", (TelemetryBackendPlugin,), {"name": "x", "version": "1.0.0", **methods})
    with pytest.raises(TypeError, match=missing):
        incomplete()


@pytest.mark.requirement("REQ-052")
def test_the_exporter_config_has_the_required_fields_and_protocols() -> None:
    hints = get_type_hints(OTLPExporterConfig)
    assert hints["endpoint"] is str
    assert hints["protocol"] == Literal["grpc", "http/protobuf"]
    assert hints["headers"] == dict[str, str]
    assert hints["compression"] == Literal["gzip", "none"]
