"""Plugins are found by entry point, imported when asked for, and refused with a reason when they cannot be used."""

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from floe_core.errors import ConfigurationError, PluginExecutionError, ValidationError
from floe_core.manifest import parse_manifest
from floe_core.manifest.models import AlertChannelChoice, PluginChoice
from floe_core.plugin_interfaces import (
    ComputeTarget,
    Place,
    PluginKind,
    PluginRegistry,
    TransformExecutor,
)

pytestmark = pytest.mark.requirement("CC-4.4")


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    site: str
    level: int = 1


class Target(ComputeTarget):
    """A plugin whose constructor takes a configuration."""

    name = "acme"
    version = "1.2.3"
    config_schema: ClassVar[type[BaseModel] | None] = Settings

    def generate_profile(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        return dict(properties)


class Newer(Target):
    floe_api_version = "1.99"


class OtherMajor(Target):
    floe_api_version = "2.0"


class NoVersionNumber(Target):
    floe_api_version = "latest"


class OtherName(Target):
    name = "somebody-else"


class Incomplete(ComputeTarget):
    name = "acme"
    version = "1.0.0"


class Failing(Target):
    config_schema = None

    def __init__(self, config: BaseModel | None = None) -> None:
        raise RuntimeError(f"no licence for {config}, password=hunter2")


class FileTransform(TransformExecutor):
    """As requirements file 003 §4.2 shows one: nothing but `execute`."""

    def execute(self, config: object, artifacts: object) -> None:
        raise NotImplementedError


class FakeDistribution(Distribution):
    """A distribution that only knows its name and version."""

    def __init__(self, name: str, version: str = "1.2.3") -> None:
        self._facts = f"Name: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._facts if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        return Path(str(path))


def point(
    target: object, name: str = "acme", kind: PluginKind | str = PluginKind.TARGET, distribution: str = "floe-acme"
) -> EntryPoint:
    """An entry point to a class of this module, or to any text `module:attribute`."""
    group = kind.entry_point_group if isinstance(kind, PluginKind) else kind
    value = target if isinstance(target, str) else f"planted_plugins:{getattr(target, '__name__', '')}"
    made = EntryPoint(name=name, value=value, group=group)
    vars(made)["dist"] = FakeDistribution(distribution)  # importlib.metadata's own way around its immutability
    return made


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `planted_plugins` that holds the classes above."""
    module = ModuleType("planted_plugins")
    vars(module).update({name: value for name, value in globals().items() if isinstance(value, type)})
    monkeypatch.setitem(sys.modules, "planted_plugins", module)


def registry(*points: EntryPoint) -> PluginRegistry:
    return PluginRegistry(points)


def test_a_plugin_is_created_from_the_manifests_choice() -> None:
    plugin = registry(point(Target)).create(PluginKind.TARGET, PluginChoice(type="acme", config={"site": "eu"}))
    assert isinstance(plugin, Target)
    assert plugin.config == Settings(site="eu")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    found = registry(point("a_module_that_is_not_there:X"))
    assert [entry.name for entry in found.entries()] == ["acme"]
    assert found.entries(PluginKind.CATALOG) == ()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("a_module_that_is_not_there:X", "importing a_module_that_is_not_there:X failed with ModuleNotFoundError"),
        ("planted_plugins:Nothing", "failed with AttributeError"),
        ("planted_plugins:Settings", "planted_plugins:Settings is no ComputeTarget"),
        (Incomplete, "lacks generate_profile"),
        (OtherMajor, "written for version 2.0 of the plugin interfaces, here is 1.0"),
        (Newer, "written for version 1.99 of the plugin interfaces"),
        (NoVersionNumber, "'latest' is not MAJOR.MINOR"),
        (OtherName, "it calls itself 'somebody-else'"),
    ],
)
def test_a_broken_plugin_is_reported_and_skipped(target: object, reason: str) -> None:
    found = registry(point(target), point(FileTransform, "file", PluginKind.TRANSFORM))
    (broken,) = found.broken()
    assert reason in broken.reason
    assert broken.entry.distribution == "floe-acme 1.2.3"
    with pytest.raises(ConfigurationError) as caught:
        found.plugin_class(PluginKind.TARGET, "acme")
    assert reason in caught.value.what
    assert isinstance(found.create(PluginKind.TRANSFORM, PluginChoice(type="file")), FileTransform)


def test_a_module_that_ends_the_process_is_a_broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin_that_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    (broken,) = registry(point("plugin_that_exits:X")).broken()
    assert "SystemExit" in broken.reason


def test_one_name_from_two_distributions_is_an_error_that_names_both() -> None:
    found = registry(point(Target, distribution="floe-acme"), point(OtherName, distribution="floe-acme-fork"))
    with pytest.raises(ConfigurationError, match=r"floe-acme 1\.2\.3 and floe-acme-fork 1\.2\.3"):
        found.plugin_class(PluginKind.TARGET, "acme")
    assert len(found.broken()) == 2


def test_one_distribution_that_is_found_twice_is_no_duplicate() -> None:
    assert registry(point(Target), point(Target)).plugin_class(PluginKind.TARGET, "acme") is Target


def test_a_plugin_under_the_old_group_is_named_together_with_the_new_groups() -> None:
    found = registry(point(Target, "acme", "floe.observability"))
    (broken,) = found.broken()
    for group in ("floe.observability", "floe.telemetry_backends", "floe.lineage_backends"):
        assert group in broken.reason
    with pytest.raises(ConfigurationError, match=r"floe\.telemetry_backends"):
        found.create(PluginKind.TELEMETRY_BACKEND, PluginChoice(type="acme"))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("acmee", "Did you mean `acme`?"), ("zzz", "Installed: acme. Install the distribution that provides it.")],
)
def test_an_unknown_plugin_is_told_with_what_is_installed(name: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry(point(Target)).plugin_class(PluginKind.TARGET, name)
    assert caught.value.remedy == remedy


def paths(error: ValidationError) -> Sequence[str | None]:
    return [problem.where.path for problem in error.problems]


@pytest.mark.requirement("CC-2.4")
def test_every_mistake_in_its_configuration_is_told_by_path() -> None:
    choice = PluginChoice(type="acme", config={"sight": "eu", "level": "high"})
    with pytest.raises(ValidationError) as caught:
        registry(point(Target)).create(PluginKind.TARGET, choice)
    assert sorted(filter(None, paths(caught.value))) == [
        "plugins.target.config.level",
        "plugins.target.config.sight",
        "plugins.target.config.site",
    ]
    assert "Did you mean `site`?" in str(caught.value)


@pytest.mark.requirement("CC-2.4")
def test_a_mistake_in_its_configuration_is_told_by_line_where_the_text_is_known() -> None:
    loaded = parse_manifest(
        "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: x}\nplugins:\n  compute:\n"
        "    type: acme\n    config: {site: eu, level: high}\n",
        file="floe.yaml",
    )
    assert loaded.manifest.plugins.compute is not None
    with pytest.raises(ValidationError) as caught:
        registry(point(Target)).create(
            PluginKind.TARGET,
            loaded.manifest.plugins.compute,
            place=Place(("plugins", "compute"), loaded.document.locate),
        )
    assert str(caught.value).startswith("floe.yaml:7:24 (plugins.compute.config.level)")


def test_an_alert_channels_path_has_its_name() -> None:
    choice = AlertChannelChoice(type="acme", name="ops", config={"x": 1})
    with pytest.raises(ValidationError) as caught:
        registry(point(Target)).create(PluginKind.TARGET, choice)
    assert "plugins.alert_channels[ops].config.*" in paths(caught.value)


def test_a_configuration_that_a_plugin_does_not_take_is_refused() -> None:
    with pytest.raises(ValidationError, match="takes no configuration"):
        registry(point(FileTransform, "file", PluginKind.TRANSFORM)).create(
            PluginKind.TRANSFORM, PluginChoice(type="file", config={"x": 1})
        )


def test_a_pinned_version_must_be_the_installed_one() -> None:
    choice = PluginChoice(type="acme", version="1.2.4", config={"site": "eu"})
    with pytest.raises(ConfigurationError, match=r"pins acme to 1\.2\.4, installed is 1\.2\.3"):
        registry(point(Target)).create(PluginKind.TARGET, choice)


@pytest.mark.requirement("CC-5.1")
def test_an_exception_of_its_constructor_is_translated_without_its_secret() -> None:
    with pytest.raises(PluginExecutionError) as caught:
        registry(point(Failing)).create(PluginKind.TARGET, PluginChoice(type="acme"))
    assert "no licence" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_installed_plugins_of_this_project_are_registered() -> None:
    names = {(entry.kind, entry.name) for entry in PluginRegistry().entries()}
    for name in ("jaeger", "datadog", "grafana-cloud"):
        assert (PluginKind.TELEMETRY_BACKEND, name) in names
    for name in ("marquez", "atlan", "openmetadata"):
        assert (PluginKind.LINEAGE_BACKEND, name) in names
