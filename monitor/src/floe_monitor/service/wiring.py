"""From a manifest and a folder of contracts to what a `Monitor` is made of."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from openlineage.client.event_v2 import RunEvent

from floe_core.credentials import resolve_all
from floe_core.errors import ConfigurationError
from floe_core.lineage.transport import client_for
from floe_core.manifest.models import AlertChannelChoice, Manifest, PluginChoice
from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin
from floe_core.plugin_interfaces.lineage import OpenLineageTransport
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_monitor.alerts.console import ConsoleAlertConfig, ConsoleAlertPlugin
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers

_ENVIRONMENT = "production"
ChoiceT = TypeVar("ChoiceT", bound=PluginChoice)


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins that the monitor uses.

    Attributes:
        emit_lineage: Sends one OpenLineage event through the lineage backend's transport; None without a backend.
    """

    source: Source
    channels: dict[str, AlertChannelPlugin]
    emit_lineage: Callable[[RunEvent], object] | None = None


def create_plugins(
    manifest: Manifest,
    registry: PluginRegistry,
    environ: Mapping[str, str] | None = None,
    *,
    terminal: bool = False,
    lineage_relay: str | None = None,
) -> Plugins:
    """The manifest's compute, catalog and channels, with credentials resolved from the environment.

    Args:
        manifest: Names them.
        registry: Finds them.
        environ: Where credentials are; by default this process's environment.
        terminal: Whether a person looks on: then alerts go to the terminal too, if no channel does that already.
        lineage_relay: Origin of a sidecar that delivers lineage; the manifest's backend is its business then.

    Raises:
        ConfigurationError: A plugin or a credential is missing, or a channel's configuration is wrong; says which.
    """
    environ = os.environ if environ is None else environ
    chosen = manifest.plugins
    if chosen.compute is None:
        raise ConfigurationError(
            "The manifest names no compute, so nothing can be asked.", where="plugins.compute", remedy="Set it."
        )
    compute = registry.create(PluginKind.COMPUTE, _resolved(chosen.compute, environ))
    catalog = registry.create(PluginKind.CATALOG, _resolved(chosen.catalog, environ)) if chosen.catalog else None
    quality = registry.create(PluginKind.QUALITY, _resolved(chosen.quality, environ)) if chosen.quality else None
    source = Source(
        name=compute.name,
        compute=compute,
        catalog=catalog,
        workers=Workers(per_source=manifest.monitoring.calls_per_source),
        timeout=timedelta(seconds=manifest.monitoring.check_timeout_seconds),
        quality=quality,
    )
    channels = {choice.name: _channel(choice, registry, environ) for choice in chosen.alert_channels}
    if terminal and not any(isinstance(channel, ConsoleAlertPlugin) for channel in channels.values()):
        channels.setdefault("terminal", ConsoleAlertPlugin(ConsoleAlertConfig()))
    return Plugins(source, channels, _lineage(manifest, registry, environ, lineage_relay))


def _lineage(
    manifest: Manifest, registry: PluginRegistry, environ: Mapping[str, str], relay: str | None
) -> Callable[[RunEvent], object] | None:
    if relay:
        return client_for(OpenLineageTransport(url=relay), environ).emit
    choice = manifest.plugins.lineage_backend
    if choice is None:
        return None
    backend = registry.create(PluginKind.LINEAGE_BACKEND, choice)
    return client_for(backend.get_transport_config(manifest.namespaces.environment or _ENVIRONMENT), environ).emit


def _channel(choice: AlertChannelChoice, registry: PluginRegistry, environ: Mapping[str, str]) -> AlertChannelPlugin:
    channel = registry.create(PluginKind.ALERT_CHANNEL, _resolved(choice, environ))
    if problems := channel.validate_config():
        raise ConfigurationError(
            " ".join(problems), where=f"plugins.alert_channels[{choice.name}]", remedy="Mend its `config`."
        )
    return channel


def _resolved(choice: ChoiceT, environ: Mapping[str, str]) -> ChoiceT:
    return choice.model_copy(update={"config": resolve_all(choice.config, environ)})
