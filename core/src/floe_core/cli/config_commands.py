"""`floe config`: the settings of this process and where each came from."""

from pathlib import Path

import click


@click.group()
def config() -> None:
    """The settings of floe and where each came from."""


@config.command()
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="As if given on the command line.")
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--project-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("floe.yaml"),
    show_default=True,
    help="The project's configuration; need not exist.",
)
def show(assignments: tuple[str, ...], output: str, project_file: Path) -> None:
    """Print every setting, its value and its source; credentials are masked."""
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.settings import load_settings  # noqa: PLC0415 - as above

    given = dict(_parsed(assignment) for assignment in assignments)
    described = load_settings(given, project_file=project_file).described()
    if output == "json":
        print_json({row["name"]: {key: row[key] for key in ("value", "source", "variable")} for row in described})
        return
    rows = [(row["name"], "-" if row["value"] is None else str(row["value"]), row["source"]) for row in described]
    print_table(("setting", "value", "source"), rows)


def _parsed(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise click.BadParameter(f"{assignment!r} is not NAME=VALUE", param_hint="--set")
    return name.replace("-", "_"), value
