"""The command's groups: commands are imported when they are asked for, and rooms add theirs by entry point."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import click

from floe_core.cli.errors import show_warning
from floe_core.errors import told

EXTENSION_GROUP = "floe.cli"

# Imported one by one: `floe config show` must not pay for what `floe plugins` needs.
_OWN_COMMANDS: Mapping[str, str] = {
    "completion": "floe_core.cli.completion_commands:completion",
    "config": "floe_core.cli.config_commands:config",
    "helm-values": "floe_core.cli.helm_commands:helm_values",
    "manifest": "floe_core.cli.manifest_commands:manifest",
    "plugins": "floe_core.cli.plugin_commands:plugins",
}


class RootGroup(click.Group):
    """`floe` itself: its own commands first, then those of the installed rooms."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all commands, sorted."""
        return sorted({*_OWN_COMMANDS, *self._extensions()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """A command by name; a room is imported only if the name is not one of our own."""
        if cmd_name in _OWN_COMMANDS:
            module, _, attribute = _OWN_COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return self._extensions().get(cmd_name)

    def _extensions(self) -> Mapping[str, click.Command]:
        if not self.commands:
            self.commands.update(load_extensions(entry_points(group=EXTENSION_GROUP)))
        return self.commands


def load_extensions(points: Iterable[EntryPoint]) -> dict[str, click.Command]:
    """Commands that rooms add; a broken room is told on standard error and skipped, and so is a name that is taken."""
    commands: dict[str, click.Command] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        for command in _commands_of(point):
            name = command.name or point.name
            if name in commands or name in _OWN_COMMANDS:
                show_warning(f"The command `{name}` of {point.value} is skipped: the name is taken.")
                continue
            commands[name] = command
    return commands


def _commands_of(point: EntryPoint) -> list[click.Command]:
    try:
        loaded: object = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge between our code and a room's
        show_warning(f"The commands of {point.value} are skipped: {type(error).__name__}: {told(error)}.")
        return []
    found = [loaded] if isinstance(loaded, click.Command) else loaded
    commands = list(found) if isinstance(found, Iterable) else [found]
    if not all(isinstance(command, click.Command) for command in commands):
        show_warning(f"The commands of {point.value} are skipped: it is neither a click command nor a list of them.")
        return []
    return commands
