"""What plugin authors may rely on: the names of `floe_core.plugin_interfaces`, and the entry-point groups."""

import inspect

import pytest

import floe_core.plugin_interfaces as surface
from floe_core.plugin_interfaces import PluginKind, PluginMetadata
from floe_core.plugin_interfaces.registry import INTERFACES

pytestmark = pytest.mark.requirement("CC-4.1", "CC-4.4")

GROUPS = {
    "telemetry_backend": "floe.telemetry_backends",
    "lineage_backend": "floe.lineage_backends",
    "orchestrator": "floe.orchestrators",
    "catalog": "floe.catalogs",
    "compute": "floe.computes",
    "quality": "floe.quality",
    "alert_channel": "floe.alert_channels",
    "transform": "floe.transforms",
    "target": "floe.targets",
}


def test_every_kind_has_its_group_and_its_interface() -> None:
    assert {kind.value: kind.entry_point_group for kind in PluginKind} == GROUPS
    assert set(INTERFACES) == set(PluginKind)


def test_all_names_exist_and_nothing_public_is_left_out() -> None:
    public = {name for name, value in vars(surface).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(surface.__all__) == public


def test_every_interface_is_named_and_documented() -> None:
    for interface in INTERFACES.values():
        assert interface.__name__ in surface.__all__
        assert issubclass(interface, PluginMetadata)
        for name in interface.__abstractmethods__:
            assert inspect.getdoc(getattr(interface, name)), f"{interface.__name__}.{name} has no docstring"
