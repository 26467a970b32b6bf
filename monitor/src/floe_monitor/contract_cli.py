"""The command `floe contract`: contracts as files, for the people who write them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from floe_monitor.contract_registry_cli import list_contracts, of_a_monitor, register, unregister

if TYPE_CHECKING:
    from floe_core.errors import FloeError, Problem
    from floe_monitor.contracts.comparison import ContractDiff
    from floe_monitor.contracts.model import Contract
    from floe_monitor.store.records import CheckRun

_FILE = click.Path(path_type=Path, dir_okay=False)
_environment = click.option("--environment", envvar="FLOE_ENVIRONMENT", help="Chooses the server in each contract.")


@click.group()
def contract() -> None:
    """Check data contracts (ODCS) before they are deployed, and register them with a monitor."""


for _command in (register, unregister, list_contracts):
    contract.add_command(_command)


@contract.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@_environment
def validate(paths: tuple[Path, ...], *, environment: str | None) -> None:
    """Check contracts in files and folders: what is wrong, with file, line and field; nothing is contacted."""
    from floe_core.errors import FloeError, ValidationError  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_monitor.contracts.directory import read_directory  # noqa: PLC0415 - as above

    contracts: list[Contract] = []
    errors: list[FloeError] = []
    for path in paths:
        if path.is_dir():
            found = read_directory(path, environment=environment)
            contracts += found.contracts
            errors += found.errors
            continue
        try:
            contracts.append(_read(path, environment))
        except FloeError as error:
            errors.append(error)
    for one in contracts:
        click.echo(f"{one.id}: right.")
        for remark in one.remarks:
            click.echo(f"  {remark}")
    if errors:
        raise ValidationError.of("The contracts", [problem for error in errors for problem in problems_of(error)])


def problems_of(error: "FloeError") -> "tuple[Problem, ...]":
    """What an error says, one problem each."""
    from floe_core.errors import Location, Problem, ValidationError  # noqa: PLC0415 - keeps `floe --help` quick

    if isinstance(error, ValidationError) and error.problems:
        return error.problems
    return (Problem(error.what, error.where or Location(), error.remedy),)


@contract.command()
@click.argument("contract_or_file", metavar="FILE|ID")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@_environment
@partial(of_a_monitor, is_required=False)
def show(
    contract_or_file: str, *, output: str, environment: str | None, url: str | None, token_file: Path | None
) -> None:
    """Show what the monitor understands of a contract: tables, promises, remarks.

    With --url, a contract of that monitor by its identity, `domain.product/name:version`, and how its promises stand.
    """
    from floe_monitor.contract_registry_cli import show_registered  # noqa: PLC0415 - keeps `floe --help` quick

    if url and not Path(contract_or_file).is_file():
        show_registered(contract_or_file, url, token_file, output)
    else:
        _show_file(Path(contract_or_file), environment, output)


def _show_file(file: Path, environment: str | None, output: str) -> None:
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_monitor.checks.freshness import show as duration  # noqa: PLC0415 - as above

    found = _read(file, environment)
    rows = [["schema", table.name, f"{len(table.columns)} column(s) in {table.location}"] for table in found.tables]
    rows += [
        ["freshness", promise.element, f"at most {duration(promise.threshold)} old"] for promise in found.freshness
    ]
    if found.availability:
        rows.append(["availability", "", f"{found.availability.ratio:.3%} of 24 h"])
    rows += [["quality", rule.element, rule.check.type] for rule in found.quality]
    if output == "json":
        promises = [dict(zip(("check", "of", "promise"), row, strict=True)) for row in rows]
        print_json({"id": str(found.id), "promises": promises, "remarks": found.remarks})
        return
    click.echo(f"{found.id}")
    print_table(["check", "of", "promise"], rows)
    for remark in found.remarks:
        click.echo(remark)


@contract.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def diff(old: Path, new: Path, *, output: str) -> None:
    """Name what changes from OLD to NEW as major, minor or patch; fail if NEW's version does not say as much."""
    from floe_core.errors import ExecutionError  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_monitor.contracts.comparison import compare_contracts  # noqa: PLC0415 - as above

    before, after = _read(old, None), _read(new, None)
    found = compare_contracts(before, after)
    _print_diff(found, output)
    if not found.is_version_enough and found.needed is not None:
        raise ExecutionError(
            f"The version goes from {before.id.version} to {after.id.version}; the changes need a new "
            f"{found.needed.name.lower()} version.",
            where=str(new),
            remedy="Raise `version`.",
        )


def _print_diff(found: "ContractDiff", output: str) -> None:
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick

    if output == "json":
        changes = [
            {"level": change.level.name.lower(), "path": change.path, "what": change.what} for change in found.changes
        ]
        needed = found.needed.name.lower() if found.needed else None
        print_json({"changes": changes, "needed": needed, "version_is_enough": found.is_version_enough})
    elif found.changes:
        rows = [[change.level.name.lower(), change.path, change.what] for change in found.changes]
        print_table(["level", "where", "what"], rows)
    else:
        click.echo("Nothing has changed.")


@contract.command()
@click.argument("file", type=_FILE)
@click.option("--manifest", "manifest_file", required=True, type=_FILE, help="Names the compute, catalog and quality.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only these tables of the contract.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "junit"]), default="table", show_default=True)
@_environment
def test(file: Path, *, manifest_file: Path, tables: tuple[str, ...], output: str, environment: str | None) -> None:
    """Check the data against a contract, once and now.

    Exit code 0: every promise is kept; 2: one is broken, or nobody can tell.
    """
    import asyncio  # noqa: PLC0415 - keeps `floe --help` quick

    from floe_core.cli.manifest_file import read_manifest_for_command  # noqa: PLC0415 - as above
    from floe_core.errors import ExecutionError  # noqa: PLC0415 - as above
    from floe_core.logging import configure_logging  # noqa: PLC0415 - as above
    from floe_core.plugin_interfaces.registry import PluginRegistry  # noqa: PLC0415 - as above
    from floe_monitor.service.trial import is_kept, try_contract  # noqa: PLC0415 - as above
    from floe_monitor.service.wiring import create_plugins  # noqa: PLC0415 - as above

    found = _read(file, environment)
    if tables:
        found = _only(found, tables)
    manifest = read_manifest_for_command(manifest_file).manifest
    configure_logging("error", "console")  # the probes' lines are for a service; a person reads the outcome
    source = create_plugins(manifest, PluginRegistry()).source
    runs = asyncio.run(try_contract(found, source, manifest.monitoring))
    _print_runs(runs, output)
    if not is_kept(runs):
        raise ExecutionError("Not every promise is known to be kept.", where=str(file))


def _print_runs(runs: "list[CheckRun]", output: str) -> None:
    from floe_core.cli.output import print_table  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_monitor.service.trial import as_json, as_junit, lines_of  # noqa: PLC0415 - as above

    if output == "json":
        click.echo(as_json(runs))
    elif output == "junit":
        click.echo(as_junit(runs), nl=False)
    else:
        rows = [
            [line.status.value, line.check, line.element, line.text or line.status.sentence]
            for run in runs
            for line in lines_of(run)
        ]
        print_table(["state", "check", "of", "what"], rows)


def _read(file: Path, environment: str | None) -> "Contract":
    from floe_monitor.contracts.reading import read_contract  # noqa: PLC0415 - keeps `floe --help` quick

    return read_contract(file, environment=environment)


def _only(found: "Contract", tables: tuple[str, ...]) -> "Contract":
    from dataclasses import replace  # noqa: PLC0415 - keeps `floe --help` quick

    from floe_core.errors import ConfigurationError  # noqa: PLC0415 - as above

    known = {table.name for table in found.tables}
    if unknown := sorted(set(tables) - known):
        raise ConfigurationError(
            f"The contract has no table {', '.join(unknown)}.", remedy=f"Tables: {', '.join(sorted(known)) or 'none'}."
        )
    return replace(
        found,
        tables=tuple(table for table in found.tables if table.name in tables),
        freshness=tuple(promise for promise in found.freshness if promise.table.name in tables),
        quality=tuple(rule for rule in found.quality if rule.table.name in tables),
    )
