"""`floe plugins`: what is installed, and whether one works."""

from pathlib import Path

import click


@click.group()
def plugins() -> None:
    """List plugins; check that one works."""


@plugins.command("list")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def list_plugins(context: click.Context, output: str) -> None:
    """List every installed plugin; a broken one is shown with its reason, and the exit code is 1."""
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.plugin_interfaces import PluginRegistry  # noqa: PLC0415 - as above

    registry = PluginRegistry()
    broken = registry.broken()
    reasons = {plugin.entry: plugin.reason for plugin in broken}
    entries = [*registry.entries(), *(plugin.entry for plugin in broken if plugin.entry.kind is None)]
    rows = [
        {
            "kind": str(entry.kind or "deprecated"),
            "name": entry.name,
            "distribution": entry.distribution,
            "state": reasons.get(entry, "ok"),
        }
        for entry in entries
    ]
    if output == "json":
        print_json(rows)
    else:
        print_table(("kind", "name", "distribution", "state"), [tuple(row.values()) for row in rows])
    if broken:
        context.exit(1)


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(
        ["telemetry_backend", "lineage_backend", "orchestrator", "compute", "catalog", "quality", "alert_channel"]
    ),
    help="Which one, where two kinds have a plugin of that name.",
)
@click.option(
    "--manifest",
    "manifest_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Check with the configuration that this manifest gives.",
)
@click.option("--environment", default="production", show_default=True, help="Deployment environment.")
def check(name: str, kind: str | None, manifest_file: Path | None, environment: str) -> None:
    """Check the plugin NAME: that it loads, takes its configuration and reaches its backend.

    The credentials are taken from this process's environment.
    """
    from floe_core.cli.plugin_check import check_plugin  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.plugin_interfaces import PluginKind  # noqa: PLC0415 - as above

    wanted: PluginKind | None = PluginKind(kind) if kind else None
    for line in check_plugin(name, wanted, manifest_file, environment):
        click.echo(line)
