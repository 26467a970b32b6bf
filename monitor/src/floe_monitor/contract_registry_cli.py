"""`floe contract register|unregister|list|show`: contracts of a running monitor, over its API."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from floe_core.contract_registry import ContractRegistry

_Command = TypeVar("_Command", bound=Callable[..., object])


def of_a_monitor(command: _Command, *, is_required: bool = True) -> _Command:
    """The options that say which monitor, and with which token."""
    url = click.option(
        "--url", required=is_required, envvar="FLOE_MONITOR_URL", metavar="URL",
        help="The monitor, e.g. http://floe-monitor:8080.",
    )  # fmt: skip
    token = click.option(
        "--token-file", type=click.Path(path_type=Path, dir_okay=False), envvar="FLOE_MONITOR_TOKEN_FILE",
        help="A file with the bearer token; otherwise it is taken from FLOE_MONITOR_TOKEN.",
    )  # fmt: skip
    return url(token(command))


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@of_a_monitor
def register(paths: tuple[Path, ...], *, url: str, token_file: Path | None) -> None:
    """Register contracts of files and folders with a monitor; a registered version never changes.

    Those that are refused are told with their reasons, and do not stop the others.
    """
    from floe_core.errors import FloeError, ValidationError  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_core.manifest.document import read_text  # noqa: PLC0415 - as above
    from floe_monitor.contract_cli import problems_of  # noqa: PLC0415 - as above
    from floe_monitor.contracts.directory import contract_files  # noqa: PLC0415 - as above

    refused: list[FloeError] = []
    with registry_of(url, token_file) as registry:
        for file in (file for path in paths for file in (contract_files(path) if path.is_dir() else (path,))):
            try:
                found = registry.register(read_text(file), file=str(file))
            except FloeError as error:
                if len(paths) == 1 and not paths[0].is_dir():
                    raise
                refused.append(error)
                continue
            click.echo(f"{found.id}: {'registered' if found.is_new else 'registered already'}.")
            for remark in found.remarks:
                click.echo(f"  {remark}")
    if refused:
        raise ValidationError.of("The contracts", [problem for error in refused for problem in problems_of(error)])


@click.command()
@click.argument("contract", metavar="ID")
@of_a_monitor
def unregister(contract: str, *, url: str, token_file: Path | None) -> None:
    """End the watching of a registered contract, `domain.product/name:version`; its history stays."""
    with registry_of(url, token_file) as registry:
        registry.unregister(contract)
    click.echo(f"{contract}: unregistered.")


@click.command("list")
@click.option("--all", "is_all", is_flag=True, help="Also those that are not watched any more.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@of_a_monitor
def list_contracts(*, is_all: bool, output: str, url: str, token_file: Path | None) -> None:
    """List the contracts that a monitor watches."""
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick

    with registry_of(url, token_file) as registry:
        found = list(registry.listed(active=None if is_all else True))
    if output == "json":
        print_json(found)
        return
    rows = [[one["id"], one["origin"], "yes" if one["active"] else "no", one["registered_at"]] for one in found]
    print_table(["contract", "from", "watched", "since"], rows)


def show_registered(contract: str, url: str, token_file: Path | None, output: str) -> None:
    """A contract as a monitor knows it, and how its promises stand."""
    from floe_core.cli.output import print_json, print_table  # noqa: PLC0415 - keeps `floe --help` quick

    with registry_of(url, token_file) as registry:
        found = registry.show(contract)
    if output == "json":
        print_json(found)
        return
    click.echo(f"{found['id']}: {'watched' if found['active'] else 'not watched any more'}.")
    rows = [[one["check"], one["element"], one["status"], one["last_checked_at"]] for one in found["promises"]]
    print_table(["check", "of", "state", "checked at"], rows)
    for remark in found["remarks"]:
        click.echo(remark)


def registry_of(url: str, token_file: Path | None) -> "ContractRegistry":
    """The registry of a monitor.

    Raises:
        ConfigurationError: There is no token.
    """
    import os  # noqa: PLC0415 - keeps `floe --help` quick

    from floe_core.contract_registry import ContractRegistry  # noqa: PLC0415 - as above
    from floe_core.errors import ConfigurationError  # noqa: PLC0415 - as above
    from floe_core.manifest.document import read_text  # noqa: PLC0415 - as above

    text = read_text(token_file) if token_file else os.environ.get("FLOE_MONITOR_TOKEN", "")
    tokens = text.split()
    if not tokens:
        raise ConfigurationError(
            "There is no bearer token.", remedy="Set FLOE_MONITOR_TOKEN, or give --token-file with a file that has one."
        )
    return ContractRegistry(url, tokens[0])
