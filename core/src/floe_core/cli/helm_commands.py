"""`floe helm-values`: what a platform engineer gives to the collector's chart or to a job's chart."""

from pathlib import Path

import click

_manifest = click.option(
    "--manifest",
    "manifest_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The platform manifest.",
)
_environment = click.option("--environment", help="Deployment environment; by default the manifest's, else production.")


@click.group("helm-values")
def helm_values() -> None:
    """Helm values of the manifest's backends, as YAML."""


@helm_values.command()
@_manifest
@_environment
def telemetry(manifest_file: Path, environment: str | None) -> None:
    """Print values for the opentelemetry-collector chart."""
    _print_values("telemetry", manifest_file, environment)


@helm_values.command()
@_manifest
@_environment
def lineage(manifest_file: Path, environment: str | None) -> None:
    """Print values for a job's chart: the environment of its OpenLineage client."""
    _print_values("lineage", manifest_file, environment)


def _print_values(which: str, manifest_file: Path, environment: str | None) -> None:
    from floe_core.cli.helm_values import values_of  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.cli.manifest_file import read_manifest_for_command  # noqa: PLC0415 - as above
    from floe_core.cli.output import print_yaml  # noqa: PLC0415 - as above

    print_yaml(values_of(which, read_manifest_for_command(manifest_file).manifest, environment))
