"""What plugins say of a manifest: each is created from its configuration, and each credential it names has a Secret."""

from collections.abc import Iterator

from floe_core.credentials import names_in
from floe_core.errors import ConfigurationError, Location, Problem, ValidationError, plugin_boundary
from floe_core.errors import PluginExecutionError as PluginFailure
from floe_core.manifest.document import KeyPath
from floe_core.manifest.loading import LoadedManifest
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces import (
    LineageBackendPlugin,
    Place,
    PluginKind,
    PluginMetadata,
    PluginRegistry,
    TelemetryBackendPlugin,
)

_ENVIRONMENT = "production"
_SINGLE = (
    PluginKind.TELEMETRY_BACKEND,
    PluginKind.LINEAGE_BACKEND,
    PluginKind.CATALOG,
    PluginKind.COMPUTE,
    PluginKind.QUALITY,
    PluginKind.ORCHESTRATOR,
)
# Their credentials reach pods; those of the others are taken from the monitor's environment.
_IN_PODS = (PluginKind.TELEMETRY_BACKEND, PluginKind.LINEAGE_BACKEND)


def plugin_problems(loaded: LoadedManifest, registry: PluginRegistry) -> list[Problem]:
    """Everything that the chosen plugins find wrong, with line and column; nothing is contacted."""
    problems: list[Problem] = []
    for kind, path, choice in _choices(loaded):
        place = Place(path, loaded.document.locate)
        try:
            plugin = registry.create(kind, choice, place=place)
            if kind in _IN_PODS:
                problems.extend(_without_secret(loaded, path, choice, plugin))
        except ValidationError as error:
            problems.extend(error.problems)
        except (ConfigurationError, PluginFailure) as error:
            where = error.where if error.where and error.where.line else place.locate((*path, "type"))
            problems.append(Problem(error.what, where, error.remedy))
    return problems


def _choices(loaded: LoadedManifest) -> Iterator[tuple[PluginKind, KeyPath, PluginChoice]]:
    chosen = loaded.manifest.plugins
    for kind in _SINGLE:
        if (choice := getattr(chosen, kind)) is not None:
            yield kind, ("plugins", str(kind)), choice
    for index, channel in enumerate(chosen.alert_channels):
        yield PluginKind.ALERT_CHANNEL, ("plugins", "alert_channels", index), channel


def _without_secret(
    loaded: LoadedManifest, path: KeyPath, choice: PluginChoice, plugin: PluginMetadata
) -> Iterator[Problem]:
    if choice.connection_secret_ref is not None:  # its keys are the credentials' names
        return
    for name in credentials_of(plugin):
        if name not in loaded.manifest.credentials:
            where: Location = loaded.document.locate((*path, "type"))
            what = f"The plugin {type(plugin).name} needs the credential {name}, which has no Secret."
            remedy = f"Add `credentials.{name}.secret` and `credentials.{name}.key`, or `connection_secret_ref` here."
            yield Problem(what, where, remedy)


def credentials_of(plugin: PluginMetadata, environment: str = _ENVIRONMENT) -> tuple[str, ...]:
    """Names of the credentials that a backend's configuration refers to."""
    with plugin_boundary(type(plugin).name, "configuration"):
        if isinstance(plugin, TelemetryBackendPlugin):
            return names_in(plugin.get_otlp_exporter_config(environment).model_dump())
        if isinstance(plugin, LineageBackendPlugin):
            return names_in(plugin.get_transport_config(environment).model_dump())
    return ()
