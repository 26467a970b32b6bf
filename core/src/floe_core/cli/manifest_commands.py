"""`floe manifest`: the published schema, and whether a manifest is right."""

from pathlib import Path

import click


@click.group()
def manifest() -> None:
    """Check a platform manifest; print its schema."""


@manifest.command()
def schema() -> None:
    """Print the JSON Schema of the manifest, for editors and pipelines."""
    from floe_core.cli.output import print_json  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.manifest import manifest_schema  # noqa: PLC0415 - as above

    print_json(manifest_schema())


@manifest.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--without-plugins", is_flag=True, help="Judge the shape only, not what the plugins say of it.")
def check(file: Path, *, without_plugins: bool) -> None:
    """Check the manifest in FILE: its shape, its plugins' configuration, and that each credential has a Secret.

    Nothing is contacted. Old shapes are understood; the text that replaces them is shown.
    """
    from floe_core.cli.manifest_file import read_manifest_for_command  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.errors import ValidationError  # noqa: PLC0415 - as above
    from floe_core.manifest.checking import plugin_problems  # noqa: PLC0415 - as above
    from floe_core.plugin_interfaces import PluginRegistry  # noqa: PLC0415 - as above

    loaded = read_manifest_for_command(file)
    if not without_plugins and (problems := plugin_problems(loaded, PluginRegistry())):
        raise ValidationError.of("The manifest", problems)
    click.echo(f"{file}: the manifest of {loaded.manifest.metadata.name} is right.")
