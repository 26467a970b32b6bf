"""The commands `floe monitor` and `floe contract`."""

from pathlib import Path

import click

from floe_monitor.contract_cli import contract


@click.group()
def monitor() -> None:
    """Watch data contracts: fresh, of the promised shape and quality, within reach."""


@monitor.command()
@click.option(
    "--manifest", "manifest_file", required=True, type=click.Path(path_type=Path, dir_okay=False),
    envvar="FLOE_MONITOR_MANIFEST", help="The platform manifest.",
)  # fmt: skip
@click.option(
    "--contracts", required=True, type=click.Path(path_type=Path, file_okay=False),
    envvar="FLOE_MONITOR_CONTRACTS", help="The folder with contracts (ODCS, *.yaml).",
)  # fmt: skip
@click.option(
    "--database-url", envvar="FLOE_MONITOR_DATABASE_URL",
    help="PostgreSQL; without it an embedded one runs in the data directory.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), envvar="FLOE_MONITOR_DATA_DIR",
    help="Where the embedded database keeps its data [default: ~/.local/share/floe-monitor].",
)  # fmt: skip
@click.option(
    "--host", default="127.0.0.1", show_default=True, envvar="FLOE_MONITOR_HOST", help="Where HTTP is served."
)
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), envvar="FLOE_MONITOR_PORT",
    help="Port of /healthz, /readyz and /metrics; 0 means any free one.",
)  # fmt: skip
@click.option("--environment", envvar="FLOE_ENVIRONMENT", help="Chooses the server in each contract.")
@click.option(
    "--interval", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Check everything this often, whatever the manifest says; to try things out.",
)  # fmt: skip
@click.option("--otlp-endpoint", envvar="OTEL_EXPORTER_OTLP_ENDPOINT", help="Send metrics and traces there (gRPC).")
@click.option(
    "--lineage-url", envvar="FLOE_MONITOR_LINEAGE_URL",
    help="Send lineage to this relay, which delivers it, instead of to the manifest's backend.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, envvar="FLOE_MONITOR_QUIET", help="Print the log alone, no lines for people.")
@click.option(
    "--api-token-file", type=click.Path(path_type=Path, dir_okay=False), envvar="FLOE_MONITOR_API_TOKEN_FILE",
    help="Tokens of the registry's API, one a line, read anew at each request; without it the API is off.",
)  # fmt: skip
def run(
    *,
    manifest_file: Path,
    contracts: Path,
    database_url: str | None,
    data_dir: Path | None,
    host: str,
    port: int,
    environment: str | None,
    interval: float | None,
    otlp_endpoint: str | None,
    lineage_url: str | None,
    quiet: bool,
    api_token_file: Path | None,
) -> None:
    """Watch the contracts of a folder until stopped (Ctrl-C or SIGTERM)."""
    from floe_monitor.service.command import Arguments, watch  # noqa: PLC0415 - keeps `floe --help` quick

    watch(
        Arguments(
            manifest=manifest_file,
            contracts=contracts,
            database_url=database_url,
            data_dir=data_dir,
            host=host,
            port=port,
            environment=environment,
            interval_seconds=interval,
            otlp_endpoint=otlp_endpoint,
            lineage_url=lineage_url,
            api_token_file=api_token_file,
            quiet=quiet,
        )
    )


commands = [monitor, contract]
