"""Finds plugins by entry point, imports one when it is asked for, and creates it from the manifest's choice.

A plugin that is broken is reported with a reason and skipped; it never hinders another. Two distributions that
register one name in one group are an error that names both: which one would run must not depend on an order of files.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, overload

import pydantic

from floe_core.errors import ConfigurationError, Location, Problem, ValidationError, plugin_boundary, told
from floe_core.manifest.document import KeyPath, dotted
from floe_core.manifest.models import AlertChannelChoice, PluginChoice
from floe_core.manifest.problems import KeyProblem, problems_in
from floe_core.manifest.suggestions import did_you_mean
from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin
from floe_core.plugin_interfaces.catalog import CatalogPlugin
from floe_core.plugin_interfaces.compute import ComputePlugin
from floe_core.plugin_interfaces.lineage import LineageBackendPlugin
from floe_core.plugin_interfaces.metadata import FLOE_API_VERSION, PluginKind, PluginMetadata
from floe_core.plugin_interfaces.orchestrator import OrchestratorPlugin
from floe_core.plugin_interfaces.quality import QualityPlugin
from floe_core.plugin_interfaces.target import ComputeTarget
from floe_core.plugin_interfaces.telemetry import TelemetryBackendPlugin
from floe_core.plugin_interfaces.transform import TransformExecutor

DEPRECATED_GROUP = "floe.observability"

INTERFACES: dict[PluginKind, type[PluginMetadata]] = {
    PluginKind.TELEMETRY_BACKEND: TelemetryBackendPlugin,
    PluginKind.LINEAGE_BACKEND: LineageBackendPlugin,
    PluginKind.ORCHESTRATOR: OrchestratorPlugin,
    PluginKind.CATALOG: CatalogPlugin,
    PluginKind.COMPUTE: ComputePlugin,
    PluginKind.QUALITY: QualityPlugin,
    PluginKind.ALERT_CHANNEL: AlertChannelPlugin,
    PluginKind.TRANSFORM: TransformExecutor,
    PluginKind.TARGET: ComputeTarget,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plugin's choice stands in a manifest.

    Attributes:
        path: Its path of keys, e.g. `("plugins", "alert_channels", 0)`.
        locate: Finds a path in the manifest's text (`LoadedManifest.document.locate`).
    """

    path: KeyPath
    locate: Callable[[KeyPath], Location] = lambda path: Location(path=dotted(path))


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """A registered plugin that has not been imported.

    Attributes:
        kind: None for a plugin under the deprecated group.
        target: `module:Class`.
        distribution: Name and version of the distribution that registers it.
    """

    kind: PluginKind | None
    name: str
    target: str
    distribution: str


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A registered plugin that cannot be used, and why."""

    entry: PluginEntry
    reason: str


class PluginRegistry:
    """The plugins that are installed.

    Args:
        installed: Entry points to look at; by default those of all installed distributions.
    """

    def __init__(self, installed: Iterable[EntryPoint] | None = None) -> None:
        found = _installed_points() if installed is None else installed
        kinds = {kind.entry_point_group: kind for kind in PluginKind}
        self._points: dict[tuple[PluginKind, str], list[EntryPoint]] = {}
        self._deprecated: list[PluginEntry] = []
        for point in found:
            if point.group == DEPRECATED_GROUP:
                self._deprecated.append(_entry(None, point))
            elif (kind := kinds.get(point.group)) is not None:
                same_name = self._points.setdefault((kind, point.name), [])
                if _entry(kind, point) not in [_entry(kind, other) for other in same_name]:
                    same_name.append(point)

    def entries(self, kind: PluginKind | None = None) -> tuple[PluginEntry, ...]:
        """What is registered, of one kind or of all, sorted; nothing is imported."""
        found = [
            _entry(of, point) for (of, _), points in self._points.items() for point in points if kind in {None, of}
        ]
        return tuple(sorted(found, key=lambda entry: (str(entry.kind), entry.name, entry.distribution)))

    def broken(self) -> tuple[BrokenPlugin, ...]:
        """Every registered plugin that cannot be used; imports all of them."""
        unusable = [BrokenPlugin(entry, _deprecation(entry)) for entry in self._deprecated]
        for entry in self.entries():
            assert entry.kind is not None  # noqa: S101 - entries() has those of the known groups only
            try:
                self.plugin_class(entry.kind, entry.name)
            except ConfigurationError as error:
                unusable.append(BrokenPlugin(entry, str(error.details.get("reason", error.what))))
        return tuple(unusable)

    def plugin_class(self, kind: PluginKind, name: str) -> type[PluginMetadata]:
        """The class of a plugin, imported now.

        Raises:
            ConfigurationError: It is not installed, is registered twice, cannot be imported, was written for another
                version of these interfaces, or is no such plugin.
        """
        points = self._points.get((kind, name), [])
        if not points:
            raise self._not_installed(kind, name)
        if len(points) > 1:
            distributions = " and ".join(sorted(_entry(kind, point).distribution for point in points))
            raise ConfigurationError(
                f"Two distributions register the {kind} plugin {name!r}: {distributions}.",
                remedy="Uninstall one of them.",
                details={"plugin": name, "distributions": distributions},
            )
        return _load(kind, points[0])

    @overload
    def create(
        self, kind: Literal[PluginKind.TELEMETRY_BACKEND], choice: PluginChoice, *, place: Place | None = None
    ) -> TelemetryBackendPlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.LINEAGE_BACKEND], choice: PluginChoice, *, place: Place | None = None
    ) -> LineageBackendPlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.ORCHESTRATOR], choice: PluginChoice, *, place: Place | None = None
    ) -> OrchestratorPlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.CATALOG], choice: PluginChoice, *, place: Place | None = None
    ) -> CatalogPlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.COMPUTE], choice: PluginChoice, *, place: Place | None = None
    ) -> ComputePlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.QUALITY], choice: PluginChoice, *, place: Place | None = None
    ) -> QualityPlugin: ...
    @overload
    def create(
        self, kind: Literal[PluginKind.ALERT_CHANNEL], choice: PluginChoice, *, place: Place | None = None
    ) -> AlertChannelPlugin: ...
    @overload
    def create(self, kind: PluginKind, choice: PluginChoice, *, place: Place | None = None) -> PluginMetadata: ...
    def create(self, kind: PluginKind, choice: PluginChoice, *, place: Place | None = None) -> PluginMetadata:
        """The plugin of the manifest's choice, configured.

        Args:
            kind: What it is for.
            choice: The entry under `plugins:`.
            place: Where the choice stands; without it errors name its path of keys.

        Raises:
            ConfigurationError: See `plugin_class`; or another version is installed than the choice pins.
            ValidationError: `config` does not fit the plugin; `problems` has each key.
            PluginExecutionError: The plugin's own constructor failed.
        """
        place = place or _place_of(kind, choice)
        plugin_class = self.plugin_class(kind, choice.type)
        if choice.version is not None and choice.version != plugin_class.version:
            raise ConfigurationError(
                f"The manifest pins {choice.type} to {choice.version}, installed is {plugin_class.version}.",
                where=place.locate((*place.path, "version")),
                remedy="Install the pinned version or change `version:`.",
            )
        if choice.config and plugin_class.config_schema is None:
            problem = KeyProblem(
                (*place.path, "config"), f"The plugin {choice.type} takes no configuration.", "Remove it."
            )
            raise _invalid(choice, [problem], place)
        with plugin_boundary(choice.type, "creation"):
            try:
                return plugin_class.from_mapping(choice.config)
            except pydantic.ValidationError as error:
                schema = plugin_class.config_schema or pydantic.BaseModel
                found = problems_in(error, schema, under=(*place.path, "config"))
                raise _invalid(choice, found, place) from None

    def _not_installed(self, kind: PluginKind, name: str) -> ConfigurationError:
        for entry in self._deprecated:
            if entry.name == name:
                return ConfigurationError(f"The plugin {name!r} cannot be used: {_deprecation(entry)}")
        known = [entry.name for entry in self.entries(kind)]
        installed = f"Installed: {', '.join(known)}." if known else "None is installed."
        return ConfigurationError(
            # What was asked for may have been pasted where a name belongs.
            f"There is no such {kind} plugin.",
            remedy=did_you_mean(name, known) or f"{installed} Install the distribution that provides it.",
            details={"kind": str(kind), "installed": known},
        )


def _installed_points() -> list[EntryPoint]:
    groups = [DEPRECATED_GROUP, *(kind.entry_point_group for kind in PluginKind)]
    return [point for group in groups for point in entry_points(group=group)]


def _place_of(kind: PluginKind, choice: PluginChoice) -> Place:
    """By keys alone; an alert channel stands under its own name."""
    if isinstance(choice, AlertChannelChoice):
        return Place(("plugins", f"alert_channels[{choice.name}]"))
    return Place(("plugins", str(kind)))


def _invalid(choice: PluginChoice, found: Iterable[KeyProblem], place: Place) -> ValidationError:
    problems = [Problem(problem.what, place.locate(problem.path), problem.remedy) for problem in found]
    return ValidationError.of(f"The configuration of the plugin {choice.type}", problems)


def _entry(kind: PluginKind | None, point: EntryPoint) -> PluginEntry:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "(unknown distribution)"
    return PluginEntry(kind, point.name, point.value, distribution)


def _deprecation(entry: PluginEntry) -> str:
    return (
        f"{entry.distribution} registers it under the deprecated group {DEPRECATED_GROUP}; register a telemetry "
        f"backend under {PluginKind.TELEMETRY_BACKEND.entry_point_group} and a lineage backend under "
        f"{PluginKind.LINEAGE_BACKEND.entry_point_group}."
    )


def _load(kind: PluginKind, point: EntryPoint) -> type[PluginMetadata]:
    try:
        loaded: object = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge between our code and a stranger's module
        raise _unusable(
            kind, point, f"importing {point.value} failed with {type(error).__name__}: {told(error)}"
        ) from None
    if reason := _objection(kind, point, loaded):
        raise _unusable(kind, point, reason)
    assert isinstance(loaded, type)  # noqa: S101 - _objection has looked
    return loaded


def _unusable(kind: PluginKind, point: EntryPoint, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The {kind} plugin {point.name!r} of {_entry(kind, point).distribution} cannot be used: {reason}.",
        remedy="Upgrade or reinstall the distribution.",
        details={"plugin": point.name, "kind": str(kind), "reason": reason},
    )


def _objection(kind: PluginKind, point: EntryPoint, loaded: object) -> str | None:
    """Why a loaded object is not usable as a plugin of a kind, or None."""
    interface = INTERFACES[kind]
    if not (isinstance(loaded, type) and issubclass(loaded, interface)):
        return f"{point.value} is no {interface.__name__}"
    if inspect.isabstract(loaded):
        return f"{point.value} lacks {', '.join(sorted(loaded.__abstractmethods__))}"
    lacking = [attribute for attribute in ("name", "version") if not isinstance(getattr(loaded, attribute, None), str)]
    if lacking:
        return f"{point.value} does not say its {' and '.join(lacking)}"
    if loaded.name and loaded.name != point.name:
        return f"it calls itself {loaded.name!r}"
    return _version_objection(loaded.floe_api_version)


def _version_objection(wanted: str) -> str | None:
    """Same MAJOR and a MINOR that is not above ours."""
    ours = tuple(int(part) for part in FLOE_API_VERSION.split("."))
    try:
        major, minor = (int(part) for part in wanted.split("."))
    except (ValueError, AttributeError):
        return f"its floe_api_version {wanted!r} is not MAJOR.MINOR"
    if major == ours[0] and minor <= ours[1]:
        return None
    return f"it was written for version {wanted} of the plugin interfaces, here is {FLOE_API_VERSION}"
