"""What every plugin must satisfy, whatever it is for."""

import inspect
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from floe_core.plugin_interfaces import FLOE_API_VERSION, HealthStatus, PluginMetadata
from floe_core.testing.loopback import loopback_only

ENVIRONMENTS = ("development", "staging", "production")
CONNECTION_SECONDS = 10.0

_SEMVER = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")


class BasePluginTests:
    """Identity, construction and health; the suites of the kinds inherit it."""

    @pytest.fixture
    def plugin(self) -> PluginMetadata:
        """The plugin under test, configured as in a manifest. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture(autouse=True)
    def network(self) -> Iterator[list[str]]:
        """Addresses that the plugin has tried; those beyond the loopback were refused."""
        with loopback_only() as tried:
            yield tried

    @pytest.mark.requirement("CC-4.4")
    def test_it_says_who_it_is_and_for_which_interfaces(self, plugin: PluginMetadata) -> None:
        kind = type(plugin)
        assert isinstance(kind.name, str), "`name` must be readable from the class"
        assert kind.name.strip() == kind.name, "`name` has spaces around it"
        assert kind.name, "`name` is empty"
        assert _SEMVER.fullmatch(kind.version), f"`version` is {kind.version!r}, not MAJOR.MINOR.PATCH"
        ours, its = (tuple(map(int, version.split("."))) for version in (FLOE_API_VERSION, kind.floe_api_version))
        assert its[0] == ours[0], f"it was written for interfaces {kind.floe_api_version}, here is {FLOE_API_VERSION}"
        assert its <= ours, f"it was written for interfaces {kind.floe_api_version}, here is {FLOE_API_VERSION}"

    @pytest.mark.requirement("CC-4.4", "REQ-029")
    def test_its_methods_can_be_called_as_the_interface_says(self, plugin: PluginMetadata) -> None:
        for name, promised in _interface_methods(type(plugin)):
            offered = inspect.signature(getattr(type(plugin), name))
            for parameter in inspect.signature(promised).parameters.values():
                taken = parameter.name in offered.parameters or any(
                    other.kind is inspect.Parameter.VAR_KEYWORD for other in offered.parameters.values()
                )
                assert taken, f"{name}() does not take the parameter {parameter.name!r} of the interface"

    @pytest.mark.requirement("CC-2.4", "HOUSE-8")
    def test_its_configuration_is_a_model_that_refuses_unknown_keys(self, plugin: PluginMetadata) -> None:
        schema = type(plugin).config_schema
        if schema is None:
            assert plugin.config is None
            return
        assert issubclass(schema, BaseModel)
        assert isinstance(plugin.config, schema)
        assert schema.model_config.get("extra") == "forbid", "a mistyped key would be ignored; set extra='forbid'"
        assert schema.model_json_schema()["type"] == "object"

    @pytest.mark.requirement("CC-4.1")
    def test_constructing_it_does_not_touch_the_network(self, plugin: PluginMetadata, network: list[str]) -> None:
        network.clear()
        again = type(plugin)(plugin.config)
        assert network == [], "construction must do no I/O"
        assert again.is_configured

    @pytest.mark.requirement("CC-4.1")
    def test_its_health_is_a_status_within_the_timeout(self, plugin: PluginMetadata) -> None:
        started = time.monotonic()
        status = plugin.health_check(timeout_seconds=2.0)
        assert isinstance(status, HealthStatus)
        assert time.monotonic() - started < 5.0, "health_check() ignores its timeout"

    @pytest.mark.requirement("CC-4.1")
    def test_it_starts_and_stops(self, plugin: PluginMetadata) -> None:
        for hook in (plugin.startup, plugin.shutdown, plugin.shutdown):
            hook()  # stopping twice is what a service does that is told to stop while it fails


def _interface_methods(plugin_class: type[PluginMetadata]) -> list[tuple[str, Any]]:
    """Abstract methods of every interface that the class implements."""
    found = {}
    for base in plugin_class.__mro__:
        for name in getattr(base, "__abstractmethods__", ()):
            if inspect.isfunction(method := base.__dict__.get(name)):
                found[name] = method
    return sorted(found.items())
