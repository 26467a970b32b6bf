"""What `floe plugins check` does: loads a plugin, configures it, and asks it to reach its backend."""

from collections.abc import Iterator
from pathlib import Path

from floe_core.cli.manifest_file import read_manifest_for_command
from floe_core.errors import ConfigurationError, ValidationError, plugin_boundary
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_core.manifest import Manifest
from floe_core.manifest.models import PluginChoice
from floe_core.manifest.suggestions import did_you_mean
from floe_core.plugin_interfaces import (
    AlertChannelPlugin,
    ComputeConfig,
    ComputePlugin,
    ConnectionStatus,
    HealthState,
    LineageBackendPlugin,
    OrchestratorPlugin,
    PluginKind,
    PluginMetadata,
    PluginRegistry,
    TelemetryBackendPlugin,
)
from floe_core.plugin_interfaces.connection import reasons_told


def check_plugin(name: str, kind: PluginKind | None, manifest_file: Path | None, environment: str) -> Iterator[str]:
    """One sentence for each thing that holds.

    Raises:
        FloeError: The first thing that does not.
    """
    registry = PluginRegistry()
    kind = kind or _kind_of(name, registry)
    plugin_class = registry.plugin_class(kind, name)
    yield f"{kind} {name} {plugin_class.version} is installed."
    choice = _choice(kind, name, read_manifest_for_command(manifest_file).manifest if manifest_file else None)
    try:
        plugin = registry.create(kind, choice)
    except ValidationError as error:
        if manifest_file is not None:
            raise
        raise ConfigurationError(
            f"The plugin {name} needs configuration: {error}", remedy="Give --manifest FILE, which configures it."
        ) from None
    yield "Its configuration is right."
    with plugin_boundary(name, "validate_connection"), reasons_told() as told:
        reason = unreachable_reason(plugin, choice, environment)
    if reason is not None:
        raise FloeConnectionError(
            f"The plugin {name} does not reach its backend: {told[-1] if told else reason}",
            where=f"plugin {name}",
            remedy="Check the address and the credentials, which are taken from this process's environment.",
        )
    yield "Its backend answers and accepts the credentials."


def unreachable_reason(plugin: PluginMetadata, choice: PluginChoice, environment: str) -> str | None:
    """Why a plugin cannot do its work now, or None if it can."""
    refused = "it is refused or cannot be reached; the log has the reason."
    match plugin:
        case TelemetryBackendPlugin():
            return None if plugin.validate_connection(plugin.get_otlp_exporter_config(environment)) else refused
        case LineageBackendPlugin():
            return None if plugin.validate_connection(plugin.get_transport_config(environment)) else refused
        case OrchestratorPlugin():
            result = plugin.validate_connection()
            return None if result.success else result.message
        case ComputePlugin():
            probe = plugin.validate_connection(ComputeConfig(plugin=choice.type, timeout_seconds=10))
            return probe.message if probe.status is ConnectionStatus.UNHEALTHY else None
        case AlertChannelPlugin():
            return " ".join(plugin.validate_config()) or None
    health = plugin.health_check(timeout_seconds=10)
    return health.message if health.state is HealthState.UNHEALTHY else None


def _kind_of(name: str, registry: PluginRegistry) -> PluginKind:
    kinds = sorted({entry.kind for entry in registry.entries() if entry.name == name and entry.kind is not None})
    if len(kinds) == 1:
        return kinds[0]
    if not kinds:
        for broken in registry.broken():  # e.g. registered under a group that is no longer read
            if broken.entry.name == name:
                raise ConfigurationError(f"The plugin {name!r} cannot be used: {broken.reason}")
        installed = sorted({entry.name for entry in registry.entries()})
        remedy = did_you_mean(name, installed) or f"Installed: {', '.join(installed) or 'none'}."
        raise ConfigurationError(f"There is no plugin {name!r}.", remedy=remedy)
    raise ConfigurationError(
        f"There are {len(kinds)} plugins {name!r}: {', '.join(kinds)}.", remedy="Say which one with --kind."
    )


def _choice(kind: PluginKind, name: str, manifest: Manifest | None) -> PluginChoice:
    if manifest is None:
        return PluginChoice(type=name)
    if kind is PluginKind.ALERT_CHANNEL:
        found = [channel for channel in manifest.plugins.alert_channels if channel.type == name]
    else:
        chosen = getattr(manifest.plugins, kind, None)
        found = [chosen] if chosen is not None and chosen.type == name else []
    if not found:
        raise ConfigurationError(
            f"The manifest does not choose the {kind} plugin {name!r}.",
            remedy="Choose it there, or leave --manifest out.",
        )
    return found[0]
